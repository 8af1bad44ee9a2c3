"""The lab's certificates have IGC Santé's profile: a gateway that reads one reads the other."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID, SignatureAlgorithmOID

from sasgate.lab.names import StringType
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Template, key_usage, years_later


GENUINE = ("ACR-EL-TEST", "ACI-EL-ORG-TEST", "ACR-EL", "ACI-EL-ORG")
AUTHORITIES = (*GENUINE, "ACI-EL-PERS-TEST", "ACI-EL-PERS")


@pytest.fixture(params=GENUINE)
def both(
    request: pytest.FixtureRequest, lab: Lab, shared: Path
) -> tuple[x509.Certificate, x509.Certificate]:
    genuine = (shared / "igc-sante" / f"{request.param}.cer").read_bytes()
    return lab.authorities[request.param].certificate, x509.load_der_x509_certificate(genuine)


Both = tuple[x509.Certificate, x509.Certificate]


def attributes(name: x509.Name) -> list[tuple[str, StringType]]:
    return [(attribute.oid.dotted_string, attribute._type) for attribute in name]


def values(name: x509.Name) -> list[str]:
    return [str(attribute.value) for attribute in name]


def test_ca_key_and_signature_are_of_the_genuine_kind(both: Both) -> None:
    ours, genuine = both
    assert ours.version == genuine.version
    assert ours.public_key().key_size == genuine.public_key().key_size == 4096
    assert ours.signature_algorithm_oid == SignatureAlgorithmOID.RSA_WITH_SHA256
    assert ours.signature_algorithm_oid == genuine.signature_algorithm_oid


def test_ca_names_have_the_genuine_attributes_in_order_and_string_types(both: Both) -> None:
    ours, genuine = both
    for name in ("subject", "issuer"):
        mine, theirs = getattr(ours, name), getattr(genuine, name)
        assert attributes(mine) == attributes(theirs)
        assert all(len(rdn) == 1 for rdn in mine.rdns)
        assert len(mine.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)) == 2


def test_ca_names_differ_from_the_genuine_by_the_word_lab_alone(both: Both) -> None:
    ours, genuine = both
    for name in ("subject", "issuer"):
        *mine, cn = values(getattr(ours, name))
        *theirs, genuine_cn = values(getattr(genuine, name))
        assert mine == theirs
        assert cn == f"LAB {genuine_cn}"


def test_ca_extensions_have_the_genuine_order_and_criticality(both: Both) -> None:
    ours, genuine = both
    assert [(each.oid, each.critical) for each in ours.extensions] == [
        (each.oid, each.critical) for each in genuine.extensions
    ]


def test_ca_constraints_and_usages_are_the_genuine(both: Both) -> None:
    ours, genuine = both
    for kind in (x509.BasicConstraints, x509.KeyUsage):
        mine = ours.extensions.get_extension_for_class(kind).value
        assert mine == genuine.extensions.get_extension_for_class(kind).value


def test_ca_validity_is_as_long_as_the_genuine(both: Both) -> None:
    ours, genuine = both
    begin, end = ours.not_valid_before_utc, ours.not_valid_after_utc
    theirs = genuine.not_valid_before_utc, genuine.not_valid_after_utc
    assert end.year - begin.year == theirs[1].year - theirs[0].year
    assert [f"{each:%m-%d %H:%M:%S}" for each in (begin, end)] == [
        f"{each:%m-%d %H:%M:%S}" for each in theirs
    ]


def test_ca_serial_is_as_long_as_the_genuine(both: Both) -> None:
    ours, genuine = both
    assert ours.serial_number.bit_length() == genuine.serial_number.bit_length()
    assert ours.serial_number != genuine.serial_number


def test_ca_policies_are_of_the_genuine_shape(both: Both) -> None:
    shapes = []
    for certificate in both:
        [policy] = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
        [statement] = policy.policy_qualifiers or []
        shapes.append((policy.policy_identifier, urlsplit(str(statement)).path))
    assert shapes[0] == shapes[1]


def test_ca_key_identifiers_are_of_the_genuine_shape(both: Both) -> None:
    for certificate in both:
        extensions = certificate.extensions
        key = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        issuer = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        assert key == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
        assert issuer.authority_cert_issuer is None
        assert issuer.key_identifier is not None


def points(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return [str(point.full_name[0].value) for point in found if point.full_name]


@pytest.mark.parametrize("ca", ["ACI-EL-ORG-TEST", "ACI-EL-ORG"])
def test_ca_distribution_points_are_those_of_the_genuine_at_the_lab(
    ca: str, lab: Lab, shared: Path
) -> None:
    genuine = x509.load_der_x509_certificate((shared / "igc-sante" / f"{ca}.cer").read_bytes())
    ours = points(lab.authorities[ca].certificate)
    translated = [
        url.replace("esante.gouv.fr", "lab.invalid")
        .replace("/CN=AC", "/CN=LAB%20AC")
        .replace("/CN=TEST", "/CN=LAB%20TEST")
        for url in points(genuine)
    ]
    assert ours == translated


@pytest.mark.parametrize("ca", AUTHORITIES)
def test_no_ca_has_an_ocsp_address(ca: str, lab: Lab) -> None:
    """Only a list tells the status of a CA (facts page)."""
    oids = {each.oid for each in lab.authorities[ca].certificate.extensions}
    assert ExtensionOID.AUTHORITY_INFORMATION_ACCESS not in oids


@pytest.mark.parametrize("ca", AUTHORITIES)
def test_each_ca_is_signed_by_the_root_of_its_tree(ca: str, lab: Lab) -> None:
    root = "ACR-EL-TEST" if ca.endswith("-TEST") else "ACR-EL"
    lab.authorities[ca].certificate.verify_directly_issued_by(lab.authorities[root].certificate)


def test_organisations_and_persons_differ_in_name_and_key(lab: Lab) -> None:
    organisations, persons = (
        lab.authorities[each].certificate for each in ("ACI-EL-ORG", "ACI-EL-PERS")
    )
    assert values(persons.subject)[-1] == "LAB AC IGC-SANTE ELEMENTAIRE PERSONNES"
    assert organisations.subject != persons.subject
    assert organisations.public_key() != persons.public_key()


@pytest.fixture
def leaf(lab: Lab) -> x509.Certificate:
    return lab.clients["recette"].certificate


def test_leaf_subject_has_the_specified_attributes_in_order(leaf: x509.Certificate) -> None:
    """Specification, 3.3."""
    assert leaf.subject.rfc4514_string() == (
        "CN=sas-agregateur-recette,OU=499700234190004,O=CABINET MLLE DENTISTE0023419,"
        "ST=Paris (75),C=FR"
    )
    assert [kind for _, kind in attributes(leaf.subject)] == [
        StringType.PrintableString,
        *[StringType.UTF8String] * 4,
    ]


@pytest.mark.parametrize(
    ("client", "pair", "organization"),
    [
        (
            "preproduction",
            "CN=sas-aggregator-preproduction,OU=499700343942006",
            "CABINET M. MASSEUR0034394",
        ),
        (
            "production",
            "CN=sas-aggregator-production,OU=318751275100020",
            "AGENCE DU NUMERIQUE EN SANTE",
        ),
    ],
)
def test_other_platform_subjects_are_the_specified(
    client: str, pair: str, organization: str, lab: Lab
) -> None:
    """Specification, 3.3."""
    subject = lab.clients[client].certificate.subject.rfc4514_string()
    assert subject == f"{pair},O={organization},ST=Paris (75),C=FR"


def test_leaf_key_signature_and_serial(leaf: x509.Certificate) -> None:
    assert leaf.public_key().key_size == 2048
    assert leaf.signature_algorithm_oid == SignatureAlgorithmOID.RSA_WITH_SHA256
    assert (leaf.serial_number.bit_length() + 7) // 8 == 16


def test_leaf_is_valid_for_three_years_to_the_second(leaf: x509.Certificate) -> None:
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    assert end == years_later(begin, 3)


def test_leaf_usages(leaf: x509.Certificate) -> None:
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value == key_usage("digital_signature")
    extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_leaf_basic_constraints_are_present_and_empty(leaf: x509.Certificate) -> None:
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints.public_bytes() == b"\x30\x00"


def test_leaf_has_no_alternative_name(leaf: x509.Certificate) -> None:
    assert ExtensionOID.SUBJECT_ALTERNATIVE_NAME not in {each.oid for each in leaf.extensions}


def test_leaf_says_where_its_status_is(leaf: x509.Certificate) -> None:
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [each.access_location.value for each in access] == [
        "http://igc-sante.lab.invalid/ocsp",
        "http://igc-sante.lab.invalid/AC/ACI-EL-ORG-TEST.cer",
    ]
    assert [urlsplit(each).scheme for each in points(leaf)] == ["http", "ldap"]
    freshest = leaf.extensions.get_extension_for_class(x509.FreshestCRL).value
    [[delta]] = [point.full_name for point in freshest if point.full_name]
    assert urlsplit(delta.value).scheme == "ldap"


def test_every_address_in_certificates_is_invalid_by_default(lab: Lab) -> None:
    """Nothing of the lab may ever send traffic to ANS."""
    hosts = {
        urlsplit(url).hostname or ""
        for certificate in (
            lab.clients["recette"].certificate,
            lab.authorities["ACI-EL-ORG"].certificate,
        )
        for url in points(certificate)
    }
    assert hosts
    assert all(host.endswith(".invalid") for host in hosts)


def test_leaf_has_the_private_extension(leaf: x509.Certificate) -> None:
    [private] = [e for e in leaf.extensions if isinstance(e.value, x509.UnrecognizedExtension)]
    assert private.oid.dotted_string == "1.2.250.1.71.1.2.5"
    assert not private.critical


def test_three_years_from_a_leap_day_end_on_the_28th() -> None:
    assert years_later(datetime(2028, 2, 29, 1, 2, 3, tzinfo=UTC), 3) == datetime(
        2031, 2, 28, 1, 2, 3, tzinfo=UTC
    )


def test_template_dates_are_instants_or_distances() -> None:
    now = datetime(2026, 5, 4, 3, 2, 1, 500, tzinfo=UTC)
    fixed = datetime(2030, 1, 1, tzinfo=UTC)
    template = Template(x509.Name([]), not_before=timedelta(hours=-1), not_after=fixed)
    assert template.validity(now) == (datetime(2026, 5, 4, 2, 2, 1, tzinfo=UTC), fixed)


class TestIssue:
    """`Authority.issue` can mint what no CA would."""

    @pytest.fixture
    def template(self) -> Template:
        return Template(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")]))

    def test_everything_can_be_chosen(self, lab: Lab, template: Template) -> None:
        chosen = evolve(
            template,
            ca=True,
            path_length=3,
            serial=7,
            key_usage=None,
            usages=(ExtendedKeyUsageOID.OCSP_SIGNING,),
            alternative_names=(x509.DNSName("x.invalid"),),
            algorithm=hashes.SHA384(),
        )
        made = lab.authorities["ACI-EL-ORG"].issue(chosen).certificate
        extensions = made.extensions
        assert made.serial_number == 7
        assert isinstance(made.signature_hash_algorithm, hashes.SHA384)
        assert extensions.get_extension_for_class(x509.BasicConstraints).value == (
            x509.BasicConstraints(ca=True, path_length=3)
        )
        assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
            ExtendedKeyUsageOID.OCSP_SIGNING
        ]
        assert ExtensionOID.KEY_USAGE not in {each.oid for each in extensions}

    def test_an_extra_extension_replaces_the_one_of_the_profile(
        self, lab: Lab, template: Template
    ) -> None:
        unlimited = x509.BasicConstraints(ca=True, path_length=None)
        extra = x509.Extension(ExtensionOID.BASIC_CONSTRAINTS, True, unlimited)
        made = lab.authorities["ACI-EL-ORG"].issue(evolve(template, extra=(extra,))).certificate
        assert made.extensions.get_extension_for_class(x509.BasicConstraints) == extra
        assert [each.oid for each in made.extensions] == [
            each.oid for each in lab.clients["production"].certificate.extensions
        ]

    def test_an_extra_extension_of_another_kind_comes_last(
        self, lab: Lab, template: Template
    ) -> None:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")
        extra = x509.Extension(unknown.oid, True, unknown)
        made = lab.authorities["ACI-EL-ORG"].issue(evolve(template, extra=(extra,))).certificate
        assert list(made.extensions)[-1] == extra

    def test_extensions_can_be_left_out(self, lab: Lab, template: Template) -> None:
        without = frozenset({ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.BASIC_CONSTRAINTS})
        made = lab.authorities["ACI-EL-ORG"].issue(evolve(template, without=without)).certificate
        assert not without & {each.oid for each in made.extensions}

    def test_a_foreign_key_can_be_certified(self, lab: Lab, template: Template) -> None:
        key = lab.clients["recette"].key.public_key()
        made = lab.authorities["ACI-EL-ORG"].certify(template, key)
        assert made.public_key() == key

    def test_keys_are_new_unless_given(self, lab: Lab, template: Template) -> None:
        first, second = (lab.authorities["ACI-EL-ORG"].issue(template) for _ in range(2))
        assert first.certificate.public_key() == first.key.public_key()
        assert first.key.public_key() != second.key.public_key()
        assert first.certificate.serial_number != second.certificate.serial_number

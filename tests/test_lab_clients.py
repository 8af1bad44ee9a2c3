"""Each client of the catalogue is what it says: a test that presents it relies on that."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sasgate.environments import PREPRODUCTION, PRODUCTION, RECETTE
from sasgate.identity import Identity, NamePair, UnreadableCertificate
from sasgate.lab import trees
from sasgate.lab.authority import pem_of
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.client import ADMITTED, MALFORMED, NOT_AUTH_CLI, OTHER_PAIR, UNTRUSTED, Listener
from sasgate.lab.deceivers import DECEIVERS
from sasgate.lab.names import StringType
from sasgate.lab.own import SERVERS
from sasgate.lab.pki import Lab


PAIRS = {
    Listener.TEST: {
        NamePair(RECETTE.client_cn, RECETTE.client_ou),
        NamePair(PREPRODUCTION.client_cn, PREPRODUCTION.client_ou),
    },
    Listener.PRODUCTION: {NamePair(PRODUCTION.client_cn, PRODUCTION.client_ou)},
}
ISSUERS = {Listener.TEST: trees.ORG_TEST, Listener.PRODUCTION: trees.ORG}
ROOTS = {Listener.TEST: trees.ROOT_TEST, Listener.PRODUCTION: trees.ROOT}


def names_with(*answers: object) -> list[str]:
    return [name for name, client in CATALOGUE.items() if client.answer in answers]


def certificate(lab: Lab, name: str) -> x509.Certificate:
    return lab.clients[name].certificate


def identity(lab: Lab, name: str) -> Identity:
    return Identity.read(certificate(lab, name))


def test_every_client_is_made_and_named_once(lab: Lab) -> None:
    assert set(lab.clients) == set(CATALOGUE)
    assert all(client.name == name for name, client in CATALOGUE.items())


def test_no_deceiver_hides_another_client_of_its_name() -> None:
    assert all(CATALOGUE[client.name] is client for client in DECEIVERS)


def test_there_are_more_refusals_than_admissions() -> None:
    assert len(names_with(ADMITTED)) * 3 < len(CATALOGUE)


@pytest.mark.parametrize("name", names_with(ADMITTED))
def test_an_admitted_client_has_the_pair_the_usage_and_the_issuer(name: str, lab: Lab) -> None:
    listener = CATALOGUE[name].listener
    read = identity(lab, name)
    assert read.pair in PAIRS[listener]
    assert read.auth_cli
    issuer = lab.authorities[ISSUERS[listener]].certificate
    certificate(lab, name).verify_directly_issued_by(issuer)


@pytest.mark.parametrize("name", names_with(OTHER_PAIR))
def test_a_client_answered_403_lacks_nothing_but_the_pair(name: str, lab: Lab) -> None:
    listener = CATALOGUE[name].listener
    read = identity(lab, name)
    assert read.pair not in PAIRS[listener]
    assert read.auth_cli
    issuer = lab.authorities[ISSUERS[listener]].certificate
    certificate(lab, name).verify_directly_issued_by(issuer)


@pytest.mark.parametrize("name", names_with(UNTRUSTED, NOT_AUTH_CLI))
def test_a_client_refused_for_another_reason_has_a_pair_of_the_platforms(
    name: str, lab: Lab
) -> None:
    """Else a gateway that skips the check in question would still refuse it."""
    assert identity(lab, name).pair in PAIRS[CATALOGUE[name].listener]


@pytest.mark.parametrize("name", names_with(UNTRUSTED))
def test_an_untrusted_client_would_pass_for_auth_cli(name: str, lab: Lab) -> None:
    assert identity(lab, name).auth_cli


@pytest.mark.parametrize("name", names_with(UNTRUSTED))
def test_an_untrusted_client_was_not_signed_by_the_pinned_issuer(name: str, lab: Lab) -> None:
    pinned = lab.authorities[ISSUERS[CATALOGUE[name].listener]].certificate
    with pytest.raises((ValueError, InvalidSignature)):
        certificate(lab, name).verify_directly_issued_by(pinned)


@pytest.mark.parametrize("name", names_with(MALFORMED))
def test_a_malformed_client_cannot_be_read(name: str, lab: Lab) -> None:
    with pytest.raises(UnreadableCertificate):
        identity(lab, name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("recette-printable", StringType.PrintableString),
        ("recette-bmp", StringType.BMPString),
        ("recette-t61", StringType.T61String),
        ("recette-universal", StringType.UniversalString),
        ("recette-ia5", StringType.IA5String),
    ],
)
def test_pair_in_another_string_type(name: str, kind: StringType, lab: Lab) -> None:
    """S10."""
    subject = certificate(lab, name).subject
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME):
        [attribute] = subject.get_attributes_for_oid(oid)
        assert attribute._type == kind


def test_dates_of_expired_and_not_yet_valid_lie_on_either_side(lab: Lab) -> None:
    """S2."""
    assert identity(lab, "expired").not_after < lab.created
    assert identity(lab, "not-yet-valid").not_before > lab.created


def test_same_serial_as_the_revoked_under_another_issuer(lab: Lab) -> None:
    """S21."""
    revoked, same = identity(lab, "revoked"), identity(lab, "same-serial")
    assert CATALOGUE["revoked"].revoked
    assert revoked.serial == same.serial
    assert revoked.issuer != same.issuer


def test_other_serials_are_all_different(lab: Lab) -> None:
    serials = [made.certificate.serial_number for made in lab.clients.values()]
    assert len(set(serials)) == len(serials) - 1


def test_other_tree_has_the_names_of_ours_and_none_of_its_keys(lab: Lab) -> None:
    """S2."""
    for theirs, ours in ((trees.OTHER_ROOT, trees.ROOT_TEST), (trees.OTHER_ORG, trees.ORG_TEST)):
        other, genuine = lab.authorities[theirs].certificate, lab.authorities[ours].certificate
        assert other.subject.public_bytes() == genuine.subject.public_bytes()
        assert other.public_key() != genuine.public_key()
    assert lab.clients["other-ca"].chain[-1] == lab.authorities[trees.OTHER_ROOT].certificate


def test_same_name_ca_differs_from_the_pinned_in_key_alone(lab: Lab) -> None:
    """S11."""
    other = lab.authorities[trees.SAME_NAME].certificate
    genuine = lab.authorities[trees.ORG_TEST].certificate
    assert other.subject.public_bytes() == genuine.subject.public_bytes()
    assert other.issuer.public_bytes() == genuine.issuer.public_bytes()
    assert other.public_key() != genuine.public_key()
    other.verify_directly_issued_by(lab.authorities[trees.ROOT_TEST].certificate)


def test_deep_chain_is_deeper_than_ten_and_whole(lab: Lab) -> None:
    """S11."""
    deep = lab.clients["deep-chain"]
    assert len(deep.chain) > 10
    root = lab.authorities[trees.ROOT_TEST].certificate
    for below, above in zip((deep.certificate, *deep.chain), (*deep.chain, root), strict=True):
        below.verify_directly_issued_by(above)


def test_looped_chain_never_reaches_a_root(lab: Lab) -> None:
    """S11."""
    first, second = lab.clients["looped-chain"].chain
    first.verify_directly_issued_by(second)
    assert second.issuer == first.subject
    assert first.issuer != first.subject


def test_bad_signature_is_bad(lab: Lab) -> None:
    """S2."""
    with pytest.raises(InvalidSignature):
        certificate(lab, "bad-signature").verify_directly_issued_by(
            lab.authorities[trees.ORG_TEST].certificate
        )


def test_nul_stays_in_the_name(lab: Lab) -> None:
    """S5."""
    assert identity(lab, "nul-cn").cn == f"{RECETTE.client_cn}\0.evil"
    assert identity(lab, "nul-ou").ou == f"{RECETTE.client_ou}\0.evil"


def test_lookalikes_look_alike(lab: Lab) -> None:
    """S10."""
    cn, ou = identity(lab, "lookalike-cn").cn, identity(lab, "lookalike-ou").ou
    assert cn.replace("\u0430", "a") == RECETTE.client_cn
    assert int(ou) == int(RECETTE.client_ou)


@pytest.mark.parametrize("name", ["two-cn", "two-cn-reversed", "two-ou", "two-ou-reversed"])
def test_ambiguous_names_hold_the_right_pair_among_others(name: str, lab: Lab) -> None:
    """S8."""
    read = identity(lab, name)
    assert read.ambiguous
    assert RECETTE.client_cn in read.common_names
    assert RECETTE.client_ou in read.organizational_units


@pytest.mark.parametrize(
    ("first", "second"), [("two-cn", "two-cn-reversed"), ("two-ou", "two-ou-reversed")]
)
def test_ambiguous_names_come_in_both_orders(first: str, second: str, lab: Lab) -> None:
    """S8."""
    one, other = identity(lab, first), identity(lab, second)
    assert one.common_names == other.common_names[::-1]
    assert one.organizational_units == other.organizational_units[::-1]


@pytest.mark.parametrize(
    "name", ["cn-in-o", "pair-in-o", "cn-as-o", "cn-in-email", "cn-in-serial-number"]
)
def test_wanted_cn_stands_in_another_attribute(name: str, lab: Lab) -> None:
    """S6, S7: somewhere in the printed name, never in a CN."""
    read = identity(lab, name)
    assert RECETTE.client_cn in read.subject
    assert RECETTE.client_cn not in read.common_names


def test_wanted_cn_stands_in_the_alternative_name(lab: Lab) -> None:
    """S7."""
    extensions = certificate(lab, "cn-in-san").extensions
    san = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == [RECETTE.client_cn]


def test_cn_and_ou_share_one_rdn(lab: Lab) -> None:
    """S6."""
    *_, last = certificate(lab, "multi-valued-rdn").subject.rdns
    assert {each.oid for each in last} == {NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME}


def test_reversed_name_is_reversed(lab: Lab) -> None:
    """S6."""
    reverse = certificate(lab, "reversed-name").subject
    assert reverse.rdns == certificate(lab, "recette").subject.rdns[::-1]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("crlf-cn", "\r\nX-SSL-Client-CN: "),
        ("quotes-cn", '", "status": "available"'),
        ("quotes-cn", "\\"),
        ("u2028-cn", "\u2028"),
        ("long-cn", "x" * 65536),
    ],
)
def test_injecting_names_hold_what_they_inject(name: str, content: str, lab: Lab) -> None:
    """S39."""
    assert content in identity(lab, name).cn


Verify = Callable[..., int]
PASSES = 0


@pytest.fixture
def openssl(tmp_path: Path) -> Verify:
    """The number of the first error of `openssl verify`, 0 for none, trusting only `trusted`."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")

    def verify(
        trusted: tuple[x509.Certificate, ...],
        presented: x509.Certificate,
        chain: tuple[x509.Certificate, ...] = (),
        *options: str,
    ) -> int:
        (tmp_path / "trusted").write_bytes(pem_of(trusted))
        (tmp_path / "chain").write_bytes(pem_of(chain))
        (tmp_path / "leaf").write_bytes(presented.public_bytes(Encoding.PEM))
        command = [program, "verify", "-CAfile", "trusted", *options]
        if chain:
            command += ["-untrusted", "chain"]
        done = subprocess.run(
            [*command, "leaf"], cwd=tmp_path, capture_output=True, check=False, text=True
        )
        if done.returncode == 0:
            return PASSES
        first = re.search(r"^error (\d+) at", done.stderr, re.MULTILINE)
        assert first is not None, done.stderr
        return int(first[1])

    return verify


NO_ISSUER, NOT_YET_VALID, HAS_EXPIRED, BAD_SIGNATURE = 20, 9, 10, 7
SELF_SIGNED, SELF_SIGNED_ROOT, TOO_LONG, INVALID_CA = 18, 19, 22, 79
PATH_LENGTH, PURPOSE, HOST_NAME = 25, 26, 62
REFUSED_BY_OPENSSL = {
    "recette-from-production-ca": NO_ISSUER,
    "production-from-test-ca": NO_ISSUER,
    "expired": HAS_EXPIRED,
    "not-yet-valid": NOT_YET_VALID,
    "server-auth": PURPOSE,
    "e-mail": PURPOSE,
    "any-usage": PURPOSE,
    "key-encipherment": PURPOSE,
    "self-signed": SELF_SIGNED,
    "other-ca": SELF_SIGNED_ROOT,
    "same-name-ca-no-aki": BAD_SIGNATURE,
    "ca-without-client-auth": PURPOSE,
    "subordinate-ca": PATH_LENGTH,
    "issued-by-leaf": INVALID_CA,
    "looped-chain": NO_ISSUER,
    "deep-chain": TOO_LONG,
    "bad-signature": BAD_SIGNATURE,
}
# What OpenSSL lets pass and the gateway must refuse by itself.
LEFT_TO_THE_GATEWAY = {"ssl-serv", "no-usage", "person", "same-name-ca", "unreadable-name"}


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_openssl_says_of_each_client_what_is_expected(name: str, lab: Lab, openssl: Verify) -> None:
    client, made = CATALOGUE[name], lab.clients[name]
    trusted = tuple(
        lab.authorities[each].certificate
        for each in (ROOTS[client.listener], ISSUERS[client.listener])
    )
    said = openssl(
        trusted, made.certificate, made.chain, "-purpose", "sslclient", "-verify_depth", "10"
    )
    assert said == REFUSED_BY_OPENSSL.get(name, PASSES)


def test_every_client_refused_with_401_is_accounted_for() -> None:
    refused = {name for name, client in CATALOGUE.items() if client.answer.status == 401}
    assert refused == set(REFUSED_BY_OPENSSL) | LEFT_TO_THE_GATEWAY


@pytest.mark.parametrize("name", ["recette", "production"])
def test_the_platform_passes_openssl_under_strict_checking(
    name: str, lab: Lab, openssl: Verify
) -> None:
    """Facts page: OpenSSL accepts the genuine ones, also under strict checking."""
    made, listener = lab.clients[name], CATALOGUE[name].listener
    root = (lab.authorities[ROOTS[listener]].certificate,)
    assert openssl(root, made.certificate, made.chain, "-x509_strict") == PASSES


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("server", PASSES),
        ("expired", HAS_EXPIRED),
        # Where there is no SAN at all, OpenSSL falls back to the CN.
        ("no-san", PASSES),
        ("other-name", HOST_NAME),
        ("client-auth", PURPOSE),
    ],
)
def test_the_gateways_own_certificates(name: str, said: int, lab: Lab, openssl: Verify) -> None:
    made = lab.servers[name]
    root = (lab.authorities[trees.PUBLIC_ROOT].certificate,)
    options = ("-purpose", "sslserver", "-verify_hostname", "localhost")
    assert openssl(root, made.certificate, made.chain, *options) == said


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_gateways_own_certificate_names_the_loopback(
    address: str, lab: Lab, openssl: Verify
) -> None:
    made = lab.servers["server"]
    root = (lab.authorities[trees.PUBLIC_ROOT].certificate,)
    assert openssl(root, made.certificate, made.chain, "-verify_ip", address) == PASSES


def test_the_no_san_server_has_none(lab: Lab) -> None:
    oids = {each.oid for each in lab.servers["no-san"].certificate.extensions}
    assert x509.SubjectAlternativeName.oid not in oids
    assert set(lab.servers) == set(SERVERS)

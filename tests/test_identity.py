"""What is read out of a certificate, and how it is printed."""

import warnings
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from sasgate.environments import RECETTE
from sasgate.identity import (
    Identity,
    NamePair,
    UnreadableCertificate,
    parse_pair,
    printable_name,
    printable_value,
)
from sasgate.lab.deceivers import DECEIVERS
from sasgate.lab.names import CN, OU, C, O, StringType, attribute, name
from sasgate.lab.pki import Lab


KEY = generate_private_key(SECP256R1())
FROM, TO = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
ANYTHING = st.text(st.characters())
# What a string of ASN.1 can hold: no lone surrogate, and cryptography takes no empty value.
ENCODABLE = st.text(st.characters(codec="utf-8"), min_size=1)

# RFC 5280 ends a CN and an OU at 64, of which cryptography makes bytes of UTF-8.
WRITABLE = ENCODABLE.filter(lambda text: len(text.encode()) <= 64)


def certificate(
    subject: x509.Name,
    *usages: x509.ObjectIdentifier,
    issuer: x509.Name | None = None,
    serial: int = 1,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer or subject)
        .public_key(KEY.public_key())
        .serial_number(serial)
        .not_valid_before(FROM)
        .not_valid_after(TO)
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(KEY, hashes.SHA256())


def read(subject: x509.Name, *usages: x509.ObjectIdentifier) -> Identity:
    return Identity.read(certificate(subject, *usages))


class TestRead:
    def test_the_platforms_certificate(self, lab: Lab) -> None:
        leaf = lab.clients["recette"].certificate
        identity = Identity.read(leaf)
        assert identity.pair == NamePair(RECETTE.client_cn, RECETTE.client_ou)
        assert identity.auth_cli
        assert not identity.ambiguous
        assert identity.subject.startswith(f"CN={RECETTE.client_cn},OU={RECETTE.client_ou},O=")
        assert identity.issuer_cn == "LAB TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS"
        assert identity.serial == f"{leaf.serial_number:X}"
        assert identity.der == leaf.public_bytes(Encoding.DER)
        assert identity.sha256 == leaf.fingerprint(hashes.SHA256()).hex()

    def test_a_serial_is_upper_case_hexadecimal_without_leading_zeros(self) -> None:
        leaf = certificate(name((CN, "x")), serial=0x0ABCDEF0)
        assert Identity.read(leaf).serial == "ABCDEF0"

    def test_dates_are_aware_and_to_the_second(self) -> None:
        identity = read(name((CN, "x")))
        assert (identity.not_before, identity.not_after) == (FROM, TO)
        assert identity.not_after.utcoffset() == timedelta(0)

    def test_an_issuer_with_two_cn_shows_both(self) -> None:
        leaf = certificate(name((CN, "x")), issuer=name((CN, "a"), (CN, "b")))
        assert Identity.read(leaf).issuer_cn == "a, b"

    @settings(max_examples=50)
    @given(ENCODABLE, ENCODABLE)
    def test_values_are_what_was_written(self, cn: str, ou: str) -> None:
        """S5, S10: NUL, spaces, case and composition are neither cut nor folded."""
        assert read(name((OU, ou), (CN, cn))).pair == NamePair(cn, ou)

    @pytest.mark.parametrize(
        "kind",
        [
            StringType.UTF8String,
            StringType.PrintableString,
            StringType.BMPString,
            StringType.UniversalString,
            StringType.T61String,
            StringType.IA5String,
        ],
    )
    def test_a_text_is_the_same_in_each_type_of_string(self, kind: StringType) -> None:
        """S10."""
        subject = name(attribute(OU, "4997", kind), attribute(CN, "sas-recette", kind))
        assert read(subject).pair == NamePair("sas-recette", "4997")

    def test_other_kinds_of_name_are_not_the_cn(self) -> None:
        """S7."""
        subject = name((O, "wanted"), (NameOID.EMAIL_ADDRESS, "wanted"),
                       (NameOID.SERIAL_NUMBER, "wanted"), (NameOID.USER_ID, "wanted"))  # fmt: skip
        assert (read(subject).common_names, read(subject).pair) == ((), None)

    @pytest.mark.parametrize("values", [[], ["a", "b"], ["b", "a"], ["a", "a"], ["a", "b", "c"]])
    def test_a_pair_needs_one_of_each(self, values: list[str]) -> None:
        """S8."""
        for identity in (
            read(name((OU, "x"), *((CN, value) for value in values))),
            read(name((CN, "x"), *((OU, value) for value in values))),
        ):
            assert identity.pair is None
            assert identity.ambiguous == (len(values) > 1)

    def test_all_values_of_one_rdn_are_seen(self) -> None:
        """S8: two CN in one multi-valued RDN are two."""
        two = x509.RelativeDistinguishedName([attribute(CN, "a"), attribute(CN, "b")])
        assert sorted(read(x509.Name([two])).common_names) == ["a", "b"]

    @pytest.mark.parametrize("client", ["two-cn", "two-pairs", "no-cn", "no-name", "cn-in-o"])
    def test_clients_of_the_catalogue_without_a_pair(self, lab: Lab, client: str) -> None:
        assert Identity.read(lab.clients[client].certificate).pair is None


class TestUsage:
    @pytest.mark.parametrize(
        ("usages", "auth_cli"),
        [
            (["CLIENT_AUTH"], True),
            (["CLIENT_AUTH", "EMAIL_PROTECTION"], True),
            (["SERVER_AUTH", "CLIENT_AUTH"], False),
            (["CLIENT_AUTH", "SERVER_AUTH"], False),
            (["SERVER_AUTH"], False),
            (["EMAIL_PROTECTION"], False),
            (["ANY_EXTENDED_KEY_USAGE"], False),
            ([], False),
        ],
    )
    def test_auth_cli_is_client_auth_without_server_auth(
        self, usages: list[str], auth_cli: bool
    ) -> None:
        """S4."""
        oids = [getattr(ExtendedKeyUsageOID, usage) for usage in usages]
        assert read(name((CN, "x")), *oids).auth_cli == auth_cli


class TestUnreadable:
    def test_a_name_that_is_no_text_is_refused(self, lab: Lab) -> None:
        with pytest.raises(UnreadableCertificate):
            Identity.read(lab.clients["unreadable-name"].certificate)

    def test_nothing_is_said_on_standard_error_about_odd_lengths(self, lab: Lab) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for client in ("long-cn", "empty-cn", "no-name"):
                Identity.read(lab.clients[client].certificate)

    DER = certificate(
        name((C, "FR"), (OU, "4997"), (CN, "sas")), ExtendedKeyUsageOID.CLIENT_AUTH
    ).public_bytes(Encoding.DER)

    @given(st.integers(0, len(DER) - 1), st.integers(0, 255))
    def test_whatever_the_bytes_it_is_read_or_refused(self, at: int, byte: int) -> None:
        """Nothing but `UnreadableCertificate` comes out, since that alone is expected."""
        try:
            damaged = x509.load_der_x509_certificate(
                self.DER[:at] + bytes([byte]) + self.DER[at + 1 :]
            )
        except (ValueError, x509.InvalidVersion):
            return
        try:
            assert isinstance(Identity.read(damaged), Identity)
        except UnreadableCertificate:
            return


class TestParsePair:
    @pytest.mark.parametrize(
        "text",
        [
            "CN=sas,OU=4997",
            "OU=4997,CN=sas",
            "CN=sas+OU=4997",
            "CN=\\73as,OU=4997",
            "CN=sas, OU=4997",
        ],
    )
    def test_cn_and_ou_in_any_order(self, text: str) -> None:
        assert parse_pair(text) == NamePair("sas", "4997")

    def test_a_space_after_an_escaped_comma_belongs_to_the_name(self) -> None:
        assert parse_pair("CN=sas\\, ans,OU=4997") == NamePair("sas, ans", "4997")

    @given(WRITABLE, WRITABLE)
    def test_whatever_rfc_4514_can_write_is_read_back(self, cn: str, ou: str) -> None:
        text = name((OU, ou), (CN, cn)).rfc4514_string()
        assert parse_pair(text) == NamePair(cn, ou)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "sas",
            "CN=sas",
            "OU=4997",
            "CN=,OU=",
            "CN=sas,OU=4997,O=ANS",
            "C=FR,CN=sas,OU=4997",
            "CN=sas,CN=sas,OU=4997",
            "CN=sas,OU=4997,OU=4997",
            "CN=sas,OU=4997,",
            "CN=sas;OU=4997",
            "cn:sas,ou:4997",
            "/CN=sas/OU=4997",
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011
            parse_pair(text)

    @given(ANYTHING)
    def test_no_text_makes_it_fail_otherwise(self, text: str) -> None:
        try:
            parse_pair(text)
        except ValueError:
            return


class TestPrintable:
    """S39: whatever a certificate holds, it is fit for one header field or one line."""

    @given(ANYTHING)
    def test_a_value_is_printable_ascii(self, value: str) -> None:
        shown = printable_value(value)
        assert shown.isascii()
        assert shown == "" or shown.isprintable()

    @given(st.lists(st.tuples(st.sampled_from([CN, OU, O, C]), ENCODABLE), max_size=4))
    def test_a_name_is_printable_ascii(
        self, parts: list[tuple[x509.ObjectIdentifier, str]]
    ) -> None:
        shown = printable_name(name(*parts))
        assert shown.isascii()
        assert shown == "" or shown.isprintable()

    @pytest.mark.parametrize("client", [each.name for each in DECEIVERS])
    def test_what_is_read_of_a_deceiver_is_printable_ascii(self, lab: Lab, client: str) -> None:
        identity = Identity.read(lab.clients[client].certificate)
        for shown in (identity.subject, identity.issuer, identity.serial, identity.sha256):
            assert shown.isascii()
            assert shown == "" or shown.isprintable()

    @given(ANYTHING, ANYTHING)
    def test_two_values_never_look_the_same(self, one: str, other: str) -> None:
        assert (printable_value(one) == printable_value(other)) == (one == other)

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("sas-agregateur-recette", "sas-agregateur-recette"),
            ('a b;c,d="e"+<f>', 'a b;c,d="e"+<f>'),
            ("a\r\nX-SSL-Client-CN: b", "a\\0D\\0AX-SSL-Client-CN: b"),
            ("a\0b\x7f", "a\\00b\\7F"),
            ("Côte-d'Or", "C\\C3\\B4te-d'Or"),
            ("\u2028\U0001f3e5", "\\E2\\80\\A8\\F0\\9F\\8F\\A5"),
            ("\\C3", "\\5CC3"),
            ("\ud800", "\\ED\\A0\\80"),
        ],
    )
    def test_of_a_value_all_else_is_escaped(self, value: str, shown: str) -> None:
        assert printable_value(value) == shown

    def test_a_name_is_rfc_4514_with_the_rest_escaped(self) -> None:
        subject = name((C, "FR"), (O, "Hôpital, Nord"), (CN, "a\r\nb\0"))
        assert printable_name(subject) == "CN=a\\0D\\0Ab\\00,O=H\\C3\\B4pital\\, Nord,C=FR"

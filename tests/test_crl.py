"""One list, judged: whatever is not exactly right is refused, with its kind (S18-S22, S24)."""

import hashlib
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from crl_judging import NOW, ORG, SAME_NAME, UNKNOWN, refusal, sha256, signed, verify
from sasgate.lab.authority import Authority
from sasgate.lab.lists import (
    delta,
    forged,
    many_serials,
    partial,
    plain_list,
    reason,
    resigned,
    revoked,
    without_next_update,
)
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Extension
from sasgate.revocation import crl
from sasgate.revocation.crl import Held, Succession, VerifiedList, supersedes
from sasgate.revocation.refusal import Refusal
from sasgate.revocation.scope import WHOLE, Scope
from sasgate.revocation.serials import HIGHEST, LOWEST


@pytest.fixture(scope="module")
def org(lab: Lab) -> Authority:
    return lab.authorities[ORG]


class TestTaken:
    def test_the_facts_are_those_of_the_list(self, org: Authority) -> None:
        der = signed(org, revoked(5), revoked(77), number=1287)
        facts = verify(der, org).facts
        assert facts == VerifiedList(
            issuers=(sha256(org),),
            issuer_name=(
                "CN=LAB TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS,OU=IGC-SANTE TEST,"
                "OU=0002 187512751,O=ASIP-SANTE,C=FR"
            ),
            number=1287,
            this_update=NOW,
            next_update=NOW + timedelta(days=6),
            entries=2,
            scope=WHOLE,
            sha256=hashlib.sha256(der).hexdigest(),
            signed_sha256=hashlib.sha256(
                x509.load_der_x509_crl(der).tbs_certlist_bytes
            ).hexdigest(),
        )

    def test_what_is_listed_is_revoked_and_nothing_else(self, org: Authority) -> None:
        serials = verify(signed(org, revoked(5), revoked(77)), org).serials
        assert [serial for serial in range(1000) if serial in serials] == [5, 77]

    def test_an_empty_list_revokes_nobody(self, org: Authority) -> None:
        loaded = verify(signed(org), org)
        assert loaded.facts.entries == len(loaded.serials) == 0

    def test_pem_is_the_same_list(self, org: Authority) -> None:
        der = signed(org, revoked(5))
        pem = x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
        assert verify(pem, org) == verify(der, org)
        assert verify(b"Certificate Revocation List (CRL):\n" + pem, org) == verify(der, org)

    @pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
    def test_sha_256_or_better(self, algorithm: hashes.HashAlgorithm, org: Authority) -> None:
        assert verify(signed(org, revoked(5), algorithm=algorithm), org).facts.entries == 1

    def test_an_expired_list_still_revokes_and_says_its_dates(self, org: Authority) -> None:
        """S22: what to make of it is the policy's business."""
        loaded = verify(signed(org, revoked(5), now=NOW - timedelta(days=400)), org)
        assert loaded.facts.expired(NOW)
        assert 5 in loaded.serials

    def test_a_list_expires_after_its_last_second(self, org: Authority) -> None:
        facts = verify(signed(org), org).facts
        assert not facts.expired(NOW + timedelta(days=6))
        assert facts.expired(NOW + timedelta(days=6, seconds=1))

    @pytest.mark.parametrize(
        ("extension", "scope"),
        [
            (partial(leaves=True), Scope(authorities=False)),
            (partial(urls=["http://x.invalid/1"]), Scope(points=("URI:http://x.invalid/1",))),
        ],
    )
    def test_a_scope_is_a_fact(self, extension: Extension, scope: Scope, org: Authority) -> None:
        """S20: applied exactly, by who asks the list about a certificate."""
        assert verify(signed(org, extra=(extension,)), org).facts.scope == scope

    def test_an_unknown_extension_that_is_not_critical_does_no_harm(self, org: Authority) -> None:
        extra = (x509.Extension(UNKNOWN.oid, False, UNKNOWN),)
        assert verify(signed(org, revoked(5, UNKNOWN), extra=extra), org).facts.entries == 1

    @pytest.mark.parametrize("number", [0, 1, (1 << 160) - 1])
    def test_numbers_of_up_to_20_octets(self, number: int, org: Authority) -> None:
        assert verify(signed(org, number=number), org).facts.number == number

    def test_a_clock_that_is_300_seconds_ahead(self, org: Authority) -> None:
        assert verify(signed(org, this_update=timedelta(seconds=300)), org).facts.number == 1


class TestRefused:
    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "empty"),
            (b" \r\n", "empty"),
            (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
            (b"\n  <HTML>", "a web page"),
            (b"<?xml version='1.0'?><Error/>", "a web page"),
            (b"not found\n", "neither DER nor PEM"),
            (b"0", "cut short or damaged"),
            (b"\x30\x80\x00\x00", "cut short or damaged"),
            (b"\x30\x84\xff\xff\xff\xff", "cut short or damaged"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "PEM of something"),
            (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "without a whole list"),
            (b"-----BEGIN X509 CRL-----\nMIIC", "without a whole list"),
        ],
    )  # fmt: skip
    def test_no_list(self, data: bytes, said: str, org: Authority) -> None:
        """S18, S25."""
        refused = refusal(data, org)
        assert refused.kind is Refusal.NOT_A_LIST
        assert said in refused.detail

    def test_a_certificate_is_no_list(self, org: Authority) -> None:
        assert refusal(org.der, org).kind is Refusal.NOT_A_LIST

    def test_cut_short_anywhere(self, org: Authority) -> None:
        """S28."""
        der = signed(org, revoked(5), revoked(6, UNKNOWN))
        for end in range(len(der)):
            assert refusal(der[:end], org).kind is Refusal.NOT_A_LIST

    @pytest.mark.parametrize("tail", [b"\n", b"\0", b"0\x00"])
    def test_more_than_a_list(self, tail: bytes, org: Authority) -> None:
        assert refusal(signed(org) + tail, org).kind is Refusal.NOT_A_LIST

    def test_two_lists_in_one_file(self, org: Authority) -> None:
        pem = x509.load_der_x509_crl(signed(org)).public_bytes(Encoding.PEM)
        refused = refusal(pem + pem, org)
        assert refused.kind is Refusal.NOT_A_LIST
        assert "2 lists" in refused.detail

    @pytest.mark.parametrize(
        ("extension", "kind"),
        [
            (delta(1), Refusal.DELTA),
            (partial(indirect=True), Refusal.INDIRECT),
            (partial(attributes=True), Refusal.UNSUPPORTED_SCOPE),
            (
                partial(leaves=True, reasons=frozenset({x509.ReasonFlags.ca_compromise})),
                Refusal.UNSUPPORTED_SCOPE,
            ),
            (x509.Extension(UNKNOWN.oid, True, UNKNOWN), Refusal.UNKNOWN_CRITICAL),
            (
                x509.Extension(
                    x509.FreshestCRL.oid,
                    True,
                    x509.FreshestCRL(
                        [
                            x509.DistributionPoint(
                                [x509.UniformResourceIdentifier("http://x")], None, None, None
                            )
                        ]
                    ),
                ),
                Refusal.UNKNOWN_CRITICAL,
            ),
        ],
        ids=["delta", "indirect", "attributes", "reasons", "unknown", "freshest"],
    )
    def test_extension(self, extension: Extension, kind: Refusal, org: Authority) -> None:
        """S20."""
        assert refusal(signed(org, revoked(5), extra=(extension,)), org).kind is kind

    def test_what_an_unsigned_list_says_is_not_looked_at(self, org: Authority) -> None:
        der = forged(signed(org, extra=(delta(1),), number=None))
        assert refusal(der, org).kind is Refusal.BAD_SIGNATURE

    def test_what_could_not_be_judged_is_not_refused(
        self, org: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S24: out of memory under the child's limit says nothing of the list."""

        def exhausted(*_: object) -> None:
            raise MemoryError

        monkeypatch.setattr(crl, "scope_of", exhausted)
        with pytest.raises(MemoryError):
            verify(signed(org), org)

    def test_no_number(self, org: Authority) -> None:
        """S19: rollback could not be told."""
        assert refusal(signed(org, number=None), org).kind is Refusal.NO_NUMBER

    def test_a_number_of_more_than_20_octets(self, org: Authority) -> None:
        assert refusal(signed(org, number=1 << 160), org).kind is Refusal.MALFORMED

    def test_from_the_future(self, org: Authority) -> None:
        early = signed(org, this_update=timedelta(seconds=301))
        assert refusal(early, org).kind is Refusal.FROM_THE_FUTURE

    def test_no_next_update(self, org: Authority) -> None:
        endless = without_next_update(org, signed(org))
        assert refusal(endless, org).kind is Refusal.NO_NEXT_UPDATE

    def test_an_extension_with_contents_of_another(self, org: Authority) -> None:
        # The AKI's OID, 2.5.29.35, becomes that of CRLNumber.
        confused = resigned(
            org,
            signed(org, number=None),
            lambda body: body.replace(b"\x55\x1d\x23", b"\x55\x1d\x14"),
        )
        assert refusal(confused, org).kind is Refusal.MALFORMED

    def test_an_extension_twice(self, org: Authority) -> None:
        number = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.120"), b"\x02\x01\x09")
        der = signed(org, extra=(x509.Extension(number.oid, False, number),))
        assert verify(der, org).facts.number == 1
        twice = resigned(org, der, lambda body: body.replace(b"\x55\x1d\x78", b"\x55\x1d\x14"))
        assert refusal(twice, org).kind is Refusal.MALFORMED


class TestEntries:
    @pytest.mark.parametrize(
        "flag", sorted(set(x509.ReasonFlags) - {x509.ReasonFlags.remove_from_crl}, key=str)
    )
    def test_every_reason_revokes(self, flag: x509.ReasonFlags, org: Authority) -> None:
        """`certificateHold` too: who is on hold is not let in."""
        assert 5 in verify(signed(org, revoked(5, reason(flag))), org).serials

    @pytest.mark.parametrize("critical", [False, True])
    def test_reason_and_invalidity_date_are_understood(
        self, critical: bool, org: Authority
    ) -> None:
        extensions = (reason(x509.ReasonFlags.superseded), x509.InvalidityDate(NOW))
        entry = revoked(5, *extensions, critical=critical)
        assert 5 in verify(signed(org, entry), org).serials

    @pytest.mark.parametrize("after", [0, 3])
    @pytest.mark.parametrize("critical", [False, True])
    @pytest.mark.parametrize("kind", [Refusal.INDIRECT, Refusal.MALFORMED])
    def test_entries_of_other_kinds_of_list(
        self, kind: Refusal, critical: bool, after: int, org: Authority
    ) -> None:
        """S20: certificateIssuer is for indirect lists, removeFromCRL for deltas."""
        extension: x509.ExtensionType = reason(x509.ReasonFlags.remove_from_crl)
        if kind is Refusal.INDIRECT:
            extension = x509.CertificateIssuer([x509.DirectoryName(org.certificate.subject)])
        entries = [revoked(serial) for serial in range(10, 10 + after)]
        der = signed(org, *entries, revoked(0xABC, extension, critical=critical))
        refused = refusal(der, org)
        assert refused.kind is kind
        assert "ABC" in refused.detail

    def test_unknown_and_critical(self, org: Authority) -> None:
        der = signed(org, revoked(4), revoked(5, UNKNOWN, critical=True))
        refused = refusal(der, org)
        assert refused.kind is Refusal.UNKNOWN_CRITICAL
        assert UNKNOWN.oid.dotted_string in refused.detail

    def test_a_reason_that_does_not_exist(self, org: Authority) -> None:
        der = signed(org, revoked(5, reason(x509.ReasonFlags.aa_compromise)))
        seven = resigned(org, der, lambda body: body.replace(b"\x0a\x01\x0a", b"\x0a\x01\x07"))
        assert refusal(seven, org).kind is Refusal.MALFORMED

    def test_doubles_count_once(self, org: Authority) -> None:
        entries = (revoked(5, when=NOW), revoked(6), revoked(5, when=NOW - timedelta(days=9)))
        loaded = verify(signed(org, *entries), org)
        assert loaded.facts.entries == 3
        assert len(loaded.serials) == 2
        assert 5 in loaded.serials

    @pytest.mark.parametrize("serial", [0, -1, -128, 1 << 127, (1 << 159) - 1, LOWEST, HIGHEST])
    def test_serials_that_should_not_be(self, serial: int, org: Authority) -> None:
        """RFC 5280, 4.1.2.2: users should handle them gracefully."""
        loaded = verify(plain_list(org, [7, serial], now=NOW), org)
        assert [serial in loaded.serials, 7 in loaded.serials, 8 in loaded.serials] == [
            True, True, False,
        ]  # fmt: skip

    @pytest.mark.parametrize("serial", [HIGHEST + 1, LOWEST - 1, 1 << 4000])
    def test_a_serial_of_more_than_20_octets(self, serial: int, org: Authority) -> None:
        assert refusal(plain_list(org, [7, serial], now=NOW), org).kind is Refusal.MALFORMED

    @settings(max_examples=40)
    @given(listed=st.lists(st.integers(LOWEST, HIGHEST), max_size=50))
    def test_the_index_is_the_set_of_the_entries(self, listed: list[int], lab: Lab) -> None:
        authority = lab.authorities[SAME_NAME]
        loaded = verify(plain_list(authority, listed, now=NOW), authority)
        assert len(loaded.serials) == len(set(listed))
        assert all(serial in loaded.serials for serial in listed)
        assert not any(
            serial + 1 in loaded.serials for serial in listed if serial + 1 not in listed
        )

    def test_20_000_entries(self, org: Authority) -> None:
        listed = set(many_serials(20_000))
        loaded = verify(plain_list(org, many_serials(20_000), now=NOW), org)
        assert loaded.facts.entries == len(loaded.serials) == len(listed) == 20_000
        assert all(serial in loaded.serials for serial in listed)


class TestSuccession:
    """S19."""

    HELD = Held(number=1287, this_update=NOW, signed_sha256="aa")

    def compared(self, number: int, seconds: int, sha256: str) -> Succession:
        # The hash of the file does not count.
        update, other = NOW + timedelta(seconds=seconds), f"{number}"
        new = VerifiedList(("x",), "CN=x", number, update, update, 0, WHOLE, other, sha256)
        return supersedes(new, self.HELD)

    @pytest.mark.parametrize(
        ("number", "seconds", "sha256", "expected"),
        [
            (1288, 1, "bb", Succession.NEWER),
            (1288, 0, "bb", Succession.NEWER),
            (10000, 1, "bb", Succession.NEWER),
            (1 << 150, 1, "bb", Succession.NEWER),
            (1287, 0, "aa", Succession.SAME),
            (1287, 0, "bb", Succession.SAME_NUMBER_OTHER_CONTENT),
            (1287, 9, "bb", Succession.SAME_NUMBER_OTHER_CONTENT),
            (1286, 0, "bb", Succession.OLDER),
            (1286, 9, "bb", Succession.OLDER),
            # As text it would be higher.
            (999, 9, "bb", Succession.OLDER),
            (0, 9, "bb", Succession.OLDER),
            # A higher number with an earlier date.
            (1288, -1, "bb", Succession.OLDER),
        ],
    )
    def test_by_number_then_content_then_date(
        self, number: int, seconds: int, sha256: str, expected: Succession
    ) -> None:
        assert self.compared(number, seconds, sha256) is expected

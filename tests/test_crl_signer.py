"""Who may have signed a list: only the CA itself, by name, key and usage (S18, S21)."""

from datetime import timedelta

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding

from crl_judging import NOW, ORG, PERS, ROOT, SAME_NAME, refusal, sha256, signed, verify
from sasgate.lab.authority import Authority
from sasgate.lab.lists import forged, resigned, revoked
from sasgate.lab.names import CN, name
from sasgate.lab.pki import Lab
from sasgate.lab.profile import authority_template, key_usage
from sasgate.revocation.crl import Held, Succession, supersedes, verify_list
from sasgate.revocation.refusal import ListRefused, Refusal


@pytest.fixture(scope="module")
def org(lab: Lab) -> Authority:
    return lab.authorities[ORG]


class TestSigner:
    def test_another_name_is_refused(self, lab: Lab, org: Authority) -> None:
        refused = refusal(signed(lab.authorities[PERS]), org, lab.authorities[ROOT])
        assert refused.kind is Refusal.WRONG_ISSUER
        assert "PERSONNES" in refused.detail

    def test_nobody_trusted_is_refused(self, org: Authority) -> None:
        assert refusal(signed(org)).kind is Refusal.WRONG_ISSUER

    def test_another_ca_of_the_same_name_is_refused(self, lab: Lab, org: Authority) -> None:
        assert refusal(signed(lab.authorities[SAME_NAME]), org).kind is Refusal.BAD_SIGNATURE

    def test_of_two_cas_of_a_name_only_the_signer_is_named(self, lab: Lab, org: Authority) -> None:
        other = lab.authorities[SAME_NAME]
        assert verify(signed(org), other, org).facts.issuers == (sha256(org),)
        assert verify(signed(other), other, org).facts.issuers == (sha256(other),)

    def test_the_same_serial_of_another_ca_is_another_certificate(
        self, lab: Lab, org: Authority
    ) -> None:
        """S21: a list names the CA that it speaks of, by its certificate."""
        pers = lab.authorities[PERS]
        serial = lab.clients["recette"].certificate.serial_number
        loaded = verify(signed(pers, revoked(serial)), org, pers)
        assert serial in loaded.serials
        assert sha256(org) not in loaded.facts.issuers

    def test_a_ca_certified_again_with_its_key_is_named_twice(
        self, lab: Lab, org: Authority
    ) -> None:
        template = authority_template(org.certificate.subject, NOW, path_length=0)
        again = lab.authorities[ROOT].subordinate("AGAIN", template, org.key, now=NOW)
        facts = verify(signed(org), org, lab.authorities[PERS], again).facts
        assert facts.issuers == (sha256(org), sha256(again))

    @pytest.mark.parametrize("usage", [key_usage("key_cert_sign"), None], ids=["other", "none"])
    def test_a_ca_without_crl_sign_is_refused(
        self, usage: x509.KeyUsage | None, lab: Lab, org: Authority
    ) -> None:
        template = authority_template(org.certificate.subject, NOW)
        template = evolve(template, key_usage=usage)
        silent = lab.authorities[ROOT].subordinate("SILENT", template, org.key, now=NOW)
        assert refusal(signed(org), silent).kind is Refusal.NO_CRL_SIGN
        assert verify(signed(org), silent, org).facts.issuers == (sha256(org),)

    def test_a_leaf_signs_no_list(self, lab: Lab) -> None:
        leaf = Authority("leaf", lab.clients["recette"])
        assert refusal(signed(leaf), leaf).kind is Refusal.NO_CRL_SIGN

    def test_a_forged_signature_is_refused(self, org: Authority) -> None:
        assert refusal(forged(signed(org, revoked(5))), org).kind is Refusal.BAD_SIGNATURE

    def test_a_changed_serial_is_refused(self, org: Authority) -> None:
        der = signed(org, revoked(0x1BADC0DE))
        changed = der.replace(b"\x1b\xad\xc0\xde", b"\x1b\xad\xc0\xdf")
        assert changed != der
        assert refusal(changed, org).kind is Refusal.BAD_SIGNATURE

    def test_a_removed_entry_is_refused(self, lab: Lab, org: Authority) -> None:
        """The signature of another list of the same CA does not fit."""
        full, empty = signed(org, revoked(5)), signed(org)
        spliced = empty[:-512] + full[-512:]
        assert refusal(spliced, org).kind is Refusal.BAD_SIGNATURE

    @pytest.mark.parametrize("digest", [hashes.MD5(), hashes.SHA1(), hashes.SHA224()])
    def test_a_weak_signature_is_refused(
        self, digest: hashes.HashAlgorithm, org: Authority
    ) -> None:
        weak = resigned(org, signed(org), digest=digest)
        refused = refusal(weak, org)
        assert refused.kind is Refusal.WEAK_SIGNATURE
        assert digest.name in refused.detail.lower().replace("-", "")

    def test_resigned_is_otherwise_a_good_list(self, org: Authority) -> None:
        assert verify(resigned(org, signed(org, revoked(5))), org).facts.entries == 1

    def test_an_algorithm_that_is_not_the_signed_one_is_refused(self, org: Authority) -> None:
        sha256_with_rsa = bytes.fromhex("2a864886f70d01010b")
        head, _, tail = signed(org).rpartition(sha256_with_rsa)
        claimed = head + bytes.fromhex("2a864886f70d01010d") + tail
        assert refusal(claimed, org).kind is Refusal.NOT_A_LIST

    def test_pss(self, org: Authority) -> None:
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        der = builder(org).sign(org.key, hashes.SHA256(), rsa_padding=pss)
        assert verify(der.public_bytes(Encoding.DER), org).facts.number == 3
        weak = padding.PSS(padding.MGF1(hashes.SHA224()), padding.PSS.DIGEST_LENGTH)
        der = builder(org).sign(org.key, hashes.SHA224(), rsa_padding=weak)
        assert refusal(der.public_bytes(Encoding.DER), org).kind is Refusal.WEAK_SIGNATURE

    def test_ecdsa(self, org: Authority) -> None:
        key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca = self_signed(key)
        der = builder(ca).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
        assert verify_list(der, [ca], NOW).facts.number == 3
        der = builder(ca).sign(other, hashes.SHA256()).public_bytes(Encoding.DER)
        with pytest.raises(ListRefused) as refused:
            verify_list(der, [ca], NOW)
        assert refused.value.kind is Refusal.BAD_SIGNATURE

    def test_the_other_form_of_an_ecdsa_signature_is_the_same_list(self) -> None:
        """S19: nobody but the CA can make another content of a number."""
        key = ec.generate_private_key(ec.SECP256R1())
        ca = self_signed(key)
        crl = builder(ca).sign(key, hashes.SHA256())
        der = crl.public_bytes(Encoding.DER)
        facts = verify_list(der, [ca], NOW).facts
        other = verify_list(other_ecdsa_form(der, crl.signature), [ca], NOW).facts
        assert other.sha256 != facts.sha256
        held = Held(facts.number, facts.this_update, facts.signed_sha256)
        assert supersedes(other, held) is Succession.SAME

    def test_a_key_of_another_kind_is_refused(self, org: Authority) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        der = builder(org).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
        assert refusal(der, org).kind is Refusal.BAD_SIGNATURE

    def test_ed25519_is_refused_by_its_oid(self, org: Authority) -> None:
        der = builder(org).sign(ed25519.Ed25519PrivateKey.generate(), None)
        refused = refusal(der.public_bytes(Encoding.DER), org)
        assert refused.kind is Refusal.WEAK_SIGNATURE
        assert "1.3.101.112" in refused.detail


def builder(ca: Authority | x509.Certificate) -> x509.CertificateRevocationListBuilder:
    certificate = ca.certificate if isinstance(ca, Authority) else ca
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(certificate.subject)
        .last_update(NOW)
        .next_update(NOW + timedelta(days=1))
        .add_extension(x509.CRLNumber(3), False)
    )


def other_ecdsa_form(der: bytes, signature: bytes) -> bytes:
    """The same list with its signature (r, s) as (r, n - s), which verifies as well."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, s = decode_dss_signature(signature)
    other = asn1.encode_der(asn1.BitString(encode_dss_signature(r, order - s), 0))
    old = asn1.encode_der(asn1.BitString(signature, 0))
    contents = bytes(asn1.decode_der(asn1.TLV, der).data)
    assert contents.endswith(old)
    return b"\x30" + asn1.encode_der(contents[: -len(old)] + other)[1:]


def self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    subject = name((CN, "EC"))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(key_usage("crl_sign"), True)
        .sign(key, hashes.SHA256())
    )

"""An answer is believed if it is signed by who may, about what was asked, and current."""

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from ocsp_world import World
from sasgate.lab import trees
from sasgate.lab.authority import new_key
from sasgate.lab.ocsp_answers import (
    DELEGATE,
    GOOD,
    REVOKED,
    STRANGE,
    STRANGE_OID,
    UNKNOWN,
    Saying,
    Signatory,
    declined,
)
from sasgate.lab.ocsp_der import (
    Extension,
    ResponseData,
    changed,
    grafted,
    signed_with_sha1,
    tampered,
    together,
    unsigned,
)
from sasgate.lab.pki import Lab
from sasgate.revocation.ocsp import Asked, HashName, build_request, verify_answer
from sasgate.revocation.ocsp_signer import MOST_CERTIFICATES, Signers
from sasgate.revocation.ocsp_words import (
    OF_THE_RESPONDER,
    Answer,
    AnswerRefused,
    CertStatus,
    NoAnswer,
    Problem,
    policy_word,
)
from sasgate.revocation.policy import OCSPWord


STATUSES = {
    GOOD: CertStatus.GOOD,
    REVOKED: CertStatus.REVOKED,
    UNKNOWN: CertStatus.UNKNOWN,
}
TRUSTED = ("ca", "delegate", "delegate-non-repudiation")
UNTRUSTED = (
    "root",
    "same-name-ca",
    "other-ca",
    "neighbour-ca",
    "client",
    "delegate-without-ocsp-signing",
    "delegate-without-usages",
    "delegate-any-usage",
    "delegate-cannot-sign",
    "delegate-strange",
    "delegate-sha224",
    "delegate-expired",
    "delegate-not-yet-valid",
    "delegate-of-neighbour",
    "delegate-of-root",
    "delegate-of-same-name-ca",
    "delegate-of-delegate",
)
SECOND = timedelta(seconds=1)
TOLERANCE = timedelta(seconds=300)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    return World.of(lab)


def judge(
    world: World, body: bytes, *, asked: Asked | None = None, signers: Signers | None = None
) -> Answer:
    return verify_answer(body, asked or world.asked, signers or world.signers, world.now)


def refusal(
    world: World, body: bytes, *, asked: Asked | None = None, signers: Signers | None = None
) -> AnswerRefused:
    with pytest.raises(AnswerRefused) as caught:
        judge(world, body, asked=asked, signers=signers)
    return caught.value


class TestSigner:
    """S29."""

    def test_the_lab_has_exactly_these_signatories(self, world: World) -> None:
        known = world.signatories
        assert {each for each in known if known[each].trusted} == set(TRUSTED)
        assert {each for each in known if not known[each].trusted} == set(UNTRUSTED)

    @pytest.mark.parametrize("by_name", [True, False], ids=["by-name", "by-hash"])
    @pytest.mark.parametrize("status", STATUSES, ids=lambda each: each.name)
    @pytest.mark.parametrize("signatory", TRUSTED)
    def test_s29_who_may_sign_is_believed(
        self, world: World, signatory: str, status: ocsp.OCSPCertStatus, by_name: bool
    ) -> None:
        answer = judge(world, world.answer(signatory, Saying(status, by_name=by_name)))
        assert answer.status is STATUSES[status]

    @pytest.mark.parametrize("by_name", [True, False], ids=["by-name", "by-hash"])
    @pytest.mark.parametrize("status", STATUSES, ids=lambda each: each.name)
    @pytest.mark.parametrize("signatory", UNTRUSTED)
    def test_s29_who_may_not_sign_is_not(
        self, world: World, signatory: str, status: ocsp.OCSPCertStatus, by_name: bool
    ) -> None:
        error = refusal(world, world.answer(signatory, Saying(status, by_name=by_name)))
        assert error.kind is Problem.UNTRUSTED_SIGNER

    @pytest.mark.parametrize("status", STATUSES, ids=lambda each: each.name)
    @pytest.mark.parametrize("signatory", TRUSTED)
    @pytest.mark.parametrize("damage", [tampered, unsigned])
    def test_s29_a_signature_that_is_not_the_signers(
        self, world: World, damage: object, signatory: str, status: ocsp.OCSPCertStatus
    ) -> None:
        assert callable(damage)
        body = damage(world.answer(signatory, Saying(status)))
        assert refusal(world, body).kind is Problem.BAD_SIGNATURE

    @pytest.mark.parametrize("signatory", TRUSTED)
    def test_s29_good_under_the_signature_of_another_answer(
        self, world: World, signatory: str
    ) -> None:
        revoked = world.answer(signatory, Saying(REVOKED))
        body = grafted(world.answer(signatory), revoked)
        assert refusal(world, body).kind is Problem.BAD_SIGNATURE

    def test_s29_a_strangers_signature_in_the_name_of_the_delegate(self, world: World) -> None:
        body = grafted(world.answer("delegate"), world.answer("ca"))
        assert refusal(world, body).kind is Problem.UNTRUSTED_SIGNER

    def test_s29_another_key_in_the_name_of_the_ca(self, world: World) -> None:
        key = new_key()
        body = changed(world.answer("ca"), key, lambda _: None)
        assert refusal(world, body).kind is Problem.BAD_SIGNATURE

    def test_s29_another_key_in_the_name_of_the_ca_whose_certificate_is_enclosed(
        self, world: World
    ) -> None:
        signatory = evolve(world.signatories["ca"], enclosed=(world.issuer,))
        body = signatory.answer(world.leaf, world.issuer, Saying(), world.now)
        error = refusal(world, tampered(body))
        assert error.kind is Problem.BAD_SIGNATURE

    def test_the_ca_may_send_its_certificate_along(self, world: World) -> None:
        signatory = evolve(world.signatories["ca"], enclosed=(world.issuer,))
        body = signatory.answer(world.leaf, world.issuer, Saying(), world.now)
        assert judge(world, body).delegate is None

    def test_a_delegates_certificate_stands_among_others(self, world: World) -> None:
        strangers = world.signatories["delegate-of-neighbour"].enclosed
        signatory = world.signatories["delegate"]
        signatory = evolve(signatory, enclosed=(world.leaf, *strangers, *signatory.enclosed))
        body = signatory.answer(world.leaf, world.issuer, Saying(by_name=True), world.now)
        assert judge(world, body).status is CertStatus.GOOD

    def test_the_delegate_is_told_by_its_serial(self, world: World) -> None:
        serial = world.signatories["delegate"].credential.certificate.serial_number
        assert judge(world, world.answer("delegate")).delegate == f"{serial:X}"
        assert judge(world, world.answer("ca")).delegate is None

    def test_a_delegate_that_is_not_enclosed_is_unknown(self, world: World) -> None:
        body = self.bare(world, "delegate")
        assert refusal(world, body).kind is Problem.UNTRUSTED_SIGNER

    def test_more_certificates_than_anybody_needs(self, world: World) -> None:
        signatory = world.signatories["delegate"]
        signatory = evolve(signatory, enclosed=signatory.enclosed * (MOST_CERTIFICATES + 1))
        body = signatory.answer(world.leaf, world.issuer, Saying(), world.now)
        assert refusal(world, body).kind is Problem.UNTRUSTED_SIGNER

    def test_a_certificate_does_not_speak_for_itself(self, world: World) -> None:
        credential = world.authority.issue(DELEGATE, new_key(), now=world.now)
        signatory = Signatory(credential, (credential.certificate,))
        leaf = credential.certificate
        body = signatory.answer(leaf, world.issuer, Saying(), world.now)
        error = refusal(world, body, asked=Asked.about(leaf, world.issuer))
        assert error.kind is Problem.UNTRUSTED_SIGNER

    def test_a_delegate_speaks_for_others_of_its_issuer(self, world: World, lab: Lab) -> None:
        other = lab.clients["preproduction"].certificate
        body = world.signatories["delegate"].answer(other, world.issuer, Saying(), world.now)
        answer = judge(world, body, asked=Asked.about(other, world.issuer))
        assert answer.status is CertStatus.GOOD

    @staticmethod
    def bare(world: World, signatory: str, saying: Saying | None = None) -> bytes:
        """What it says without its certificate."""
        chosen = evolve(world.signatories[signatory], enclosed=())
        return chosen.answer(world.leaf, world.issuer, saying or Saying(), world.now)


class TestConfiguredSigner:
    """`ocsp_signers` may sign whatever their certificate says of them, while it is valid."""

    @pytest.mark.parametrize("by_name", [True, False], ids=["by-name", "by-hash"])
    @pytest.mark.parametrize("signatory", ["delegate-without-ocsp-signing", "other-ca", "root"])
    def test_is_believed(self, world: World, signatory: str, by_name: bool) -> None:
        signers = self.signers(world, signatory)
        saying = Saying(by_name=by_name)
        assert judge(world, world.answer(signatory, saying), signers=signers).delegate is None

    def test_is_believed_without_its_certificate(self, world: World) -> None:
        body = TestSigner.bare(world, "delegate-of-neighbour")
        answer = judge(world, body, signers=self.signers(world, "delegate-of-neighbour"))
        assert answer.status is CertStatus.GOOD

    @pytest.mark.parametrize("signatory", ["delegate-expired", "delegate-not-yet-valid"])
    def test_is_refused_outside_its_dates(self, world: World, signatory: str) -> None:
        signers = self.signers(world, signatory)
        error = refusal(world, world.answer(signatory), signers=signers)
        assert error.kind is Problem.UNTRUSTED_SIGNER

    def test_another_certificate_of_the_same_name_is_not(self, world: World) -> None:
        issued = world.authority.issue(evolve(DELEGATE, usages=None), new_key(), now=world.now)
        signers = Signers(world.issuer, (issued.certificate,))
        error = refusal(
            world, world.answer("delegate-without-usages", Saying(by_name=True)), signers=signers
        )
        assert error.kind is Problem.UNTRUSTED_SIGNER

    def test_the_others_are_believed_beside_it(self, world: World) -> None:
        signers = self.signers(world, "delegate-of-neighbour")
        assert judge(world, world.answer("delegate"), signers=signers).delegate
        assert refusal(world, world.answer("client"), signers=signers)

    @staticmethod
    def signers(world: World, signatory: str) -> Signers:
        return Signers(world.issuer, (world.signatories[signatory].credential.certificate,))


class TestAlgorithms:
    def test_sha1_under_an_answer_is_refused(self, world: World) -> None:
        key = world.signatories["delegate"].key
        body = signed_with_sha1(world.answer("delegate"), key)
        ocsp.load_der_ocsp_response(body)
        assert refusal(world, body).kind is Problem.SIGNATURE_ALGORITHM

    @pytest.mark.parametrize(
        ("algorithm", "accepted"),
        [(hashes.SHA224(), False), (hashes.SHA384(), True), (hashes.SHA512(), True)],
        ids=lambda each: getattr(each, "name", ""),
    )
    def test_sha256_or_better(
        self, world: World, algorithm: hashes.HashAlgorithm, accepted: bool
    ) -> None:
        body = builder(world, world.issuer).sign(world.authority.key, algorithm)
        der = body.public_bytes(Encoding.DER)
        if accepted:
            assert judge(world, der).status is CertStatus.GOOD
        else:
            assert refusal(world, der).kind is Problem.SIGNATURE_ALGORITHM

    @pytest.mark.parametrize(
        ("key", "algorithm"),
        [
            (ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()),
            (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384()),
            (ed25519.Ed25519PrivateKey.generate(), None),
        ],
        ids=["P-256", "P-384", "Ed25519"],
    )
    def test_a_delegate_of_another_kind_of_key(
        self,
        world: World,
        key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
        algorithm: hashes.HashAlgorithm | None,
    ) -> None:
        delegate = certified(world, key.public_key())
        enclosing = builder(world, delegate).certificates([delegate])
        der = enclosing.sign(key, algorithm).public_bytes(Encoding.DER)
        assert judge(world, der).status is CertStatus.GOOD
        assert refusal(world, tampered_der(der)).kind is Problem.BAD_SIGNATURE


def tampered_der(der: bytes) -> bytes:
    """Another second in a date that is signed."""
    at = der.index(b"\x18\x0f") + 15
    digit = b"0" if der[at : at + 1] != b"0" else b"1"
    return der[:at] + digit + der[at + 1 :]


def builder(world: World, responder: x509.Certificate) -> ocsp.OCSPResponseBuilder:
    return (
        ocsp.OCSPResponseBuilder()
        .add_response(
            world.leaf, world.issuer, hashes.SHA1(), GOOD, world.now, world.now + HOUR, None, None
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
    )


def certified(
    world: World, key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
) -> x509.Certificate:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "LAB OCSP EC")]))
        .issuer_name(world.issuer.subject)
        .public_key(key)
        .serial_number(99)
        .not_valid_before(world.now - HOUR)
        .not_valid_after(world.now + HOUR)
        .add_extension(usage, critical=True)
        .sign(world.authority.key, hashes.SHA256())
    )


class TestCertificate:
    """S30."""

    @pytest.mark.parametrize("id_hash", [hashes.SHA1(), hashes.SHA256()], ids=lambda h: h.name)
    def test_either_hash_names_the_certificate(
        self, world: World, id_hash: hashes.HashAlgorithm
    ) -> None:
        assert judge(world, world.answer("ca", Saying(id_hash=id_hash)))

    @pytest.mark.parametrize("id_hash", [hashes.SHA224(), hashes.SHA512()], ids=lambda h: h.name)
    def test_no_other_hash_does(self, world: World, id_hash: hashes.HashAlgorithm) -> None:
        error = refusal(world, world.answer("ca", Saying(id_hash=id_hash)))
        assert error.kind is Problem.OTHER_CERTIFICATE

    def test_s30_another_serial(self, world: World, lab: Lab) -> None:
        other = lab.clients["preproduction"].certificate
        body = world.signatories["ca"].answer(other, world.issuer, Saying(), world.now)
        error = refusal(world, body)
        assert error.kind is Problem.OTHER_CERTIFICATE
        assert f"{other.serial_number:X}" in error.detail

    def test_s30_the_same_serial_of_another_issuer(self, world: World, lab: Lab) -> None:
        """Name and key of the issuer both count."""
        for stranger in (trees.SAME_NAME, trees.PERS_TEST):
            issuer = lab.authorities[stranger].certificate
            other = lab.authorities[stranger].certify(
                evolve(DELEGATE, serial=world.leaf.serial_number),
                world.client.key.public_key(),
                now=world.now,
            )
            body = world.signatories["ca"].answer(other, issuer, Saying(), world.now)
            assert refusal(world, body).kind is Problem.OTHER_CERTIFICATE

    def test_s30_an_issuer_of_the_same_key_and_another_name(self, world: World) -> None:
        question = ocsp.load_der_ocsp_request(build_request(world.leaf, world.issuer, "sha1", None))
        answer = ocsp.OCSPResponseBuilder().add_response_by_hash(
            b"n" * 20, question.issuer_key_hash, question.serial_number, hashes.SHA1(), GOOD,
            world.now, world.now + HOUR, None, None,
        )  # fmt: skip
        answer = answer.responder_id(ocsp.OCSPResponderEncoding.HASH, world.issuer)
        body = answer.sign(world.authority.key, hashes.SHA256()).public_bytes(Encoding.DER)
        assert refusal(world, body).kind is Problem.OTHER_CERTIFICATE

    def test_nothing_can_be_asked_about_a_stranger(self, world: World, lab: Lab) -> None:
        """The issuer that is asked has signed the leaf, whatever its name."""
        for stranger in (trees.SAME_NAME, trees.PERS_TEST):
            with pytest.raises((ValueError, InvalidSignature)):
                Asked.about(world.leaf, lab.authorities[stranger].certificate)

    def test_the_answer_is_found_among_others(self, world: World, lab: Lab) -> None:
        other = lab.clients["preproduction"].certificate
        signatory = world.signatories["delegate"]
        bodies = [
            signatory.answer(other, world.issuer, Saying(status), world.now) for status in STATUSES
        ]
        assert judge(world, together([*bodies, world.answer()], signatory.key))
        error = refusal(world, together(bodies, signatory.key))
        assert error.kind is Problem.OTHER_CERTIFICATE

    def test_revoked_beats_all_else_that_is_said(self, world: World) -> None:
        for statuses in ((GOOD, REVOKED), (REVOKED, UNKNOWN, GOOD)):
            assert self.said(world, *statuses).status is CertStatus.REVOKED

    def test_good_and_unknown_at_once_is_nothing(self, world: World) -> None:
        with pytest.raises(AnswerRefused) as caught:
            self.said(world, GOOD, UNKNOWN)
        assert caught.value.kind is Problem.CONTRADICTION

    def test_the_same_by_both_hashes_holds_until_the_first_ends(self, world: World) -> None:
        key = world.signatories["ca"].key
        sooner = Saying(id_hash=hashes.SHA256(), next_update=HOUR / 2)
        body = together([world.answer("ca"), world.answer("ca", sooner)], key)
        assert judge(world, body).fresh_until == world.now + HOUR / 2

    def test_one_of_several_is_out_of_date(self, world: World) -> None:
        key = world.signatories["ca"].key
        old = Saying(id_hash=hashes.SHA256(), this_update=-3 * HOUR, next_update=-HOUR)
        body = together([world.answer("ca"), world.answer("ca", old)], key)
        assert refusal(world, body).kind is Problem.OUT_OF_DATE

    def test_an_answer_about_nothing(self, world: World) -> None:
        body = changed(world.answer("ca"), world.authority.key, lambda data: data.responses.clear())
        assert refusal(world, body)

    @staticmethod
    def said(world: World, *statuses: ocsp.OCSPCertStatus) -> Answer:
        bodies = [world.answer("ca", Saying(status)) for status in statuses]
        return judge(world, together(bodies, world.authority.key))


class TestDates:
    """S31; the tolerance is 300 s."""

    @pytest.mark.parametrize("ahead", [TOLERANCE, timedelta()])
    def test_s31_made_within_the_tolerance(self, world: World, ahead: timedelta) -> None:
        answer = judge(world, world.answer("ca", Saying(this_update=ahead)))
        assert answer.this_update == world.now + ahead

    def test_s31_made_in_the_future(self, world: World) -> None:
        saying = Saying(this_update=TOLERANCE + SECOND)
        assert refusal(world, world.answer("ca", saying)).kind is Problem.FROM_THE_FUTURE

    @pytest.mark.parametrize("status", STATUSES, ids=lambda each: each.name)
    def test_s31_next_update_is_past(self, world: World, status: ocsp.OCSPCertStatus) -> None:
        saying = Saying(status, this_update=-HOUR, next_update=-TOLERANCE - SECOND)
        assert refusal(world, world.answer("ca", saying)).kind is Problem.OUT_OF_DATE

    def test_s31_next_update_is_past_within_the_tolerance(self, world: World) -> None:
        saying = Saying(this_update=-HOUR, next_update=-TOLERANCE)
        assert judge(world, world.answer("ca", saying)).fresh_until == world.now - TOLERANCE

    def test_next_update_before_this_update(self, world: World) -> None:
        saying = Saying(this_update=timedelta(), next_update=-SECOND)
        assert refusal(world, world.answer("ca", saying)).kind is Problem.OUT_OF_DATE

    def test_a_week_old_answer_that_still_holds(self, world: World) -> None:
        saying = Saying(this_update=timedelta(days=-7), next_update=SECOND)
        assert judge(world, world.answer("ca", saying)).status is CertStatus.GOOD

    def test_s31_without_next_update_it_holds_for_an_hour(self, world: World) -> None:
        saying = Saying(this_update=-HOUR / 2, next_update=None)
        answer = judge(world, world.answer("ca", saying))
        assert answer.next_update is None
        assert answer.fresh_until == world.now + HOUR / 2

    def test_s31_without_next_update_and_old(self, world: World) -> None:
        saying = Saying(this_update=-HOUR - TOLERANCE - SECOND, next_update=None)
        assert refusal(world, world.answer("ca", saying)).kind is Problem.OUT_OF_DATE

    def test_dates_of_the_answer_are_told(self, world: World) -> None:
        answer = judge(world, world.answer("ca", Saying(REVOKED)))
        assert answer.this_update == world.now - timedelta(minutes=1)
        assert answer.next_update == answer.fresh_until == world.now + HOUR
        assert answer.revoked_at == world.now - 2 * HOUR

    def test_good_was_not_revoked_at_any_time(self, world: World) -> None:
        assert judge(world, world.answer("ca")).revoked_at is None

    @pytest.mark.parametrize("reason", [None, *x509.ReasonFlags])
    def test_revoked_for_whatever_reason(
        self, world: World, reason: x509.ReasonFlags | None
    ) -> None:
        answer = judge(world, world.answer("ca", Saying(REVOKED, reason=reason)))
        assert answer.status is CertStatus.REVOKED

    def test_revoked_from_tomorrow_on_is_revoked(self, world: World) -> None:
        saying = Saying(REVOKED, revoked=timedelta(days=1))
        assert judge(world, world.answer("ca", saying)).status is CertStatus.REVOKED


class TestNonce:
    """S31: `ocsp_nonce`."""

    OURS, OTHER = b"o" * 32, b"x" * 32

    def asked(self, world: World, *, required: bool = False) -> Asked:
        return Asked.about(world.leaf, world.issuer, self.OURS, nonce_required=required)

    @pytest.mark.parametrize("required", [True, False])
    def test_s31_the_one_that_was_sent(self, world: World, required: bool) -> None:
        body = world.answer("ca", Saying(nonce=self.OURS))
        assert judge(world, body, asked=self.asked(world, required=required))

    @pytest.mark.parametrize("required", [True, False])
    @pytest.mark.parametrize("other", [OTHER, OURS[:-1], OURS + b"o", b"o"])
    def test_s31_another(self, world: World, other: bytes, required: bool) -> None:
        body = world.answer("ca", Saying(nonce=other))
        error = refusal(world, body, asked=self.asked(world, required=required))
        assert error.kind is Problem.OTHER_NONCE

    def test_s31_none_where_none_is_required(self, world: World) -> None:
        assert judge(world, world.answer("ca"), asked=self.asked(world))

    def test_s31_none_where_one_is_required(self, world: World) -> None:
        error = refusal(world, world.answer("ca"), asked=self.asked(world, required=True))
        assert error.kind is Problem.NO_NONCE

    def test_one_that_nobody_asked_for_means_nothing(self, world: World) -> None:
        assert judge(world, world.answer("ca", Saying(nonce=self.OTHER)))


class TestExtensions:
    def test_a_critical_one_of_the_answer(self, world: World) -> None:
        body = world.answer("ca", Saying(extensions=(STRANGE,)))
        error = refusal(world, body)
        assert error.kind is Problem.UNKNOWN_CRITICAL
        assert error.detail == STRANGE_OID.dotted_string

    def test_one_that_is_not_critical(self, world: World) -> None:
        harmless = x509.Extension(STRANGE.oid, False, STRANGE.value)
        assert judge(world, world.answer("ca", Saying(extensions=(harmless,))))

    @pytest.mark.parametrize("critical", [True, False])
    @pytest.mark.parametrize("count", [1, 2])
    def test_of_one_certificate(self, world: World, count: int, critical: bool) -> None:
        strange = Extension(oid=STRANGE_OID, critical=critical, value=b"\x05\x00")

        def extend(data: ResponseData) -> None:
            data.responses[-1].extensions = [strange]

        key = world.authority.key
        body = changed(together([world.answer("ca")] * count, key), key, extend)
        if critical:
            assert refusal(world, body).kind is Problem.UNKNOWN_CRITICAL
        else:
            assert judge(world, body)


class TestNotAnAnswer:
    """S32: what has nothing to do with OCSP, or is the responder's refusal."""

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (ocsp.OCSPResponseStatus.MALFORMED_REQUEST, Problem.MALFORMED_REQUEST),
            (ocsp.OCSPResponseStatus.INTERNAL_ERROR, Problem.INTERNAL_ERROR),
            (ocsp.OCSPResponseStatus.TRY_LATER, Problem.TRY_LATER),
            (ocsp.OCSPResponseStatus.SIG_REQUIRED, Problem.SIGNATURE_REQUIRED),
            (ocsp.OCSPResponseStatus.UNAUTHORIZED, Problem.UNAUTHORIZED),
        ],
        ids=lambda each: each.name,
    )
    def test_s32_declined(
        self, world: World, status: ocsp.OCSPResponseStatus, kind: Problem
    ) -> None:
        assert refusal(world, declined(status)).kind is kind

    @pytest.mark.parametrize(
        "body", [b"", b"\n", b"<html><body>sign in</body></html>", b"\x30\x80\x00\x00", b"0"]
    )
    def test_s32_something_else(self, world: World, body: bytes) -> None:
        error = refusal(world, body)
        assert error.kind is Problem.NOT_AN_ANSWER
        assert error.detail.isascii()

    def test_a_certificate(self, world: World) -> None:
        body = world.leaf.public_bytes(Encoding.DER)
        assert refusal(world, body).kind is Problem.NOT_AN_ANSWER

    def test_bytes_after_the_end(self, world: World) -> None:
        assert refusal(world, world.answer() + b"\0").kind is Problem.NOT_AN_ANSWER

    def test_s32_cut_anywhere(self, world: World) -> None:
        body = world.answer()
        for length in range(0, len(body), 7):
            assert refusal(world, body[:length]).kind is Problem.NOT_AN_ANSWER

    @given(body=st.binary(max_size=200))
    @settings(deadline=None)
    def test_s32_any_bytes(self, world: World, body: bytes) -> None:
        assert refusal(world, body)

    def test_content_of_another_kind(self, world: World) -> None:
        """id-pkix-ocsp-basic is the only one there is (RFC 6960, 4.2.1)."""
        basic, other = (
            asn1.encode_der(x509.ObjectIdentifier(f"1.3.6.1.5.5.7.48.1.{last}")) for last in (1, 9)
        )
        body = world.answer("ca").replace(basic, other, 1)
        assert refusal(world, body).kind is Problem.NOT_AN_ANSWER


class TestRequest:
    @pytest.mark.parametrize("name", ["sha1", "sha256"])
    def test_asks_about_the_certificate_by_the_hash_of_the_option(
        self, world: World, name: HashName
    ) -> None:
        question = ocsp.load_der_ocsp_request(build_request(world.leaf, world.issuer, name, None))
        assert question.serial_number == world.leaf.serial_number
        assert question.hash_algorithm.name == name
        assert len(list(question.extensions)) == 0

    def test_carries_the_nonce(self, world: World) -> None:
        body = build_request(world.leaf, world.issuer, "sha1", b"n" * 32)
        (extension,) = ocsp.load_der_ocsp_request(body).extensions
        assert extension.value == x509.OCSPNonce(b"n" * 32)
        assert not extension.critical


class TestWordForThePolicy:
    WHEN = datetime(2026, 3, 4, tzinfo=UTC)

    def word(self, status: CertStatus, delegate: str | None = None) -> Answer:
        return Answer(status, self.WHEN, None, None, self.WHEN, delegate)

    @pytest.mark.parametrize("kind", Problem)
    def test_no_answer_is_never_good(self, kind: Problem) -> None:
        assert policy_word(NoAnswer(kind), lambda _: False) is OCSPWord.UNKNOWN

    @pytest.mark.parametrize("status", CertStatus)
    def test_a_delegate_on_the_list_says_nothing(self, status: CertStatus) -> None:
        word = self.word(status, "AB")
        assert policy_word(word, lambda serial: serial == "AB") is OCSPWord.UNKNOWN

    @pytest.mark.parametrize("delegate", [None, "AB"])
    def test_each_status_has_its_word(self, delegate: str | None) -> None:
        words = [
            policy_word(self.word(each, delegate), lambda serial: serial != "AB")
            for each in (CertStatus.GOOD, CertStatus.REVOKED, CertStatus.UNKNOWN)
        ]
        assert words == [OCSPWord.GOOD, OCSPWord.REVOKED, OCSPWord.UNKNOWN]

    def test_what_tells_of_the_responder_is_not_about_one_certificate(self) -> None:
        assert Problem.OTHER_CERTIFICATE not in OF_THE_RESPONDER
        assert Problem.BAD_SIGNATURE not in OF_THE_RESPONDER
        assert Problem.TRY_LATER in OF_THE_RESPONDER

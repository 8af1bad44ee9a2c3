"""OCSP answers of the lab: by everybody who may sign them, and by many who may not (S29)."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from attrs import evolve, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from sasgate.lab import trees
from sasgate.lab.authority import Authority, Credential, new_key
from sasgate.lab.names import CN, C, O, name
from sasgate.lab.profile import Extension, Template, key_usage


_BY_HASH = ocsp.OCSPResponderEncoding.HASH
GOOD, REVOKED, UNKNOWN = (
    ocsp.OCSPCertStatus.GOOD,
    ocsp.OCSPCertStatus.REVOKED,
    ocsp.OCSPCertStatus.UNKNOWN,
)
# Made up, critical, and understood by nobody.
STRANGE_OID = x509.ObjectIdentifier("1.2.250.1.71.99.1")
STRANGE: Extension = x509.Extension(
    STRANGE_OID, True, x509.UnrecognizedExtension(STRANGE_OID, b"\x05\x00")
)
# The profile of a responder's certificate.
DELEGATE = Template(
    name((C, "FR"), (O, "LAB"), (CN, "LAB OCSP")),
    usages=(ExtendedKeyUsageOID.OCSP_SIGNING,),
    extra=(x509.Extension(x509.OCSPNoCheck.oid, False, x509.OCSPNoCheck()),),
)


@frozen
class Saying:
    """What is said of a certificate; instants are distances from the moment of signing.

    `revoked` counts with REVOKED only. `by_name` names the signer by its subject instead of the
    hash of its key.
    """

    status: ocsp.OCSPCertStatus = GOOD
    this_update: timedelta = timedelta(minutes=-1)
    next_update: timedelta | None = timedelta(hours=1)
    revoked: timedelta = timedelta(hours=-2)
    reason: x509.ReasonFlags | None = None
    id_hash: hashes.HashAlgorithm = field(factory=hashes.SHA1)
    nonce: bytes | None = None
    extensions: tuple[Extension, ...] = ()
    by_name: bool = False


@frozen
class Signatory:
    """Somebody who signs answers, the certificates sent along, and whether that is in order."""

    credential: Credential
    enclosed: tuple[x509.Certificate, ...] = ()
    trusted: bool = False

    @property
    def key(self) -> RSAPrivateKey:
        """The key that signs."""
        return self.credential.key

    def answer(
        self, leaf: x509.Certificate, issuer: x509.Certificate, saying: Saying, now: datetime
    ) -> bytes:
        """What a responder sends about a certificate, DER."""
        builder = ocsp.OCSPResponseBuilder().add_response(
            leaf, issuer, saying.id_hash, *_said(saying, now)
        )
        return self._signed(builder, saying)

    def reply(self, question: ocsp.OCSPRequest, saying: Saying, now: datetime) -> bytes:
        """What a responder sends to a question, DER; the certificate id is the question's."""
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            question.issuer_name_hash,
            question.issuer_key_hash,
            question.serial_number,
            question.hash_algorithm,
            *_said(saying, now),
        )
        return self._signed(builder, saying)

    def _signed(self, builder: ocsp.OCSPResponseBuilder, saying: Saying) -> bytes:
        named = ocsp.OCSPResponderEncoding.NAME if saying.by_name else _BY_HASH
        builder = builder.responder_id(named, self.credential.certificate)
        if self.enclosed:
            builder = builder.certificates(self.enclosed)
        if saying.nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(saying.nonce), critical=False)
        for extension in saying.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)


def _said(
    saying: Saying, now: datetime
) -> tuple[
    ocsp.OCSPCertStatus, datetime, datetime | None, datetime | None, x509.ReasonFlags | None
]:
    revoked = now + saying.revoked if saying.status is REVOKED else None
    following = None if saying.next_update is None else now + saying.next_update
    return saying.status, now + saying.this_update, following, revoked, saying.reason


def declined(status: ocsp.OCSPResponseStatus) -> bytes:
    """An answer that is none, such as tryLater; nobody signs those."""
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


def signatories(
    authorities: Mapping[str, Authority], client: Credential, now: datetime
) -> dict[str, Signatory]:
    """Everybody who may want to answer for `client`, whose issuer is ACI-EL-ORG-TEST.

    `ca` and `delegate` are trusted, and so is `delegate-non-repudiation`; all others are not.
    """
    return {**_authorities(authorities, client), **_delegates(authorities, now)}


def _authorities(authorities: Mapping[str, Authority], client: Credential) -> dict[str, Signatory]:
    strangers = {
        "root": trees.ROOT_TEST,
        "same-name-ca": trees.SAME_NAME,
        "other-ca": trees.OTHER_ORG,
        "neighbour-ca": trees.PERS_TEST,
    }
    found = {each: self_enclosed(authorities[ca].credential) for each, ca in strangers.items()}
    found["ca"] = Signatory(authorities[trees.ORG_TEST].credential, trusted=True)
    found["client"] = self_enclosed(client)
    return found


def _delegates(authorities: Mapping[str, Authority], now: datetime) -> dict[str, Signatory]:
    # Who is trusted has a key of its own, else the strangers' answers would be theirs.
    right, key, org = new_key(), new_key(), authorities[trees.ORG_TEST]
    made = {
        f"delegate{each}": delegate(org, template, right, now, trusted=True)
        for each, template in _RIGHT.items()
    }
    for each, template in _WRONG.items():
        made[f"delegate-{each}"] = delegate(org, template, key, now)
    for each, ca in _WRONG_ISSUERS.items():
        made[f"delegate-of-{each}"] = delegate(authorities[ca], DELEGATE, key, now)
    made["delegate-of-delegate"] = _second(made["delegate"], now)
    return made


def _second(first: Signatory, now: datetime) -> Signatory:
    """A delegate's own delegate; of another name and key, else it would be the first."""
    template = evolve(DELEGATE, subject=name((C, "FR"), (O, "LAB"), (CN, "LAB OCSP 2")))
    second = delegate(Authority("delegate", first.credential), template, new_key(), now)
    return evolve(second, enclosed=(*second.enclosed, *first.enclosed))


_RIGHT = {
    "": DELEGATE,
    "-non-repudiation": evolve(DELEGATE, key_usage=key_usage("content_commitment")),
}
_WRONG = {
    "without-ocsp-signing": evolve(DELEGATE, usages=(ExtendedKeyUsageOID.CLIENT_AUTH,)),
    "without-usages": evolve(DELEGATE, usages=None),
    "any-usage": evolve(DELEGATE, usages=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)),
    "cannot-sign": evolve(DELEGATE, key_usage=key_usage("key_encipherment")),
    "strange": evolve(DELEGATE, extra=(STRANGE,)),
    "sha224": evolve(DELEGATE, algorithm=hashes.SHA224()),
    "expired": evolve(DELEGATE, not_after=timedelta(hours=-1)),
    "not-yet-valid": evolve(DELEGATE, not_before=timedelta(hours=1)),
}
_WRONG_ISSUERS = {
    "neighbour": trees.PERS_TEST,
    "root": trees.ROOT_TEST,
    "same-name-ca": trees.SAME_NAME,
}


def delegate(
    issuer: Authority,
    template: Template,
    key: RSAPrivateKey,
    now: datetime,
    *,
    trusted: bool = False,
) -> Signatory:
    """Whoever `issuer` certifies as a responder, in the profile of `template`."""
    credential = issuer.issue(template, key, now=now)
    return Signatory(credential, (credential.certificate,), trusted)


def self_enclosed(credential: Credential) -> Signatory:
    """Somebody who signs with a certificate and sends it along; nobody to trust."""
    return Signatory(credential, (credential.certificate,))

"""Who signed an OCSP answer, and whether they may speak for the issuer (RFC 6960, 4.2.2.2).

The issuer itself, a delegate that this very issuer certified for the purpose, or a certificate
that the configuration names; everybody else is refused (S29).
"""

from datetime import datetime

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.ocsp import OCSPResponse
from cryptography.x509.oid import ExtendedKeyUsageOID

from sasgate.identity import printable_name
from sasgate.revocation.ocsp_words import AnswerRefused, Problem


# Each may cost two signature checks, and plain HTTP lets anybody add some.
MOST_CERTIFICATES = 10

_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
# What may be critical in a delegate: the others would restrict it in a way nobody looks at.
_UNDERSTOOD = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.OCSPNoCheck)


@frozen
class Signers:
    """Who may sign: the leaf's issuer, its delegates, and whoever `configured` names.

    A configured certificate is trusted as it stands: it needs no usage and no issuer, only to be
    within its dates.
    """

    issuer: x509.Certificate
    configured: tuple[x509.Certificate, ...] = ()


def check_signer(
    response: OCSPResponse, signers: Signers, asked: int, now: datetime
) -> x509.Certificate | None:
    """Verify who signed, and return the delegate, or None for issuer and configured signers.

    `asked` is the serial of the certificate in question, which cannot speak for itself.

    Raises:
        AnswerRefused: the algorithm is not accepted, or nobody who may have signed did.
    """
    algorithm = _strong_hash(response)
    refusals: list[AnswerRefused] = []
    trusted = (signers.issuer, *signers.configured)
    for certificate in _named(response, trusted):
        if not _signed(response, certificate, algorithm):
            refusals.append(AnswerRefused(Problem.BAD_SIGNATURE, _shown(certificate)))
        elif certificate != signers.issuer and (fault := _date_fault(certificate, now)):
            refusals.append(_untrusted(certificate, fault))
        else:
            return None
    for certificate in _named(response, _enclosed(response, trusted)):
        fault = _delegate_fault(certificate, signers.issuer, asked, now)
        if fault:
            refusals.append(_untrusted(certificate, fault))
        elif not _signed(response, certificate, algorithm):
            refusals.append(AnswerRefused(Problem.BAD_SIGNATURE, _shown(certificate)))
        else:
            return certificate
    if refusals:
        raise refusals[-1]
    raise AnswerRefused(
        Problem.UNTRUSTED_SIGNER, "the signer's certificate is neither in the answer nor configured"
    )


def _strong_hash(response: OCSPResponse) -> hashes.HashAlgorithm | None:
    """The hash of the signature; None with the algorithms that have theirs built in (EdDSA)."""
    try:
        algorithm = response.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        oid = response.signature_algorithm_oid.dotted_string
        raise AnswerRefused(Problem.SIGNATURE_ALGORITHM, oid) from error
    if algorithm is not None and not isinstance(algorithm, _STRONG):
        raise AnswerRefused(Problem.SIGNATURE_ALGORITHM, algorithm.name)
    return algorithm


def _enclosed(
    response: OCSPResponse, trusted: tuple[x509.Certificate, ...]
) -> tuple[x509.Certificate, ...]:
    certificates = response.certificates
    if len(certificates) > MOST_CERTIFICATES:
        raise AnswerRefused(
            Problem.UNTRUSTED_SIGNER, f"{len(certificates)} certificates in one answer"
        )
    return tuple(each for each in certificates if each not in trusted)


def _named(
    response: OCSPResponse, certificates: tuple[x509.Certificate, ...]
) -> tuple[x509.Certificate, ...]:
    """Those that the answer names as its signer, by subject or by hash of the key."""
    name, key_hash = response.responder_name, response.responder_key_hash
    if name is not None:
        return tuple(each for each in certificates if each.subject == name)
    return tuple(each for each in certificates if _key_hash(each) == key_hash)


def _key_hash(certificate: x509.Certificate) -> bytes:
    """SHA-1 of the key's bits, as RFC 6960 4.2.1 and RFC 5280 4.2.1.2 (1) both have it."""
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _signed(
    response: OCSPResponse, certificate: x509.Certificate, algorithm: hashes.HashAlgorithm | None
) -> bool:
    key, signature = certificate.public_key(), response.signature
    signed = response.tbs_response_bytes
    try:
        if algorithm is None:
            if not isinstance(key, Ed25519PublicKey | Ed448PublicKey):
                return False
            key.verify(signature, signed)
        elif isinstance(key, RSAPublicKey):
            key.verify(signature, signed, PKCS1v15(), algorithm)
        elif isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, signed, ECDSA(algorithm))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _delegate_fault(
    certificate: x509.Certificate, issuer: x509.Certificate, asked: int, now: datetime
) -> str:
    """What keeps a certificate from being the issuer's delegate; empty where nothing does."""
    try:
        certificate.verify_directly_issued_by(issuer)
        algorithm = certificate.signature_hash_algorithm
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return "not issued by the certificate's own issuer"
    if algorithm is not None and not isinstance(algorithm, _STRONG):
        return f"its certificate is signed with {algorithm.name}"
    if certificate.serial_number == asked:
        return "a certificate that speaks for itself"
    return _usage_fault(certificate) or _date_fault(certificate, now)


def _usage_fault(certificate: x509.Certificate) -> str:
    usages: tuple[x509.ObjectIdentifier, ...] = ()
    for extension in certificate.extensions:
        value = extension.value
        if extension.critical and not isinstance(value, _UNDERSTOOD):
            return f"critical extension {extension.oid.dotted_string}"
        if isinstance(value, x509.ExtendedKeyUsage):
            usages = tuple(value)
        # RFC 5280, 4.2.1.12: either bit is consistent with id-kp-OCSPSigning.
        elif isinstance(value, x509.KeyUsage) and not (
            value.digital_signature or value.content_commitment
        ):
            return "its keyUsage does not let it sign"
    return "" if ExtendedKeyUsageOID.OCSP_SIGNING in usages else "no OCSPSigning"


def _date_fault(certificate: x509.Certificate, now: datetime) -> str:
    if now < certificate.not_valid_before_utc:
        return f"valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC only"
    if now > certificate.not_valid_after_utc:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
    return ""


def _untrusted(certificate: x509.Certificate, fault: str) -> AnswerRefused:
    return AnswerRefused(Problem.UNTRUSTED_SIGNER, f"{_shown(certificate)}: {fault}")


def _shown(certificate: x509.Certificate) -> str:
    return printable_name(certificate.subject)

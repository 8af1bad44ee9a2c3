"""One OCSP question and its answer (RFC 6960), without network or clock.

An answer is verified in full before anything in it is believed: who signed it and may they,
which certificate it is about, when it was made and for how long it holds, and which question it
answers. All that is wrong or not understood is `AnswerRefused`; nothing else is raised.
"""

import warnings
from datetime import datetime, timedelta
from typing import Annotated, Literal

from attrs import frozen
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from sasgate.revocation.ocsp_signer import Signers, check_signer
from sasgate.revocation.ocsp_words import Answer, AnswerRefused, CertStatus, Problem


# How far the responder's clock may be from ours; lists have the same.
TOLERANCE = timedelta(seconds=300)
# How long an answer holds that does not say when the next one comes (RFC 6960, 4.2.2.1: newer
# information is always there): no longer than any answer is kept by default.
WITHOUT_NEXT_UPDATE = timedelta(hours=1)
# RFC 9654, 2.1: clients use 32 octets, which responders of RFC 8954 take too.
NONCE_SIZE = 32

HashName = Literal["sha1", "sha256"]

_HASHES: dict[HashName, hashes.SHA1 | hashes.SHA256] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - names an issuer, signs nothing
    "sha256": hashes.SHA256(),
}


@frozen
class _CertID:
    """RFC 6960, 4.1.1: how a question or an answer names one certificate."""

    algorithm: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int

    @classmethod
    def read(cls, holder: ocsp.OCSPRequest | ocsp.OCSPSingleResponse) -> "_CertID":
        return cls(
            holder.hash_algorithm.name,
            holder.issuer_name_hash,
            holder.issuer_key_hash,
            holder.serial_number,
        )


@frozen
class Asked:
    """What was asked, for the answer to be held against.

    An answer may name the certificate by either hash, whichever was sent. `nonce` is None where
    none was sent; `nonce_required` refuses an answer without it.
    """

    serial: int
    ids: frozenset[_CertID]
    nonce: bytes | None
    nonce_required: bool

    @classmethod
    def about(
        cls,
        leaf: x509.Certificate,
        issuer: x509.Certificate,
        nonce: bytes | None = None,
        *,
        nonce_required: bool = False,
    ) -> "Asked":
        """What `build_request` asks with the same arguments.

        Raises:
            ValueError, TypeError, InvalidSignature: `issuer` did not issue `leaf`.
        """
        leaf.verify_directly_issued_by(issuer)
        ids = frozenset(_CertID.read(_question(leaf, issuer, each).build()) for each in _HASHES)
        return cls(leaf.serial_number, ids, nonce, nonce_required)


def build_request(
    leaf: x509.Certificate,
    issuer: x509.Certificate,
    hash: HashName,  # noqa: A002 - as the option is called
    nonce: bytes | None,
) -> bytes:
    """The question whether `leaf` is revoked, DER, not signed."""
    builder = _question(leaf, issuer, hash)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def verify_answer(body: bytes, asked: Asked, signers: Signers, now: datetime) -> Answer:
    """The answer in the body of an HTTP response; `now` is aware.

    Dates have 300 s of tolerance: thisUpdate not in the future, nextUpdate not past; without
    nextUpdate, thisUpdate not older than an hour.

    Raises:
        AnswerRefused: it says nothing that may be used (S29, S30, S31).
    """
    try:
        with warnings.catch_warnings():
            # A name with a C of three letters is a stranger's, not worth a line of log.
            warnings.simplefilter("ignore", UserWarning)
            return _verified(body, asked, signers, now)
    except AnswerRefused:
        raise
    except Exception as error:
        start = f"{len(body)} bytes that begin with {body[:24]!r}" if body else "empty"
        raise AnswerRefused(Problem.NOT_AN_ANSWER, f"{start} ({error})") from error


def _question(
    leaf: x509.Certificate, issuer: x509.Certificate, algorithm: HashName
) -> ocsp.OCSPRequestBuilder:
    return ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, _HASHES[algorithm])


def _verified(body: bytes, asked: Asked, signers: Signers, now: datetime) -> Answer:
    response = ocsp.load_der_ocsp_response(body)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise AnswerRefused(_DECLINED[response.response_status])
    delegate = check_signer(response, signers, asked.serial, now)
    _check_extensions(response)
    _check_nonce(response, asked)
    singles = [each for each in response.responses if _CertID.read(each) in asked.ids]
    if not singles:
        raise AnswerRefused(Problem.OTHER_CERTIFICATE, _subjects_of(response))
    serial = None if delegate is None else f"{delegate.serial_number:X}"
    return _agreed([_read(each, serial, now) for each in singles])


_DECLINED = {
    ocsp.OCSPResponseStatus.MALFORMED_REQUEST: Problem.MALFORMED_REQUEST,
    ocsp.OCSPResponseStatus.INTERNAL_ERROR: Problem.INTERNAL_ERROR,
    ocsp.OCSPResponseStatus.TRY_LATER: Problem.TRY_LATER,
    ocsp.OCSPResponseStatus.SIG_REQUIRED: Problem.SIGNATURE_REQUIRED,
    ocsp.OCSPResponseStatus.UNAUTHORIZED: Problem.UNAUTHORIZED,
}


def _check_nonce(response: ocsp.OCSPResponse, asked: Asked) -> None:
    if asked.nonce is None:
        return
    try:
        extension = response.extensions.get_extension_for_class(x509.OCSPNonce)
    except x509.ExtensionNotFound:
        if asked.nonce_required:
            raise AnswerRefused(Problem.NO_NONCE) from None
        return
    if extension.value.nonce != asked.nonce:
        raise AnswerRefused(Problem.OTHER_NONCE)


def _check_extensions(response: ocsp.OCSPResponse) -> None:
    """RFC 6960, 4.4: what is critical must be understood, and only the nonce is."""
    for extension in response.extensions:
        if extension.critical and not isinstance(extension.value, x509.OCSPNonce):
            raise AnswerRefused(Problem.UNKNOWN_CRITICAL, extension.oid.dotted_string)
    for oid in _critical_in_singles(response):
        raise AnswerRefused(Problem.UNKNOWN_CRITICAL, oid.dotted_string)


def _critical_in_singles(response: ocsp.OCSPResponse) -> list[x509.ObjectIdentifier]:
    if len(list(response.responses)) == 1:
        return [each.oid for each in response.single_extensions if each.critical]
    # `single_extensions` knows one only.
    data = asn1.decode_der(_ResponseData, response.tbs_response_bytes)
    return [
        each.oid
        for single in data.responses
        for each in single.parse(_SingleResponse).extensions or ()
        if each.critical
    ]


@asn1.sequence
class _Extension:
    """RFC 5280, 4.1."""

    oid: x509.ObjectIdentifier
    critical: Annotated[bool, asn1.Default(value=False)]
    value: bytes


@asn1.sequence
class _SingleResponse:
    """RFC 6960, 4.2.1; read for its extensions alone."""

    cert_id: asn1.TLV
    status: asn1.TLV
    this_update: asn1.GeneralizedTime
    next_update: Annotated[asn1.GeneralizedTime | None, asn1.Explicit(0)]
    extensions: Annotated[list[_Extension] | None, asn1.Explicit(1)]


@asn1.sequence
class _ResponseData:
    """RFC 6960, 4.2.1, in version 1, the only one there is."""

    responder: asn1.TLV
    produced_at: asn1.GeneralizedTime
    responses: list[asn1.TLV]
    extensions: Annotated[list[asn1.TLV] | None, asn1.Explicit(1)]


def _read(single: ocsp.OCSPSingleResponse, delegate: str | None, now: datetime) -> Answer:
    this_update, next_update = single.this_update_utc, single.next_update_utc
    fresh_until = this_update + WITHOUT_NEXT_UPDATE if next_update is None else next_update
    if this_update > now + TOLERANCE:
        raise AnswerRefused(Problem.FROM_THE_FUTURE, f"made at {this_update:%Y-%m-%d %H:%M:%S} UTC")
    if fresh_until < now - TOLERANCE or fresh_until < this_update:
        said = "held until" if next_update else "without nextUpdate, held until"
        raise AnswerRefused(Problem.OUT_OF_DATE, f"{said} {fresh_until:%Y-%m-%d %H:%M:%S} UTC")
    status = _STATUSES[single.certificate_status]
    return Answer(
        status, this_update, next_update, single.revocation_time_utc, fresh_until, delegate
    )


_STATUSES = {
    ocsp.OCSPCertStatus.GOOD: CertStatus.GOOD,
    ocsp.OCSPCertStatus.REVOKED: CertStatus.REVOKED,
    ocsp.OCSPCertStatus.UNKNOWN: CertStatus.UNKNOWN,
}


def _agreed(answers: list[Answer]) -> Answer:
    """What all that is said of the one certificate comes to; "revoked" beats the rest."""
    revoked = [each for each in answers if each.status is CertStatus.REVOKED]
    if not revoked and len({each.status for each in answers}) > 1:
        raise AnswerRefused(Problem.CONTRADICTION)
    return min(revoked or answers, key=lambda each: each.fresh_until)


def _subjects_of(response: ocsp.OCSPResponse) -> str:
    serials = [f"{each.serial_number:X}" for each in response.responses]
    more = ", …" if len(serials) > 3 else ""
    return f"about {', '.join(serials[:3]) or 'none'}{more}"

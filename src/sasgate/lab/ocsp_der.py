"""OCSP answers that `cryptography` would not make: of several certificates, forged, unsigned.

Answers are taken apart and put together by `cryptography`'s declarative ASN.1 (RFC 6960, 4.2.1);
nothing is encoded by hand.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

from attrs import frozen
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509.oid import SignatureAlgorithmOID


@asn1.sequence
class Extension:
    """RFC 5280, 4.1."""

    oid: x509.ObjectIdentifier
    critical: Annotated[bool, asn1.Default(value=False)]
    value: bytes


@asn1.sequence
class SingleResponse:
    """What is said of one certificate."""

    cert_id: asn1.TLV
    status: asn1.TLV
    this_update: asn1.GeneralizedTime
    next_update: Annotated[asn1.GeneralizedTime | None, asn1.Explicit(0)]
    extensions: Annotated[list[Extension] | None, asn1.Explicit(1)]


@asn1.sequence
class ResponseData:
    """What is signed."""

    responder: asn1.TLV
    produced_at: asn1.GeneralizedTime
    responses: list[SingleResponse]
    extensions: Annotated[list[Extension] | None, asn1.Explicit(1)]


@asn1.sequence
class _Algorithm:
    oid: x509.ObjectIdentifier
    parameters: asn1.Null


@asn1.sequence
class _Basic:
    data: ResponseData
    algorithm: _Algorithm
    signature: asn1.BitString
    certificates: Annotated[list[asn1.TLV] | None, asn1.Explicit(0)]


@asn1.sequence
class _Bytes:
    kind: x509.ObjectIdentifier
    content: bytes


@asn1.sequence
class _Response:
    status: asn1.TLV
    content: Annotated[_Bytes | None, asn1.Explicit(0)]


def together(answers: Sequence[bytes], key: RSAPrivateKey) -> bytes:
    """One answer that says all that these say, as the first does otherwise; signed with `key`."""
    first, *others = (_Parts.of(answer) for answer in answers)
    for other in others:
        first.basic.data.responses.extend(other.basic.data.responses)
    return first.signed(key)


def changed(answer: bytes, key: RSAPrivateKey, change: Callable[[ResponseData], None]) -> bytes:
    """The answer after `change`, signed again with `key`."""
    parts = _Parts.of(answer)
    change(parts.basic.data)
    return parts.signed(key)


def signed_with_sha1(answer: bytes, key: RSAPrivateKey) -> bytes:
    """The same under a signature that is valid and too weak."""
    parts = _Parts.of(answer)
    parts.basic.algorithm.oid = SignatureAlgorithmOID.RSA_WITH_SHA1
    return parts.signed(key, hashes.SHA1())  # noqa: S303 - made to be refused


def grafted(data: bytes, signature: bytes) -> bytes:
    """What one answer says, under the signature and certificates of another."""
    parts, other = _Parts.of(data), _Parts.of(signature)
    parts.basic.signature, parts.basic.certificates = (
        other.basic.signature,
        other.basic.certificates,
    )
    return parts.der()


def unsigned(answer: bytes) -> bytes:
    """The same with an empty signature."""
    parts = _Parts.of(answer)
    parts.basic.signature = asn1.BitString(b"", 0)
    return parts.der()


def tampered(answer: bytes) -> bytes:
    """The same with the last bit of its signature turned."""
    parts = _Parts.of(answer)
    signature = bytearray(parts.basic.signature.as_bytes())
    signature[-1] ^= 1
    parts.basic.signature = asn1.BitString(bytes(signature), 0)
    return parts.der()


@frozen
class _Parts:
    """An answer taken apart; what is in it can be changed in place."""

    response: _Response
    basic: _Basic

    @classmethod
    def of(cls, answer: bytes) -> "_Parts":
        response = asn1.decode_der(_Response, answer)
        if response.content is None:
            raise ValueError("the responder declined; there is nothing to change")
        return cls(response, asn1.decode_der(_Basic, response.content.content))

    def signed(self, key: RSAPrivateKey, algorithm: hashes.HashAlgorithm | None = None) -> bytes:
        data = asn1.encode_der(self.basic.data)
        signature = key.sign(data, PKCS1v15(), algorithm or hashes.SHA256())
        self.basic.signature = asn1.BitString(signature, 0)
        return self.der()

    def der(self) -> bytes:
        content = self.response.content
        assert content is not None  # checked in `of`  # noqa: S101
        content.content = asn1.encode_der(self.basic)
        return asn1.encode_der(self.response)

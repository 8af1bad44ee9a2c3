"""What stands in a certificate, a CSR, a list or a key, as lines of a label and a text.

All of it may be hostile: every text is printable ASCII (S39), cut at a length, and what cannot be
decoded says so in its place.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from sasgate.contents import FoundKey, Unreadable, Value
from sasgate.identity import fingerprint, printable_name, printable_value


Line = tuple[str, str]

_LONGEST = 1000


def title(item: Value) -> str:
    """What kind of thing an item is."""
    match item:
        case x509.Certificate():
            return "CA certificate" if is_ca(item) else "certificate"
        case x509.CertificateSigningRequest():
            return "certificate request (CSR)"
        case x509.CertificateRevocationList():
            return "revocation list (CRL)"
        case FoundKey(key=None):
            return "private key, under a passphrase"
        case FoundKey():
            return "private key"
        case Unreadable():
            return cut(item.reason)


def details(item: Value, now: datetime) -> Iterator[Line]:
    """The lines on an item; of a private key its kind alone. `now` is aware."""
    match item:
        case x509.Certificate():
            yield from _certificate(item, now)
        case x509.CertificateSigningRequest():
            yield "subject", _said(lambda: printable_name(item.subject))
            yield "key", _said(lambda: _kind(item.public_key()))
            yield "signed with", _said(lambda: _hash(item.signature_hash_algorithm))
        case x509.CertificateRevocationList():
            yield from _list(item, now)
        case FoundKey(key=key) if key is not None:
            yield "key", _said(lambda: _kind(key.public_key()))


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether a certificate says that it is a CA's."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except Exception:  # whatever decoders raise on hostile bytes
        return False
    return constraints.value.ca


def cut(text: str) -> str:
    """A text short enough for a screen."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def _certificate(certificate: x509.Certificate, now: datetime) -> Iterator[Line]:
    yield "subject", _said(lambda: printable_name(certificate.subject))
    yield "issuer", _said(lambda: printable_name(certificate.issuer))
    yield "serial", _said(lambda: f"{certificate.serial_number:X}")
    yield "SHA-256", _said(lambda: fingerprint(certificate))
    yield (
        "valid",
        _said(
            lambda: _dates(certificate.not_valid_before_utc, certificate.not_valid_after_utc, now)
        ),
    )
    yield "usages", _said(lambda: ", ".join(_usages(certificate.extensions)) or "not restricted")
    names = _said(lambda: ", ".join(_names(certificate.extensions)))
    if names:
        yield "names", names
    yield "key", _said(lambda: _kind(certificate.public_key()))


def _list(crl: x509.CertificateRevocationList, now: datetime) -> Iterator[Line]:
    yield "issuer", _said(lambda: printable_name(crl.issuer))
    yield "number", _said(lambda: str(_number(crl)))
    yield "SHA-256", _said(lambda: crl.fingerprint(hashes.SHA256()).hex())
    yield "valid", _said(lambda: _dates(crl.last_update_utc, crl.next_update_utc, now))
    yield "entries", _said(lambda: str(len(crl)))
    yield "signed with", _said(lambda: _hash(crl.signature_hash_algorithm))


def _said(read: Callable[[], str]) -> str:
    try:
        return cut(read())
    except Exception as error:  # whatever decoders raise on hostile bytes
        return cut(f"cannot be decoded: {printable_value(str(error))}")


def _dates(begin: datetime, end: datetime | None, now: datetime) -> str:
    if end is None:
        return f"from {begin:%Y-%m-%d %H:%M} UTC, without an end"
    days = (end - now).days
    left = f"{days} days left" if now <= end else f"ended {(now - end).days} days ago"
    return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {left}"


def _usages(extensions: x509.Extensions) -> Iterator[str]:
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        # Two of its attributes can be asked for only where keyAgreement is set.
        yield from (name for attribute, name in _BITS.items() if getattr(usage, attribute))
    except x509.ExtensionNotFound:
        pass
    try:
        for oid in extensions.get_extension_for_class(x509.ExtendedKeyUsage).value:
            yield _PURPOSES.get(oid, oid.dotted_string)
    except x509.ExtensionNotFound:
        pass


def _names(extensions: x509.Extensions) -> Iterator[str]:
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for name in names:
        match name:
            case x509.DirectoryName():
                yield printable_name(name.value)
            case x509.RegisteredID():
                yield name.value.dotted_string
            case x509.OtherName():
                yield f"other name {name.type_id.dotted_string}"
            case _:
                yield printable_value(str(name.value))


def _number(crl: x509.CertificateRevocationList) -> int | str:
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return "none"


def _kind(key: object) -> str:
    match key:
        case RSAPublicKey():
            return f"RSA {key.key_size}"
        case EllipticCurvePublicKey():
            return f"EC {key.curve.name}"
        case _:
            return type(key).__name__.removesuffix("PublicKey")


def _hash(algorithm: hashes.HashAlgorithm | None) -> str:
    return "no hash of its own" if algorithm is None else algorithm.name


_BITS = {
    "digital_signature": "digitalSignature",
    "content_commitment": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}
_PURPOSES = {
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
}

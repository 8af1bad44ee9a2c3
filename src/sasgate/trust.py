"""Certificates and keys from disk: roots, pinned issuers, and the gateway's own credentials.

Every file is read whole and checked before any of it is used; whatever is missing, unreadable or
not what it should be is a `ConfigError` that names the file (S1, S55, S57). The system's own
store of CAs is never consulted for clients.
"""

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from sasgate.errors import ConfigError, Fault
from sasgate.failures import unread
from sasgate.identity import fingerprint
from sasgate.settings import CAFile, Settings


PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey

_LARGEST_FILE = 1024 * 1024
# Twisted sends no more than 32 KiB of a handshake at once and forgets the rest, on which both
# sides wait for ever; the other messages of the flight need a few of them.
LARGEST_CHAIN = 24 * 1024


@frozen
class CA:
    """A CA certificate as loaded; `sha256` is that of its DER, lower-case hexadecimal."""

    path: Path
    certificate: x509.Certificate
    der: bytes = field(repr=False)
    sha256: str

    @property
    def common_name(self) -> str:
        """The CN, or the whole name where it has none."""
        names = self.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return str(names[0].value) if names else self.certificate.subject.rfc4514_string()


@frozen
class Anchors:
    """What a client's chain must end with, and the CAs that its leaf must be issued by."""

    roots: tuple[CA, ...]
    issuers: tuple[CA, ...]

    @property
    def all(self) -> tuple[CA, ...]:
        """Roots and issuers, each certificate once."""
        return tuple({ca.der: ca for ca in (*self.roots, *self.issuers)}.values())


@frozen
class Credential:
    """A certificate chain, leaf first, with the leaf's private key."""

    chain: tuple[x509.Certificate, ...]
    key: PrivateKey = field(repr=False)

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate that the key belongs to."""
        return self.chain[0]


class UnusableFile(Exception):
    """A file that is not what it should be; says the reason and the way out."""

    def __init__(self, path: Path, reason: str, remedy: str = "") -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
        self.remedy = remedy


def load_anchors(settings: Settings, environment: str) -> Anchors:
    """Load the roots and issuers of one environment.

    Raises:
        ConfigError: with a fault for each file that is not a CA, does not match ANS's pin, or,
            for an issuer, was not signed by one of the roots.
    """
    chosen = settings.environments[environment]
    faults: list[Fault] = []
    place = _Place(settings, environment, chosen.preset)
    roots = _load_cas(chosen.roots, place.fault("roots"), faults)
    faults.extend(
        place.fault("roots")(UnusableFile(ca.path, "is not a root: it did not sign itself"))
        for ca in roots
        if not signed_by(ca.certificate, ca.certificate)
    )
    issuers = _load_cas(chosen.issuers, place.fault("issuers"), faults)
    if not faults:
        faults.extend(
            place.fault("issuers")(
                UnusableFile(ca.path, "was not signed by any of the environment's roots")
            )
            for ca in issuers
            if not any(signed_by(ca.certificate, root.certificate) for root in roots)
        )
    if faults:
        raise ConfigError(*faults)
    return Anchors(tuple(roots), tuple(issuers))


def load_credential(
    settings: Settings, section: str, certificate: Path, key: Path, now: datetime
) -> Credential:
    """Load the certificate chain and key of a listener; both may stand in one PEM.

    Raises:
        ConfigError: unreadable, encrypted, not matching, expired, or readable by everybody.
    """
    faults: list[Fault] = []
    chain: tuple[x509.Certificate, ...] = ()
    private: PrivateKey | None = None
    try:
        chain = read_certificates(certificate)
    except UnusableFile as error:
        faults.append(
            settings.fault(section, "certificate", error.path, error.reason, error.remedy)
        )
    try:
        private = read_private_key(key)
    except UnusableFile as error:
        fault = settings.fault(section, "key", error.path, error.reason, error.remedy)
        # Of one PEM that cannot be read at all it was said once; `key` may not even be written.
        if key != certificate or fault.reason not in {each.reason for each in faults}:
            faults.append(fault)
    if chain and private is not None:
        faults.extend(
            settings.fault(section, "certificate", certificate, reason, remedy)
            for reason, remedy in credential_faults(chain, private, now)
        )
    if faults or private is None:
        raise ConfigError(*faults)
    return Credential(chain, private)


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM file in their order, or the one of a DER file.

    Raises:
        UnusableFile: unreadable, or nothing but certificates (and keys) was not found in it.
    """
    content = _read(path)
    try:
        if b"-----BEGIN" in content:
            certificates = tuple(x509.load_pem_x509_certificates(content))
            if len(certificates) != content.count(b"-----BEGIN CERTIFICATE-----"):
                raise UnusableFile(path, "holds a certificate that is cut short")
            return certificates
        return (x509.load_der_x509_certificate(content),)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableFile(path, _what_it_is(content), "put a certificate, PEM or DER") from error


def read_private_key(path: Path) -> PrivateKey:
    """The one private key of a PEM or DER file, RSA or ECDSA, that others cannot read (S57).

    Raises:
        UnusableFile: unreadable, encrypted, of another type, or open to everybody.
    """
    content = _read(path)
    if stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO:
        raise UnusableFile(path, "the key can be read by every user", f"run: chmod o-rwx {path}")
    try:
        if b"-----BEGIN" in content:
            key = serialization.load_pem_private_key(_key_block(content), password=None)
        else:
            key = serialization.load_der_private_key(content, password=None)
    except TypeError as error:
        raise UnusableFile(
            path, "the key is encrypted", "store it without a passphrase: openssl pkey -in FILE"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableFile(path, "no private key is in it", "put one, PEM or DER") from error
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise UnusableFile(path, "the key is neither RSA nor ECDSA")
    return key


def credential_faults(
    chain: Sequence[x509.Certificate], key: PrivateKey, now: datetime
) -> Iterable[tuple[str, str]]:
    """What keeps a chain, leaf first, from being presented with a key: reason and way out (S55).

    `now` is aware.
    """
    matching = [cert for cert in chain if is_key_of(key, cert)]
    if not matching:
        yield (
            "the key does not belong to the certificate",
            "give the key that its CSR was made with",
        )
        return
    if matching[0] is not chain[0]:
        yield "the certificate of the key is not the first in the file", "put it before its CAs"
        return
    for certificate, issuer in pairwise(chain):
        if not signed_by(certificate, issuer):
            yield (
                f"{certificate.subject.rfc4514_string()} was not signed by the next one",
                "put each certificate before the CA that signed it",
            )
    size = sum(len(each.public_bytes(serialization.Encoding.DER)) for each in chain)
    if size > LARGEST_CHAIN:
        yield (
            f"the chain has {size} bytes, more than the {LARGEST_CHAIN} that can be sent at once",
            "leave out what clients do not need, or have it issued for fewer names",
        )
    leaf = chain[0]
    if leaf.not_valid_after_utc < now:
        yield (
            f"the certificate expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            "renew it",
        )
    if leaf.not_valid_before_utc > now:
        start = leaf.not_valid_before_utc
        yield f"the certificate is not valid before {start:%Y-%m-%d %H:%M} UTC", "check the clock"


@frozen
class _Place:
    """Where in the file the CAs of an environment were named: a preset's come from `ca`."""

    settings: Settings
    environment: str
    preset: bool

    def fault(self, key: str) -> Callable[[UnusableFile], Fault]:
        section, name = ("sasgate", "ca") if self.preset else self._own(key)

        def make(error: UnusableFile) -> Fault:
            remedy = error.remedy
            if self.preset and not remedy:
                into = error.path.parent
                remedy = f"run: sasgate fetch-ca --environment {self.environment} --to {into}"
            return self.settings.fault(section, name, error.path, error.reason, remedy)

        return make

    def _own(self, key: str) -> tuple[str, str]:
        return f"environment:{self.environment}", key


def _load_cas(
    files: Iterable[CAFile], fault: Callable[[UnusableFile], Fault], faults: list[Fault]
) -> list[CA]:
    loaded: list[CA] = []
    for file in files:
        try:
            loaded.extend(load_ca(file))
        except UnusableFile as error:
            faults.append(fault(error))
    return loaded


def load_ca(file: CAFile) -> Iterable[CA]:
    """The CAs in a file: the one of the pin, or all where there is no pin.

    Raises:
        UnusableFile: it holds something else.
    """
    certificates = _read_ca_certificates(file)
    if file.sha256 is not None and len(certificates) != 1:
        raise UnusableFile(file.path, f"holds {len(certificates)} certificates instead of one")
    for certificate in certificates:
        sha256 = fingerprint(certificate)
        if file.sha256 is not None and sha256 != file.sha256:
            raise UnusableFile(
                file.path, f"is not ANS's certificate: SHA-256 {sha256} instead of {file.sha256}"
            )
        if not _is_ca(certificate):
            raise UnusableFile(file.path, "is not a CA certificate")
        der = certificate.public_bytes(serialization.Encoding.DER)
        yield CA(file.path, certificate, der, sha256)


def _read_ca_certificates(file: CAFile) -> tuple[x509.Certificate, ...]:
    try:
        return read_certificates(file.path)
    except UnusableFile as error:
        # A preset's files are fetched, so the remedy is the command and not "put a certificate".
        if file.sha256 is None:
            raise
        raise UnusableFile(error.path, error.reason) from error


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return constraints.ca and usage.key_cert_sign


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` by name and key signed a certificate; False where it cannot be told."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_key_of(key: PrivateKey, certificate: x509.Certificate) -> bool:
    """Whether a certificate is for this key."""
    try:
        return certificate.public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False  # a kind of key that we do not know is not the one in the file


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_opened) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnusableFile(path, "is not a regular file")
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise UnusableFile(path, unread(error)) from error
    if not content.strip():
        raise UnusableFile(path, "is empty")
    if len(content) > _LARGEST_FILE:
        raise UnusableFile(path, "is larger than 1 MiB: not a certificate or key")
    return content


def _opened(path: str, flags: int) -> int:
    # A pipe in its place must not make the daemon wait for whoever writes to it (S55, S56).
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _what_it_is(content: bytes) -> str:
    start = content.lstrip()[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "is a web page, not a certificate"
    if b"-----begin" in content.lower():
        return "is PEM without a whole, readable certificate in it"
    return "is not a certificate, or is cut short"


def _key_block(content: bytes) -> bytes:
    """The private key of a PEM that holds certificates too; all of it where there is none."""
    start = content.find(b"-----BEGIN")
    while start >= 0:
        end = content.find(b"-----END", start)
        header = content[start : content.find(b"\n", start)]
        if b"PRIVATE KEY-----" in header and end >= 0:
            stop = content.find(b"\n", end)
            return content[start : stop if stop >= 0 else len(content)] + b"\n"
        start = content.find(b"-----BEGIN", start + 1)
    return content

"""What is in a file of certificates: PEM blocks or DER, each item known by what it decodes as.

The file may be anybody's. Nothing in it is trusted or acted on, and what cannot be read becomes an
item that says so.
"""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs7

from sasgate.failures import unread
from sasgate.identity import printable_value


# Lists are the longest (design, "Limits").
LARGEST = 64 * 1024 * 1024
_MOST_ITEMS = 100


class UnreadableFile(Exception):
    """A file that could not be read at all; names it, the reason and the way out."""


@frozen
class FoundKey:
    """A private key; None where it is under a passphrase."""

    key: PrivateKeyTypes | None = field(repr=False)


@frozen
class Unreadable:
    """Something that is no item, or a damaged one; `reason` is printable."""

    reason: str


Value = (
    x509.Certificate
    | x509.CertificateSigningRequest
    | x509.CertificateRevocationList
    | FoundKey
    | Unreadable
)


@frozen
class Contents:
    """All items of a file in their order; `pem` says which of the two forms it has."""

    pem: bool
    items: tuple[Value, ...]

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The certificates among them."""
        return tuple(each for each in self.items if isinstance(each, x509.Certificate))


def read_file(path: Path) -> bytes:
    """The bytes of a file of any kind, pipes included.

    Raises:
        UnreadableFile: it cannot be read, is empty, or larger than `LARGEST`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UnreadableFile(f"{path}: {unread(error)}") from None
    if len(data) > LARGEST:
        raise UnreadableFile(f"{path}: is larger than {LARGEST} bytes: no certificate and no list")
    if not data.strip():
        raise UnreadableFile(f"{path}: is empty; get it anew")
    return data


def contents(data: bytes) -> Contents:
    """The items in `data`, at least one; never raises, whatever it holds."""
    if b"-----BEGIN" in data:
        found: list[Value] = []
        for item in _pem_items(data):
            if len(found) == _MOST_ITEMS:
                found.append(
                    Unreadable(f"more than {_MOST_ITEMS} items: the rest is not looked at")
                )
                break
            found.append(item)
        return Contents(True, tuple(found) or (Unreadable("PEM without a whole block in it"),))
    return Contents(False, tuple(_der_items(data)))


def _pem_items(data: bytes) -> Iterator[Value]:
    for label, block in _blocks(data):
        if block is None:
            yield Unreadable(f"a PEM block {printable_value(label)} that is cut short")
        elif label in _PASSED_OVER:
            continue
        elif label in _PEM_LOADERS:
            yield from _loaded(_PEM_LOADERS[label], block, f"a PEM block {label}")
        else:
            yield Unreadable(f"a PEM block {printable_value(label)}, which is not looked at")


def _blocks(data: bytes) -> Iterator[tuple[str, bytes | None]]:
    """Each PEM block with its label, None where its END is missing; what decodes it is elsewhere.

    A block ends before the next begins, so that the whole takes one pass over hostile data too.
    """
    start = data.find(_BEGIN)
    while start >= 0:
        label_at = start + len(_BEGIN)
        following = data.find(_BEGIN, label_at)
        limit = following if following >= 0 else len(data)
        label = data[label_at : min(limit, label_at + _LONGEST_LABEL)].partition(b"-----")[0]
        mark = b"-----END " + label + b"-----"
        end = data.find(mark, label_at, limit)
        block = data[start : end + len(mark)] if end >= 0 else None
        yield label.decode("latin-1"), block
        start = following


def _der_items(data: bytes) -> Iterator[Value]:
    for loader in _DER_LOADERS:
        values = list(_loaded(loader, data, ""))
        if values and not isinstance(values[0], Unreadable):
            yield from values
            return
    yield Unreadable(_what_it_is(data))


def _loaded(loader: Callable[[bytes], list[Value]], data: bytes, what: str) -> Iterator[Value]:
    try:
        with warnings.catch_warnings():
            # Oddities of a stranger's file are no concern of standard error.
            warnings.simplefilter("ignore")
            yield from loader(data)
    except Exception as error:  # whatever decoders raise on hostile bytes
        yield Unreadable(f"{what} that cannot be decoded: {printable_value(str(error))}")


def _pem_key(data: bytes) -> list[Value]:
    return [_key(lambda: serialization.load_pem_private_key(data, None))]


def _der_key(data: bytes) -> list[Value]:
    return [_key(lambda: serialization.load_der_private_key(data, None))]


def _key(load: Callable[[], PrivateKeyTypes]) -> FoundKey:
    try:
        return FoundKey(load())
    except TypeError:
        return FoundKey(None)  # what `cryptography` raises where a passphrase is needed


def _what_it_is(data: bytes) -> str:
    start = data.lstrip()[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page: what was downloaded is not the file that was asked for"
    if data.startswith(b"0"):
        return f"DER of something else, or cut short or damaged ({len(data)} bytes)"
    return f"{len(data)} bytes that are neither PEM nor DER"


_BEGIN, _LONGEST_LABEL = b"-----BEGIN ", 64
_PASSED_OVER = ("EC PARAMETERS", "DH PARAMETERS", "PUBLIC KEY")


def _certificate(data: bytes) -> list[Value]:
    return [x509.load_pem_x509_certificate(data)]


def _request(data: bytes) -> list[Value]:
    return [x509.load_pem_x509_csr(data)]


_PEM_LOADERS: dict[str, Callable[[bytes], list[Value]]] = {
    "CERTIFICATE": _certificate,
    "X509 CERTIFICATE": _certificate,
    "CERTIFICATE REQUEST": _request,
    "NEW CERTIFICATE REQUEST": _request,
    "X509 CRL": lambda data: [x509.load_pem_x509_crl(data)],
    "PKCS7": lambda data: [*pkcs7.load_pem_pkcs7_certificates(data)],
    **dict.fromkeys(
        ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), _pem_key
    ),
}
_DER_LOADERS: tuple[Callable[[bytes], list[Value]], ...] = (
    lambda data: [x509.load_der_x509_certificate(data)],
    lambda data: [x509.load_der_x509_csr(data)],
    lambda data: [x509.load_der_x509_crl(data)],
    _der_key,
    lambda data: [*pkcs7.load_der_pkcs7_certificates(data)],
)

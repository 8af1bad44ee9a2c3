"""One list: read, verified against the CAs that may have signed it, indexed (RFC 5280, 5 and 6.3).

Knows no clock, no file and no network. What it does not understand it refuses, with the reason; it
never leaves out an entry or takes one for less than it says. An expired list is not refused: what
it revokes stays revoked, and its dates are among the facts.

This runs in a child process (`loading.py`): it holds the GIL for as long as a list is long.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import chain

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from sasgate.identity import fingerprint, printable_name
from sasgate.revocation.refusal import ListRefused, Refusal
from sasgate.revocation.scope import Scope, scope_of
from sasgate.revocation.serials import HIGHEST, LOWEST, Serials, sorted_pieces


# How far a CA's clock may be ahead of ours; OCSP answers have the same.
TOLERANCE = timedelta(seconds=300)

_MARK = b"-----BEGIN X509 CRL-----"
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNDERSTOOD = (x509.AuthorityKeyIdentifier, x509.CRLNumber, x509.IssuingDistributionPoint)
# 5.2.3: those who check lists must handle numbers of 20 octets; nobody may issue longer ones.
_HIGHEST_NUMBER = (1 << 160) - 1


@frozen
class VerifiedList:
    """What a list says, once its signature was found good.

    `issuers` are the SHA-256 of the CA certificates whose name, key and usage it was verified
    against: several where a CA was certified again with the same key. `entries` counts as the
    list does, doubles included. Dates are aware, in UTC. `sha256` is that of the list's DER;
    `signed_sha256` that of its signed part, which nobody but the CA can change (a signature by
    ECDSA has a second form that anybody can compute).
    """

    issuers: tuple[str, ...]
    issuer_name: str
    number: int
    this_update: datetime
    next_update: datetime
    entries: int
    scope: Scope
    sha256: str
    signed_sha256: str

    def expired(self, now: datetime) -> bool:
        """Whether its successor should have come; an expired list still revokes (S22)."""
        return now > self.next_update


@frozen
class LoadedList:
    """A verified list with the serials that it revokes."""

    facts: VerifiedList
    serials: Serials


class Succession(Enum):
    """How a list stands to the one that is held for the same issuer and scope."""

    NEWER = auto()
    SAME = auto()
    OLDER = auto()
    SAME_NUMBER_OTHER_CONTENT = auto()


@frozen
class Held:
    """What must be remembered of a list to judge its successors (S19)."""

    number: int
    this_update: datetime
    signed_sha256: str


def supersedes(new: VerifiedList, held: Held) -> Succession:
    """How `new` stands to `held`; only NEWER may take its place.

    A higher number with an earlier thisUpdate is OLDER too (S19): a CA that numbers anew after a
    restoration is for a person to judge.
    """
    if new.number == held.number:
        same = new.signed_sha256 == held.signed_sha256
        return Succession.SAME if same else Succession.SAME_NUMBER_OTHER_CONTENT
    if new.number < held.number or new.this_update < held.this_update:
        return Succession.OLDER
    return Succession.NEWER


def verify_list(data: bytes, authorities: Sequence[x509.Certificate], now: datetime) -> LoadedList:
    """The list in `data`, DER or PEM, if one of `authorities` signed it and all of it is clear.

    `now` is aware.

    Raises:
        ListRefused: with what is wrong; the signature is judged before what it covers.
    """
    index = bytearray()
    return LoadedList(verify_into(index.extend, data, authorities, now), Serials(index))


def verify_into(
    write: Callable[[bytes], object],
    data: bytes,
    authorities: Sequence[x509.Certificate],
    now: datetime,
) -> VerifiedList:
    """As `verify_list`; the index goes to `write` in pieces, the first after all was judged."""
    with _failing_as(Refusal.NOT_A_LIST):
        crl, der = _parsed(data)
        _require_strong(crl)
        signers = _signers(crl, der, authorities)
    with _failing_as(Refusal.MALFORMED):
        facts = _facts(crl, der, signers, now)
        pieces = sorted_pieces(_revoked(crl))
        first = next(pieces)
    for piece in chain([first], pieces):
        write(piece)
    return facts


@contextmanager
def _failing_as(kind: Refusal) -> Iterator[None]:
    """Names and extensions are decoded when looked at, each kind with errors of its own."""
    try:
        yield
    except (ListRefused, MemoryError):
        raise
    except Exception as error:
        raise ListRefused(kind, str(error)) from error


def _parsed(data: bytes) -> tuple[x509.CertificateRevocationList, bytes]:
    if not data.startswith(b"0") and _MARK in data:
        data = _der_of(data)
    try:
        return x509.load_der_x509_crl(data), data
    except (ValueError, x509.InvalidVersion) as error:
        raise ListRefused(Refusal.NOT_A_LIST, _what_it_is(data)) from error


def _der_of(pem: bytes) -> bytes:
    if pem.count(_MARK) > 1:
        raise ListRefused(
            Refusal.NOT_A_LIST, f"{pem.count(_MARK)} lists in one; each needs a file of its own"
        )
    try:
        return x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)
    except (ValueError, x509.InvalidVersion) as error:
        raise ListRefused(Refusal.NOT_A_LIST, "PEM without a whole list in it") from error


def _what_it_is(data: bytes) -> str:
    start = data.lstrip()[:64].lower()
    if not start:
        return "empty"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page"
    if start.startswith(b"-----begin"):
        return "PEM of something else"
    if start.startswith(b"0"):
        return f"DER of something else, or a list that is cut short or damaged ({len(data)} bytes)"
    return f"{len(data)} bytes that are neither DER nor PEM"


def _require_strong(crl: x509.CertificateRevocationList) -> None:
    try:
        algorithm = crl.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise ListRefused(Refusal.WEAK_SIGNATURE, str(error)) from error
    if not isinstance(algorithm, _STRONG):
        name = algorithm.name if algorithm else crl.signature_algorithm_oid.dotted_string
        raise ListRefused(Refusal.WEAK_SIGNATURE, f"the algorithm is {name}")


def _signers(
    crl: x509.CertificateRevocationList, der: bytes, authorities: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    name = printable_name(crl.issuer)
    namesakes = [ca for ca in authorities if ca.subject == crl.issuer]
    if not namesakes:
        raise ListRefused(Refusal.WRONG_ISSUER, name)
    allowed = [ca for ca in namesakes if _may_sign_lists(ca)]
    if not allowed:
        raise ListRefused(Refusal.NO_CRL_SIGN, f"{name}: keyUsage without cRLSign")
    if der[-len(crl.signature) - 1] != 0:
        raise ListRefused(Refusal.BAD_SIGNATURE, "not of whole octets")
    signed = _signed_part(der)
    signers = tuple(ca for ca in allowed if _signed_by(crl, signed, ca))
    if not signers:
        raise ListRefused(Refusal.BAD_SIGNATURE, name)
    return signers


def _may_sign_lists(ca: x509.Certificate) -> bool:
    try:
        return ca.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return False


def _signed_by(
    crl: x509.CertificateRevocationList, signed: memoryview, ca: x509.Certificate
) -> bool:
    key, how = ca.public_key(), crl.signature_algorithm_parameters
    algorithm = crl.signature_hash_algorithm
    try:
        if isinstance(key, RSAPublicKey) and isinstance(how, PSS | PKCS1v15) and algorithm:
            # Any buffer will do, whatever the stub says; a copy would be as long as the list.
            key.verify(crl.signature, signed, how, algorithm)  # type: ignore[arg-type]
        elif isinstance(key, EllipticCurvePublicKey) and isinstance(how, ECDSA):
            key.verify(crl.signature, signed, how)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _signed_part(der: bytes) -> memoryview:
    """The tbsCertList as it stands in a list that `cryptography` has parsed, header included.

    `cryptography`'s own encodes it anew: at 1 000 000 entries 450 ms instead of 20, and 67 MiB
    (93 where entries have reasons), with which the child would not stay under 130.
    """
    start, _ = _contents(der, 0)
    _, end = _contents(der, start)
    return memoryview(der)[start:end]


def _contents(der: bytes, at: int) -> tuple[int, int]:
    """Where the contents of the element at `at` begin and end (X.690, 8.1.3)."""
    length = der[at + 1]
    begin = at + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(der[begin : begin + octets], "big")
        begin += octets
    return begin, begin + length


def _facts(
    crl: x509.CertificateRevocationList,
    der: bytes,
    signers: Sequence[x509.Certificate],
    now: datetime,
) -> VerifiedList:
    extensions = crl.extensions
    scope = scope_of(extensions)
    _require_understood(extensions, _UNDERSTOOD, "of the list")
    if crl.last_update_utc > now + TOLERANCE:
        raise ListRefused(
            Refusal.FROM_THE_FUTURE, f"issued at {crl.last_update_utc:%Y-%m-%d %H:%M:%S} UTC"
        )
    if crl.next_update_utc is None:
        raise ListRefused(Refusal.NO_NEXT_UPDATE)
    return VerifiedList(
        issuers=tuple(map(fingerprint, signers)),
        issuer_name=printable_name(crl.issuer),
        number=_number(extensions),
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc,
        entries=len(crl),
        scope=scope,
        sha256=hashlib.sha256(der).hexdigest(),
        signed_sha256=hashlib.sha256(_signed_part(der)).hexdigest(),
    )


def _number(extensions: x509.Extensions) -> int:
    try:
        number = extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound as error:
        raise ListRefused(Refusal.NO_NUMBER, "rollback could not be told") from error
    if number > _HIGHEST_NUMBER:
        raise ListRefused(Refusal.MALFORMED, "a cRLNumber of more than 20 octets")
    return number


def _require_understood(
    extensions: x509.Extensions, understood: tuple[type[x509.ExtensionType], ...], where: str
) -> None:
    for extension in extensions:
        if extension.critical and not isinstance(extension.value, understood):
            raise ListRefused(
                Refusal.UNKNOWN_CRITICAL, f"extension {extension.oid.dotted_string} {where}"
            )


def _revoked(crl: x509.CertificateRevocationList) -> Iterator[int]:
    """Each entry's serial, once the entry was found to say just that: revoked.

    `cryptography` is fast enough: 1.6 s for 1 000 000 entries (2.4 where each has a reason), no
    memory beyond the list's own bytes as long as no entry is kept.
    """
    for entry in crl:
        serial = entry.serial_number
        if not LOWEST <= serial <= HIGHEST:
            raise ListRefused(Refusal.MALFORMED, "an entry's serial of more than 20 octets")
        if len(entry.extensions):
            _require_plain(entry)
        yield serial


def _require_plain(entry: x509.RevokedCertificate) -> None:
    where = f"of the entry {entry.serial_number:X}"
    for extension in entry.extensions:
        match extension.value:
            case x509.CertificateIssuer():
                raise ListRefused(Refusal.INDIRECT, f"certificateIssuer {where}")
            # 5.3.1 allows it in deltas only. To count the entry would shut out somebody whom the
            # CA let in again, to pass over it would admit somebody on its list: so neither.
            case x509.CRLReason(reason=x509.ReasonFlags.remove_from_crl):
                raise ListRefused(Refusal.MALFORMED, f"reason removeFromCRL {where}")
    _require_understood(entry.extensions, (x509.CRLReason, x509.InvalidityDate), where)

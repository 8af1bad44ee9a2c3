"""Verified lists kept on disk with their provenance, so that a restart needs no network (S28).

Two files a list: `NAME.crl`, its DER, and `NAME.json`, a `Record`. The list is replaced first, so a
crash in between leaves a newer list beside an older record; nothing here is believed before the
list was verified anew. All of this blocks: the store calls it in a thread.
"""

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sasgate.atomic import replacing
from sasgate.identity import fingerprint
from sasgate.revocation.answer import facts_of, plain_facts
from sasgate.revocation.crl import Held, VerifiedList
from sasgate.revocation.download import Validators
from sasgate.revocation.scope import Scope
from sasgate.trusted_files import (
    Untrusted,
    check_folder,
    opened_folder,
    own_users,
    read_trusted,
)


# Within the state folder.
FOLDER = "crl"

_VERSION = 1
_FILE_MODE, _FOLDER_MODE = 0o640, 0o750
_LARGEST_RECORD = 1 << 20
_LONGEST_ERROR = 1000
_PIECE = 1 << 20
_OFFSET = "offset"
_LONGEST_OFFSET = timedelta(hours=24)
_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z]+")


@frozen
class Key:
    """What a list can be replaced within: the signer's name and key, and the scope (S19, S20)."""

    issuer: str
    spki: str
    scope: Scope

    @property
    def name(self) -> str:
        """That of its files, without suffix."""
        exact = [self.issuer, self.spki, [self.scope.leaves, self.scope.authorities]]
        digest = hashlib.sha256(json.dumps([*exact, self.scope.points]).encode()).hexdigest()
        common = self.issuer.removeprefix("CN=").partition(",")[0]
        return f"{_NOT_IN_NAMES.sub('-', common)[:60].strip('-')}-{digest[:16]}"


def key_of(facts: VerifiedList, authorities: Collection[x509.Certificate]) -> Key:
    """The key of a list that was verified against some of `authorities`.

    Raises:
        LookupError: it was verified against others.
    """
    for ca in authorities:
        if fingerprint(ca) in facts.issuers:
            return Key(facts.issuer_name, spki_of(ca), facts.scope)
    raise LookupError(f"none of the CAs signed list {facts.number} of {facts.issuer_name}")


def spki_of(certificate: x509.Certificate) -> str:
    """The SHA-256 of a certificate's public key, as DER."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).hexdigest()


@frozen
class Record:
    """Where a kept list comes from, and what must be remembered of it; dates are aware.

    `spki` is of the key that signed it. `held` is what its successors are judged by, None after
    `forget`. `error` is the last one of its source since that last answered well, "" if none.
    """

    source: str
    spki: str
    fetched: datetime
    checked: datetime | None
    validators: Validators
    interval: timedelta | None
    facts: VerifiedList
    held: Held | None
    error: str = ""
    error_at: datetime | None = None

    @property
    def key(self) -> Key:
        """What it can be replaced within."""
        return Key(self.facts.issuer_name, self.spki, self.facts.scope)


@frozen
class Kept:
    """What is on the shelf under one name; `record` None where it could not be read."""

    path: Path
    record: Record | None


class Shelf:
    """A folder of kept lists, the daemon's `<state>/crl`; everything here may raise OSError.

    `owners` are the users whose records are believed, by default root and this process's own.
    """

    def __init__(self, folder: Path, owners: frozenset[int] | None = None) -> None:
        self.folder = folder
        self._owners = own_users() if owners is None else owners

    def prepare(self) -> None:
        """Make the folder, for the service alone to write, and clear what a crash left.

        Where somebody else could have put another in its place, an older list that is still valid
        might lie there, without the record that tells it from the last one (S19): PermissionError.
        """
        self.folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        try:
            self._close_to_others()
        except Untrusted as error:
            raise PermissionError(errno.EACCES, str(error), str(self.folder)) from error
        for path in self.folder.iterdir():
            if path.name.startswith(".") and path.is_file():
                path.unlink(missing_ok=True)

    def _close_to_others(self) -> None:
        with opened_folder(self.folder.parent) as parent:
            check_folder(parent, self._owners)
        with opened_folder(self.folder, follow=False) as folder:
            if any(self.folder.iterdir()):
                check_folder(folder, self._owners)
            if stat.S_IMODE(os.fstat(folder).st_mode) & ~_FOLDER_MODE:
                os.fchmod(folder, _FOLDER_MODE)
            check_folder(folder, self._owners)

    def read(self) -> tuple[list[Kept], list[str]]:
        """What is kept, and what was wrong with the rest, a text a file."""
        names = sorted({path.stem for path in self.folder.iterdir() if _is_ours(path)})
        faults: list[str] = []
        kept = []
        for name in names:
            path, record = self.path_of(name), None
            try:
                record = self._record(name)
            except FileNotFoundError:
                faults.append(f"{path}: what is known of it is missing")
            except (OSError, Untrusted, ValueError) as error:
                faults.append(f"{path.with_suffix('.json')}: {error}")
            # Whatever its record says, a list can be verified on its own.
            if record is not None or path.exists():
                kept.append(Kept(path, record))
        return kept, faults

    def path_of(self, name: str) -> Path:
        """Where the list of a `Key.name` is."""
        return self.folder / f"{name}.crl"

    def open(self, path: Path) -> BinaryIO:
        """A kept list."""
        return open_regular(path, os.O_NOFOLLOW)

    def put(self, record: Record, source: int) -> None:
        """Keep the list in the descriptor `source`, DER or PEM, with its record.

        Raises:
            ValueError: its content is no longer the one that was verified.
        """
        with replacing(self.path_of(record.key.name), _FILE_MODE) as file:
            digest = hashlib.sha256()
            for piece in _pieces(source):
                file.write(piece)
                digest.update(piece)
            if digest.hexdigest() != record.facts.sha256:
                file.seek(0)
                file.truncate()
                file.write(_der_of(source, record.facts.sha256))
        self.note(record)

    def note(self, record: Record) -> None:
        """Keep the record alone."""
        with replacing(self.folder / f"{record.key.name}.json", _FILE_MODE) as file:
            file.write(_encode(record))

    def offset(self) -> timedelta | None:
        """The installation's, None where none was drawn.

        Raises:
            ValueError: what is there is none.
        """
        try:
            text = self._read(_OFFSET)
        except FileNotFoundError:
            return None
        except Untrusted as error:
            raise ValueError(str(error)) from error
        try:
            offset = timedelta(seconds=float(text))
        except OverflowError as error:
            raise ValueError(str(error)) from error
        if not timedelta() <= offset <= _LONGEST_OFFSET:
            raise ValueError(f"{offset} is not within a day")
        return offset

    def set_offset(self, offset: timedelta) -> None:
        """Keep the installation's."""
        with replacing(self.folder / _OFFSET, _FILE_MODE) as file:
            file.write(f"{offset.total_seconds()}\n".encode())

    def _record(self, name: str) -> Record:
        record = _decode(self._read(f"{name}.json"))
        if record.key.name != name:
            raise ValueError(f"speaks of {record.key.name}")
        return record

    def _read(self, name: str) -> bytes:
        with opened_folder(self.folder) as folder:
            return read_trusted(folder, name, _LARGEST_RECORD, self._owners)


def open_regular(path: Path, flags: int = 0) -> BinaryIO:
    """A regular file for reading; whatever else is there never makes anybody wait.

    Raises:
        OSError: there is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def _is_ours(path: Path) -> bool:
    return path.suffix in {".crl", ".json"} and not path.name.startswith(".")


def _pieces(source: int) -> Iterator[bytes]:
    at = 0
    while piece := os.pread(source, _PIECE, at):
        yield piece
        at += len(piece)


def _der_of(source: int, sha256: str) -> bytes:
    content = b"".join(_pieces(source))
    try:
        der = x509.load_pem_x509_crl(content).public_bytes(Encoding.DER)
    except ValueError as error:
        raise ValueError("changed since it was verified") from error
    if hashlib.sha256(der).hexdigest() != sha256:
        raise ValueError("changed since it was verified")
    return der


def _encode(record: Record) -> bytes:
    held, interval = record.held, record.interval
    plain = {
        "version": _VERSION,
        "source": record.source,
        "spki": record.spki,
        "fetched": record.fetched.isoformat(),
        "checked": None if record.checked is None else record.checked.isoformat(),
        "etag": record.validators.etag,
        "last_modified": record.validators.last_modified,
        "interval": None if interval is None else interval.total_seconds(),
        "facts": plain_facts(record.facts),
        "held": (
            None
            if held is None
            else [held.number, held.this_update.isoformat(), held.signed_sha256]
        ),
        "error": record.error[:_LONGEST_ERROR],
        "error_at": None if record.error_at is None else record.error_at.isoformat(),
    }
    return json.dumps(plain, indent=1).encode() + b"\n"


def _decode(content: bytes) -> Record:
    try:
        plain = json.loads(content)
        if plain["version"] != _VERSION:
            raise ValueError(f"version {plain['version']!r} is not known")
        held = plain["held"]
        return Record(
            source=_text(plain["source"]),
            spki=_text(plain["spki"]),
            fetched=_instant(plain["fetched"]),
            checked=None if plain["checked"] is None else _instant(plain["checked"]),
            validators=Validators(_maybe_text(plain["etag"]), _maybe_text(plain["last_modified"])),
            interval=None if plain["interval"] is None else timedelta(seconds=plain["interval"]),
            facts=facts_of(plain["facts"]),
            held=None if held is None else _held(*held),
            error=_text(plain["error"]),
            error_at=None if plain["error_at"] is None else _instant(plain["error_at"]),
        )
    except (KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"is no record of a list: {error!r}") from error


def _held(number: Any, this_update: Any, signed_sha256: Any) -> Held:
    if type(number) is not int:
        raise ValueError(f"{number!r} is no number of a list")
    return Held(number, _instant(this_update), _text(signed_sha256))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _maybe_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _instant(value: Any) -> datetime:
    instant = datetime.fromisoformat(_text(value))
    if instant.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    return instant

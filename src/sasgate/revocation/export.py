"""The verified lists as files for a neighbouring nginx or Apache.

nginx (`ssl_crl`) takes one PEM with the lists of all CAs of the chain, the root's among them, and
refuses every client where one is missing. Apache (`SSLCARevocationPath`, `SSLCARevocationCheck
chain`) takes a folder in OpenSSL's form, `<hash of the issuer's name>.rN` from N = 0 without a gap.
Both read them when they are started or reloaded, and verify them again.

A list is streamed from its file, 48 KiB at a time: a million entries have 35 MB. All of this
blocks, so the daemon calls it in a thread.
"""

import hashlib
import os
import re
import stat
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from itertools import chain, count
from pathlib import Path

from attrs import field, frozen
from cryptography import x509
from OpenSSL.crypto import X509

from sasgate.atomic import replacing
from sasgate.revocation.crl import VerifiedList


# Which names of the folder are ours, each with the SHA-256 of its list's DER. It is replaced after
# everything else, so whoever watches it sees a folder that is complete.
MANIFEST = ".sasgate-lists"

_MODE = 0o644
_LINE = 48  # bytes in a line of PEM (RFC 7468, 2: 64 characters)
_PIECE = 1024 * _LINE
_OURS = re.compile(r"([0-9a-f]{8}\.r\d{1,6}) (\S+)")
_LARGEST_MANIFEST = 1 << 20
_BEING_WRITTEN = "-"


class NotExported(Exception):
    """What is wrong, and of which file; what was there before is still there, whole."""


@frozen
class Exportable:
    """A verified list: one of the CAs that it was verified against, what it says, its DER.

    `source` is the DER itself, or better the file that holds it.
    """

    authority: x509.Certificate = field(repr=False)
    facts: VerifiedList
    source: bytes | Path = field(repr=False)


@frozen
class Export:
    """Where lists are written to; None where they are not."""

    pem: Path | None
    hash_dir: Path | None

    def write(self, lists: Iterable[Exportable]) -> None:
        """Write to both places, the second also where the first fails.

        Raises:
            NotExported: with all that went wrong.
        """
        lists, faults = tuple(lists), []
        for place, write in ((self.pem, write_pem), (self.hash_dir, write_hash_dir)):
            try:
                if place is not None:
                    write(place, lists)
            except NotExported as error:
                faults.append(str(error))
        if faults:
            raise NotExported("; ".join(faults))


def newest(lists: Iterable[Exportable]) -> tuple[Exportable, ...]:
    """Of each CA and scope the list with the highest number, in an order that stays."""
    chosen = {
        (issuer, each.facts.scope): each
        for each in sorted(lists, key=lambda each: (each.facts.number, each.facts.this_update))
        for issuer in each.facts.issuers
    }
    distinct = {each.facts.sha256: each for each in chosen.values()}
    return tuple(sorted(distinct.values(), key=_place))


def write_pem(path: Path, lists: Iterable[Exportable]) -> None:
    """Write the newest list of each CA and scope to one file, 0644, if it doesn't hold just them.

    Raises:
        NotExported: it can't be written, or there is no list: nginx takes no file without one.
    """
    chosen = _some(path, lists)
    with _naming(path):
        _write(path, lambda: chain.from_iterable(map(_pem, chosen)))


def write_hash_dir(folder: Path, lists: Iterable[Exportable]) -> None:
    """Write the newest list of each CA and scope to a folder, which is made where absent.

    Names that an earlier call wrote and that are no longer needed are removed; files of others
    are left alone, whatever their names.

    Raises:
        NotExported: something can't be written, or there is no list.
    """
    chosen = _some(folder, lists)
    with _naming(folder):
        _make(folder)
        ours = _read_manifest(folder)
        named = _named(folder, chosen, ours)
        if new := named.keys() - ours.keys():
            # Should we die half-way, the next call still knows what is ours.
            _write_manifest(folder, {**ours, **dict.fromkeys(new, _BEING_WRITTEN)})
        for name, each in named.items():
            _write(folder / name, partial(_pem, each))
        for name in ours.keys() - named.keys():
            (folder / name).unlink(missing_ok=True)
        _write_manifest(folder, {name: each.facts.sha256 for name, each in named.items()})


def _place(each: Exportable) -> tuple[object, ...]:
    scope = each.facts.scope
    return each.facts.issuer_name, each.facts.issuers, scope.leaves, scope.authorities, scope.points


def _some(path: Path, lists: Iterable[Exportable]) -> tuple[Exportable, ...]:
    chosen = newest(lists)
    if not chosen:
        raise NotExported(f"{path}: not written, since there is no verified list")
    return chosen


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turns what the system says into what is wrong with which file."""
    try:
        yield
    except OSError as error:
        raise NotExported(f"{error.filename or path}: {error.strerror}") from error


def _named(
    folder: Path, lists: Sequence[Exportable], ours: Mapping[str, str]
) -> dict[str, Exportable]:
    """The name of each list: the first of its hash that is ours, or nobody's."""
    named: dict[str, Exportable] = {}
    for each in lists:
        stem = f"{X509.from_cryptography(each.authority).subject_name_hash():08x}"
        names = (f"{stem}.r{number}" for number in count())
        free = (
            name
            for name in names
            if name not in named and (name in ours or not os.path.lexists(folder / name))
        )
        named[next(free)] = each
    return named


def _make(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir()
        # Apache looks into it as another user, at a handshake; a daemon's umask would forbid it.
        folder.chmod(0o755)


def _read_manifest(folder: Path) -> dict[str, str]:
    """What an earlier call wrote; only names that could be ours are believed."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            lines = file.read(_LARGEST_MANIFEST).decode("ascii", "replace").splitlines()
    except FileNotFoundError:
        return {}
    return {match[1]: match[2] for line in lines if (match := _OURS.fullmatch(line))}


def _write_manifest(folder: Path, ours: Mapping[str, str]) -> None:
    text = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(ours.items()))
    _write(folder / MANIFEST, lambda: iter([text.encode("ascii")]))


def _write(path: Path, content: Callable[[], Iterator[bytes]]) -> None:
    """Replace a file, unless it is the same already: a change wakes whoever watches it."""
    if _is(path, content()):
        return
    with replacing(path, _MODE) as file:
        for piece in content():
            file.write(piece)


def _is(path: Path, content: Iterator[bytes]) -> bool:
    try:
        if path.lstat().st_mode != stat.S_IFREG | _MODE:
            return False
        with path.open("rb") as file:
            return all(file.read(len(piece)) == piece for piece in content) and not file.read(1)
    except OSError:
        return False


def _pem(each: Exportable) -> Iterator[bytes]:
    # Not by `cryptography`, which would parse it all again and hold it three times.
    yield b"-----BEGIN X509 CRL-----\n"
    for piece in _der(each):
        lines = (piece[at : at + _LINE] for at in range(0, len(piece), _LINE))
        yield b"".join(map(b2a_base64, lines))
    yield b"-----END X509 CRL-----\n"


def _der(each: Exportable) -> Iterator[bytes]:
    """The list in pieces of whole lines.

    Raises:
        NotExported: at its end, where it is not the list that was verified.
    """
    digest = hashlib.sha256()
    for piece in _pieces(each.source):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != each.facts.sha256:
        where = each.source if isinstance(each.source, Path) else each.facts.issuer_name
        raise NotExported(f"{where}: is no longer the list that was verified")


def _pieces(source: bytes | Path) -> Iterator[bytes]:
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece

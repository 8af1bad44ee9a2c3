"""Small files that decide something: read only where nobody else can have written them.

All is done on descriptors, so that what was checked is what is read.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Untrusted(Exception):
    """A file or a folder that others could have written, or that is no plain file; says why."""


def own_users() -> frozenset[int]:
    """The users whose files are believed: root, and whoever this process runs as."""
    return frozenset({0, os.geteuid()})


@contextmanager
def opened_folder(path: Path, *, follow: bool = True) -> Iterator[int]:
    """A descriptor of the folder at `path`; `follow` lets it be a symbolic link.

    systemd makes a link of the state folder of a unit with DynamicUser.

    Raises:
        OSError: it cannot be opened.
    """
    link = 0 if follow else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | link | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def check_folder(folder: int, owners: frozenset[int]) -> None:
    """Pass where only `owners` can put files into an opened folder.

    Raises:
        Untrusted: others can.
    """
    try:
        _check_access(os.fstat(folder), owners)
    except Untrusted as error:
        raise Untrusted(f"its folder {error}") from None


def read_trusted(folder: int, name: str, limit: int, owners: frozenset[int]) -> bytes:
    """The contents of a plain file, at most `limit` bytes, that only `owners` can have written.

    Raises:
        FileNotFoundError: there is none.
        Untrusted: it is something else, or cannot be read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        link = error.errno == errno.ELOOP
        raise Untrusted("is a symbolic link" if link else os.strerror(error.errno or 0)) from None
    try:
        return _read(descriptor, limit, owners)
    finally:
        os.close(descriptor)


def _read(descriptor: int, limit: int, owners: frozenset[int]) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise Untrusted("is no plain file")
    _check_access(status, owners)
    if status.st_nlink != 1:
        raise Untrusted(f"has {status.st_nlink} names (hard links)")
    content = b""
    try:
        while len(content) <= limit and (more := os.read(descriptor, limit + 1 - len(content))):
            content += more
    except OSError as error:
        raise Untrusted(f"cannot be read: {error.strerror}") from None
    if len(content) > limit:
        raise Untrusted(f"has more than {limit} bytes")
    return content


def _check_access(status: os.stat_result, owners: frozenset[int]) -> None:
    if status.st_uid not in owners:
        raise Untrusted(f"belongs to uid {status.st_uid}, neither root nor the service")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Untrusted(f"can be written by others (mode {stat.S_IMODE(status.st_mode):04o})")

"""Files that are made anew: never over another one, and a secret is never open to others (S57)."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from attrs import field, frozen

from sasgate.atomic import sync_folder


# Others may read certificates, as far as the umask lets them.
_PUBLIC = 0o644
SECRET = 0o600
SECRET_OF_A_GROUP = 0o640


class NotWritten(Exception):
    """A file that could not be made; names it, the reason and the way out."""


@frozen
class NewFile:
    """A file to be made. A `mode` is exact, whatever the umask; None is for what anybody may read.

    `group` (a gid) is given the file where it is not None.
    """

    path: Path
    content: bytes = field(repr=False)
    mode: int | None = None
    group: int | None = None


def write_new(*files: NewFile) -> None:
    """Write all of these files, and on the disk, or none; whatever is there already stays.

    A symbolic link at one of the paths, dangling or not, counts as there.

    Raises:
        NotWritten: one of them is there, or cannot be made.
    """
    with ExitStack() as stack:
        made = [(file, stack.enter_context(_created(file))) for file in files]
        for file, descriptor in made:
            with _named(file.path):
                _fill(descriptor, file)
        for folder in {file.path.parent for file in files}:
            with _named(folder):
                sync_folder(folder)


@contextmanager
def _created(file: NewFile) -> Iterator[int]:
    """A descriptor of the file, empty and closed to others; it is gone after any exception."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _named(file.path):
        descriptor = os.open(file.path, flags, _PUBLIC if file.mode is None else SECRET)
    try:
        yield descriptor
    except BaseException:
        with suppress(OSError):
            _remove(file.path, os.fstat(descriptor))
        raise
    finally:
        os.close(descriptor)


def _fill(descriptor: int, file: NewFile) -> None:
    if file.group is not None:
        os.fchown(descriptor, -1, file.group)
    if file.mode is not None:
        os.fchmod(descriptor, file.mode)
        found = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if found & ~file.mode:
            raise OSError(errno.EPERM, f"the file system makes its mode {found:04o}")
    with os.fdopen(descriptor, "wb", closefd=False) as stream:
        stream.write(file.content)
    os.fsync(descriptor)


def _remove(path: Path, ours: os.stat_result) -> None:
    there = path.lstat()
    if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
        path.unlink()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise NotWritten(
            f"{path}: is there already, and is never overwritten; move it away, or write elsewhere"
        ) from None
    except FileNotFoundError:
        raise NotWritten(
            f"{path}: its folder does not exist; run: mkdir -m 0700 {path.parent}"
        ) from None
    except OSError as error:
        raise NotWritten(
            f"{path}: cannot be written: {error.strerror}; choose another folder"
        ) from None

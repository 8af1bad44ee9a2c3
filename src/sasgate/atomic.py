"""Files that others read at any moment: the old one or the new one, never a half (S28)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO


@contextmanager
def replacing(path: Path, mode: int) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path`, with `mode`, once all of it is on disk.

    Until then it has a hidden name in the same folder, which no other writer has; after any
    exception it is gone. Where `path` is a symbolic link, the link is what is replaced.

    Raises:
        OSError: it can't be written; `path` is as it was.
    """
    new = path.with_name(f".{path.name}.{token_hex(4)}")
    with _replacing(str(path), str(new), mode) as file:
        yield file
    sync_folder(path.parent)


def write_atomically(folder: int, name: str, content: bytes, mode: int) -> None:
    """Put `content` in place of the file `name` of an opened folder, for its only writer.

    Until then it is called `.NAME.new`; so is what a crash left, which is removed first.

    Raises:
        OSError: it could not; whatever was there still is.
    """
    new = f".{name}.new"
    with suppress(FileNotFoundError):
        os.unlink(new, dir_fd=folder)
    with _replacing(name, new, mode, folder) as file:
        file.write(content)
    os.fsync(folder)


@contextmanager
def _replacing(name: str, new: str, mode: int, folder: int | None = None) -> Iterator[BinaryIO]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(new, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(new, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(new, dir_fd=folder)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

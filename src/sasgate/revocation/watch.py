"""Files and folders that lists come from: what is there, and whether it is still the same.

A file is told from its successor by everything that stat knows (S27), and what was read of it
counts only where that was the same before and after (S28).
"""

import os
from pathlib import Path

from attrs import frozen

from sasgate.failures import unread


class UnusableSource(Exception):
    """A file or folder of lists that cannot be used; says why (S1)."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@frozen
class Mark:
    """What changes when a file is replaced or written to, whatever its mtime says."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Mark":
        """The mark in what stat says."""
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )


def is_url(source: str) -> bool:
    """Whether a source is fetched; otherwise it is the path of a file or a folder."""
    return "://" in source


def mark_at(path: Path) -> Mark | None:
    """The mark of the file at `path`, symbolic links followed; None where there is none."""
    try:
        return Mark.of(path.stat())
    except OSError:
        return None


def files_of(source: Path) -> tuple[Path, ...]:
    """The files of a source: itself, or in a folder every regular file that isn't hidden.

    Raises:
        UnusableSource: it can't be read, or is a folder without a file.
    """
    try:
        if not source.is_dir():
            source.stat()
            return (source,)
        files = sorted(path for path in source.iterdir() if _may_be_a_list(path))
    except OSError as error:
        raise UnusableSource(source, unread(error)) from error
    if not files:
        raise UnusableSource(source, "is a folder without a list in it")
    return tuple(files)


def _may_be_a_list(path: Path) -> bool:
    # Some ways of publishing leave `.name.tmp` or `..data` beside the real ones.
    return not path.name.startswith(".") and path.is_file()

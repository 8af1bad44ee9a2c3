"""Files that are made anew: all or none, never over another, never open to others (S57)."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from command_line import mode_of, not_writable, umask
from sasgate.new_files import SECRET, SECRET_OF_A_GROUP, NewFile, NotWritten, write_new


MASKS = (0o000, 0o022, 0o077, 0o777)


def secret(path: Path, content: bytes = b"secret") -> NewFile:
    return NewFile(path, content, SECRET)


def not_written(*files: NewFile) -> str:
    with pytest.raises(NotWritten) as caught:
        write_new(*files)
    return str(caught.value)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("mode", [SECRET, SECRET_OF_A_GROUP])
def test_a_mode_is_exact_whatever_the_umask(tmp_path: Path, mask: int, mode: int) -> None:
    with umask(mask):
        write_new(NewFile(tmp_path / "key", b"secret", mode))
    assert mode_of(tmp_path / "key") == mode


@pytest.mark.parametrize("mask", MASKS)
def test_what_is_public_follows_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        write_new(NewFile(tmp_path / "csr", b"public"))
    assert mode_of(tmp_path / "csr") == 0o644 & ~mask


def test_a_secret_is_empty_until_it_has_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    fchmod = os.fchmod

    def watched(descriptor: int, mode: int) -> None:
        status = os.fstat(descriptor)
        seen.append((status.st_mode & 0o777, status.st_size))
        fchmod(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", watched)
    with umask(0):
        write_new(NewFile(tmp_path / "key", b"secret", SECRET_OF_A_GROUP))
    assert seen == [(0o600, 0)]


def test_a_file_system_that_gives_more_than_the_mode_gets_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fchmod = os.fchmod
    monkeypatch.setattr(os, "fchmod", lambda descriptor, _: fchmod(descriptor, 0o644))
    assert "the file system makes its mode 0644" in not_written(secret(tmp_path / "key"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", ["a", "b"])
def test_what_is_there_stays_and_nothing_is_added(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_bytes(b"older")
    said = not_written(secret(tmp_path / "a"), NewFile(tmp_path / "b", b"public"))
    assert f"{tmp_path / there}: is there already, and is never overwritten" in said
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {there: b"older"}


@pytest.mark.parametrize("dangling", [True, False])
def test_a_symbolic_link_is_not_followed(tmp_path: Path, dangling: bool) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    if not dangling:
        target.write_bytes(b"older")
    link.symlink_to(target)
    assert "is there already" in not_written(secret(link))
    assert link.is_symlink()
    assert (target.read_bytes() if target.exists() else None) == (None if dangling else b"older")


def test_a_folder_in_the_place_of_the_file_stays(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    assert "is there already" in not_written(secret(tmp_path / "key"))


def test_a_folder_that_is_a_link_may_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_new(secret(tmp_path / "link" / "key"))
    assert (tmp_path / "real" / "key").read_bytes() == b"secret"


def test_a_missing_folder_is_named_with_the_way_out(tmp_path: Path) -> None:
    said = not_written(secret(tmp_path / "no" / "key"))
    assert f"its folder does not exist; run: mkdir -m 0700 {tmp_path / 'no'}" in said


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in not_written(secret(tmp_path / "file" / "key"))


def test_a_folder_without_the_right_to_write_is_named(tmp_path: Path) -> None:
    with not_writable(tmp_path):
        said = not_written(secret(tmp_path / "key"))
    assert "cannot be written: Permission denied; choose another folder" in said
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    said = not_written(secret(tmp_path / "a"), NewFile(tmp_path / "b", b"public"))
    assert f"{tmp_path / 'a'}: cannot be written: No space left" in said
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_new(secret(tmp_path / "a"), secret(tmp_path / "b"))
    assert not list(tmp_path.iterdir())


def test_what_another_put_there_meanwhile_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"

    def replaced(_: int) -> None:
        (tmp_path / "other").write_bytes(b"another's")
        (tmp_path / "other").replace(path)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", replaced)
    not_written(secret(path))
    assert path.read_bytes() == b"another's"


def test_of_several_at_once_one_writes_and_the_others_are_refused(tmp_path: Path) -> None:
    count = 8
    start = Barrier(count)

    def write(number: int) -> bool:
        start.wait()
        try:
            write_new(secret(tmp_path / "key", b"%d" % number * 100_000))
        except NotWritten:
            return False
        return True

    with ThreadPoolExecutor(count) as pool:
        wrote = list(pool.map(write, range(count)))
    assert wrote.count(True) == 1
    assert (tmp_path / "key").read_bytes() == b"%d" % wrote.index(True) * 100_000


def test_content_is_in_no_repr(tmp_path: Path) -> None:
    """S57."""
    assert "secret" not in repr(secret(tmp_path / "key"))

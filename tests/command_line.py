"""The `sasgate` command run in this process, and OpenSSL as the independent reader of its files."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from openssl import program
from processes import PATIENCE
from sasgate.commands import main


def sasgate(*arguments: object) -> Result:
    """One run; no exception but the ordered end may come out, and no private key."""
    result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert "Traceback" not in result.output
    assert "PRIVATE KEY" not in result.output
    return result


def done(*arguments: object) -> Result:
    result = sasgate(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: object) -> str:
    """What standard error says of a run that ends with 1."""
    result = sasgate(*arguments)
    assert result.exit_code == 1, result.output
    return result.stderr


def openssl(*arguments: object, stdin: bytes = b"") -> str:
    """Both outputs of an `openssl` that must succeed."""
    result = subprocess.run(
        [program("openssl"), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    said = (result.stdout + result.stderr).decode("utf-8", "backslashreplace")
    assert result.returncode == 0, said
    return said


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def not_writable(folder: Path) -> Iterator[None]:
    """The folder cannot be written to, not by root either, who becomes nobody meanwhile."""
    folder.chmod(0o500)
    nobody = os.geteuid() == 0
    if nobody:
        os.seteuid(65534)
    try:
        yield
    finally:
        if nobody:
            os.seteuid(0)
        folder.chmod(0o700)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777

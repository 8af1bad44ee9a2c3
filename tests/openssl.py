"""OpenSSL's own client, a TLS that neither Python nor Twisted had a hand in."""

import shutil
import subprocess
import threading
from contextlib import suppress

import pytest

from processes import PATIENCE
from sasgate.lab.pki import Lab


REQUEST = "GET /check HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def program(name: str) -> str:
    """The path of a program; skips where it is absent."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    return path


def s_client(
    lab: Lab, port: int, *options: object, client: str | None = "recette", send: str = REQUEST
) -> str:
    """Everything that `openssl s_client` says of one connection, the answer included."""
    result = subprocess.run(
        _command(lab, port, client, "-ign_eof", *options),
        input=send,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=PATIENCE,
        check=False,
    )
    return result.stdout + result.stderr


def dialogue(lab: Lab, port: int, *options: object, command: str, seen: str) -> str:
    """The same, of a client that is given a command of its own, `R` or `K`, and then a request.

    The request is sent once `seen` was said; all is read until the connection ends.
    """
    with subprocess.Popen(
        _command(lab, port, "recette", *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        said = b""
        process.stdin.write(command.encode())
        while piece := process.stdout.read(4096):
            said += piece
            if seen.encode() in said:
                break
        with suppress(BrokenPipeError):
            process.stdin.write(REQUEST.encode())
        while piece := process.stdout.read(4096):
            said += piece
        watchdog.cancel()
    return said.decode("ascii", "backslashreplace")


def _command(lab: Lab, port: int, client: str | None, *options: object) -> list[str]:
    credentials: tuple[object, ...] = ()
    if client is not None:
        pem = lab.path_of(client)
        credentials = ("-cert", pem, "-key", pem)
    command = (
        program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost",
        "-CAfile", lab.public_root, *credentials, *options,
    )  # fmt: skip
    return [str(part) for part in command]


def curl(lab: Lab, url: str, *options: object, client: str | None = "recette") -> str:
    """What `curl` says: the answer's status line, head and body."""
    pem: tuple[object, ...] = ()
    if client is not None:
        pem = ("--cert", lab.path_of(client))
    command = (program("curl"), "-q", "-s", "-S", "-i", "--noproxy", "*", "--cacert",
               lab.public_root, *pem, *options, url)  # fmt: skip
    result = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return result.stdout + result.stderr

"""The question to the admin endpoint of a configuration, by TCP or a UNIX socket."""

import json
import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from sasgate.admin.data import FORMAT
from sasgate.commands.deadline import within
from sasgate.config import load_admin
from sasgate.config.endpoints import Endpoint
from sasgate.errors import ConfigError


_LARGEST = 16 * 1024 * 1024


class NoStatus(Exception):
    """There is no status; says why and the way out."""


def fetch(config: Path, timeout: float) -> dict[str, Any]:
    """The status of a configuration's daemon, as `/status.json` gives it.

    Raises:
        NoStatus: no daemon answers, or not with a status.
    """
    try:
        admin = load_admin(config)
    except ConfigError as error:
        raise NoStatus(str(error.faults[0])) from None
    if admin is None:
        raise NoStatus(f"{config} names no admin endpoint; write: admin = {_EXAMPLE}")
    try:
        found: Any = json.loads(within(timeout, lambda: _asked(admin, timeout)))
    except (OSError, HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise NoStatus(
            f"no daemon answers at {admin.text}: {reason}; look at: systemctl status sasgate"
        ) from None
    except (ValueError, RecursionError):
        raise NoStatus(f"what answers at {admin.text} is no sasgate") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise NoStatus(f"what answers at {admin.text} is no sasgate of this version")
    return found


_EXAMPLE = "tcp:9180:interface=127.0.0.1"


def _asked(admin: Endpoint, timeout: float) -> bytes:
    with socket.socket(*_family(admin)) as line:
        line.settimeout(timeout)
        line.connect(_address(admin))
        connection = HTTPConnection("localhost", timeout=timeout)
        connection.sock = line
        connection.request("GET", "/status.json", headers={"Connection": "close"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise NoStatus(f"{admin.text} answers {answer.status}")
        return answer.read(_LARGEST)


def _family(admin: Endpoint) -> tuple[socket.AddressFamily, socket.SocketKind]:
    if admin.kind == "unix":
        return socket.AF_UNIX, socket.SOCK_STREAM
    if admin.kind != "tcp":
        raise NoStatus(f"{admin.text} does not say where it is; use curl --unix-socket PATH")
    if admin.place[1] == "0":
        raise NoStatus(f"{admin.text} has another port at each start; name one")
    wide = ":" in admin.place[0]
    return socket.AF_INET6 if wide else socket.AF_INET, socket.SOCK_STREAM


def _address(admin: Endpoint) -> str | tuple[str, int]:
    return admin.place[0] if admin.kind == "unix" else (admin.place[0], int(admin.place[1]))

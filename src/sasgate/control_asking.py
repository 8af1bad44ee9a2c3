"""How a command asks the running daemon; blocks, for commands alone."""

import os
import pwd
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sasgate.atomic import write_atomically
from sasgate.control_messages import (
    ANSWER,
    FOLDER,
    LARGEST_ANSWER,
    REQUEST,
    Answer,
    Malformed,
    Request,
    decode_answer,
    encode_request,
    file_name,
)
from sasgate.trusted_files import (
    Untrusted,
    check_folder,
    opened_folder,
    read_trusted,
)


# Seconds in which a daemon that runs takes a request; in which it ends most of them.
TAKEN_WITHIN = 5.0
ANSWERED_WITHIN = 30.0

_POLL = 0.05
# The service's user must be able to read what root writes, whatever root's umask.
_MODE = 0o644


class NotAnswered(Exception):
    """No answer; `taken` where a daemon took the request, so that it may yet be obeyed."""

    def __init__(self, reason: str, *, taken: bool = False) -> None:
        super().__init__(reason)
        self.taken = taken


def ask(
    state: Path,
    command: str,
    arguments: Mapping[str, Any],
    timeout: float = TAKEN_WITHIN,
    patience: float = ANSWERED_WITHIN,
) -> Answer:
    """The answer of the daemon whose state folder is `state`.

    `timeout` is how many seconds a daemon has to take the request, which is withdrawn otherwise;
    `patience` how many it has for its answer, from the beginning.

    Raises:
        NotAnswered: none came; unless it was taken, nothing has happened and nothing will.
    """
    request = Request(command, arguments, who(), datetime.now(UTC))
    path = state / FOLDER
    try:
        with opened_folder(path, follow=False) as folder:
            owners = frozenset({0, os.geteuid(), os.fstat(folder).st_uid})
            check_folder(folder, owners)
            content = encode_request(request)
            try:
                write_atomically(folder, file_name(request.id, REQUEST), content, _MODE)
                return _awaited(folder, request.id, owners, timeout, patience)
            finally:
                _withdraw(folder, request.id)
    except FileNotFoundError:
        raise NotAnswered(
            f"{path} is absent: no daemon has run with this state folder; is this its file? "
            "--config names another"
        ) from None
    except PermissionError:
        raise NotAnswered(
            f"{path} is not for this user: run as root, or as the user of the service"
        ) from None
    except OSError as error:
        raise NotAnswered(f"{path}: {error.strerror}") from None
    except Untrusted as error:
        raise NotAnswered(f"{path}: {error}: a daemon ignores it; chmod go-w {path}") from None


def _awaited(
    folder: int, request_id: str, owners: frozenset[int], timeout: float, patience: float
) -> Answer:
    began = time.monotonic()
    while True:
        passed = time.monotonic() - began
        with suppress(FileNotFoundError):
            return _answer(folder, file_name(request_id, ANSWER), owners)
        if passed >= timeout and _withdraw(folder, request_id):
            raise NotAnswered(
                f"no daemon answers within {timeout:g} s; look at: systemctl status sasgate"
            )
        if passed >= max(timeout, patience):
            raise NotAnswered(
                f"the daemon took the request and has not answered within {patience:g} s;"
                " its log says what became of it",
                taken=True,
            )
        time.sleep(_POLL)


def _answer(folder: int, name: str, owners: frozenset[int]) -> Answer:
    try:
        content = read_trusted(folder, name, LARGEST_ANSWER, owners)
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        return decode_answer(content)
    except (Untrusted, Malformed) as error:
        raise NotAnswered(f"the daemon's answer is unreadable: {error}", taken=True) from None


def _withdraw(folder: int, request_id: str) -> bool:
    """Whether the request was still there: a daemon renames what it takes."""
    try:
        os.unlink(file_name(request_id, REQUEST), dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def who() -> str:
    """Whoever runs this command, for the log: their login name and their user id."""
    uid = os.getuid()
    if behind := os.environ.get("SUDO_USER"):
        return f"{behind[:100]} (uid {uid}, by sudo)"
    try:
        name = os.getlogin()
    except OSError:
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = "unknown"
    return f"{name[:100]} (uid {uid})"

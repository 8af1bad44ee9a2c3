"""What commands and the daemon write to each other in the control folder, as values and as JSON.

A request is `<id>.request.json`; the daemon renames it to `<id>.taken.json` before it obeys, so
that it is obeyed once and a command knows whether it may still withdraw it; the answer is
`<id>.answer.json`.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from secrets import token_hex
from typing import Any

from attrs import asdict, field, frozen


FOLDER = "control"

# Bytes that a file may have.
LARGEST_REQUEST = 16 * 1024
LARGEST_ANSWER = 1024 * 1024

REQUEST, TAKEN, ANSWER = "request", "taken", "answer"

_ID = "[0-9a-f]{32}"
_NAME = re.compile(rf"({_ID})\.({REQUEST}|{TAKEN}|{ANSWER})\.json")
_HALF_WRITTEN = re.compile(rf"\.{_NAME.pattern}\.new")
_COMMAND = re.compile(r"[a-z][a-z-]{0,30}")
_LONGEST_WHO = 300


class Malformed(Exception):
    """A file that is no request or no answer; says why."""


@frozen
class Request:
    """One thing asked of the daemon.

    `who` is what the command says of its user, `when` its aware time of day; `arguments` are JSON
    values by name, whose meaning is their handler's.
    """

    command: str
    arguments: Mapping[str, Any]
    who: str
    when: datetime
    id: str = field(factory=lambda: token_hex(16))


@frozen
class Answer:
    """What the daemon says: whether it was done, lines for people, and data for programs.

    `pid` is the daemon's; its own handlers leave it out.
    """

    ok: bool
    text: str
    data: Mapping[str, Any] = field(factory=dict)
    pid: int = 0


def file_name(request_id: str, kind: str) -> str:
    """The name of a request's file of one kind."""
    return f"{request_id}.{kind}.json"


def read_name(name: str) -> tuple[str, str] | None:
    """The id and the kind of a file, None where it is none of ours."""
    match = _NAME.fullmatch(name)
    return None if match is None else (match[1], match[2])


def is_ours(name: str) -> bool:
    """Whether a file is of this exchange, or was to become so."""
    return bool(_NAME.fullmatch(name) or _HALF_WRITTEN.fullmatch(name))


def encode_request(request: Request) -> bytes:
    """The request as JSON; its id is the name of its file."""
    content = asdict(request) | {"when": request.when.isoformat()}
    del content["id"]
    return json.dumps(content).encode("ascii")


def decode_request(content: bytes, request_id: str) -> Request:
    """The request in JSON.

    Raises:
        Malformed: it is none.
    """
    data = _decode(content, {"command", "arguments", "who", "when"})
    command, who = _text(data["command"]), _text(data["who"])
    if not _COMMAND.fullmatch(command):
        raise Malformed("its command is no word")
    if not who or len(who) > _LONGEST_WHO:
        raise Malformed("it doesn't say who asks")
    if not isinstance(data["arguments"], dict):
        raise Malformed("its arguments have no names")
    try:
        when = datetime.fromisoformat(_text(data["when"]))
    except ValueError as error:
        raise Malformed(str(error)) from None
    if when.tzinfo is None:
        raise Malformed("its time has no time zone")
    return Request(command, data["arguments"], who, when, request_id)


def encode_answer(answer: Answer, pid: int) -> bytes:
    """The answer as JSON.

    Raises:
        TypeError, ValueError: its data are none that JSON has.
    """
    content = {
        "pid": pid,
        "outcome": "ok" if answer.ok else "refused",
        "text": answer.text,
        "data": dict(answer.data),
    }
    return json.dumps(content, allow_nan=False).encode("ascii")


def decode_answer(content: bytes) -> Answer:
    """The answer in JSON.

    Raises:
        Malformed: it is none.
    """
    data = _decode(content, {"pid", "outcome", "text", "data"})
    if data["outcome"] not in {"ok", "refused"} or not isinstance(data["data"], dict):
        raise Malformed("it says neither ok nor refused")
    if not isinstance(data["pid"], int):
        raise Malformed("it doesn't say whose it is")
    return Answer(data["outcome"] == "ok", _text(data["text"]), data["data"], data["pid"])


def _decode(content: bytes, keys: set[str]) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {error}") from None
    if not isinstance(data, dict) or set(data) != keys:
        raise Malformed(f"its keys are not {', '.join(sorted(keys))}")
    return data


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Malformed("a value that should be text is none")
    return value

r"""How an event becomes exactly one line, for people or as JSON, whatever stands in it (S39).

Only printable ASCII reaches a line as it is. Everything else is escaped, look-alike letters too:
evidence is read by people, and `sas-\u0430gregateur` must not pass for `sas-agregateur`.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from io import TextIOWrapper
from math import isfinite
from typing import IO, Any

from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LogEvent,
    formatEvent,
    formatEventAsClassicLogText,
    formatTime,
)

from sasgate.settings import Log, LogFormat


# Characters of one value: enough for every genuine name, little enough for a hostile one.
_LONGEST = 256
_LONGEST_MESSAGE = 4096
_LONGEST_TRACEBACK = 16 * 1024


def cut(text: str, length: int = _LONGEST) -> str:
    """At most `length` characters of `text`, `…` in place of what is left out."""
    return text if len(text) <= length else text[:length] + "…"


def escaped(text: str) -> str:
    r"""One value in printable ASCII, cut: `\n`, `\x1b`, `\u2028`, `\ud800`, `\"` and `\\`."""
    if len(text) <= _LONGEST and _HARMLESS.fullmatch(text):
        return text
    ellipsis = "…" if len(text) > _LONGEST else ""
    return text[:_LONGEST].encode("unicode_escape").decode("ascii").replace('"', '\\"') + ellipsis


def word(text: str) -> str:
    """One value as it stands behind a `=`: quoted unless it could be nothing but one word."""
    return text if _WORD.fullmatch(text) else f'"{escaped(text)}"'


_HARMLESS = re.compile(r"[ !#-\[\]-~]*")
_WORD = re.compile(rf"[0-9A-Za-z._:/+*-]{{1,{_LONGEST}}}")


class Lazy:
    """Text that is made only where an observer asks for it."""

    __slots__ = ("_text",)

    def __init__(self, text: Callable[[], str]) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text()


# What a segment may be to stay readable: a closed list, since a name of letters can be anybody's.
_FHIR_TYPES = frozenset(
    {
        "Appointment",
        "Bundle",
        "HealthcareService",
        "Location",
        "Organization",
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "Schedule",
        "Slot",
    }
)
_READABLE = _FHIR_TYPES | {"check", "metadata", "*"}
_MASK = "***"


def shown_path(target: bytes, *, full: bool = False) -> str:
    """The path of a raw request target, one character a byte, never its query.

    The last segment is masked unless it is a FHIR type, `check` or `metadata`; so is whatever
    follows a FHIR type, where an identifier stands (FHIR, "RESTful API": `[base]/[type]/[id]`).
    Of an absolute-form target only the path is shown. `full` masks nothing.
    """
    path = _QUERY.split(target, maxsplit=1)[0].decode("latin-1")
    if not path.startswith("/") and (origin := _ORIGIN.match(path)):
        path = path[origin.end() :] or "/"
    return cut(path if full else _masked(path))


_QUERY = re.compile(rb"[?#]")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")


def _masked(path: str) -> str:
    whole = path.rstrip("/")
    segments = whole.split("/")
    shown = [
        _MASK if segment and before in _FHIR_TYPES else segment
        for before, segment in zip(["", *segments], segments, strict=False)
    ]
    if shown[-1] and shown[-1] not in _READABLE:
        shown[-1] = _MASK
    return "/".join(shown) + path[len(whole) :]


def observer(log: Log, stream: IO[Any]) -> ILogObserver:
    """Where events go: twistd's usual lines on `stream`, or one JSON object a line.

    `stream` takes text or bytes, and must not be a `sys.stdout` that already leads to the log.
    """
    if log.format is LogFormat.JSON:
        return FileLogObserver(stream, json_line)
    if isinstance(stream, TextIOWrapper):
        # Or a locale that has no word for a character, such as the `…` of what was cut, loses the
        # whole line, and whoever asks for a long path stays out of the journal.
        stream.reconfigure(errors="backslashreplace")
    return FileLogObserver(stream, text_line)


def text_line(event: LogEvent) -> str | None:
    """A line as twistd's usual ones; None where nothing is said.

    Events of the journal are put together here: Twisted's own way takes 19 µs more for each.
    """
    if "journal_fields" not in event:
        return formatEventAsClassicLogText(event)
    try:
        time, level = _to_the_second(int(event["log_time"])), event["log_level"].name
        return f"{time} [{event['log_namespace']}#{level}] {event['line']}\n"
    except Exception:  # a lost line is lost evidence: Twisted's way says what is wrong with it
        return formatEventAsClassicLogText(event)


@lru_cache(maxsize=1)
def _to_the_second(time: int) -> str:
    return formatTime(time)


def json_line(event: LogEvent) -> str:
    """One JSON object and a line feed, in ASCII; raises nothing.

    Every object has `time` (ISO 8601, UTC), `level`, `namespace` and `event`. The journal's own
    events add what `journal_fields` names; any other event (`log`) adds `message`, and for a
    failure `failure` and `traceback`.
    """
    try:
        return _JSON.encode({**_envelope(event), **_contents(event)}) + "\n"
    except Exception as error:  # a lost line is lost evidence
        reason = f"unformattable event: {type(error).__name__}"
        return _JSON.encode({**_UNKNOWN, "message": reason}) + "\n"


_JSON = json.JSONEncoder(ensure_ascii=True, allow_nan=False)
_UNKNOWN = {"time": None, "level": "error", "namespace": "sasgate", "event": "log"}


def _envelope(event: LogEvent) -> dict[str, object]:
    time, level = event.get("log_time"), event.get("log_level")
    return {
        "time": None if time is None else _iso8601(time),
        "level": "info" if level is None else level.name,
        "namespace": _json_text(str(event.get("log_namespace", "")), _LONGEST),
        "event": "log",
    }


def _iso8601(time: float) -> str:
    return (
        datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _contents(event: LogEvent) -> dict[str, object]:
    names = event.get("journal_fields")
    if names is not None:
        kept = {name: _json_value(event[name]) for name in names}
        return {"event": event["event"], **kept}
    contents: dict[str, object] = {"message": _json_text(formatEvent(event), _LONGEST_MESSAGE)}
    failure = event.get("log_failure")
    if failure is not None:
        reason = f"{failure.type.__name__}: {failure.getErrorMessage()}"
        contents["failure"] = _json_text(reason, _LONGEST_MESSAGE)
        contents["traceback"] = _json_text(failure.getTraceback(), _LONGEST_TRACEBACK)
    return contents


def _json_value(value: object) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6) if isfinite(value) else None
    return _json_text(str(value), _LONGEST)


def _json_text(text: str, length: int) -> str:
    # JSON has no word for a lone surrogate, and strict readers refuse the line that holds one.
    return cut(text, length).encode("utf-8", "backslashreplace").decode("utf-8")

"""A status as plain data: what `/status.json` answers, and `sasgate status` reads."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import attrs

from sasgate.admin.status import Finding, Level, Status
from sasgate.admin.words import ENGLISH, worded


# The form of the data; another number would mean that readers must be changed.
FORMAT = 1


def json_of(status: Status) -> bytes:
    """The status in JSON: instants in ISO 8601 with their zone, lengths of time in seconds."""
    return json.dumps(data_of(status), indent=1).encode("ascii") + b"\n"


def data_of(status: Status) -> dict[str, Any]:
    """The status in what JSON has; level and findings come first."""
    plain: dict[str, Any] = _plain(status)
    found = [{**_plain(each), "text": worded(each, ENGLISH)} for each in status.findings]
    return {"format": FORMAT, "level": _plain(status.level), **plain, "findings": found}


def _plain(value: Any) -> Any:
    """One value in what JSON has; whatever else there is becomes text."""
    match value:
        case None | bool() | str():
            return value
        case Level():
            return value.name.lower()
        case int() | float():
            return value
        case Enum():
            return value.value
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Finding():
            return {"level": _plain(value.level), "key": value.key, "values": _plain(value.values)}
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case tuple() | list():
            return [_plain(each) for each in value]
    if attrs.has(type(value)):
        return {each.name: _plain(getattr(value, each.name)) for each in attrs.fields(type(value))}
    return str(value)

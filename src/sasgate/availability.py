"""What a configuration may ask for and this version cannot do yet.

The daemon refuses to start on any of it: a protection that was asked for is never left out in
silence.
"""

from collections.abc import Iterator

from sasgate.errors import Fault
from sasgate.settings import Settings


_REMOVE = "remove the line until then"
_LIMITS = ("outbound_answer",)


def not_yet_available(settings: Settings) -> tuple[Fault, ...]:
    """A fault for each thing asked for, by the file or by a default that protects; file order."""
    faults = (*_features(settings), *_keys(settings))
    last = float("inf")
    return tuple(sorted(faults, key=lambda fault: fault.line or last))


def _features(settings: Settings) -> Iterator[Fault]:
    if settings.admin is not None:
        reason = "the status page is not available yet"
        yield settings.fault("sasgate", "admin", settings.admin, reason, _REMOVE)
    for outbound in settings.outbounds:
        listen = " ".join(map(str, outbound.listen))
        reason = "calls to SAS are not available yet"
        yield settings.fault(
            outbound.name, "listen", listen, reason, "remove the section until then"
        )


def _keys(settings: Settings) -> Iterator[Fault]:
    for (section, key), line in settings.lines.items():
        if section == "limits" and key in _LIMITS:
            reason = "is not available yet"
            yield Fault(settings.path, line, section, key, None, reason, _REMOVE)

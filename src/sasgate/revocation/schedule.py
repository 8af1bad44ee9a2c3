"""When a source of lists is asked again (design, "Lists").

Lists are dated at midnight in Paris and published every morning from 07:00, when each installation
asks at an offset of its own. What is due stays due until it came: how long to wait between two
attempts is for `Backoff`, on a clock that never jumps, and all that is here is wall time (S60).
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from attrs import frozen

from sasgate.revocation.crl import Held, VerifiedList


# Seconds between two attempts at a list that is due: while a current one is held, and without.
RETRY_FLOOR, RETRY_CAP = 3600.0, 4 * 3600.0
EMPTY_FLOOR, EMPTY_CAP = 60.0, 3600.0

_PARIS = ZoneInfo("Europe/Paris")
_PUBLISHED = time(7)
_SPREAD = timedelta(minutes=90)
_DAY = timedelta(days=1)
# An issuer that publishes more often is asked every morning; who wants more sets `refresh`.
_SHORTEST = _DAY / 2


@frozen
class Known:
    """What is remembered of a source; dates are aware.

    `this_update` and `next_update` are of the list that it last gave. `interval` is how long its
    issuer last took to publish, None while that is unknown. `checked` is when it last answered
    well, also with nothing new.
    """

    this_update: datetime | None = None
    next_update: datetime | None = None
    interval: timedelta | None = None
    checked: datetime | None = None


def due(known: Known, refresh: float | None, offset: timedelta, now: datetime) -> datetime:
    """The wall instant, in UTC, from which the source should be asked; not after `now`: now.

    `refresh` is a period in seconds, or None for `auto`; `now` is aware. A list that was to come
    keeps its source due until it came, and so does one that expired. At half its validity a source
    is asked at any hour, and every morning after that.
    """
    if known.this_update is None:
        return now.astimezone(UTC)
    # A check that is yet to be was dated by a clock that went wrong.
    checked = known.checked if known.checked is not None and known.checked <= now else None
    if refresh is None:
        regular = _publication(known.this_update, known.interval, checked, offset)
    else:
        regular = now if checked is None else checked + timedelta(seconds=refresh)
    if known.next_update is None:
        return regular.astimezone(UTC)
    needed = _needed(known.this_update, known.next_update, checked, offset)
    return min(regular, needed).astimezone(UTC)


def publication_interval(held: Held, new: VerifiedList) -> timedelta:
    """How long the issuer took from one list to the next, where `new` supersedes `held`.

    Numbers in between are lists that nobody fetched: a gateway that was off for a week must not
    take a daily list for a weekly one.
    """
    return (new.this_update - held.this_update) / max(1, new.number - held.number)


def draw_offset(draw: Callable[[], float]) -> timedelta:
    """How long after 07:00 one installation asks, 0 to 90 min; `draw` gives numbers in [0, 1)."""
    return draw() * _SPREAD


def _publication(
    this_update: datetime, interval: timedelta | None, checked: datetime | None, offset: timedelta
) -> datetime:
    """The morning on which the next list should be there."""
    if interval is not None and interval >= _SHORTEST:
        return _morning(this_update + interval, offset)
    return _morning(this_update if checked is None else max(this_update, checked), offset)


def _needed(
    this_update: datetime, next_update: datetime, checked: datetime | None, offset: timedelta
) -> datetime:
    """When there must be another list soon, whatever its issuer's habits are."""
    half = this_update + (next_update - this_update) / 2
    if checked is None or checked < half:
        return half
    return min(_morning(checked, offset), next_update)


def _morning(after: datetime, offset: timedelta) -> datetime:
    """The first instant past `after` at which this installation asks."""
    today = after.astimezone(_PARIS).date()
    asked = _asked_on(today, offset)
    return asked if asked > after else _asked_on(today + _DAY, offset)


def _asked_on(day: date, offset: timedelta) -> datetime:
    # Added in UTC: an aware sum within one zone is one of wall clocks.
    return datetime.combine(day, _PUBLISHED, _PARIS).astimezone(UTC) + offset

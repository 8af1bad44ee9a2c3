"""A CA that publishes lists in simulated time, and a gateway that asks when `due` says so."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from attrs import define, evolve, field, frozen
from twisted.internet.task import Clock, LoopingCall

from sasgate.revocation.backoff import Backoff
from sasgate.revocation.schedule import (
    EMPTY_CAP,
    EMPTY_FLOOR,
    RETRY_CAP,
    RETRY_FLOOR,
    Known,
    due,
)


PARIS = ZoneInfo("Europe/Paris")
DAY = timedelta(days=1)
OFFSET = timedelta(minutes=20)
# A look at the clock each minute is what the store promises.
LOOK = timedelta(minutes=1)

Failing = Callable[[datetime], bool]


def paris(day: date, hour: int = 0, minute: int = 0) -> datetime:
    """A wall instant in Paris, in UTC: sums of it are of real time."""
    return datetime.combine(day, time(hour, minute), PARIS).astimezone(UTC)


@frozen
class Published:
    """A list of that day, dated midnight and there from `hour`."""

    day: date
    validity: timedelta = 6 * DAY
    hour: int = 7

    @property
    def this_update(self) -> datetime:
        return paris(self.day)

    @property
    def next_update(self) -> datetime:
        return self.this_update + self.validity

    @property
    def there(self) -> datetime:
        return paris(self.day, self.hour)


def daily(first: date, days: int) -> list[Published]:
    """A list a day from the day before `first` on."""
    return [Published(first + each * DAY) for each in range(-1, days)]


@frozen
class Asked:
    """One attempt: seconds of the clock, wall instant, and how it went."""

    at: float
    wall: datetime
    how: str

    @property
    def local(self) -> datetime:
        return self.wall.astimezone(PARIS)


@define
class Simulation:
    """A gateway from `start` on; `jump` is how far the wall clock was set since."""

    lists: Sequence[Published]
    start: datetime
    failing: Failing = lambda _: False
    refresh: float | None = None
    known: Known = field(factory=Known)
    clock: Clock = field(factory=Clock)
    asked: list[Asked] = field(factory=list)
    jump: timedelta = timedelta()
    _backoff: Backoff = field(factory=lambda: Backoff(EMPTY_FLOOR, EMPTY_CAP))

    def run(self, length: timedelta) -> "Simulation":
        """Let time pass."""
        looking = LoopingCall(self._look)
        looking.clock = self.clock
        looking.start(LOOK.total_seconds())
        for _ in range(length // LOOK):
            self.clock.advance(LOOK.total_seconds())
        looking.stop()
        return self

    @property
    def wall(self) -> datetime:
        return self.start + timedelta(seconds=self.clock.seconds()) + self.jump

    def gaps(self) -> list[float]:
        """Seconds between attempts."""
        return [later.at - earlier.at for earlier, later in pairwise(self.asked)]

    def _due(self) -> bool:
        return due(self.known, self.refresh, OFFSET, self.wall) <= self.wall

    def _look(self) -> None:
        now = self.clock.seconds()
        if self._backoff.remaining(now) > 0 or not self._due():
            return
        how = self._ask()
        self.asked.append(Asked(now, self.wall, how))
        current = self.known.next_update is not None and self.known.next_update >= self.wall
        floor, cap = (RETRY_FLOOR, RETRY_CAP) if current else (EMPTY_FLOOR, EMPTY_CAP)
        self._backoff = evolve(self._backoff, floor=floor, cap=cap)
        if self._due():
            self._backoff.fail(now, now)
        else:
            self._backoff.succeed()

    def _ask(self) -> str:
        if self.failing(self.wall):
            return "failed"
        latest = max(
            (each for each in self.lists if each.there <= self.wall), key=lambda each: each.there
        )
        held = self.known.this_update
        if latest.this_update == held:
            self.known = evolve(self.known, checked=self.wall)
            return "same"
        interval = None if held is None else latest.this_update - held
        self.known = Known(latest.this_update, latest.next_update, interval, self.wall)
        return "new"

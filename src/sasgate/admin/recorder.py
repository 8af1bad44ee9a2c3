"""What the journal has told, counted: for the status page, `sasgate status` and Prometheus.

It is fed on the way of every request, so it adds to plain numbers and does nothing else.
"""

from bisect import bisect_left
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from attrs import define, evolve, field, frozen

from sasgate.journal import Access, Decision


# Decisions that are remembered; identical ones are one.
REMEMBERED = 50
MINUTES = 60

# Seconds. SAS leaves at 7 s, and what takes milliseconds is to be told from what takes many.
ANSWER_BOUNDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 6.5, 10.0, 30.0)
HANDSHAKE_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@define
class Histogram:
    """Counts of values by upper bounds, each inclusive; the last count is of what is above all."""

    bounds: tuple[float, ...]
    counts: list[int] = field()
    total: float = 0.0

    @counts.default
    def _none(self) -> list[int]:
        return [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each bound with the count of what is not above it; infinity last."""
        count = 0
        for bound, own in zip((*self.bounds, float("inf")), self.counts, strict=True):
            count += own
            yield bound, count


@define
class Minute:
    """Counts of one minute: exchanges; 401, 403 and cuts; closed before a handshake was over."""

    requests: int = 0
    refusals: int = 0
    closed: int = 0


class Hour:
    """The counts of the last 60 minutes; `now` is in seconds of a clock that never jumps."""

    def __init__(self, now: float) -> None:
        self._minute = int(now // 60)
        self._minutes: deque[Minute] = deque([Minute()], MINUTES)

    def current(self, now: float) -> Minute:
        """The minute to count in."""
        minute = int(now // 60)
        if minute != self._minute:
            self._advance(minute)
        return self._minutes[-1]

    def _advance(self, minute: int) -> None:
        self._minutes.extend(Minute() for _ in range(min(minute - self._minute, MINUTES)))
        self._minute = minute

    def minutes(self, now: float) -> tuple[Minute, ...]:
        """The last minutes, the oldest first; fewer than 60 soon after the start."""
        self.current(now)
        return tuple(evolve(each) for each in self._minutes)


@frozen
class Recent:
    """A decision, how often it was taken lately, and when last (aware)."""

    decision: Decision
    count: int
    last: datetime


class Recorder:
    """Counts decisions, exchanges and handshakes since the start.

    `seconds` gives those of a clock that never jumps, `wall` the aware time of day.
    """

    def __init__(self, seconds: Callable[[], float], wall: Callable[[], datetime]) -> None:
        self._seconds = seconds
        self._wall = wall
        self._hour = Hour(seconds())
        self._recent: OrderedDict[Decision, tuple[int, datetime]] = OrderedDict()
        self.decisions: Counter[tuple[str, str, str]] = Counter()
        self.exchanges: Counter[tuple[str, int]] = Counter()
        self.answers = {name: Histogram(ANSWER_BOUNDS) for name in ("inbound", "outbound")}
        self.whole = {name: Histogram(ANSWER_BOUNDS) for name in ("inbound", "outbound")}
        self.handshakes: dict[str, Histogram] = {}
        self.lag = Histogram(LAG_BOUNDS)

    def decision(self, decision: Decision) -> None:
        """Count a decision, and remember it among the last ones."""
        self.decisions[decision.listener, decision.outcome, decision.verify] += 1
        minute = self._hour.current(self._seconds())
        if decision.outcome == "closed":
            minute.closed += 1
        elif decision.outcome != "admitted":
            minute.refusals += 1
        count, _ = self._recent.pop(decision, (0, None))
        self._recent[decision] = count + 1, self._wall()
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    def exchange(self, access: Access) -> None:
        """Count an exchange."""
        listener = access.listener
        self.exchanges[listener, access.status] += 1
        self._hour.current(self._seconds()).requests += 1
        direction = "inbound" if listener.startswith("inbound") else "outbound"
        self.answers[direction].observe(access.answer_seconds)
        self.whole[direction].observe(access.seconds)

    def handshake(self, listener: str, seconds: float) -> None:
        """Count a finished handshake."""
        histogram = self.handshakes.get(listener)
        if histogram is None:
            histogram = self.handshakes[listener] = Histogram(HANDSHAKE_BOUNDS)
        histogram.observe(seconds)

    @property
    def recent(self) -> Iterable[Recent]:
        """The last 50 different decisions, the latest first."""
        return tuple(
            Recent(decision, count, last)
            for decision, (count, last) in reversed(self._recent.items())
        )

    @property
    def minutes(self) -> tuple[Minute, ...]:
        """The counts of the last hour, the oldest first."""
        return self._hour.minutes(self._seconds())

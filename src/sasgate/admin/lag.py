"""How late the event loop is: what one long computation costs everybody else."""

from collections import deque

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from sasgate.admin.recorder import Histogram


# Seconds between two looks, and how many of them `worst` goes back.
PERIOD = 1.0
_KEPT = 60


class LoopLag:
    """Looks once a second how late it is called; `last` and `worst` are in seconds.

    `worst` is that of the last minute.
    """

    def __init__(self, clock: IReactorTime, histogram: Histogram) -> None:
        self._clock = clock
        self._histogram = histogram
        self._seen: deque[float] = deque([0.0], _KEPT)
        self._expected = 0.0
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    def start(self) -> None:
        """Begin to look."""
        self._expected = self._clock.seconds() + PERIOD
        self._loop.start(PERIOD, now=False)

    def stop(self) -> None:
        """End to look."""
        if self._loop.running:
            self._loop.stop()

    @property
    def last(self) -> float:
        """As it was last seen."""
        return self._seen[-1]

    @property
    def worst(self) -> float:
        """The worst of the last minute."""
        return max(self._seen)

    def _look(self) -> None:
        now = self._clock.seconds()
        lag = max(0.0, now - self._expected)
        # A loop that was late skips what it missed and keeps its beat.
        self._expected += PERIOD * (1 + lag // PERIOD)
        self._seen.append(lag)
        self._histogram.observe(lag)

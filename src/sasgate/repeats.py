"""Lines of log that may come in any number: the first at once, then how many more, by minutes."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from attrs import define
from twisted.internet.interfaces import IDelayedCall, IReactorTime


PERIOD = 60.0
_MOST_KINDS = 100

K = TypeVar("K", bound=Hashable)


@define
class _Kind:
    since: float
    end: IDelayedCall
    count: int = 0


class Repeats(Generic[K]):
    """Has the first of a kind told by `tell`, and those that follow within a minute together.

    `tell` gets the kind, how many of it there were (0 for the first), and in how many seconds.
    Beyond the most kinds that can be counted nothing is told.
    """

    def __init__(self, clock: IReactorTime, tell: Callable[[K, int, float], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._kinds: dict[K, _Kind] = {}

    def note(self, kind: K) -> None:
        """Take note of one more."""
        held = self._kinds.get(kind)
        if held is not None:
            held.count += 1
        elif len(self._kinds) < _MOST_KINDS:
            end = self._clock.callLater(PERIOD, self._end, kind)
            self._kinds[kind] = _Kind(self._clock.seconds(), end)
            self._tell(kind, 0, 0.0)

    def close(self) -> None:
        """Tell what is still being counted."""
        for kind, held in tuple(self._kinds.items()):
            held.end.cancel()
            self._end(kind)

    def _end(self, kind: K) -> None:
        held = self._kinds.pop(kind)
        if held.count:
            self._tell(kind, held.count, self._clock.seconds() - held.since)

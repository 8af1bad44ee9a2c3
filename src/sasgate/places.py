"""So many calls at once, and so many that wait for their turn."""

from collections import OrderedDict

from twisted.internet.defer import Deferred


class Full(Exception):
    """As many are under way, and wait, as may."""


class Places:
    """Places for calls, given in the order in which they were asked for."""

    def __init__(self, most: int, waiting: int) -> None:
        self._free = most
        self._most_waiting = waiting
        self._waiting: OrderedDict[Deferred[None], None] = OrderedDict()

    def take(self) -> Deferred[None] | None:
        """Take a place: None where there was one, else a Deferred that fires with one.

        Raises:
            Full: too many wait already.
        """
        if self._free:
            self._free -= 1
            return None
        if len(self._waiting) >= self._most_waiting:
            raise Full
        turn: Deferred[None] = Deferred()
        self._waiting[turn] = None
        return turn

    def leave(self, turn: Deferred[None]) -> None:
        """Give a turn up, which will then never fire."""
        self._waiting.pop(turn, None)

    def give_back(self) -> None:
        """Let the next one have a place."""
        if self._waiting:
            self._waiting.popitem(last=False)[0].callback(None)
        else:
            self._free += 1

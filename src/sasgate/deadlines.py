"""One timer for all time limits of all connections.

A connection moves its `deadline` by a mere assignment, several times an exchange; looking at all
of them four times a second costs less than a reactor timer for each move. A limit is never
exceeded: it may strike up to a quarter of a second early.
"""

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger


PERIOD = 0.25

NEVER = float("inf")

# Seconds until a limit whose enforcing raised is enforced anew.
_TRIED_AGAIN = 60.0


class Limited(Protocol):
    """Something with a time limit; `deadline` is in seconds of the reactor's clock."""

    deadline: float

    def deadline_passed(self, now: float) -> None:
        """End what took too long, or set a later `deadline`."""


class Deadlines:
    """Calls `deadline_passed` on each member whose deadline is reached."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.now: Callable[[], float] = clock.seconds
        self._members: set[Limited] = set()
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    def start(self) -> None:
        """Begin to look."""
        self._loop.start(PERIOD, now=False)

    def stop(self) -> None:
        """End to look; members are left as they are."""
        if self._loop.running:
            self._loop.stop()

    def add(self, member: Limited) -> None:
        """Watch a member from now on."""
        self._members.add(member)

    def discard(self, member: Limited) -> None:
        """Forget a member, watched or not."""
        self._members.discard(member)

    def _look(self) -> None:
        now = self.now()
        horizon = now + PERIOD
        for member in [each for each in self._members if each.deadline <= horizon]:
            if member.deadline > horizon:
                continue  # one before it in this look has put it to use
            try:
                member.deadline_passed(now)
            except Exception:
                # Or this loop would end, and with it every limit of every connection.
                self._log.failure("a time limit could not be enforced")
                member.deadline = now + _TRIED_AGAIN

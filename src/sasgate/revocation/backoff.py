"""How long something that failed is left in peace."""

from collections.abc import Callable
from random import SystemRandom

from attrs import define, field


Draw = Callable[[], float]

_draw: Draw = SystemRandom().random


@define
class Backoff:
    """Waits that double from `floor` to `cap` seconds, each shortened by chance towards the floor.

    Instants are seconds of a clock that never jumps (S60); `draw` gives numbers in [0, 1). Every
    wait lies between floor and cap, however often it fails (S59).
    """

    floor: float
    cap: float
    draw: Draw = field(default=_draw, repr=False)
    failures: int = 0
    until: float = float("-inf")
    _last: float = float("-inf")

    def fail(self, now: float, began: float) -> None:
        """Count an attempt that began at `began` and failed `now`.

        Attempts that were under way together are one failure, or a single outage under load would
        be waited out at the cap.
        """
        if began <= self._last:
            return
        self._last = now
        self.failures += 1
        # No wait is near the cap after more doublings than this, and a float has an end.
        full = min(self.cap, self.floor * 2.0 ** min(self.failures - 1, 64))
        self.until = now + full - self.draw() * (full - self.floor) / 2

    def succeed(self) -> None:
        """Forget all failures."""
        self.failures = 0
        self.until = self._last = float("-inf")

    def remaining(self, now: float) -> float:
        """Seconds still to wait; 0.0 where nothing keeps from trying."""
        return max(0.0, self.until - now)

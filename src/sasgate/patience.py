"""How long somebody may keep others waiting, by its own doing alone; pure."""


class Patience:
    """So many seconds, which pass only while spent; times are of a clock that never jumps."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._since: float | None = None

    def spend(self, now: float) -> None:
        """Let it pass from now on."""
        if self._since is None:
            self._since = now

    def keep(self, now: float) -> None:
        """Let it pass no more for now: somebody else is waited for."""
        if self._since is not None:
            self._left -= now - self._since
            self._since = None

    @property
    def ends(self) -> float:
        """When it is at its end, if it passes from now on; never while it does not."""
        return float("inf") if self._since is None else self._since + self._left

"""Disengagements whose clocks the test moves: the one on the wall, and the one that never jumps."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.internet.task import Clock

from sasgate.revocation.disengagement import ByHand, Disengagements
from sasgate.revocation.policy import Disengagement


BEGINNING = datetime(2026, 8, 7, 12, tzinfo=UTC)
HOUR = 3600.0
ADMIT_FOR = 24 * HOUR

ORG, OTHER = "aa" * 32, "bb" * 32

NONE = (Disengagement.NONE, None)


class Bench:
    """`changes` counts calls of `changed`."""

    def __init__(self, folder: Path, admit_for: float | None = ADMIT_FOR) -> None:
        self.path = folder / "disengagement.json"
        self.admit_for = admit_for
        self.clock = Clock()
        self.jumped = timedelta()
        self.changes = 0
        self.held = self.start()

    def wall(self) -> datetime:
        return BEGINNING + self.jumped + timedelta(seconds=self.clock.seconds())

    def after(self, seconds: float) -> datetime:
        return BEGINNING + timedelta(seconds=seconds)

    def start(self) -> Disengagements:
        """The process that runs next."""
        names = {ORG: "ACI-EL-ORG", OTHER: "OTHER"}
        self.held = Disengagements(
            self.clock,
            self.wall,
            self.path,
            self.admit_for,
            self._changed,
            name=lambda sha256: names.get(sha256, sha256),
        )
        self.held.open()
        return self.held

    def _changed(self) -> None:
        self.changes += 1

    def restart(self, down: float = 0.0) -> None:
        """End cleanly, and start again."""
        self.held.close()
        self.crash(down)

    def crash(self, down: float = 0.0) -> None:
        """End by SIGKILL, and start again."""
        for call in self.clock.getDelayedCalls():
            call.cancel()
        self.clock.advance(down)
        self.start()

    def jump(self, **by: float) -> None:
        """Set the clock on the wall."""
        self.jumped += timedelta(**by)

    def pass_time(self, seconds: float, step: float = 30.0) -> None:
        """Time passes, as it does for a reactor: little by little."""
        whole, rest = divmod(seconds, step)
        self.clock.pump([step] * int(whole) + [rest])

    def word(self, issuer: str = ORG) -> tuple[Disengagement, datetime | None]:
        return self.held.word(issuer, self.wall())

    def on(self, issuer: str = ORG) -> bool:
        return self.word(issuer)[0] is not Disengagement.NONE

    def unknown(self, issuer: str = ORG, ago: float = 0.0) -> None:
        self.held.unknown(issuer, self.wall() - timedelta(seconds=ago))

    def by_hand(
        self,
        seconds: float = 4 * HOUR,
        *authorities: str,
        without_list: bool = False,
        who: str = "alice (uid 0, by sudo)",
        why: str = "IGC Santé is down",
    ) -> ByHand:
        now = self.wall()
        until = now + timedelta(seconds=seconds)
        return ByHand(who, why, now, until, authorities, without_list)

    def disengage(
        self, seconds: float = 4 * HOUR, *authorities: str, without_list: bool = False
    ) -> ByHand | None:
        return self.held.disengage(self.by_hand(seconds, *authorities, without_list=without_list))

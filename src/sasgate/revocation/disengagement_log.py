"""What is said of disengagements: their beginning, every ten minutes, their end; and their counts.

Everything goes to the log as warnings, since nothing else tells at night that strangers to the
lists are let in (S23).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from attrs import define, frozen
from twisted.logger import Logger

from sasgate.log_format import escaped
from sasgate.revocation.disengagement_state import ByHand
from sasgate.revocation.policy import Disengagement


# Seconds between two lines on what is in force.
REMINDER = 600.0

# The key of the one by hand among the SHA-256 of CAs, none of which is empty.
BY_HAND = ""

RESTS_ON = MappingProxyType(
    {
        Disengagement.ON_LAST_LIST: "resting on the last verified list",
        Disengagement.WITHOUT_LIST: "even where no list was ever held",
    }
)

# How many characters `escaped` leaves whole.
_PIECE = 256


@frozen
class InForce:
    """One disengagement in force.

    `issuers` are the SHA-256 of the CAs that it is for, none standing for all; `by_hand` is None
    for an automatic one; `admitted` counts clients since it began or the daemon started.
    """

    issuers: tuple[str, ...]
    since: datetime
    until: datetime
    rests_on: Disengagement
    by_hand: ByHand | None = None
    admitted: int = 0

    def covers(self, issuer: str) -> bool:
        """Whether it is for what a CA issued."""
        return not self.issuers or issuer in self.issuers


@define
class _Episode:
    text: str
    issuers: tuple[str, ...]
    reminded: float
    admitted: int = 0


class Chronicle:
    """Tells of disengagements as they come and go; `name` makes a CA's SHA-256 readable."""

    def __init__(self, name: Callable[[str], str]) -> None:
        self._log = Logger("sasgate.revocation")
        self._name = name
        self._episodes: dict[str, _Episode] = {}
        self.admissions: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._episodes)

    def follow(self, current: Mapping[str, InForce], seconds: float) -> bool:
        """Tell what began, goes on or is over by now; whether anything began or is over.

        `current` is what is in force, by the SHA-256 of the CA or `BY_HAND`; `seconds` are those
        of a clock that never jumps.
        """
        over = [key for key in self._episodes if key not in current]
        for key in over:
            self.finish(key, "its time has passed")
        begun = [key for key in current if key not in self._episodes]
        for key in begun:
            text = self._described(current[key])
            self._episodes[key] = _Episode(text, current[key].issuers, seconds)
            self._log.warn("{text}", text=f"revocation checks are disengaged {text}")
        for episode in self._episodes.values():
            self._remind(episode, seconds)
        return bool(over or begun)

    def finish(self, key: str, how: str) -> bool:
        """Tell that one is over, if it was in force; `how` is fit for a log."""
        episode = self._episodes.pop(key, None)
        if episode is None:
            return False
        text = f"revocation checks are engaged again ({how}): they were disengaged {episode.text}"
        self._log.warn("{text}; {count}", text=text, count=_counted(episode.admitted))
        return True

    def admitted(self, issuer: str) -> None:
        """Count a client who was admitted only because checks are disengaged."""
        self.admissions[issuer] += 1
        for episode in self._episodes.values():
            if not episode.issuers or issuer in episode.issuers:
                episode.admitted += 1

    def count(self, key: str) -> int:
        """How many were admitted under one that is in force."""
        episode = self._episodes.get(key)
        return 0 if episode is None else episode.admitted

    def next_line(self) -> float:
        """The second at which a line is due; infinite where nothing is in force."""
        times = [episode.reminded + REMINDER for episode in self._episodes.values()]
        return min(times, default=float("inf"))

    def _remind(self, episode: _Episode, seconds: float) -> None:
        if seconds < episode.reminded + REMINDER:
            return
        episode.reminded = seconds
        text = f"revocation checks are still disengaged {episode.text}"
        self._log.warn("{text}; {count}", text=text, count=_counted(episode.admitted))

    def _described(self, each: InForce) -> str:
        which = ", ".join(map(self._name, each.issuers)) or "all CAs"
        rests_on = RESTS_ON[each.rests_on]
        term = f"since {shown_time(each.since)} until {shown_time(each.until)}"
        if each.by_hand is None:
            return f"by themselves for {escaped(which)}, status unknown {term}, {rests_on}"
        who, why = shown(each.by_hand.who), shown(each.by_hand.why)
        return f"by hand for {escaped(which)} by {who}, {term}, {rests_on}: {why}"


def shown(text: str) -> str:
    """The whole of a text of several hundred characters, in printable ASCII (S39)."""
    pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
    return "".join(map(escaped, pieces))


def shown_time(time: datetime) -> str:
    """A time as people compare it: ISO 8601 to the second, with its zone."""
    return time.isoformat(sep=" ", timespec="seconds")


def _counted(admitted: int) -> str:
    return f"{admitted} admitted under it by this process"

"""Débrayage: the one bounded, logged and visible way to go on where a status cannot be known (S23).

By itself, where `[revocation] when_unknown = admit`, for `admit_for` from the instant at which the
status of a CA became unknown; or by hand, until an administrator's term. Whatever cannot be told,
a state file that is lost or cannot be written included, disengages nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from sasgate.atomic import write_atomically
from sasgate.log_format import escaped
from sasgate.revocation.disengagement_log import BY_HAND, Chronicle, InForce, shown, shown_time
from sasgate.revocation.disengagement_state import ByHand, Corrupt, Span, State, decode, encode
from sasgate.revocation.policy import Disengagement
from sasgate.trusted_files import (
    Untrusted,
    check_folder,
    opened_folder,
    own_users,
    read_trusted,
)


__all__ = ["ByHand", "Disengagements", "InForce", "NotKept"]

# Seconds between two looks at the clock on the wall, and the least between two looks.
LOOK = 60.0
_LEAST = 0.01

_LARGEST = 1024 * 1024
_MODE = 0o640


class NotKept(Exception):
    """What was asked for could not be written to the state file; says what holds instead."""


class Disengagements:
    """All disengagements; one for all listeners, alive across reloads.

    `reactor` times by a clock that never jumps, `wall` gives the aware time of day; whichever says
    so first ends a disengagement. `admit_for` is in seconds, None where nothing is admitted
    automatically. `changed` is called, without delay, whenever a word may have changed. `name`
    makes a CA's SHA-256 readable.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        wall: Callable[[], datetime],
        path: Path,
        admit_for: float | None,
        changed: Callable[[], None],
        *,
        name: Callable[[str], str] = str,
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._path = path
        self._admit_for = admit_for
        self._changed = changed
        self._log = Logger("sasgate.revocation")
        self._chronicle = Chronicle(name)
        self._state = State()
        # CAs of which the file doesn't tell since when their status is unknown.
        self._unwritten: set[str] = set()
        self._failed = False
        self._timer: IDelayedCall | None = None
        self._opened = False

    def open(self) -> None:
        """Take up what was in force when the daemon ended; raises nothing."""
        try:
            with opened_folder(self._path.parent) as folder:
                check_folder(folder, own_users())
                content = read_trusted(folder, self._path.name, _LARGEST, own_users())
            self._state = decode(content, self._reactor.seconds())
        except FileNotFoundError:
            pass
        except (Untrusted, Corrupt, OSError) as error:
            self._lose(str(error))
        self._opened = True
        self._look()

    def close(self) -> None:
        """Keep how much time has passed; whatever is in force goes on at the next start."""
        if not self._opened:
            return
        self._state.settle(self._wall(), self._reactor.seconds())
        if self._current(self._wall()):
            self._save()
        self._cancel_timer()
        self._opened = False

    def word(self, issuer: str, now: datetime) -> tuple[Disengagement, datetime | None]:
        """Whether the checks of what a CA issued are disengaged, and until when that word holds.

        `issuer` is the SHA-256 of the issuing CA, `now` the aware time of day. The instant is None
        where they are not.
        """
        found = tuple(self._for(issuer, now))
        if not found:
            return Disengagement.NONE, None
        widest = max(
            found, key=lambda each: (each.rests_on is Disengagement.WITHOUT_LIST, each.until)
        )
        return widest.rests_on, widest.until

    def unknown(self, issuer: str, since: datetime) -> None:
        """The status of a CA is unknown, since that instant or an earlier one that is remembered.

        Cheap where it says nothing new, so that it can be said at each judgement.
        """
        if not self._opened:
            return
        held = self._state.unknown.get(issuer)
        if issuer in self._state.unknown and (held is None or held.since <= since):
            return
        self._state.unknown[issuer] = self._span(issuer, since, held)
        self._unwritten.add(issuer)
        self._save()
        self._look()

    def _span(self, issuer: str, since: datetime, held: Span | None) -> Span | None:
        if self._state.distrusts(issuer):
            return None
        now = self._wall()
        span = Span.begin(min(since, now), now, self._reactor.seconds())
        if held is not None:
            span.used = max(span.used, held.used)
        return span

    def known(self, issuer: str) -> None:
        """The status of a CA is known: what was disengaged by itself is engaged again.

        Cheap where it says nothing new.
        """
        lost = self._state.distrusts(issuer)
        if not self._opened or (issuer not in self._state.unknown and not lost):
            return
        self._state.unknown.pop(issuer, None)
        if lost:
            self._state.sound.add(issuer)
        self._save()
        self._look(changed=self._chronicle.finish(issuer, "its status is known again"))

    def disengage(self, by_hand: ByHand) -> ByHand | None:
        """Disengage by hand; returns the one that this replaces.

        Raises:
            NotKept: it could not be written, and nothing has changed.
        """
        before, span = self._state.by_hand, self._state.by_hand_span
        self._state.by_hand = by_hand
        self._state.by_hand_span = Span.begin(by_hand.since, self._wall(), self._reactor.seconds())
        if not self._opened or not self._save():
            self._state.by_hand, self._state.by_hand_span = before, span
            raise NotKept(f"{self._path} cannot be written, so nothing has changed")
        self._chronicle.finish(BY_HAND, f"replaced by {shown(by_hand.who)}")
        self._look(changed=True)
        return before

    def engage(self, who: str) -> ByHand | None:
        """End what was disengaged by hand; returns it, None where nothing was.

        Raises:
            NotKept: it is ended, and a restart would begin it anew.
        """
        ended = self._state.by_hand
        if ended is None:
            return None
        self._state.by_hand = self._state.by_hand_span = None
        kept = self._save()
        self._chronicle.finish(BY_HAND, f"engaged by {shown(who)}")
        self._look(changed=True)
        if not kept:
            raise NotKept(
                f"engaged, but {self._path} cannot be written: remove it, or a restart before"
                f" {shown_time(ended.until)} disengages again"
            )
        return ended

    def admitted(self, issuer: str) -> None:
        """Count a client of that CA who was admitted only because checks are disengaged."""
        self._chronicle.admitted(issuer)

    def follow(self, admit_for: float | None) -> None:
        """Take up another `admit_for` after a reload, counted from the same instants."""
        self._admit_for = admit_for
        if self._opened:
            self._look()

    @property
    def state(self) -> tuple[InForce, ...]:
        """What is in force now, the one by hand first."""
        return tuple(self._current(self._wall()).values())

    @property
    def admissions(self) -> Mapping[str, int]:
        """Clients admitted under any since the daemon started, by the SHA-256 of their CA."""
        return self._chronicle.admissions

    @property
    def unknown_since(self) -> Mapping[str, datetime | None]:
        """Since when the status of which CA is unknown; None where that was lost."""
        return {
            issuer: None if span is None else span.since
            for issuer, span in self._state.unknown.items()
        }

    def _current(self, now: datetime) -> dict[str, InForce]:
        """All in force, by the SHA-256 of their CA or `BY_HAND`."""
        hand = self._hand(now)
        current = {} if hand is None else {BY_HAND: hand}
        for issuer in self._state.unknown:
            automatic = self._automatic(issuer, now)
            if automatic is not None:
                current[issuer] = automatic
        return current

    def _for(self, issuer: str, now: datetime) -> Iterator[InForce]:
        for each in (self._hand(now), self._automatic(issuer, now)):
            if each is not None and each.covers(issuer):
                yield each

    def _hand(self, now: datetime) -> InForce | None:
        hand, span = self._state.by_hand, self._state.by_hand_span
        if hand is None or span is None or not self._opened:
            return None
        length = (hand.until - hand.since).total_seconds()
        left = span.left(length, now, self._reactor.seconds())
        if not left:
            return None
        return InForce(
            hand.authorities,
            hand.since,
            min(hand.until, now + timedelta(seconds=left)),
            Disengagement.WITHOUT_LIST if hand.without_list else Disengagement.ON_LAST_LIST,
            hand,
            self._chronicle.count(BY_HAND),
        )

    def _automatic(self, issuer: str, now: datetime) -> InForce | None:
        span = self._state.unknown.get(issuer)
        # A beginning that the next start would not find is no bound.
        if span is None or self._admit_for is None or issuer in self._unwritten or not self._opened:
            return None
        left = span.left(self._admit_for, now, self._reactor.seconds())
        if not left:
            return None
        return InForce(
            (issuer,),
            span.since,
            min(span.since + timedelta(seconds=self._admit_for), now + timedelta(seconds=left)),
            Disengagement.ON_LAST_LIST,
            admitted=self._chronicle.count(issuer),
        )

    def _look(self, *, changed: bool = False) -> None:
        """Take note of the time: end what is over, tell of what is in force, look again later."""
        now, seconds = self._wall(), self._reactor.seconds()
        self._state.settle(now, seconds)
        expired = self._expire(now)
        if expired or self._failed or seconds >= self._chronicle.next_line():
            self._save()
        current = self._current(now)
        changed |= self._chronicle.follow(current, seconds)
        self._look_later(now, seconds, current)
        if changed or expired:
            self._tell()

    def _expire(self, now: datetime) -> bool:
        """Forget what was disengaged by hand once its time has passed."""
        hand = self._state.by_hand
        if hand is None or now < hand.since or self._hand(now) is not None:
            return False
        self._state.by_hand = self._state.by_hand_span = None
        if not self._chronicle.finish(BY_HAND, "its time has passed"):
            who, until = shown(hand.who), shown_time(hand.until)
            text = f"what {who} had disengaged by hand is over since {until}"
            self._log.warn("{text}", text=text)
        return True

    def _look_later(self, now: datetime, seconds: float, current: Mapping[str, InForce]) -> None:
        self._cancel_timer()
        if not (self._state.by_hand or self._state.unknown or self._failed):
            return
        ends = ((each.until - now).total_seconds() for each in current.values())
        delay = min(LOOK, self._chronicle.next_line() - seconds, *ends)
        self._timer = self._reactor.callLater(max(_LEAST, delay), self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._look()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        try:
            self._changed()
        except Exception:
            self._log.failure("a change of what is disengaged could not be passed on")

    def _lose(self, reason: str) -> None:
        """Begin without what was kept; nothing tells any more since when a status is unknown."""
        self._log.critical(
            "{path}: {reason}; nothing is disengaged, by itself only once the status of a CA was"
            " known again",
            path=self._path,
            reason=escaped(reason),
        )
        self._state = State(lost=True)
        self._save()

    def _save(self) -> bool:
        """Write the state; whether that was done."""
        try:
            with opened_folder(self._path.parent) as folder:
                write_atomically(folder, self._path.name, encode(self._state), _MODE)
        except OSError as error:
            if not self._failed:
                self._log.critical(
                    "{path} cannot be written: {reason}; what begins to be disengaged by itself is"
                    " not, until it can",
                    path=self._path,
                    reason=error.strerror,
                )
            self._failed = True
            return False
        self._failed = False
        self._unwritten.clear()
        return True

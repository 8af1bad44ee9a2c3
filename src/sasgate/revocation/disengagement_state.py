"""What of disengagements outlives a restart: who disengaged what, and how long it has lasted.

Pure; times are aware, seconds are those of a clock that never jumps.
"""

import json
from datetime import datetime, timedelta
from typing import Any

from attrs import define, field, frozen


# The longest that checks can be disengaged by hand.
LONGEST = timedelta(days=7)

_VERSION = 1


class Corrupt(Exception):
    """A state that cannot be believed; says why."""


@frozen
class ByHand:
    """A disengagement that an administrator ordered.

    `authorities` are the SHA-256 of the issuing CAs that it is for, none standing for all.
    `without_list` admits even where no verified list was ever held.
    """

    who: str
    why: str
    since: datetime
    until: datetime
    authorities: tuple[str, ...] = ()
    without_list: bool = False

    def __attrs_post_init__(self) -> None:
        if self.since.tzinfo is None or self.until.tzinfo is None:
            raise ValueError("a time without a time zone")
        if not timedelta() < self.until - self.since <= LONGEST:
            raise ValueError(f"lasts {self.until - self.since}, and {LONGEST} is the most")


@define
class Span:
    """The time since an instant, which neither a clock put back nor a restart makes shorter (S60).

    `used` is what of it was counted by second `at` of the clock that never jumps.
    """

    since: datetime
    used: float
    at: float

    @classmethod
    def begin(cls, since: datetime, wall: datetime, seconds: float) -> "Span":
        """A span of which the part until `wall` has passed."""
        span = cls(since, 0.0, seconds)
        span.settle(wall, seconds)
        return span

    def settle(self, wall: datetime, seconds: float) -> None:
        """Count what has passed, so that no clock can take it back."""
        self.used = self._age(wall, seconds)
        self.at = seconds

    def left(self, length: float, wall: datetime, seconds: float) -> float:
        """Seconds that are left of `length`; none where the clock stands before the beginning."""
        if wall < self.since:
            return 0.0
        return max(0.0, length - self._age(wall, seconds))

    def _age(self, wall: datetime, seconds: float) -> float:
        by_wall = (wall - self.since).total_seconds()
        return max(by_wall, self.used + max(0.0, seconds - self.at))


@define
class State:
    """What is kept.

    `unknown` tells, by the SHA-256 of a CA, since when its status has been unknown; None where
    that was lost. `lost` says that an earlier state could not be read, and `sound` of which CAs
    the status was known since: of all others the beginning cannot be told any more.
    """

    by_hand: ByHand | None = None
    by_hand_span: Span | None = None
    unknown: dict[str, Span | None] = field(factory=dict)
    lost: bool = False
    sound: set[str] = field(factory=set)

    def distrusts(self, issuer: str) -> bool:
        """Whether a CA may have been unknown for longer than is remembered."""
        return self.lost and issuer not in self.sound

    def settle(self, wall: datetime, seconds: float) -> None:
        """Count what has passed of everything."""
        for span in (self.by_hand_span, *self.unknown.values()):
            if span is not None:
                span.settle(wall, seconds)


def encode(state: State) -> bytes:
    """The state as JSON; what has passed is what was last settled."""
    hand, span = state.by_hand, state.by_hand_span
    by_hand = None
    if hand is not None and span is not None:
        by_hand = {
            "who": hand.who,
            "why": hand.why,
            "since": hand.since.isoformat(),
            "until": hand.until.isoformat(),
            "authorities": list(hand.authorities),
            "without_list": hand.without_list,
            "used": span.used,
        }
    unknown = {
        issuer: None if span is None else {"since": span.since.isoformat(), "used": span.used}
        for issuer, span in state.unknown.items()
    }
    content = {
        "version": _VERSION,
        "by_hand": by_hand,
        "unknown": unknown,
        "lost": state.lost,
        "sound": sorted(state.sound),
    }
    return json.dumps(content, indent=1, allow_nan=False).encode("ascii") + b"\n"


def decode(content: bytes, seconds: float) -> State:
    """The state in JSON, read at second `seconds`.

    Raises:
        Corrupt: anything in it is not what `encode` writes.
    """
    try:
        return _state(json.loads(content), seconds)
    except (ValueError, KeyError, OverflowError, RecursionError) as error:
        raise Corrupt(f"{type(error).__name__}: {error}") from None


def _state(data: Any, seconds: float) -> State:
    whole = _of(dict, data)
    if set(whole) != {"version", "by_hand", "unknown", "lost", "sound"}:
        raise ValueError("it has other keys")
    if whole["version"] != _VERSION:
        raise ValueError(f"its version is not {_VERSION}")
    state = State(lost=_of(bool, whole["lost"]), sound=set(_texts(whole["sound"])))
    for issuer, each in _of(dict, whole["unknown"]).items():
        state.unknown[issuer] = None if each is None else _span(_of(dict, each), seconds)
    if whole["by_hand"] is not None:
        hand = _of(dict, whole["by_hand"])
        state.by_hand = _by_hand(hand)
        state.by_hand_span = _span(hand, seconds)
    return state


def _by_hand(data: dict[str, Any]) -> ByHand:
    return ByHand(
        _of(str, data["who"]),
        _of(str, data["why"]),
        _time(data["since"]),
        _time(data["until"]),
        _texts(data["authorities"]),
        _of(bool, data["without_list"]),
    )


def _span(data: dict[str, Any], seconds: float) -> Span:
    used = float(_of((int, float), data["used"]))
    # Not a number passes no comparison.
    if not 0 <= used < float("inf"):
        raise ValueError("no length of time")
    return Span(_time(data["since"]), used, seconds)


def _time(data: Any) -> datetime:
    time = datetime.fromisoformat(_of(str, data))
    if time.tzinfo is None:
        raise ValueError("a time without a time zone")
    return time


def _texts(data: Any) -> tuple[str, ...]:
    return tuple(_of(str, each) for each in _of(list, data))


def _of(kind: type | tuple[type, ...], data: Any) -> Any:
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise ValueError(f"a {type(data).__name__} where it has none")
    return data

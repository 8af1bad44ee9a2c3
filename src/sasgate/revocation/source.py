"""One place that lists come from, and how it goes with it."""

from datetime import datetime, timedelta

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred

from sasgate.revocation.backoff import Backoff
from sasgate.revocation.crl import VerifiedList
from sasgate.revocation.download import Validators
from sasgate.revocation.schedule import EMPTY_CAP, EMPTY_FLOOR, RETRY_CAP, RETRY_FLOOR, Known, due
from sasgate.revocation.scope import Scope
from sasgate.revocation.shelf import Key, Record
from sasgate.revocation.watch import Mark, is_url


@frozen
class SourceState:
    """A source and the list that it last gave, for people; dates are aware.

    Everything of the list is empty or None where it has given none. `error` is what went wrong
    last, "" once the source answered well. `next_attempt` is None for files, which are always
    looked at, and for a source that is no longer configured.
    """

    source: str
    issuer_name: str = ""
    issuers: tuple[str, ...] = ()
    number: int | None = None
    this_update: datetime | None = None
    next_update: datetime | None = None
    entries: int | None = None
    scope: str = ""
    fetched: datetime | None = None
    checked: datetime | None = None
    error: str = ""
    error_at: datetime | None = None
    next_attempt: datetime | None = None


@define(eq=False)
class Source:
    """A URL or a file, by its `name`; `parent` is the configured path that a file was found by.

    `key` is that of the list that it last gave, `gave` the SHA-256 of that one's signed part, and
    `known` what is remembered of it. Of a file,
    `mark` is what it was when it was last read, at `read` seconds of the reactor's clock;
    `unsettled` counts the looks at which it was being written.
    """

    name: str
    parent: str | None = None
    key: Key | None = None
    gave: str = ""
    known: Known = field(factory=Known)
    validators: Validators = field(factory=Validators)
    fetched: datetime | None = None
    error: str = ""
    error_at: datetime | None = None
    mark: Mark | None = None
    read: float = float("-inf")
    unsettled: int = 0
    asking: bool = False
    gone: bool = False
    _waiting: list[Deferred[None]] = field(factory=list)
    _holding: Backoff = field(factory=lambda: Backoff(RETRY_FLOOR, RETRY_CAP))
    _empty: Backoff = field(factory=lambda: Backoff(EMPTY_FLOOR, EMPTY_CAP))

    @property
    def fetched_by_url(self) -> bool:
        """Whether it is asked by the schedule; files are watched."""
        return is_url(self.name)

    def has_current(self, now: datetime) -> bool:
        """Whether the list that it last gave is still valid."""
        return self.known.next_update is not None and self.known.next_update >= now

    def backoff(self, now: datetime) -> Backoff:
        """What tells how long it is left in peace: briefly where there is no current list."""
        return self._holding if self.has_current(now) else self._empty

    def forgive(self) -> None:
        """Forget that it failed."""
        self._holding.succeed()
        self._empty.succeed()

    def due(self, refresh: float | None, offset: timedelta, wall: datetime) -> datetime:
        """From when it is to be asked."""
        return due(self.known, refresh, offset, wall)

    def wait(
        self, refresh: float | None, offset: timedelta, wall: datetime, seconds: float
    ) -> float:
        """Seconds until it is to be asked; 0.0 means now."""
        until_due = (self.due(refresh, offset, wall) - wall).total_seconds()
        return max(0.0, until_due, self.backoff(wall).remaining(seconds))

    def ended(self) -> Deferred[None]:
        """Fires once nothing is asked of it; may be cancelled, which stops nothing else."""
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        if self.asking:
            self._waiting.append(waiter)
        else:
            waiter.callback(None)
        return waiter

    def tell(self) -> None:
        """What was asked of it has ended."""
        self.asking = False
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)


def state_of(
    source: Source, facts: VerifiedList | None, next_attempt: datetime | None
) -> SourceState:
    """How it goes with a source; `facts` are those of the list that is held by its key."""
    state = SourceState(
        source.name,
        fetched=source.fetched,
        checked=source.known.checked,
        error=source.error,
        error_at=source.error_at,
        next_attempt=next_attempt,
    )
    return state if facts is None else _with_list(state, facts)


def state_of_kept(record: Record, facts: VerifiedList) -> SourceState:
    """A list in force whose source is no longer configured."""
    state = SourceState(
        record.source,
        fetched=record.fetched,
        checked=record.checked,
        error=record.error,
        error_at=record.error_at,
    )
    return _with_list(state, facts)


def _with_list(state: SourceState, facts: VerifiedList) -> SourceState:
    return evolve(
        state,
        issuer_name=facts.issuer_name,
        issuers=facts.issuers,
        number=facts.number,
        this_update=facts.this_update,
        next_update=facts.next_update,
        entries=facts.entries,
        scope=scope_text(facts.scope),
    )


def scope_text(scope: Scope) -> str:
    """A scope for people."""
    kinds = {
        (True, True): "all certificates",
        (True, False): "leaves",
        (False, True): "CAs",
        (False, False): "none",
    }
    kind = kinds[scope.leaves, scope.authorities]
    return f"{kind} at {' '.join(scope.points)}" if scope.points else kind

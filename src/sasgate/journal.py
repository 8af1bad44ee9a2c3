"""The journal: one audit event a decision, one access event an exchange, through twisted.logger.

Audit events go to the namespace `sasgate.audit`, access events to `sasgate.access`; their fields
are keys of the event beside its text. Neither ever holds a query, a body or a key.
"""

from functools import partial
from typing import Protocol

from attrs import asdict, define, evolve, fields, frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

from sasgate.log_format import Lazy, cut, escaped, shown_path, word
from sasgate.settings import Log


@frozen
class Decision:
    """One judgement of a client.

    `outcome` is `admitted`, `unauthorized` (401), `forbidden` (403), `closed` (before the
    handshake) or `cut` (revoked while connected); `verify` is the word that clients see, `detail`
    the exact reason. What the certificate says is empty where there is none; `serial` and `sha256`
    are hexadecimal.
    """

    listener: str
    environment: str | None
    peer: str
    outcome: str
    verify: str
    detail: str
    cn: str = ""
    ou: str = ""
    serial: str = ""
    issuer: str = ""
    sha256: str = ""


@frozen
class Access:
    """One exchange.

    `target` is the raw request target; `received` and `sent` are bytes of body; `seconds` is the
    whole exchange, `answer_seconds` the part until the head of the answer; `error` is empty where
    all went well.
    """

    listener: str
    environment: str | None
    peer: str
    request_id: str
    method: str
    target: bytes
    status: int
    received: int
    sent: int
    seconds: float
    answer_seconds: float
    backend: str = ""
    error: str = ""


_DECISION_FIELDS = tuple(field.name for field in fields(Decision))
_ACCESS_FIELDS = tuple("path" if field.name == "target" else field.name for field in fields(Access))


class Watcher(Protocol):
    """Somebody who counts what happens; nothing that it does may keep anything from happening."""

    def decision(self, decision: Decision) -> None:
        """Learn of every decision, also of those that are told together."""

    def exchange(self, access: Access) -> None:
        """Learn of every exchange."""

    def handshake(self, listener: str, seconds: float) -> None:
        """Learn of every handshake that was finished."""


# Seconds in which identical refusals are counted, and kinds of refusal told apart in them.
_PERIOD = 60.0
_MOST_KINDS = 1000

# What can be said of somebody without a certificate that IGC Santé signed.
_ANYBODYS = frozenset({"NONE", "FAILED:untrusted issuer", "FAILED:malformed"})


@define
class _Kind:
    """Refusals since the first of a kind; `decision` None stands for all kinds beyond the most."""

    decision: Decision | None
    since: float
    end: IDelayedCall
    count: int = 0


class Journal:
    """Writes decisions and exchanges; identical refusals are counted together by the minute.

    `clock` times those minutes. `log` lends its observer (default: Twisted's global one).
    """

    def __init__(self, settings: Log, clock: IReactorTime, log: Logger | None = None) -> None:
        observer = None if log is None else log.observer
        self._audit = Logger("sasgate.audit", observer=observer)
        self._exchanges = Logger("sasgate.access", observer=observer)
        self._watching = Logger("sasgate", observer=observer)
        self._full_paths = settings.full_paths
        self._clock = clock
        self._kinds: dict[Decision | None, _Kind] = {}
        self._closed = False
        self._watcher: Watcher | None = None

    def watch(self, watcher: Watcher) -> None:
        """Tell somebody of all that happens, from now on."""
        self._watcher = watcher

    def decision(self, decision: Decision) -> None:
        """Write an admission; write the first refusal of a kind and count those that follow."""
        bounded = _bounded(decision)
        if self._watcher is not None:
            try:
                self._watcher.decision(bounded)
            except Exception:
                self._not_counted()
        if bounded.outcome == "admitted":
            self._write(bounded)
        elif self._closed or self._is_first(bounded):
            self._write(bounded, level=LogLevel.warn)

    def access(self, access: Access) -> None:
        """Write one exchange; its text is made only if somebody reads it."""
        path = shown_path(access.target, full=self._full_paths)
        self._exchanges.info(
            "{line}",
            line=Lazy(partial(_access_text, access, path)),
            event="access",
            journal_fields=_ACCESS_FIELDS,
            path=path,
            listener=access.listener,
            environment=access.environment,
            peer=access.peer,
            request_id=access.request_id,
            method=access.method,
            status=access.status,
            received=access.received,
            sent=access.sent,
            seconds=access.seconds,
            answer_seconds=access.answer_seconds,
            backend=access.backend,
            error=access.error,
        )
        self._count(access)

    def refused(self, access: Access) -> None:
        """Take note of an exchange with somebody who is not admitted: it is worth no line."""
        self._count(access)

    def _count(self, access: Access) -> None:
        if self._watcher is not None:
            try:
                self._watcher.exchange(access)
            except Exception:
                self._not_counted()

    def handshake(self, listener: str, seconds: float) -> None:
        """Take note of a finished handshake: it is worth no line."""
        if self._watcher is not None:
            try:
                self._watcher.handshake(listener, seconds)
            except Exception:
                self._not_counted()

    def _not_counted(self) -> None:
        self._watching.failure("something that happened was not counted")

    def follow(self, settings: Log) -> None:
        """Take up other settings after a reload."""
        self._full_paths = settings.full_paths

    def close(self) -> None:
        """Write what is still being counted; whatever comes later is written at once."""
        self._closed = True
        for key in list(self._kinds):
            self._kinds[key].end.cancel()
            self._end(key)

    def _is_first(self, decision: Decision) -> bool:
        key = evolve(decision, sha256="", environment=None)
        held = self._kinds.get(key)
        if held is None and len(self._kinds) < self._room(decision):
            self._begin(key, decision)
            return True
        if held is None:
            held = self._kinds.get(None) or self._begin(None, None)
        held.count += 1
        return False

    def _room(self, decision: Decision) -> int:
        # Whoever needs no genuine certificate must not use up the room of those who have one.
        return _MOST_KINDS if decision.verify in _ANYBODYS else 2 * _MOST_KINDS

    def _begin(self, key: Decision | None, decision: Decision | None) -> _Kind:
        end = self._clock.callLater(_PERIOD, self._end, key)
        self._kinds[key] = kind = _Kind(decision, self._clock.seconds(), end)
        return kind

    def _end(self, key: Decision | None) -> None:
        kind = self._kinds.pop(key)
        if not kind.count:
            return
        seconds = self._clock.seconds() - kind.since
        period = "in the last minute" if seconds >= _PERIOD else f"in the last {seconds:.0f} s"
        if kind.decision is not None:
            self._write(kind.decision, LogLevel.warn, repeated=kind.count, period=period)
            return
        self._audit.warn(
            "{line}",
            line=f"{kind.count} refusals of more than {_MOST_KINDS} kinds {period}, not told apart",
            event="refusals",
            journal_fields=("repeated",),
            repeated=kind.count,
        )

    def _write(
        self,
        decision: Decision,
        level: LogLevel = LogLevel.info,
        repeated: int = 0,
        period: str = "",
    ) -> None:
        counted = {"repeated": repeated} if repeated else {}
        self._audit.emit(
            level,
            "{line}",
            line=Lazy(partial(_decision_text, decision, repeated, period)),
            event="decision",
            journal_fields=(*_DECISION_FIELDS, *counted),
            **asdict(decision),
            **counted,
        )


def _bounded(decision: Decision) -> Decision:
    return evolve(
        decision,
        **{name: cut(value) for name, value in asdict(decision).items() if value is not None},
    )


_OUTCOMES = {"unauthorized": "refused 401", "forbidden": "refused 403"}


def _decision_text(decision: Decision, repeated: int, period: str) -> str:
    facts = {
        "environment": decision.environment,
        "peer": decision.peer,
        "CN": decision.cn,
        "OU": decision.ou,
        "serial": decision.serial,
        "issuer": decision.issuer,
        "sha256": decision.sha256,
    }
    outcome = _OUTCOMES.get(decision.outcome, escaped(decision.outcome))
    text = f"{outcome} {escaped(decision.verify)} listener={word(decision.listener)}"
    text += "".join(f" {key}={word(value)}" for key, value in facts.items() if value)
    text += f" ({escaped(decision.detail)})"
    return f"{text} repeated {repeated} times {period}" if repeated else text


def _access_text(access: Access, path: str) -> str:
    text = (
        f"{access.status} {escaped(access.method)} {escaped(path)}"
        f" listener={word(access.listener)} environment={word(access.environment or '-')}"
        f" peer={word(access.peer)} backend={word(access.backend or '-')}"
        f" received={access.received} sent={access.sent}"
        f" seconds={access.seconds:.3f} answer={access.answer_seconds:.3f}"
        f" request={word(access.request_id)}"
    )
    return f"{text} ({escaped(access.error)})" if access.error else text

"""A store on simulated time, with servers and a disk that do as they are told."""

import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from cryptography import x509
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure

from crl_judging import NOW, ORG, ROOT, sha256, signed
from sasgate.lab.authority import Authority
from sasgate.lab.lists import revoked
from sasgate.lab.pki import Lab
from sasgate.revocation.crl import LoadedList, verify_list
from sasgate.revocation.download import (
    Downloaded,
    DownloadFailed,
    DownloadProblem,
    NotModified,
    Validators,
)
from sasgate.revocation.lists import Lists
from sasgate.revocation.store import Plan, SourceState, Store


ORG_URL, ROOT_URL, MIRROR_URL = (
    "http://crl.lab/org.crl",
    "http://crl.lab/root.crl",
    "http://m/o.crl",
)
UNREACHABLE = DownloadFailed(DownloadProblem.UNREACHABLE, "refused")
Served = bytes | Exception | Deferred[Any]


def load_here(
    _reactor: object, source: int, authorities: Sequence[x509.Certificate], now: datetime
) -> Deferred[LoadedList]:
    """As `load_list`, at once and in this process."""
    data = os.pread(source, 1 << 26, 0)
    return maybeDeferred(verify_list, data, authorities, now)


def ended(work: Awaitable[Any] | Deferred[Any]) -> Any:
    """What came of something that must not have to wait."""
    results: list[Any] = []
    deferred = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)  # type: ignore[arg-type]
    deferred.addBoth(results.append)
    assert results, "it is still waiting"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


@define
class World:
    """`served` says what a URL gives; `asked` is who was asked when, with which validators."""

    lab: Lab
    folder: Path
    begin: datetime = NOW
    clock: Clock = field(factory=Clock)
    jump: timedelta = timedelta()
    served: dict[str, Served | Callable[[], Served]] = field(factory=dict)
    asked: list[tuple[str, datetime, Validators]] = field(factory=list)
    changes: list[Lists] = field(factory=list)
    files: list[Any] = field(factory=list)

    def wall(self) -> datetime:
        return self.begin + timedelta(seconds=self.clock.seconds()) + self.jump

    def plan(self, *sources: str, cas: Sequence[str] = (ORG, ROOT)) -> Plan:
        authorities = [self.lab.authorities[each] for each in cas]
        stems = {sha256(each): each.name for each in authorities}
        return Plan(sources or (ORG_URL,), tuple(each.certificate for each in authorities), stems)

    def store(self, plan: Plan | None = None, **changes: Any) -> Store:
        options = {
            "refresh": None,
            "download": self.download,
            "load": load_here,
            "changed": self.changes.append,
            "in_thread": maybeDeferred,
            "draw": lambda: 0.5,
            **changes,
        }
        return Store(self.clock, self.wall, self.folder, plan or self.plan(), **options)

    def opened(self, plan: Plan | None = None, **changes: Any) -> Store:
        store = self.store(plan, **changes)
        ended(store.open())
        return store

    def download(self, url: str, validators: Validators) -> Deferred[Any]:
        self.asked.append((url, self.wall(), validators))
        served = self.served.get(url, UNREACHABLE)
        if callable(served):
            served = served()
        if isinstance(served, Deferred):
            return served
        if isinstance(served, Exception):
            return Deferred.fromCoroutine(_raising(served))
        tag = Validators(etag=f'"{hash(served)}"')
        return succeed(NotModified() if validators == tag else self.downloaded(served, tag))

    def downloaded(self, content: bytes, validators: Validators | None = None) -> Downloaded:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever gets it closes it
        file.write(content)
        file.flush()
        self.files.append(file)
        return Downloaded(file, len(content), validators or Validators())

    def pass_time(self, **duration: float) -> None:
        """Let time pass, timer by timer."""
        until = self.clock.seconds() + timedelta(**duration).total_seconds()
        while (call := min(self.clock.getDelayedCalls(), key=_time, default=None)) and (
            _time(call) <= until
        ):
            self.clock.advance(max(0.0, _time(call) - self.clock.seconds()))
        self.clock.advance(until - self.clock.seconds())

    def leftovers(self) -> list[Any]:
        """Timers, and files that are still open."""
        return [*self.clock.getDelayedCalls(), *(each for each in self.files if not each.closed)]


def number(store: Store, authority: Authority) -> int | None:
    """The number of the one list in force of a CA."""
    held = store.lists.by_issuer.get(sha256(authority), ())
    numbers = [each.facts.number for each in held]
    assert len(numbers) <= 1
    return numbers[0] if numbers else None


def state(store: Store, source: str = ORG_URL) -> SourceState:
    """How it goes with one source."""
    (found,) = (each for each in store.states if each.source == source)
    return found


def alarms(logged: list[LogEvent]) -> list[str]:
    """What was logged as a warning or worse."""
    loud = [
        event
        for event in logged
        if event["log_namespace"] == "sasgate.revocation" and event["log_level"] >= LogLevel.warn
    ]
    assert not [event for event in loud if "log_failure" in event]
    return [formatEvent(event) for event in loud]


async def _raising(error: Exception) -> None:
    raise error


def _time(call: Any) -> float:
    return float(call.getTime())


@pytest.fixture
def world(lab: Lab, tmp_path: Path) -> World:
    world = World(lab, tmp_path / "state" / "crl")
    world.served[ORG_URL] = signed(lab.authorities[ORG], revoked(5), number=7)
    return world


@pytest.fixture
def org(lab: Lab) -> Authority:
    return lab.authorities[ORG]


@pytest.fixture
def store(world: World) -> Store:
    """A store that holds list 7, on which serial 5 is."""
    return world.opened()


def refreshed(store: Store) -> None:
    ended(store.refresh())


def flipped(der: bytes) -> bytes:
    """With a bit of a revoked serial turned."""
    at = der.index(bytes.fromhex("020106"))
    return der[: at + 2] + b"\x07" + der[at + 3 :]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def _not_modified() -> NotModified:
    return NotModified()


def not_modified() -> Deferred[NotModified]:
    return Deferred.fromCoroutine(_not_modified())


def never(*_: object) -> Deferred[Any]:
    return Deferred()

"""The lists that are needed: fetched or read, verified, kept, and put in force (design, "Lists").

Whatever goes wrong with a source, the list that is held stays and an alarm is logged: what is in
force is only ever replaced by a verified list that is newer (S18, S19, S23). Waiting is on a clock
that never jumps, and what is due on that of the wall (S60).
"""

from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from sasgate.identity import printable_name
from sasgate.log_format import escaped
from sasgate.revocation.asking import Asking, Download
from sasgate.revocation.download import Validators
from sasgate.revocation.export import Exportable
from sasgate.revocation.intake import Intake, InThread, Load
from sasgate.revocation.lists import Lists
from sasgate.revocation.loading import load_list
from sasgate.revocation.opening import examine, first_look, installations_offset
from sasgate.revocation.plan import Plan
from sasgate.revocation.shelf import Key, Shelf, spki_of
from sasgate.revocation.source import Source, SourceState
from sasgate.revocation.sources import Sources
from sasgate.revocation.watch import UnusableSource, files_of, is_url, mark_at


_log = Logger("sasgate.revocation")

__all__ = ["Plan", "SourceState", "Store", "UnusableSource"]

# Seconds: the longest between two looks at the wall clock, between two looks at files, and until
# a file that seems unchanged is read again all the same.
_TICK, _LOOK, _READ_AGAIN = 60.0, 5.0, 600.0

_draw = SystemRandom().random


class Store:
    """Keeps the lists of a plan current; `lists` are those in force.

    `wall` gives the aware time of day, `refresh` is a period in seconds or None for `auto`,
    `folder` is where verified lists are kept. `download` fails with `DownloadFailed`; cancelling
    it ends it. `changed` is called after each swap, `kept` once
    what is on disk, and so `exportable`, has changed. `in_thread` runs what blocks, and `draw`
    gives numbers in [0, 1): both are for tests.
    """

    def __init__(
        self,
        reactor: Any,
        wall: Callable[[], datetime],
        folder: Path,
        plan: Plan,
        *,
        refresh: float | None,
        download: Download,
        load: Load = load_list,
        changed: Callable[[Lists], None],
        kept: Callable[[], None] = lambda: None,
        in_thread: InThread | None = None,
        draw: Callable[[], float] = _draw,
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._plan = plan
        self._draw = draw
        self._in_thread: InThread = in_thread or partial(
            deferToThreadPool, reactor, reactor.getThreadPool()
        )
        self._shelf = Shelf(folder)
        self._intake = Intake(
            reactor,
            wall,
            self._shelf,
            load=load,
            in_thread=self._in_thread,
            configured=lambda name: name in self._sources,
            changed=changed,
            kept=kept,
        )
        self._intake.authorities = plan.authorities
        self._sources = Sources(self._intake.holdings, refresh)
        self._asking = Asking(
            reactor,
            wall,
            download=download,
            intake=self._intake,
            is_due=lambda source: self._sources.is_due(source, wall()),
        )
        self._expired: set[Key] = set()
        self._timers: dict[str, IDelayedCall] = {}
        self._pausing: Deferred[None] | None = None
        self._busy = 0
        self._idle: list[Deferred[None]] = []
        self._open = self._closed = False

    @property
    def lists(self) -> Lists:
        """Those in force."""
        return self._intake.lists

    @property
    def states(self) -> tuple[SourceState, ...]:
        """Every source, and every list in force whose source is no longer configured."""
        return self._sources.states(self._wall(), self._reactor.seconds())

    @property
    def exportable(self) -> tuple[Exportable, ...]:
        """The lists in force; none while one of them is not on the disk."""
        return self._intake.holdings.exportable(self._plan.authorities, self._shelf)

    async def open(self) -> None:
        """Put in force what is kept and what files and folders hold; then keep it current.

        To end it before, use `close`.

        Raises:
            UnusableSource: a file or folder can't be read or is no list of these CAs (S1).
            CancelledError: closed meanwhile.
        """
        try:
            await self._counted(self._begin())
        except Exception:
            await self.close()
            raise
        self._open = True
        self._tick()
        self._look()

    async def examine(self, plan: Plan) -> None:
        """Whether `follow` could use the files and folders of a plan; changes nothing.

        Raises:
            UnusableSource: the first that it could not.
            CancelledError: closed meanwhile.
        """
        await self._counted(examine(self._intake, plan))

    def follow(self, plan: Plan, refresh: float | None) -> None:
        """Go on with another plan; lists of CAs that it doesn't have go out of force."""
        same = {*plan.authorities} == {*self._plan.authorities}
        self._plan, self._sources.refresh = plan, refresh
        self._intake.authorities = plan.authorities
        for source in self._sources:
            if source.name not in plan.sources and source.parent not in plan.sources:
                self._drop(source)
        self._adopt()
        if not same:
            self._spawn(self._intake.restore_again())
            self._ask_anew(lambda source: not source.fetched_by_url or bool(source.error))
        if self._open:
            self._tick()
            self._look()

    def refresh(self) -> Deferred[tuple[SourceState, ...]]:
        """Ask every source now; fires once all have answered or failed. May be cancelled."""
        return Deferred.fromCoroutine(self._refresh_all())

    def forget(self, issuer: str, who: str, why: str) -> tuple[str, ...]:
        """Take the next list of a CA whatever its number: it began to number anew.

        `issuer` is its CN, the name of its file, or its SHA-256. What is in force stays until
        then. Returns the names of the CAs, each once.

        Raises:
            LookupError: no such CA, or nothing is remembered of it.
        """
        cas = self._plan.named(issuer)
        holdings = self._intake.holdings
        known = holdings.of_signers({(printable_name(ca.subject), spki_of(ca)) for ca in cas})
        keys = [key for key in known if holdings.records[key].held is not None]
        if not keys:
            raise LookupError(f"no list of {issuer} is remembered")
        for key in keys:
            record = evolve(holdings.records[key], held=None, validators=Validators())
            holdings.records[key] = record
            self._spawn(self._intake.note(record))
        names = tuple(dict.fromkeys(key.issuer for key in keys))
        for name in names:
            _log.warn(
                "the numbers of the lists of {issuer} are forgotten, by {who}: {why}",
                issuer=name,
                who=escaped(who),
                why=escaped(why),
            )
        self._ask_anew(lambda source: bool(source.error) or source.key in keys)
        return names

    async def close(self) -> None:
        """End everything that is under way; no list is loaded any more."""
        self._closed = True
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        if self._pausing is not None:
            self._pausing.cancel()
        self._asking.close()
        self._intake.close()
        if self._busy:
            idle: Deferred[None] = Deferred(self._idle.remove)
            self._idle.append(idle)
            await idle

    async def _begin(self) -> None:
        await self._intake.restore()
        self._sources.offset = await installations_offset(self._shelf, self._in_thread, self._draw)
        self._adopt()
        for text in self._files():
            for path in files_of(Path(text)):
                source = self._sources.named(str(path), text)
                await first_look(self._asking, source, self._reactor, self._pause)

    async def _pause(self, seconds: float) -> None:
        if self._closed:
            raise CancelledError
        self._pausing = deferLater(self._reactor, seconds)
        try:
            await self._pausing
        finally:
            self._pausing = None

    async def _refresh_all(self) -> tuple[SourceState, ...]:
        for text in self._files():
            self._look_at(text, again=True)
        for source in self._sources.fetched:
            self._start(source)
        for source in self._sources:
            await source.ended()
        return self.states

    async def _counted(self, work: Coroutine[Any, Any, None]) -> None:
        self._busy += 1
        try:
            await work
        finally:
            self._busy -= 1
            if not self._busy:
                waiting, self._idle = self._idle, []
                for each in waiting:
                    each.callback(None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(self._counted(work)).addErrback(self._defect)

    def _defect(self, failure: Failure) -> None:
        if not (self._closed and failure.check(CancelledError)):
            _log.failure("the store of lists failed", failure)

    def _files(self) -> list[str]:
        return [text for text in self._plan.sources if not is_url(text)]

    def _adopt(self) -> None:
        for text in self._plan.sources:
            if is_url(text):
                self._sources.named(text)

    def _drop(self, source: Source) -> None:
        self._sources.remove(source)
        self._asking.stop(source)

    def _start(self, source: Source) -> None:
        if not (source.asking or self._closed):
            source.asking = True
            self._spawn(self._ask(source))

    async def _ask(self, source: Source) -> None:
        try:
            await self._asking.ask(source)
        finally:
            source.tell()
            if self._open:
                self._tick()

    def _ask_anew(self, chosen: Callable[[Source], bool]) -> None:
        for source in self._sources:
            if chosen(source):
                self._sources.forgive(source)
                if source.fetched_by_url and source.error:
                    self._start(source)

    def _tick(self) -> None:
        """Ask what is due, and come again when something will be."""
        if self._closed:
            return
        wall, now = self._wall(), self._reactor.seconds()
        self._say_what_expired(wall)
        for source in self._sources.fetched:
            if not self._sources.wait(source, wall, now):
                self._start(source)
        resting = [each for each in self._sources.fetched if not each.asking]
        waits = [self._sources.wait(each, wall, now) for each in resting]
        self._later("tick", min([_TICK, *waits]), self._tick)

    def _look(self) -> None:
        """See which files were replaced."""
        if self._closed:
            return
        for text in self._files():
            self._look_at(text)
        if self._files():
            self._later("look", _LOOK, self._look)

    def _look_at(self, text: str, *, again: bool = False) -> None:
        now = self._reactor.seconds()
        try:
            names = [str(path) for path in files_of(Path(text))]
        except UnusableSource as error:
            source = self._sources.named(text, text)
            if source.error != error.reason and not self._closed:
                source.mark = None
                self._spawn(self._asking.failed(source, error, now))
            return
        for source in self._sources.found_by(text):
            if source.name not in names:
                self._drop(source)
                # What stood for a folder that could not be read goes when it can be.
                if source.name != text:
                    _log.warn("{file} is gone; its list stays", file=escaped(source.name))
        for name in names:
            source = self._sources.named(name, text)
            changed = source.mark is None or mark_at(Path(name)) != source.mark
            if again or changed or now - source.read >= _READ_AGAIN:
                self._start(source)

    def _later(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        timer = self._timers.get(name)
        if timer is not None and timer.active():
            timer.cancel()
        self._timers[name] = self._reactor.callLater(seconds, call)

    def _say_what_expired(self, wall: datetime) -> None:
        expired = dict(self._intake.holdings.expired(wall))
        for key in expired.keys() - self._expired:
            facts = expired[key]
            _log.critical(
                "list {number} of {issuer} expired on {when} and no newer one came",
                number=facts.number,
                issuer=facts.issuer_name,
                when=f"{facts.next_update:%Y-%m-%d %H:%M} UTC",
            )
        self._expired = set(expired)

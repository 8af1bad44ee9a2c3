"""Ask one source for its list, and remember how that went.

A failure of any kind leaves what is in force as it is, is an alarm, and puts the next attempt off
(S18, S19, S23, S59).
"""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from sasgate.failures import unread
from sasgate.log_format import escaped
from sasgate.revocation.download import DownloadFailed, NotModified, Validators
from sasgate.revocation.holdings import NotNewer
from sasgate.revocation.intake import Intake
from sasgate.revocation.loading import LoadFailed
from sasgate.revocation.refusal import ListRefused
from sasgate.revocation.schedule import Known
from sasgate.revocation.shelf import Record, open_regular
from sasgate.revocation.source import Source
from sasgate.revocation.watch import Mark, UnusableSource, mark_at


_log = Logger("sasgate.revocation")

Download = Callable[[str, Validators], Deferred[Any]]

# Looks at which a file may be found in the middle of being written, before that is a fault.
_UNSETTLED = 12


class BeingWritten(Exception):
    """The file changed while it was read: half of one list and half of another, perhaps (S28)."""


class NothingToCompare(Exception):
    """The server says that nothing changed, about something that is not held."""


_EXPECTED = (
    DownloadFailed,
    ListRefused,
    LoadFailed,
    NotNewer,
    UnusableSource,
    NothingToCompare,
    CancelledError,
    OSError,
)


class Asking:
    """Asks sources; `is_due` says which still is although it answered."""

    def __init__(
        self,
        clock: IReactorTime,
        wall: Callable[[], datetime],
        *,
        download: Download,
        intake: Intake,
        is_due: Callable[[Source], bool],
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._download = download
        self._intake = intake
        self._is_due = is_due
        self._downloads: dict[Source, Deferred[Any]] = {}
        self._closed = False

    def close(self) -> None:
        """End all downloads, and begin none."""
        self._closed = True
        for download in list(self._downloads.values()):
            download.cancel()

    def stop(self, source: Source) -> None:
        """End the download of a source, which is no longer one."""
        source.gone = True
        if source in self._downloads:
            self._downloads[source].cancel()

    async def ask(self, source: Source) -> None:
        """Ask it now; whatever happens is remembered in it, and nothing is raised."""
        began = self._clock.seconds()
        try:
            await (self._fetch if source.fetched_by_url else self.read)(source)
        except BeingWritten:
            return
        except Exception as error:
            if self._closed or source.gone:
                return
            if not isinstance(error, _EXPECTED):
                _log.failure("asking {source} for its list failed", source=source.name)
            await self.failed(source, error, began)
        else:
            self._settle(source, began)

    async def read(self, source: Source) -> None:
        """Take the list of a file.

        Raises:
            UnusableSource, ListRefused, LoadFailed, NotNewer: it gives none that can be used.
            BeingWritten: look again.
            CancelledError: closed.
        """
        path = Path(source.name)
        source.mark, source.read = mark_at(path), self._clock.seconds()
        try:
            with open_regular(path) as file:
                await self._read(source, file.fileno())
        except OSError as error:
            raise UnusableSource(path, unread(error)) from error

    async def failed(self, source: Source, error: Exception, began: float) -> None:
        """Remember that it gave nothing usable, and say so."""
        now = self._wall()
        source.error, source.error_at = _text(error), now
        source.backoff(now).fail(self._clock.seconds(), began)
        self._alarm(source, error)
        record = self._intake.holdings.records.get(source.key) if source.key else None
        if record is not None and record.source == source.name:
            record = evolve(record, error=source.error, error_at=now)
            await self._remember(record)

    async def _fetch(self, source: Source) -> None:
        sent = source.validators if self._is_kept(source) else Validators()
        download = maybeDeferred(self._download, source.name, sent)
        self._downloads[source] = download
        try:
            answer = await download
        finally:
            del self._downloads[source]
        if isinstance(answer, NotModified):
            await self._unchanged(source, sent)
            return
        with answer.file as file:
            if self._closed or source.gone:
                raise CancelledError
            await self._take(source, file.fileno(), answer.validators)

    async def _read(self, source: Source, file: int) -> None:
        before = Mark.of(os.fstat(file))
        try:
            await self._take(source, file, Validators(), before)
        except (ListRefused, LoadFailed, NotNewer):
            self._require_same(source, file, before)
            raise

    async def _take(
        self, source: Source, file: int, validators: Validators, before: Mark | None = None
    ) -> None:
        def still_wanted() -> None:
            if source.gone:
                raise CancelledError
            if before is not None:
                self._require_same(source, file, before)

        record = await self._intake.take(source.name, file, validators, still_wanted)
        source.fetched = self._wall()
        self._answered(source, record, validators)

    def _require_same(self, source: Source, file: int, before: Mark) -> None:
        if Mark.of(os.fstat(file)) == before:
            source.unsettled = 0
            return
        source.unsettled += 1
        if source.unsettled >= _UNSETTLED:
            source.unsettled = 0
            raise UnusableSource(Path(source.name), "changes whenever it is read")
        raise BeingWritten

    async def _unchanged(self, source: Source, sent: Validators) -> None:
        record = self._intake.holdings.records.get(source.key) if source.key else None
        if record is None or sent == Validators() or not self._is_kept(source):
            source.known = Known()
            raise NothingToCompare("the server says that a list is unchanged which is not held")
        now = self._wall()
        source.known = evolve(source.known, checked=now)
        source.error, source.error_at = "", None
        if record.source == source.name:
            await self._remember(evolve(record, checked=now, error="", error_at=None))

    def _answered(self, source: Source, record: Record, validators: Validators) -> None:
        facts, now = record.facts, self._wall()
        source.key, source.gave = record.key, facts.signed_sha256
        source.known = Known(facts.this_update, facts.next_update, record.interval, now)
        source.validators = validators
        source.error, source.error_at = "", None
        if not self._is_kept(source):
            source.error, source.error_at = "in force, but could not be kept on disk", now

    def _settle(self, source: Source, began: float) -> None:
        """What is due although it answered is asked again later: what came is not it yet."""
        if self._is_due(source):
            source.backoff(self._wall()).fail(self._clock.seconds(), began)
        else:
            source.forgive()

    def _is_kept(self, source: Source) -> bool:
        """Whether the very list that it last gave is in force, and on the disk."""
        facts = self._intake.holdings.facts(source.key)
        unkept = source.key in self._intake.holdings.unkept
        return facts is not None and facts.signed_sha256 == source.gave and not unkept

    async def _remember(self, record: Record) -> None:
        self._intake.holdings.records[record.key] = record
        await self._intake.note(record)

    def _alarm(self, source: Source, error: Exception) -> None:
        current = source.has_current(self._wall())
        passing = isinstance(error, DownloadFailed) and current
        facts = self._intake.holdings.facts(source.key)
        kept = "it has given none that is held"
        if facts is not None:
            until = f"{facts.next_update:%Y-%m-%d %H:%M} UTC"
            kept = f"list {facts.number} of {facts.issuer_name} is kept, valid until {until}"
        _log.emit(
            LogLevel.warn if passing else LogLevel.critical,
            "no usable list from {source}: {error}; {kept}",
            source=escaped(source.name),
            error=escaped(source.error),
            kept=kept,
        )


def _text(error: Exception) -> str:
    match error:
        case UnusableSource():
            return error.reason
        case CancelledError():
            return "cancelled"
        case _ if isinstance(error, _EXPECTED):
            return str(error)
        case _:
            return f"a defect of the gateway: {type(error).__name__}"

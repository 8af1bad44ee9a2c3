"""From a file that may be a list to a list in force and on the shelf, one at a time.

A newcomer is in force before it is kept: a disk that can't be written must not let a revoked
client in. Loads are the only things here that can be cancelled; a thread is always waited for.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from attrs import evolve
from cryptography import x509
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, maybeDeferred
from twisted.logger import Logger

from sasgate.log_format import escaped
from sasgate.revocation.crl import LoadedList, Succession, VerifiedList
from sasgate.revocation.download import Validators
from sasgate.revocation.holdings import Holdings, NotNewer, held_of
from sasgate.revocation.lists import Lists
from sasgate.revocation.loading import LoadFailed
from sasgate.revocation.refusal import ListRefused, Refusal
from sasgate.revocation.shelf import Kept, Key, Record, Shelf, key_of


_log = Logger("sasgate.revocation")

InThread = Callable[[Callable[[], Any]], Deferred[Any]]
Load = Callable[..., Deferred[LoadedList]]


class Intake:
    """Puts lists in force; `holdings` are those, `changed` hears of every swap.

    `kept` is told when what is on the shelf has changed.

    `load` is `loading.load_list`; `in_thread` runs what blocks; `configured` tells whether a source
    still is. `authorities` may be replaced at
    any moment, and count for what is loaded from then on.
    """

    def __init__(
        self,
        reactor: Any,
        wall: Callable[[], datetime],
        shelf: Shelf,
        *,
        load: Load,
        in_thread: InThread,
        configured: Callable[[str], bool],
        changed: Callable[[Lists], None],
        kept: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._shelf = shelf
        self._load = load
        self._in_thread = in_thread
        self._configured = configured
        self._changed = changed
        self._kept = kept
        self._queue = DeferredLock()
        self._writing = DeferredLock()
        self._loading: Deferred[LoadedList] | None = None
        self._closed = False
        self.authorities: tuple[x509.Certificate, ...] = ()
        self.holdings = Holdings()
        self.lists = Lists()

    def close(self) -> None:
        """End a load; whatever comes to its turn later fails with CancelledError."""
        self._closed = True
        if self._loading is not None:
            self._loading.cancel()

    async def judge(
        self, source: int | bytes, authorities: tuple[x509.Certificate, ...]
    ) -> LoadedList:
        """What is in a descriptor, verified; nothing is put in force.

        Raises:
            ListRefused, LoadFailed, CancelledError: as `load`.
        """
        async with self._queue:
            return await self._judge(source, authorities)

    async def take(
        self,
        name: str,
        file: int,
        validators: Validators,
        still_wanted: Callable[[], None],
    ) -> Record:
        """Put what the source `name` gave in force, if it is newer than what is held; keep it.

        The record is that of the list which is now in force: perhaps from another source, which
        gave the same before, as long as that is configured. `still_wanted` may raise whatever
        it likes, once the list was judged and before it is used.

        Raises:
            ListRefused, LoadFailed, NotNewer: nothing was changed.
            CancelledError: closed.
        """
        async with self._queue:
            authorities = self.authorities
            loaded = await self._judge(file, authorities)
            still_wanted()
            facts = loaded.facts
            key = key_of(facts, authorities)
            newer = self.holdings.succession(key, facts) is Succession.NEWER
            if newer:
                record = self._came(name, key, facts, validators)
            else:
                record = self._came_again(name, self.holdings.records[key], validators)
            whole = not newer and key not in self.holdings.unkept
            self.holdings.records[key] = record = evolve(record, facts=facts)
            if self.holdings.facts(key) != facts:
                self.holdings.lists[key] = loaded
                self.swap()
                self._tell(facts)
            if not whole:
                await self._keep(record, file)
            elif record.source == name:
                await self.note(record)
            # It may have been told to forget meanwhile.
            return self.holdings.records[key]

    async def restore(self) -> None:
        """Put in force what is on the shelf, each list verified anew."""
        try:
            await self._in_thread(self._shelf.prepare)
            kept, faults = await self._in_thread(self._shelf.read)
        except OSError as error:
            _log.critical(
                "lists cannot be kept in {folder}: {error}; without the network a restart would "
                "begin with none",
                folder=str(self._shelf.folder),
                error=escaped(str(error)),
            )
            return
        for fault in faults:
            _log.critical("{fault}; it is not believed", fault=escaped(fault))
        for each in kept:
            if each.record is not None:
                self.holdings.records[each.record.key] = each.record
            await self._restore(each)
        self.swap()
        self._kept()

    async def restore_again(self) -> None:
        """As `restore`, for what is remembered, because other CAs are configured."""
        for key, record in list(self.holdings.records.items()):
            if key in self.holdings.unkept:
                self._drop_if_foreign(key)
            else:
                await self._restore(Kept(self._shelf.path_of(key.name), record))
        self.swap()

    async def note(self, record: Record) -> None:
        """Keep a record alone."""
        await self._written(record, partial(self._shelf.note, record))

    def swap(self) -> None:
        """Have everybody use what is held now."""
        self.lists = self.holdings.snapshot()
        try:
            self._changed(self.lists)
        except Exception:
            _log.failure("lists changed; telling so failed")

    async def _judge(
        self, source: int | bytes, authorities: tuple[x509.Certificate, ...]
    ) -> LoadedList:
        if self._closed:
            raise CancelledError
        loading = maybeDeferred(self._load, self._reactor, source, authorities, self._wall())
        self._loading = loading
        try:
            loaded: LoadedList = await loading
        finally:
            self._loading = None
        if self._closed:
            raise CancelledError
        return loaded

    def _came(self, name: str, key: Key, facts: VerifiedList, validators: Validators) -> Record:
        """The record of a list that takes its place."""
        now, interval = self._wall(), self.holdings.interval(key, facts)
        return Record(name, key.spki, now, now, validators, interval, facts, held_of(facts))

    def _came_again(self, name: str, record: Record, validators: Validators) -> Record:
        """The record of a list that is held, and was given once more."""
        if record.source != name and self._configured(record.source):
            return record
        return evolve(
            record,
            source=name,
            checked=self._wall(),
            validators=validators,
            error="",
            error_at=None,
        )

    async def _keep(self, record: Record, file: int) -> None:
        # Until it is known to be there: whoever asks meanwhile must not rely on it.
        self.holdings.unkept.add(record.key)
        if await self._written(record, partial(self._shelf.put, record, file)):
            self.holdings.unkept.discard(record.key)
            self._kept()

    async def _written(self, record: Record, write: Callable[[], None]) -> bool:
        async with self._writing:
            try:
                await self._in_thread(write)
            except (OSError, ValueError) as error:
                _log.critical(
                    "list {number} of {issuer} is in force but could not be kept in {folder}: "
                    "{error}",
                    number=record.facts.number,
                    issuer=record.facts.issuer_name,
                    folder=str(self._shelf.folder),
                    error=escaped(str(error)),
                )
                return False
            return True

    async def _restore(self, kept: Kept) -> None:
        key = None if kept.record is None else kept.record.key
        try:
            await self._restored(kept)
        except FileNotFoundError:
            self._set_aside(key, f"{kept.path} is missing", "its number is still known")
        except ListRefused as error:
            if error.kind is Refusal.WRONG_ISSUER:
                self._not_needed(kept, key)
            else:
                self._set_aside(key, f"{kept.path}: {error}", "it is not used")
        except (NotNewer, OSError, LookupError) as error:
            self._set_aside(key, f"{kept.path}: {error}", "it is not used")
        except LoadFailed as error:
            # Nothing is known against it: what is in force stays.
            self._alarm(f"{kept.path}: {error}", "it could not be verified again")

    async def _restored(self, kept: Kept) -> None:
        async with self._queue:
            authorities = self.authorities
            with self._shelf.open(kept.path) as file:
                loaded = await self._judge(file.fileno(), authorities)
        facts = loaded.facts
        key = key_of(facts, authorities)
        if key.name != kept.path.stem:
            raise LookupError(f"holds a list that belongs to {key.name}")
        record = self.holdings.records.get(key) or Record(
            "", key.spki, self._wall(), None, Validators(), None, facts, held_of(facts)
        )
        self.holdings.restore(key, loaded, record)
        self._tell(facts)

    def _not_needed(self, kept: Kept, key: Key | None) -> None:
        if key is not None:
            self.holdings.drop(key)
        _log.info("{path} is of a CA that is not configured", path=str(kept.path))

    def _tell(self, facts: VerifiedList) -> None:
        _log.info(
            "list {number} of {issuer} is in force: {entries} entries, issued {issued}, expires"
            " {expires} UTC",
            number=facts.number,
            issuer=facts.issuer_name,
            entries=facts.entries,
            issued=f"{facts.this_update:%Y-%m-%d %H:%M}",
            expires=f"{facts.next_update:%Y-%m-%d %H:%M}",
        )

    def _set_aside(self, key: Key | None, what: str, outcome: str) -> None:
        if key is not None:
            self.holdings.drop(key)
            self.holdings.unkept.add(key)
        self._alarm(what, outcome)

    def _alarm(self, what: str, outcome: str) -> None:
        _log.critical("{what}; {outcome}", what=escaped(what), outcome=outcome)

    def _drop_if_foreign(self, key: Key) -> None:
        facts = self.holdings.facts(key)
        try:
            if facts is not None:
                key_of(facts, self.authorities)
        except LookupError:
            self.holdings.drop(key)

"""The lists in force and what is remembered of them; which newcomer may take whose place."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from attrs import define, evolve, field
from cryptography import x509

from sasgate.identity import fingerprint
from sasgate.revocation.crl import Held, LoadedList, Succession, VerifiedList, supersedes
from sasgate.revocation.download import Validators
from sasgate.revocation.export import Exportable
from sasgate.revocation.lists import Lists
from sasgate.revocation.schedule import publication_interval
from sasgate.revocation.shelf import Key, Record, Shelf


class NotNewer(Exception):
    """A verified list that may not take the place of the one that is held (S19)."""


@define
class Holdings:
    """Lists by what they can be replaced within.

    A record may be here without its list: of a CA that is not configured, or where the list on
    the shelf was damaged, and then its successors are still judged by it. `unkept` are those
    whose list is not, or not as it should be, on the shelf.
    """

    lists: dict[Key, LoadedList] = field(factory=dict)
    records: dict[Key, Record] = field(factory=dict)
    unkept: set[Key] = field(factory=set)

    def snapshot(self) -> Lists:
        """What admission asks."""
        return Lists.of(self.lists.values())

    def succession(self, key: Key, facts: VerifiedList) -> Succession:
        """How a newcomer stands to what is remembered; NEWER where that was forgotten.

        Raises:
            NotNewer: it is older, or says something else under the same number.
        """
        record = self.records.get(key)
        if record is None:
            return Succession.NEWER
        if record.held is None:
            current = self.lists.get(key)
            same = current is not None and current.facts.signed_sha256 == facts.signed_sha256
            return Succession.SAME if same else Succession.NEWER
        return _judged(facts, record.held)

    def facts(self, key: Key | None) -> VerifiedList | None:
        """Those of the list in force."""
        loaded = None if key is None else self.lists.get(key)
        return None if loaded is None else loaded.facts

    def interval(self, key: Key, facts: VerifiedList) -> timedelta | None:
        """How long the issuer last took to publish, now that `facts` came and are newer."""
        record = self.records.get(key)
        if record is None:
            return None
        return record.interval if record.held is None else publication_interval(record.held, facts)

    def restore(self, key: Key, loaded: LoadedList, record: Record) -> None:
        """Put a list from the shelf in force, verified anew; it may be newer than its record.

        Raises:
            NotNewer: it is older than its record says.
        """
        facts = loaded.facts
        if record.held is not None and _judged(facts, record.held) is Succession.NEWER:
            # The crash came after the list was replaced and before its record was.
            record = evolve(record, held=held_of(facts), validators=Validators())
        self.records[key] = evolve(record, facts=facts)
        self.lists[key] = loaded
        self.unkept.discard(key)

    def drop(self, key: Key) -> None:
        """Take a list out of force; what its successors are judged by stays."""
        self.lists.pop(key, None)

    def of_signers(self, cas: Collection[tuple[str, str]]) -> list[Key]:
        """Whatever is remembered of CAs, given as name and SHA-256 of the key."""
        return [key for key in self.records if (key.issuer, key.spki) in cas]

    def last_of(self, source: str) -> Record | None:
        """The record of the list that a source gave last, as far as that is known."""
        records = [each for each in self.records.values() if each.source == source]
        return max(records, key=lambda each: each.fetched, default=None)

    def expired(self, now: datetime) -> Iterator[tuple[Key, VerifiedList]]:
        """Those in force whose successor should have come."""
        for key, loaded in self.lists.items():
            if loaded.facts.expired(now):
                yield key, loaded.facts

    def exportable(
        self, authorities: Collection[x509.Certificate], shelf: Shelf
    ) -> tuple[Exportable, ...]:
        """The lists in force, each with a CA that it was verified against.

        None at all while one of them is not on the shelf: a neighbour that lacks the list of one
        CA refuses everybody, and what it was given before is better.
        """
        if not self.unkept.isdisjoint(self.lists):
            return ()
        cas = {fingerprint(ca): ca for ca in authorities}
        return tuple(
            Exportable(ca, loaded.facts, shelf.path_of(key.name))
            for key, loaded in self.lists.items()
            for ca in [cas.get(loaded.facts.issuers[0])]
            if ca is not None
        )


def held_of(facts: VerifiedList) -> Held:
    """What its successors are judged by."""
    return Held(facts.number, facts.this_update, facts.signed_sha256)


def _judged(facts: VerifiedList, held: Held) -> Succession:
    succession = supersedes(facts, held)
    if succession is Succession.OLDER:
        raise NotNewer(
            f"list {facts.number} of {facts.this_update:%Y-%m-%d %H:%M} UTC is older than list "
            f"{held.number} of {held.this_update:%Y-%m-%d %H:%M} UTC, which was seen; if its CA "
            "began its numbers anew, run: sasgate crl forget"
        )
    if succession is Succession.SAME_NUMBER_OTHER_CONTENT:
        raise NotNewer(f"another list with the number {facts.number}, which was seen before")
    return succession

"""All sources of a plan, each with what is remembered of it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from attrs import define, field

from sasgate.revocation.download import Validators
from sasgate.revocation.holdings import Holdings
from sasgate.revocation.schedule import Known
from sasgate.revocation.source import Source, SourceState, state_of, state_of_kept


@define
class Sources:
    """Sources by name. `refresh` is a period in seconds or None for `auto`; `offset` is ours."""

    holdings: Holdings
    refresh: float | None
    offset: timedelta = timedelta()
    _by_name: dict[str, Source] = field(factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Source]:
        return iter(tuple(self._by_name.values()))

    @property
    def fetched(self) -> list[Source]:
        """Those that are asked by the schedule."""
        return [each for each in self if each.fetched_by_url]

    def found_by(self, parent: str) -> list[Source]:
        """The files that were found by a configured path."""
        return [each for each in self if each.parent == parent]

    def named(self, name: str, parent: str | None = None) -> Source:
        """The source of that name; a new one begins with what the shelf knows of it."""
        if name not in self._by_name:
            self._by_name[name] = self._new(name, parent)
        return self._by_name[name]

    def remove(self, source: Source) -> None:
        """Forget it; what it gave stays in force."""
        del self._by_name[source.name]

    def wait(self, source: Source, wall: datetime, seconds: float) -> float:
        """Seconds until it is to be asked; 0.0 means now."""
        return source.wait(self.refresh, self.offset, wall, seconds)

    def is_due(self, source: Source, wall: datetime) -> bool:
        """Whether it should have something new."""
        return source.fetched_by_url and source.due(self.refresh, self.offset, wall) <= wall

    def states(self, wall: datetime, seconds: float) -> tuple[SourceState, ...]:
        """Every source, and every list in force whose source is no longer configured."""

        def next_attempt(source: Source) -> datetime | None:
            if not source.fetched_by_url:
                return None
            return wall + timedelta(seconds=self.wait(source, wall, seconds))

        holdings = self.holdings
        shown = {each.key for each in self}
        return (
            *(state_of(each, holdings.facts(each.key), next_attempt(each)) for each in self),
            *(
                state_of_kept(holdings.records[key], loaded.facts)
                for key, loaded in holdings.lists.items()
                if key not in shown
            ),
        )

    def _new(self, name: str, parent: str | None) -> Source:
        source = Source(name, parent)
        record = self.holdings.last_of(name)
        facts = None if record is None else self.holdings.facts(record.key)
        if record is None or facts is None:
            return source
        source.key, source.gave = record.key, facts.signed_sha256
        source.fetched = record.fetched
        source.error, source.error_at = record.error, record.error_at
        source.validators = record.validators
        source.known = Known(facts.this_update, facts.next_update, record.interval, record.checked)
        return source

    def forgive(self, source: Source) -> None:
        """Ask it as if nothing were known of its failures, nor of what it gave."""
        source.forgive()
        source.mark, source.validators = None, Validators()

"""Kept lists as a table for people; all times are UTC."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from cryptography import x509

from sasgate.commands.kept_lists import KeptList, KeptLists
from sasgate.identity import fingerprint
from sasgate.log_format import escaped
from sasgate.revocation.plan import Plan
from sasgate.revocation.scope import WHOLE
from sasgate.revocation.source import scope_text
from sasgate.settings import RevocationMode


_HEAD = ("issuer", "number", "issued (UTC)", "expires (UTC)", "entries", "age")
_NONE = ("none", "-", "-", "-", "-")
_NOTE = "    "


def table(kept: KeptLists, now: datetime) -> Iterator[str]:
    """A line a list, with notes below it; then CAs without a list, and files that aren't used."""
    rows = [(_row(kept.plan, each, now), [*_notes(each, now)]) for each in kept.lists]
    rows += [
        ((name_of(kept.plan, ca), *_NONE), ["NO LIST is held of this CA"]) for ca in kept.lacking
    ]
    widths = [max(map(len, cells)) for cells in zip(_HEAD, *(row for row, _ in rows), strict=True)]
    yield _line(_HEAD, widths)
    for row, notes in rows:
        yield _line(row, widths)
        yield from (_NOTE + note for note in notes)
    if kept.mode is RevocationMode.OFF:
        yield ""
        yield "[revocation] mode = off: no list is looked at"
    if kept.faults:
        yield ""
        yield "Not used:"
        yield from (_NOTE + escaped(fault) for fault in kept.faults)


def name_of(plan: Plan, ca: x509.Certificate) -> str:
    """The name that other commands take: that of the CA's file."""
    return escaped(plan.stems[fingerprint(ca)])


def names_of(plan: Plan, issuers: Iterable[str]) -> str:
    """The same of all CAs of a list, by their SHA-256."""
    return ", ".join(sorted({escaped(plan.stems[issuer]) for issuer in issuers}))


def expiry(next_update: datetime, now: datetime) -> str:
    """How long ago a list expired."""
    return f"EXPIRED {_length(now - next_update)} ago"


def _row(plan: Plan, each: KeptList, now: datetime) -> tuple[str, ...]:
    facts = each.facts
    return (
        names_of(plan, facts.issuers),
        str(facts.number),
        _instant(facts.this_update),
        _instant(facts.next_update),
        str(facts.entries),
        _length(now - facts.this_update),
    )


def _notes(each: KeptList, now: datetime) -> Iterator[str]:
    facts, record = each.facts, each.record
    if facts.expired(now):
        yield f"{expiry(facts.next_update, now)}; what it revokes stays refused"
    if facts.scope != WHOLE:
        yield f"only for {escaped(scope_text(facts.scope))}"
    if record is None:
        yield "where it comes from was lost"
        return
    asked = f", last asked {_instant(record.checked)}" if record.checked else ""
    yield f"from {escaped(record.source)}, fetched {_instant(record.fetched)}{asked}"
    if record.error:
        when = f" {_instant(record.error_at)}" if record.error_at else ""
        yield f"LAST ERROR{when}: {escaped(record.error)}"


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"


def _length(length: timedelta) -> str:
    """About how long; a clock that is behind makes it nothing."""
    minutes = max(0, int(length.total_seconds()) // 60)
    for unit, of_minutes in (("days", 1440), ("hours", 60)):
        if minutes >= 2 * of_minutes:
            return f"{minutes // of_minutes} {unit}"
    return f"{minutes} min"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(map(str.ljust, cells, widths)).rstrip()

"""What the lab publishes, and how honestly: the switches of `sasgate lab set`, as values.

An edition is what a CA signs: a list of a number and of dates. A switch says what is served in
its place.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TypedDict, Unpack

from attrs import evolve, frozen

from sasgate.lab import trees


DAY = 86400.0
# Seconds; longer than the gateway waits for a list or for an answer.
LATE = 40.0
HUGE = 100_000


class ListMode(Enum):
    """What is served in the place of a CA's list.

    OLD is the edition before, FORGED and DELTA a next one on which nobody is revoked, SAME_NUMBER
    another list under the number of the present one. HUGE and EXPIRED are editions of their own.
    """

    GOOD = "good"
    OLD = "old"
    FORGED = "forged"
    DELTA = "delta"
    HUGE = "huge"
    EXPIRED = "expired"
    SAME_NUMBER = "same-number"
    HTML = "html"
    ERROR = "error"
    LATE = "late"
    NONE = "none"


class OCSPMode(Enum):
    """How the responder answers.

    WRONGLY_SIGNED and STALE say "good" of everybody; UNKNOWN says just that, under a right
    signature.
    """

    GOOD = "good"
    LATE = "late"
    WRONGLY_SIGNED = "wrongly-signed"
    STALE = "stale"
    TRY_LATER = "try-later"
    UNKNOWN = "unknown"
    HTML = "html"
    ERROR = "error"
    NONE = "none"


class Signer(Enum):
    """Who rightly signs OCSP answers: a delegate of the CA, or the CA itself."""

    DELEGATE = "delegate"
    CA = "ca"


@frozen
class Entry:
    """A revoked certificate; `name` is the catalogue's or a CA's, for people to read."""

    name: str
    serial: int
    when: datetime


@frozen
class Edition:
    """What one list says; `filler` made-up serials follow those of `revoked`. Dates are aware."""

    number: int
    this_update: datetime
    next_update: datetime
    revoked: tuple[Entry, ...] = ()
    filler: int = 0


class ListOptions(TypedDict, total=False):
    """What may be set beside the mode of a list; see `ListSwitch`."""

    validity: float
    late: float
    filler: int


@frozen
class ListSwitch:
    """One CA's list; `validity` and `late` are seconds, `filler` what HUGE adds to the entries."""

    edition: Edition
    previous: Edition | None = None
    mode: ListMode = ListMode.GOOD
    validity: float = 6 * DAY
    late: float = LATE
    filler: int = HUGE

    @classmethod
    def first(cls, now: datetime) -> "ListSwitch":
        """The switch of a CA that publishes its list number 1, which is empty."""
        return cls(_edition(1, now, 6 * DAY))

    def published(self, now: datetime, revoked: tuple[Entry, ...] | None = None) -> "ListSwitch":
        """The next edition, of `now`; by default with the entries of this one."""
        edition = _edition(
            self.edition.number + 1, now, 0 if self.mode is ListMode.EXPIRED else self.validity
        )
        edition = evolve(
            edition,
            revoked=self.edition.revoked if revoked is None else revoked,
            filler=self.filler if self.mode is ListMode.HUGE else 0,
        )
        return evolve(self, edition=edition, previous=self.edition)

    def turned(self, now: datetime, mode: ListMode, **options: Unpack[ListOptions]) -> "ListSwitch":
        """Set to `mode`, and with other `options`.

        Modes that are editions of their own publish one, GOOD too: a list that differs from the
        last without a higher number would be a forgery.
        """
        turned = evolve(self, mode=mode, **options)
        signs = mode in {ListMode.GOOD, ListMode.HUGE, ListMode.EXPIRED}
        return turned.published(now) if signs else turned

    @property
    def run_out(self) -> datetime | None:
        """When the list ends by age; None where it is meant to be over."""
        return None if self.mode is ListMode.EXPIRED else self.edition.next_update


class OCSPOptions(TypedDict, total=False):
    """What may be set beside the mode of the responder; see `OCSPSwitch`."""

    validity: float
    late: float
    signer: Signer
    nonce: bool


@frozen
class OCSPSwitch:
    """The responder; `validity` of an answer and `late` are seconds.

    `nonce` says whether the question's nonce is returned.
    """

    mode: OCSPMode = OCSPMode.GOOD
    validity: float = 3600.0
    late: float = LATE
    signer: Signer = Signer.DELEGATE
    nonce: bool = True


@frozen
class Switches:
    """All of them; `lists` has the CAs of `trees.IGC`."""

    lists: Mapping[str, ListSwitch]
    ocsp: OCSPSwitch = OCSPSwitch()

    @classmethod
    def first(cls, now: datetime) -> "Switches":
        """Of a lab that has published nothing yet."""
        return cls({ca: ListSwitch.first(now) for ca in trees.IGC})

    def each(self, cas: Iterable[str], change: Callable[[ListSwitch], ListSwitch]) -> "Switches":
        """`change` made to the lists of these CAs; to all where none is named."""
        named = frozenset(cas) or frozenset(self.lists)
        lists = {ca: change(one) if ca in named else one for ca, one in self.lists.items()}
        return evolve(self, lists=lists)

    def revoked(self, ca: str, entry: Entry, now: datetime) -> "Switches":
        """A new list of `ca` with `entry`; nothing changes where its serial is listed already."""
        present = self.lists[ca].edition.revoked
        if any(entry.serial == each.serial for each in present):
            return self
        return self.each([ca], lambda one: one.published(now, (*present, entry)))

    def unrevoked(self, ca: str, serial: int, now: datetime) -> "Switches":
        """A new list of `ca` without `serial`; nothing changes where it isn't listed."""
        present = self.lists[ca].edition.revoked
        left = tuple(each for each in present if each.serial != serial)
        if left == present:
            return self
        return self.each([ca], lambda one: one.published(now, left))

    def renewed(self, now: datetime) -> "Switches":
        """A new list wherever the last one has run out."""
        over = [ca for ca, one in self.lists.items() if one.run_out and one.run_out <= now]
        return self.each(over, lambda one: one.published(now)) if over else self


def _edition(number: int, now: datetime, validity: float) -> Edition:
    begin = now.astimezone(UTC).replace(microsecond=0)
    return Edition(number, begin, begin + timedelta(seconds=int(validity)))

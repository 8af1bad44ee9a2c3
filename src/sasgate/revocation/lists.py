"""The verified lists in force, and what they say of a certificate.

Immutable: a new list makes a new `Lists` that shares all others.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType

from attrs import field, frozen

from sasgate.revocation.crl import LoadedList
from sasgate.revocation.policy import ListWord
from sasgate.revocation.scope import Scope


@frozen
class Subject:
    """A certificate as lists see it: its issuer by the SHA-256 of that CA's DER, and its serial.

    `points` are its distribution points (`scope.distribution_points`).
    """

    issuer: str
    serial: int
    ca: bool
    points: frozenset[str] = frozenset()


@frozen
class Word:
    """What the lists say.

    `next_update` is that of the list that a word of good or expired rests on: what time alone
    will change, or has changed.
    """

    word: ListWord
    next_update: datetime | None = None


_ABSENT = Word(ListWord.ABSENT)


@frozen
class Lists:
    """Lists by the SHA-256 of the CA that signed them, one a scope (S20, S21)."""

    by_issuer: Mapping[str, Collection[LoadedList]] = field(
        factory=lambda: MappingProxyType({}), repr=False
    )

    @classmethod
    def of(cls, lists: Collection[LoadedList]) -> "Lists":
        """Those lists, of which no two have both the same issuer and the same scope."""
        by_issuer: dict[str, dict[Scope, LoadedList]] = {}
        for each in lists:
            for issuer in each.facts.issuers:
                by_issuer.setdefault(issuer, {})[each.facts.scope] = each
        return cls(
            MappingProxyType({issuer: tuple(held.values()) for issuer, held in by_issuer.items()})
        )

    def word(self, subject: Subject, now: datetime) -> Word:
        """What is known of one certificate; `now` is aware.

        Whatever any list of its issuer revokes is revoked, be the list expired (S22) or of another
        scope; good takes a current list whose scope covers it.
        """
        covering = []
        for each in self.by_issuer.get(subject.issuer, ()):
            if subject.serial in each.serials:
                return Word(ListWord.REVOKED)
            if each.facts.scope.covers(ca=subject.ca, points=subject.points):
                covering.append(each.facts)
        if not covering:
            return _ABSENT
        latest = max(covering, key=lambda facts: facts.next_update)
        word = ListWord.EXPIRED if latest.expired(now) else ListWord.GOOD
        return Word(word, latest.next_update)

    def revokes(self, issuer: str, serial: int) -> bool:
        """Whether any list of a CA, by its SHA-256, has this serial."""
        return any(serial in each.serials for each in self.by_issuer.get(issuer, ()))

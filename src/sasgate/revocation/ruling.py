"""The word on one chain from all that is known of it at one moment; pure.

`policy` has the table; here are the facts that go into it, and how long the word may be relied on.
"""

from collections.abc import Iterator
from datetime import datetime

from attrs import frozen

from sasgate.revocation.chain import Chain
from sasgate.revocation.lists import Lists
from sasgate.revocation.lists import Word as ListsWord
from sasgate.revocation.ocsp_words import Answer, Word, policy_word
from sasgate.revocation.policy import Disengagement, ListWord, OCSPWord, Ruling, rule
from sasgate.settings import RevocationMode


@frozen
class Known:
    """What lists and OCSP say of one chain; `ocsp` is None while it was not asked.

    `leaf` and `cas` are the lists' words on the leaf and on the CAs below the root.
    """

    mode: RevocationMode
    leaf: ListsWord
    cas: tuple[ListsWord, ...]
    ocsp: Word | None
    ocsp_word: OCSPWord

    @classmethod
    def gather(
        cls, mode: RevocationMode, chain: Chain, lists: Lists, ocsp: Word | None, now: datetime
    ) -> "Known":
        """Ask the lists; `ocsp` is what the responder said, and `now` is aware."""

        def is_listed(serial: str) -> bool:
            return lists.revokes(chain.leaf.issuer, int(serial, 16))

        return cls(
            mode,
            lists.word(chain.leaf, now),
            tuple(lists.word(ca, now) for ca in chain.cas),
            ocsp,
            OCSPWord.NOT_ASKED if ocsp is None else policy_word(ocsp, is_listed),
        )

    def ruling(self, disengagement: Disengagement = Disengagement.NONE) -> Ruling:
        """The word of the table."""
        cas = tuple(each.word for each in self.cas)
        return rule(self.mode, self.leaf.word, cas, self.ocsp_word, disengagement)

    def unknown_since(self, now: datetime) -> datetime:
        """The first instant at which time alone had made the status unknown, at the latest now."""
        ends = (
            each.next_update
            for each in self._needed()
            if each.word is ListWord.EXPIRED and each.next_update is not None
        )
        return min(ends, default=now)

    def relied_on_until(self) -> datetime | None:
        """When a word of good has to be looked at again; None where time alone changes nothing."""
        return min(self._ends(), default=None)

    def cured(self) -> bool:
        """Whether a word of good ends the clock of débrayage: it rests on what the mode asks for.

        With `crl-or-ocsp` an answer by OCSP in the place of a list that has expired is good, and
        yet the outage of the lists goes on.
        """
        return all(
            each.word is ListWord.GOOD for each in (self.leaf, *self.cas)[self._lists_from :]
        )

    def is_outage(self) -> bool:
        """Whether a status that is unknown is so for want of news, and not by what was said.

        A responder that answers that it does not know one certificate is there for all others.
        Nor does the clock of débrayage start where no list was ever held to rest on.
        """
        answered = self.cured() and isinstance(self.ocsp, Answer)
        return not answered and self.ruling(Disengagement.ON_LAST_LIST).disengaged

    @property
    def _lists_from(self) -> int:
        return 1 if self.mode is RevocationMode.OCSP else 0

    def _needed(self) -> tuple[ListsWord, ...]:
        """The lists without which the status is unknown, whatever OCSP says."""
        by_list = {RevocationMode.CRL, RevocationMode.CRL_AND_OCSP}
        return (self.leaf, *self.cas) if self.mode in by_list else self.cas

    def _ends(self) -> Iterator[datetime]:
        for each in (self.leaf, *self.cas):
            if each.word is ListWord.GOOD and each.next_update is not None:
                yield each.next_update
        if isinstance(self.ocsp, Answer):
            yield self.ocsp.fresh_until


@frozen
class Checked:
    """A ruling that may be relied on until `until` (None: until something changes)."""

    ruling: Ruling
    until: datetime | None = None

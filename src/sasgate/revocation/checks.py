"""What the gateway asks about revocation, in one live object: lists, OCSP and débrayage.

A check is answered at once, but where OCSP has to be asked first. `version` counts what may change
an answer: whoever keeps one compares it, so that a connection judged while a list was being loaded
is judged by that list too (S15).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from sasgate.identity import Identity
from sasgate.revocation.chain import Chain
from sasgate.revocation.lists import Lists, Subject
from sasgate.revocation.live import Registry
from sasgate.revocation.ocsp_cache import OCSPCache
from sasgate.revocation.ocsp_responder import Responder
from sasgate.revocation.ocsp_words import Answer, NoAnswer, Problem, Word
from sasgate.revocation.policy import Disengagement, ListWord, Ruling, Status
from sasgate.revocation.ruling import Checked, Known
from sasgate.settings import RevocationMode


@frozen
class RevocationRules:
    """What one environment asks for; `responder` None where it names no OCSP responder."""

    mode: RevocationMode
    responder: Responder | None


class Outages(Protocol):
    """Débrayage, as far as checks take part in it; CAs by their SHA-256."""

    def word(self, issuer: str, now: datetime) -> tuple[Disengagement, datetime | None]:
        """Whether checks of a CA's certificates are disengaged, and until when."""

    def unknown(self, issuer: str, since: datetime) -> None:
        """Take note of when the status of a CA's certificates became unknown."""

    def known(self, issuer: str) -> None:
        """Learn that the status of a CA's certificates is known again."""

    def admitted(self, issuer: str) -> None:
        """Count an admission that only débrayage allowed."""


# The client itself left, or the gateway stops: this says nothing of the responder.
_NO_OUTAGE = frozenset({Problem.GIVEN_UP, Problem.CLOSED})
_ASKED_OF_EACH = frozenset({RevocationMode.OCSP, RevocationMode.CRL_AND_OCSP})
# A certificate that calls no more must not keep an outage up for ever.
_REMEMBERED = timedelta(days=7)
_NOT_CHECKED = Checked(Ruling(Status.GOOD, "revocation is not checked"))


class Checks:
    """Answers on certificates; live connections are cut when theirs turns revoked."""

    _log = Logger("sasgate.revocation")

    def __init__(
        self, wall: Callable[[], datetime], outages: Outages, cache: OCSPCache | None = None
    ) -> None:
        self.lists = Lists()
        self.version = 0
        self.live = Registry()
        self._wall = wall
        self._outages = outages
        self._cache = cache
        self._mode = RevocationMode.OFF
        self._nobodies: tuple[Chain, ...] = ()
        # When certificates were last without an answer, by the CA that signed them.
        self._unanswered: dict[str, dict[Subject, datetime]] = {}

    def follow(self, mode: RevocationMode, nobodies: tuple[Chain, ...]) -> None:
        """Take up the mode and the CAs of a configuration, each by the chain of nobody."""
        self._mode, self._nobodies = mode, nobodies
        self.changed()

    def check(
        self, rules: RevocationRules, chain: Chain, leaf: Identity
    ) -> Checked | Deferred[Checked]:
        """The word on a chain whose client was found to be one of ours; never a failure.

        A Deferred where OCSP has to be asked; cancelling it lets the question go on for others.
        """
        if rules.mode is RevocationMode.OFF:
            return _NOT_CHECKED
        revoked = self._revoked(rules, leaf)
        # A certificate that was once revoked is good again only where OCSP has said so since.
        if revoked is None or self._holds(rules, leaf):
            checked = self._rule(rules.mode, chain, revoked)
            if checked.ruling.status is not Status.OPEN:
                return checked
        word = self._ask(rules, chain, leaf)
        if isinstance(word, Deferred):
            return word.addCallback(lambda said: self._answered(rules, chain, leaf, said))
        return self._answered(rules, chain, leaf, word)

    def _answered(
        self, rules: RevocationRules, chain: Chain, leaf: Identity, word: Word
    ) -> Checked:
        """Rule by what OCSP says; silence does not unsay "revoked", débrayage or not (S22)."""
        revoked = self._revoked(rules, leaf) if isinstance(word, NoAnswer) else None
        return self._rule(rules.mode, chain, revoked or word)

    def _ask(self, rules: RevocationRules, chain: Chain, leaf: Identity) -> Word | Deferred[Word]:
        if self._cache is None or rules.responder is None:
            return NoAnswer(Problem.NO_RESPONDER)
        return self._cache.status(leaf, chain.issuer, rules.responder)

    def _revoked(self, rules: RevocationRules, leaf: Identity) -> Answer | None:
        """What OCSP revoked counts in every mode that asks it, before the list says so too."""
        if self._cache is None or rules.responder is None or rules.mode is RevocationMode.CRL:
            return None
        return self._cache.revoked(leaf, rules.responder)

    def _holds(self, rules: RevocationRules, leaf: Identity) -> bool:
        return (
            self._cache is not None
            and rules.responder is not None
            and self._cache.held(leaf, rules.responder) is not None
        )

    def _rule(self, mode: RevocationMode, chain: Chain, word: Word | None) -> Checked:
        now = self._wall()
        known = Known.gather(mode, chain, self.lists, word, now)
        ruling = known.ruling()
        if isinstance(word, NoAnswer) and word.kind in _NO_OUTAGE:
            return Checked(ruling)
        if ruling.status is Status.UNKNOWN:
            return self._unknown(known, chain.leaf, ruling, now)
        if ruling.status is Status.GOOD and known.cured():
            self._known(mode, chain.leaf, now)
        return Checked(ruling, known.relied_on_until())

    def _known(self, mode: RevocationMode, leaf: Subject, now: datetime) -> None:
        """End an outage; where OCSP is asked of each certificate, once all have their answer.

        Else the débrayage of one without an answer would never end: the good answer on any other
        would set the clock back each time (S23).
        """
        waiting = self._unanswered.get(leaf.issuer, {})
        waiting.pop(leaf, None)
        if mode in _ASKED_OF_EACH and any(now - seen < _REMEMBERED for seen in waiting.values()):
            return
        waiting.clear()
        self._outages.known(leaf.issuer)

    def _unknown(self, known: Known, leaf: Subject, ruling: Ruling, now: datetime) -> Checked:
        issuer = leaf.issuer
        # One certificate that the responder does not know is no outage.
        if known.is_outage():
            self._unanswered.setdefault(issuer, {})[leaf] = now
            self._outages.unknown(issuer, known.unknown_since(now))
        disengagement, until = self._outages.word(issuer, now)
        disengaged = known.ruling(disengagement)
        if not disengaged.disengaged:
            return Checked(ruling)
        self._outages.admitted(issuer)
        return Checked(disengaged, until)

    def changed(self) -> None:
        """Have every answer asked for anew before it is relied on again."""
        self.version += 1

    def lists_changed(self, lists: Lists) -> None:
        """Put other lists in force; connections of certificates that they revoke are cut."""
        self.lists = lists
        self.changed()
        now = self._wall()
        for chain in self.live.chains:
            subjects = (chain.leaf, *chain.cas)
            if any(lists.word(each, now).word is ListWord.REVOKED for each in subjects):
                self._cut(chain, "a list that has come revokes it")
        self._tell_outages(now)

    def _tell_outages(self, now: datetime) -> None:
        """Let débrayage know what lists alone say, whether or not anybody calls."""
        if self._mode not in {RevocationMode.CRL, RevocationMode.CRL_OR_OCSP}:
            return
        for chain in self._nobodies:
            known = Known.gather(self._mode, chain, self.lists, None, now)
            if known.ruling().status is Status.GOOD:
                self._outages.known(chain.leaf.issuer)
            elif known.is_outage():
                self._outages.unknown(chain.leaf.issuer, known.unknown_since(now))

    def answer_revoked(self, leaf: Identity) -> None:
        """Cut the connections of a certificate that OCSP has just revoked."""
        self.changed()
        for chain in self.live.chains:
            if chain.sha256 == leaf.sha256:
                self._cut(chain, "revoked by OCSP")

    def rules_changed(self) -> None:
        """Judge all live connections by rules that a reload has changed."""
        for connection in self.live:
            try:
                connection.review()
            except Exception:
                self._log.failure("a connection could not be judged by changed rules")

    def _cut(self, chain: Chain, reason: str) -> None:
        for connection in self.live.resting_on(chain.leaf):
            try:
                connection.cut(reason)
            except Exception:
                self._log.failure("a connection of a revoked certificate could not be cut")

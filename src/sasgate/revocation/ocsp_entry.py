"""What is held of one certificate that was asked about: its answer, and how long it may serve."""

from datetime import datetime

from attrs import define, field
from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from sasgate.identity import Identity
from sasgate.revocation.ocsp import TOLERANCE
from sasgate.revocation.ocsp_responder import OCSPOptions, Record, Responder
from sasgate.revocation.ocsp_words import (
    Answer,
    AnswerRefused,
    CertStatus,
    NoAnswer,
    Problem,
    Word,
)


# Seconds. An answer of a short life, or near its end, is kept this long, and no background
# question comes sooner after another.
SHORTEST = 10.0
# A certificate that the responder does not know yet may be a new one.
UNKNOWN_KEPT = 60.0
# The part of its life after which an answer is asked for again.
REFRESHED_AFTER = 0.75


@define(eq=False)
class Entry:
    """One certificate.

    Instants are seconds of a clock that never jumps: `used` last, `until` the end of the answer,
    `due` the next look at it.
    """

    leaf: Identity
    issuer: x509.Certificate
    responder: Responder
    used: float
    answer: Answer | None = None
    until: float = float("-inf")
    due: float = float("-inf")
    query: Deferred[Answer] | None = None
    waiters: dict[Deferred[Word], None] = field(factory=dict)
    timer: IDelayedCall | None = None
    record: Record = field(factory=Record)

    def wait(self) -> Deferred[Word]:
        """A Deferred of the next word; cancelled, it says that nobody waits any more (S33)."""
        waiter: Deferred[Word] = Deferred(self._leave)
        self.waiters[waiter] = None
        return waiter

    def _leave(self, waiter: Deferred[Word]) -> None:
        self.waiters.pop(waiter, None)
        waiter.callback(NoAnswer(Problem.GIVEN_UP))

    def tell(self, word: Word) -> None:
        """Give the word to all who wait."""
        waiters, self.waiters = self.waiters, {}
        for waiter in waiters:
            waiter.callback(word)

    def fresh(self, now: float, wall: datetime) -> Answer | None:
        """The answer, while it holds."""
        answer = self.answer
        if answer is None or now >= self.until:
            return None
        # The clock on the wall may have been set meanwhile (S60).
        first, last = answer.this_update - TOLERANCE, answer.fresh_until + TOLERANCE
        return answer if first <= wall <= last else None

    def check_succession(self, answer: Answer) -> None:
        """What was said revoked is unsaid by a later "good" only, not by one replayed (S31).

        Raises:
            AnswerRefused: `answer` would unsay it and is not later.
        """
        held = self.answer
        if held is None or held.status is not CertStatus.REVOKED:
            return
        if answer.status is CertStatus.UNKNOWN:
            # Else débrayage could admit whom a verified answer revoked (S22).
            raise AnswerRefused(Problem.NOT_UNSAID, f"revoked at {held.revoked_at:%Y-%m-%d %H:%M}")
        if answer.status is not CertStatus.REVOKED and answer.this_update <= held.this_update:
            raise AnswerRefused(Problem.OLDER, f"made at {answer.this_update:%Y-%m-%d %H:%M:%S}")

    def take(self, answer: Answer, now: float, wall: datetime, cap: float) -> bool:
        """Hold a verified answer; returns whether it turns the certificate revoked."""
        revoked, known = answer.status is CertStatus.REVOKED, self.answer
        life = _life(answer, wall, cap)
        self.answer, self.until = answer, now + life
        self.due = self.until
        if answer.status is CertStatus.GOOD:
            self.due = now + max(SHORTEST, life * REFRESHED_AFTER)
        return revoked and (known is None or known.status is not CertStatus.REVOKED)

    def in_use(self, now: float, options: OCSPOptions) -> bool:
        """Whether something may rest on it: used lately, and not refused by a verified answer."""
        refused = self.answer is not None and self.answer.status is not CertStatus.GOOD
        return not refused and now < self.used + options.recent

    def lapses(self, options: OCSPOptions) -> float:
        """When it can be forgotten unless it is used again.

        What is known to be revoked is kept as long as there is room, against replays.
        """
        if self.answer is not None and self.answer.status is CertStatus.REVOKED:
            return float("inf")
        return max(self.until, self.used + options.recent)


def _life(answer: Answer, wall: datetime, cap: float) -> float:
    """Seconds for which an answer is kept (S35)."""
    left = (answer.fresh_until - wall).total_seconds()
    if answer.status is CertStatus.UNKNOWN:
        cap = min(cap, UNKNOWN_KEPT)
    # What was taken thanks to the tolerance is kept no longer than the tolerance lasts.
    shortest = min(SHORTEST, left + TOLERANCE.total_seconds())
    return max(min(cap, left), shortest)

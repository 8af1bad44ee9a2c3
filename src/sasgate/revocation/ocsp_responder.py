"""Where OCSP is asked, how, and how what was asked fares."""

from datetime import datetime

from attrs import define, field, frozen
from cryptography import x509

from sasgate.revocation.backoff import Backoff
from sasgate.revocation.ocsp import HashName
from sasgate.revocation.ocsp_words import NoAnswer
from sasgate.settings import Limits, OCSPNonce, Revocation


# Seconds. A question may cost a client 3 s: soon tried again at first, and a responder that is
# back is seen to be back within a minute.
FLOOR, CAP = 1.0, 60.0


@frozen(cache_hash=True)
class Responder:
    """Where to ask, and who may sign beside the issuer and its delegates (`ocsp_signers`)."""

    url: str
    signers: tuple[x509.Certificate, ...] = ()


@frozen
class OCSPOptions:
    """How to ask, and how long to keep; times in seconds.

    `cap` bounds the life of an answer; certificates used less than `recent` ago are asked about in
    the background; at most `capacity` certificates are held.
    """

    hash: HashName = "sha1"
    nonce: OCSPNonce = OCSPNonce.NO
    cap: float = 3600.0
    recent: float = 3600.0
    capacity: int = 1000

    @classmethod
    def of(cls, revocation: Revocation, limits: Limits) -> "OCSPOptions":
        """Those of a configuration; whatever a live connection may rest on counts as recent."""
        return cls(
            hash="sha256" if revocation.ocsp_hash == "sha256" else "sha1",
            nonce=revocation.ocsp_nonce,
            cap=limits.ocsp_cache,
            recent=max(limits.connection_age, limits.ocsp_cache),
        )


@frozen
class ResponderState:
    """How a responder fares: failures since its last answer, the last one, seconds to wait.

    `answers` and `without_answer` count questions since the daemon started.
    """

    url: str
    failures: int
    problem: NoAnswer | None
    retry_in: float
    answered_at: datetime | None
    answers: int = 0
    without_answer: int = 0


def _new_backoff() -> Backoff:
    return Backoff(FLOOR, CAP)


@define(eq=False)
class Record:
    """What is remembered of a responder, or of the questions on one certificate."""

    backoff: Backoff = field(factory=_new_backoff)
    problem: NoAnswer | None = None
    answered_at: datetime | None = None
    answers: int = 0
    without_answer: int = 0

    def answered(self, wall: datetime) -> None:
        """An answer was verified; `wall` is the aware time of day."""
        self.backoff.succeed()
        self.problem, self.answered_at = None, wall

    def failed(self, problem: NoAnswer, now: float, began: float) -> None:
        """A question of the instant `began` has failed `now`."""
        self.backoff.fail(now, began)
        self.problem = problem

    def word(self, now: float) -> NoAnswer | None:
        """What to say instead of asking; None where asking is in order."""
        wait = self.backoff.remaining(now)
        if not wait or self.problem is None:
            return None
        said = f"{self.problem.detail}; " if self.problem.detail else ""
        return NoAnswer(self.problem.kind, f"{said}not asked again for {wait:.0f} s")

    def state(self, url: str, now: float) -> ResponderState:
        """The same for people to read."""
        backoff = self.backoff
        return ResponderState(
            url,
            backoff.failures,
            self.problem,
            backoff.remaining(now),
            self.answered_at,
            self.answers,
            self.without_answer,
        )

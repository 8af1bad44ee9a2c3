"""OCSP stapling: what the responder says of a listener's own certificate, sent along with it.

Specification, 5.4; RFC 6066, 8. Where that certificate names a responder and its issuer is in the
chain, the answer is asked for in the background and kept while it holds. A handshake takes what is
there and waits for nothing: without a good answer it goes on without any. The address comes from
the certificate itself, which the editor chose (the one exception to S36).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from attrs import define, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import load_der_ocsp_response
from cryptography.x509.oid import AuthorityInformationAccessOID
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sasgate.identity import printable_name
from sasgate.log_format import escaped
from sasgate.revocation.backoff import Backoff
from sasgate.revocation.ocsp import TOLERANCE, Asked, build_request, verify_answer
from sasgate.revocation.ocsp_signer import Signers
from sasgate.revocation.ocsp_words import Answer, AnswerRefused, CertStatus, Problem
from sasgate.trust import LARGEST_CHAIN


Ask = Callable[[str, bytes], Deferred[bytes]]

# Seconds. Looking often costs nothing, and sees a wall clock that was set (S60).
PERIOD = 10.0
# Seconds. Nobody waits for this answer, and the responder serves the whole world.
FLOOR, CAP = 60.0, 900.0
# OpenSSL's clients end a 1.2 handshake whose CertificateStatus is longer than a record, 16 KiB,
# of which four bytes say that it is one.
_LARGEST_ANSWER = 16 * 1024 - 4


@frozen
class Question:
    """What is asked about a listener's own certificate.

    `room` is how many bytes an answer may have beside the chain, in a flight that must not
    become too large (see `trust.LARGEST_CHAIN`), and in a message of its own.
    """

    leaf: x509.Certificate
    issuer: x509.Certificate
    url: str
    room: int

    @classmethod
    def of(cls, chain: Sequence[x509.Certificate]) -> "Question | None":
        """For a chain, leaf first, each signed by the next; None where nobody can be asked."""
        url = _responder(chain[0])
        if url is None or len(chain) < 2:
            return None
        size = sum(len(each.public_bytes(Encoding.DER)) for each in chain)
        return cls(chain[0], chain[1], url, min(_LARGEST_ANSWER, LARGEST_CHAIN - size))

    @property
    def subject(self) -> str:
        """The certificate for people to read."""
        return f"{printable_name(self.leaf.subject)}, serial {self.leaf.serial_number:X}"


def _responder(leaf: x509.Certificate) -> str | None:
    """The first responder that speaks HTTP (RFC 5280, 4.2.2.1)."""
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except _UNREADABLE:
        return None
    named = (
        each.access_location.value
        for each in access
        if each.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
    )
    return next((url for url in named if _speaks_http(url)), None)


_UNREADABLE = (
    ValueError,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)


def _speaks_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


@frozen
class Kept:
    """A verified answer as it came; it holds until `until`, aware, which no client must pass."""

    body: bytes = field(repr=False)
    status: CertStatus
    this_update: datetime
    until: datetime

    @classmethod
    def verified(cls, body: bytes, question: Question, now: datetime) -> "Kept":
        """Verify the body of a response.

        Raises:
            AnswerRefused: it says nothing that may be used, or is too large to be sent along.
        """
        if len(body) > question.room:
            detail = (
                f"{len(body)} bytes, where {question.room} go into a handshake beside the chain"
            )
            raise AnswerRefused(Problem.TOO_LARGE, detail)
        asked = Asked.about(question.leaf, question.issuer)
        answer = verify_answer(body, asked, Signers(question.issuer), now)
        kept = cls(body, answer.status, answer.this_update, _until(body, answer))
        if not kept.holds(now):
            # Our tolerance is not the clients'.
            raise AnswerRefused(
                Problem.OUT_OF_DATE, f"held until {kept.until:%Y-%m-%d %H:%M:%S} UTC"
            )
        return kept

    def holds(self, now: datetime) -> bool:
        """Whether clients would take it; their clocks may be right to the second."""
        return self.this_update - TOLERANCE <= now < self.until

    @property
    def half_way(self) -> datetime:
        """When half of its life is over."""
        return self.this_update + (self.until - self.this_update) / 2

    def check_succession(self, other: "Kept") -> None:
        """What was said revoked is unsaid by a later answer only (S31).

        Raises:
            AnswerRefused: `other` would unsay it and is not later.
        """
        if self.status is not CertStatus.REVOKED or other.status is CertStatus.REVOKED:
            return
        if other.this_update <= self.this_update:
            raise AnswerRefused(Problem.OLDER, f"made at {other.this_update:%Y-%m-%d %H:%M:%S} UTC")


def _until(body: bytes, answer: Answer) -> datetime:
    """The answer's own end, or that of the delegate's certificate that signed it."""
    signers = [
        each.not_valid_after_utc
        for each in load_der_ocsp_response(body).certificates
        if f"{each.serial_number:X}" == answer.delegate
    ]
    return min(answer.fresh_until, *signers) if signers else answer.fresh_until


def _nothing() -> bytes:
    return b""


@define(eq=False)
class Staple:
    """Where a TLS context finds what it sends along; empty until a `Stapler` follows it."""

    question: Question
    source: Callable[[], bytes] = _nothing

    @property
    def answer(self) -> bytes:
        """The answer that holds now, DER; empty where there is none."""
        return self.source()


class Stapler:
    """Keeps answers for the listeners' own certificates; alive across reloads.

    `ask` posts a question to a URL and may fail with `AnswerRefused`; cancelling it ends it.
    `wall` gives the aware time of day.
    """

    def __init__(self, clock: IReactorTime, wall: Callable[[], datetime], ask: Ask) -> None:
        self._clock = clock
        self._wall = wall
        self._ask = ask
        self._renewals: dict[Question, Renewal] = {}

    def follow(self, staples: Iterable[Staple]) -> None:
        """Supply these from now on, and ask about no others.

        What is held for a certificate goes on being held where the question is the same.
        """
        before, self._renewals = self._renewals, {}
        for staple in staples:
            renewal = self._renewals.get(staple.question) or before.pop(staple.question, None)
            if renewal is None:
                renewal = Renewal(self._clock, self._wall, self._ask, staple.question)
                renewal.start()
            self._renewals[staple.question] = renewal
            staple.source = renewal.answer
        for renewal in before.values():
            renewal.stop()

    @property
    def revoked(self) -> tuple[str, ...]:
        """The own certificates that the responder says are revoked, for people to read."""
        return tuple(each.subject for each, renewal in self._renewals.items() if renewal.revoked)

    def stop(self) -> None:
        """End all questions and timers."""
        self.follow(())


class Renewal:
    """The answer about one certificate, and the loop that asks for the next one in time."""

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, wall: Callable[[], datetime], ask: Ask, question: Question
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._ask = ask
        self._question = question
        self._backoff = Backoff(FLOOR, CAP)
        self._kept: Kept | None = None
        self._query: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None

    def answer(self) -> bytes:
        """What to staple; empty where there is no good answer that holds."""
        kept = self._kept
        return kept.body if kept is not None and self._is_good(kept) else b""

    @property
    def revoked(self) -> bool:
        """Whether the last answer was "revoked", however old: a later "good" replaces it."""
        return self._kept is not None and self._kept.status is CertStatus.REVOKED

    def _is_good(self, kept: Kept) -> bool:
        return kept.status is CertStatus.GOOD and kept.holds(self._wall())

    def start(self) -> None:
        """Begin to ask, once the reactor runs."""
        self._timer = self._clock.callLater(0, self._look)

    def stop(self) -> None:
        """Ask no more; what is held is left to lapse."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if self._query is not None:
            self._query.cancel()

    def _look(self) -> None:
        self._timer = self._clock.callLater(PERIOD, self._look)
        if self._query is None and self._is_due():
            self._put_question()

    def _is_due(self) -> bool:
        if self._backoff.remaining(self._clock.seconds()):
            return False
        kept = self._kept
        return kept is None or not self._is_good(kept) or self._wall() >= kept.half_way

    def _put_question(self) -> None:
        began = self._clock.seconds()
        asking: Deferred[bytes] = maybeDeferred(self._asked)
        taking: Deferred[None] = asking.addCallback(self._take, began)
        self._query = taking
        taking.addErrback(self._fail, began).addBoth(self._end)

    def _asked(self) -> Deferred[bytes]:
        # SHA-1 and no nonce, as RFC 5019 has it for answers that are kept: it names, and signs
        # nothing, and large responders know nothing else.
        request = build_request(self._question.leaf, self._question.issuer, "sha1", None)
        return self._ask(self._question.url, request)

    def _take(self, body: bytes, began: float) -> None:
        now = self._wall()
        kept, held = Kept.verified(body, self._question, now), self._kept
        if held is not None:
            held.check_succession(kept)
        good = kept.status is CertStatus.GOOD
        if good and now < kept.half_way:
            self._backoff.succeed()
        else:
            self._backoff.fail(self._clock.seconds(), began)
        if good and held is not None and self._is_good(held) and kept.until <= held.until:
            return
        self._kept = kept
        self._say(kept)

    def _say(self, kept: Kept) -> None:
        if kept.status is CertStatus.GOOD:
            say = "the own certificate {subject} is good until {until}, which is stapled"
            self._log.info(say, subject=self._question.subject, until=kept.until)
            return
        self._log.critical(
            "the gateway's own certificate {subject} is {status}, says {url}: nothing is stapled;"
            " have another issued",
            subject=self._question.subject,
            status=kept.status.value,
            url=escaped(self._question.url),
        )

    def _fail(self, failure: Failure, began: float) -> None:
        if self._timer is None:
            return
        now = self._clock.seconds()
        self._backoff.fail(now, began)
        self._log.warn(
            "no usable OCSP answer from {url} on the own certificate {subject}: {problem};"
            " {left}, asked again in {wait:.0f} s",
            url=escaped(self._question.url),
            subject=self._question.subject,
            problem=self._problem(failure),
            left=self._left(),
            wait=self._backoff.remaining(now),
        )

    def _problem(self, failure: Failure) -> str:
        if failure.check(AnswerRefused):
            return escaped(str(failure.value))
        self._log.failure("asking for an answer to staple failed", failure)
        return f"{Problem.DEFECT.value} ({type(failure.value).__name__})"

    def _left(self) -> str:
        if self._kept is not None and self._is_good(self._kept):
            return f"the one that is stapled holds until {self._kept.until}"
        return "nothing is stapled"

    def _end(self, outcome: Failure | None) -> None:
        self._query = None
        if isinstance(outcome, Failure):
            self._log.failure("looking after the answer to staple failed", outcome)

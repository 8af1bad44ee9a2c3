"""Answers of OCSP responders, kept while they hold and asked for once by all who wait (S34, S35).

A certificate in use is asked about again in the background before its answer lapses, so that a
connection rarely waits and a revocation is learnt without one. Only verified answers are kept; a
failure is remembered as a failure, and never makes anything good.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from math import isfinite
from secrets import token_bytes

from cryptography import x509
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sasgate.identity import Identity
from sasgate.log_format import escaped
from sasgate.revocation.ocsp import NONCE_SIZE, Asked, build_request, verify_answer
from sasgate.revocation.ocsp_entry import Entry
from sasgate.revocation.ocsp_responder import OCSPOptions, Record, Responder, ResponderState
from sasgate.revocation.ocsp_signer import Signers
from sasgate.revocation.ocsp_words import (
    OF_THE_RESPONDER,
    Answer,
    AnswerRefused,
    CertStatus,
    NoAnswer,
    Problem,
    Word,
)
from sasgate.settings import OCSPNonce


Ask = Callable[[str, bytes], Deferred[bytes]]
Announce = Callable[[Identity], None]


def _new_nonce() -> bytes:
    return token_bytes(NONCE_SIZE)


class OCSPCache:
    """Words on certificates; one for all listeners, alive across reloads.

    `ask` posts a question to a URL and may fail with `AnswerRefused`; cancelling it ends it.
    `wall` gives the aware time of day. `announce` hears of every certificate that turns revoked,
    whoever asked (S15). `nonce` makes nonces. `hits` counts words that were there at once.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        wall: Callable[[], datetime],
        ask: Ask,
        options: OCSPOptions,
        *,
        announce: Announce,
        nonce: Callable[[], bytes] = _new_nonce,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._ask = ask
        self._options = options
        self._announce = announce
        self._nonce = nonce
        self._entries: OrderedDict[tuple[str, Responder], Entry] = OrderedDict()
        self._responders: dict[str, Record] = {}
        self._closed = False
        self.hits = 0

    def status(
        self, leaf: Identity, issuer: x509.Certificate, responder: Responder
    ) -> Word | Deferred[Word]:
        """The word on a certificate, at once where it is known, and never a failure.

        `issuer` is the CA that signed the leaf. Whoever doesn't want to know any more may cancel
        the Deferred, which then says so; the question goes on, for those who come next (S33).
        """
        if self._closed:
            return NoAnswer(Problem.CLOSED)
        now = self._clock.seconds()
        entry = self._entry(leaf, issuer, responder, now)
        if entry is None:
            return NoAnswer(Problem.TOO_MANY, f"{len(self._entries)} certificates asked about")
        answer = entry.fresh(now, self._wall())
        if answer is not None:
            self.hits += 1
            return answer
        if entry.query is None and (held_off := self._held_off(entry, now)):
            return held_off
        waiter = entry.wait()
        if entry.query is None:
            self._question(entry)
        return waiter

    def held(self, leaf: Identity, responder: Responder) -> Answer | None:
        """The answer that is held, while it holds; nobody is asked."""
        entry = self._entries.get((leaf.sha256, responder))
        return None if entry is None else entry.fresh(self._clock.seconds(), self._wall())

    def follow(self, options: OCSPOptions) -> None:
        """Take up other options, for questions to come."""
        self._options = options

    def revoked(self, leaf: Identity, responder: Responder) -> Answer | None:
        """The last answer, however old, where that was "revoked"; only a later one unsays it."""
        entry = self._entries.get((leaf.sha256, responder))
        answer = None if entry is None else entry.answer
        return answer if answer is not None and answer.status is CertStatus.REVOKED else None

    def close(self) -> None:
        """End all questions and timers; whoever waits, and whoever comes, gets no answer."""
        self._closed = True
        for entry in list(self._entries.values()):
            _cancel_timer(entry)
            if entry.query is not None:
                entry.query.cancel()
        self._entries.clear()

    @property
    def responders(self) -> tuple[ResponderState, ...]:
        """Every responder that was asked."""
        now = self._clock.seconds()
        return tuple(record.state(url, now) for url, record in self._responders.items())

    def __len__(self) -> int:
        return len(self._entries)

    def _entry(
        self, leaf: Identity, issuer: x509.Certificate, responder: Responder, now: float
    ) -> Entry | None:
        # The issuer need not be in the key: a question is only asked where it signed the leaf,
        # and who may answer depends on its name and key, which are then the same.
        key = (leaf.sha256, responder)
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= self._options.capacity and not self._evict():
                return None
            entry = self._entries[key] = Entry(leaf, issuer, responder, now)
        entry.used = now
        self._entries.move_to_end(key)
        return entry

    def _evict(self) -> bool:
        """Forget what was used least recently and has no question under way."""
        entry = next((each for each in self._entries.values() if each.query is None), None)
        if entry is not None:
            self._forget(entry)
        return entry is not None

    def _forget(self, entry: Entry) -> None:
        _cancel_timer(entry)
        del self._entries[entry.leaf.sha256, entry.responder]

    def _records(self, entry: Entry) -> tuple[Record, Record]:
        return self._responders.setdefault(entry.responder.url, Record()), entry.record

    def _hold(self, entry: Entry, now: float) -> float:
        """Seconds for which the responder, or this question, is left in peace (S34)."""
        return max(record.backoff.remaining(now) for record in self._records(entry))

    def _held_off(self, entry: Entry, now: float) -> NoAnswer | None:
        words = (record.word(now) for record in self._records(entry))
        word = next((each for each in words if each is not None), None)
        if word is not None and entry.timer is None:
            self._look_at(entry, now + self._hold(entry, now))
        return word

    def _question(self, entry: Entry) -> None:
        began = self._clock.seconds()
        answer: Deferred[Answer] = maybeDeferred(self._fetch, entry)
        entry.query = answer
        word: Deferred[Word] = answer.addCallback(self._take, entry)
        word.addErrback(self._fail, entry, began).addBoth(self._end, entry)

    def _fetch(self, entry: Entry) -> Deferred[Answer]:
        """Ask and verify; the Deferred may fail with anything."""
        options = self._options
        nonce = None if options.nonce is OCSPNonce.NO else self._nonce()
        required = options.nonce is OCSPNonce.REQUIRED
        leaf = x509.load_der_x509_certificate(entry.leaf.der)
        asked = Asked.about(leaf, entry.issuer, nonce, nonce_required=required)
        signers = Signers(entry.issuer, entry.responder.signers)

        def verified(body: bytes) -> Answer:
            answer = verify_answer(body, asked, signers, self._wall())
            entry.check_succession(answer)
            return answer

        question = build_request(leaf, entry.issuer, options.hash, nonce)
        return self._ask(entry.responder.url, question).addCallback(verified)

    def _take(self, answer: Answer, entry: Entry) -> Word:
        wall = self._wall()
        for record in self._records(entry):
            record.answered(wall)
        self._records(entry)[0].answers += 1
        if entry.take(answer, self._clock.seconds(), wall, self._options.cap):
            self._tell_of_revocation(entry.leaf)
        return answer

    def _fail(self, failure: Failure, entry: Entry, began: float) -> Word:
        if self._closed:
            return NoAnswer(Problem.CLOSED)
        now = self._clock.seconds()
        problem = self._problem(failure)
        of_all, of_one = self._records(entry)
        of_all.without_answer += 1
        record = of_all if problem.kind in OF_THE_RESPONDER else of_one
        record.failed(problem, now, began)
        entry.due = now + self._hold(entry, now)
        self._log.warn(
            "no usable OCSP answer from {url} on serial {serial}: {problem}",
            url=entry.responder.url,
            serial=entry.leaf.serial,
            problem=escaped(str(problem)),
        )
        return problem

    def _problem(self, failure: Failure) -> NoAnswer:
        error = failure.value
        if isinstance(error, AnswerRefused):
            return NoAnswer(error.kind, error.detail)
        self._log.failure("asking by OCSP failed", failure)
        return NoAnswer(Problem.DEFECT, type(error).__name__)

    def _end(self, word: Word | Failure, entry: Entry) -> None:
        entry.query = None
        if isinstance(word, Failure):
            word = self._problem(word)
        if not self._closed:
            self._look_at(entry, entry.due)
        entry.tell(word)

    def _tell_of_revocation(self, leaf: Identity) -> None:
        try:
            self._announce(leaf)
        except Exception:
            self._log.failure("serial {serial} is revoked; telling so failed", serial=leaf.serial)

    def _look_at(self, entry: Entry, due: float) -> None:
        _cancel_timer(entry)
        delay = max(0.0, due - self._clock.seconds())
        if isfinite(delay):
            entry.timer = self._clock.callLater(delay, self._look, entry)

    def _look(self, entry: Entry) -> None:
        """Ask again about what is in use; forget what is not, once it has lapsed."""
        entry.timer = None
        now = self._clock.seconds()
        if entry.query is not None:
            return
        lapses = entry.lapses(self._options)
        if now >= lapses:
            self._forget(entry)
        elif not entry.in_use(now, self._options):
            self._look_at(entry, lapses)
        elif hold := self._hold(entry, now):
            self._look_at(entry, now + hold)
        else:
            self._question(entry)


def _cancel_timer(entry: Entry) -> None:
    if entry.timer is not None:
        entry.timer.cancel()
        entry.timer = None

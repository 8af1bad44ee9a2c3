"""A cache of OCSP answers on simulated time, and the responder's desk where questions pile up."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.x509 import ocsp
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ocsp_world import World
from sasgate.environments import RECETTE
from sasgate.identity import Identity
from sasgate.lab.client import platform
from sasgate.lab.ocsp_answers import Saying
from sasgate.lab.pki import Lab
from sasgate.revocation.ocsp_cache import OCSPCache
from sasgate.revocation.ocsp_responder import OCSPOptions, Responder
from sasgate.revocation.ocsp_words import Answer, AnswerRefused, NoAnswer, Problem, Word


HOUR = 3600.0
RESPONDER = Responder("http://ocsp.lab.invalid/")
OTHER_RESPONDER = Responder("http://other.lab.invalid/")
BRIEF = Saying()
LONG = Saying(next_update=timedelta(days=7))
_WORLDS: dict[Path, World] = {}


class Question:
    """One question as it arrived at the edge."""

    def __init__(self, url: str, body: bytes) -> None:
        self.url = url
        self.request = ocsp.load_der_ocsp_request(body)
        self.cancelled = False
        self.answer: Deferred[bytes] = Deferred(self._cancel)

    def _cancel(self, _: object) -> None:
        self.cancelled = True

    @property
    def nonce(self) -> bytes | None:
        values = [each.value for each in self.request.extensions]
        return values[0].nonce if values and isinstance(values[0], x509.OCSPNonce) else None


class CacheCase(SynchronousTestCase):
    """A cache on simulated time, and a desk where its questions pile up."""

    world: World

    @pytest.fixture(autouse=True)
    def _given(self, lab: Lab) -> None:
        if lab.directory not in _WORLDS:
            _WORLDS[lab.directory] = World.of(lab)
        self.world = _WORLDS[lab.directory]

    def setUp(self) -> None:
        self.clock = Clock()
        self.jump = timedelta()
        self.questions: list[Question] = []
        self.announced: list[Identity] = []
        self.leaf = Identity.read(self.world.leaf)
        self.certificates = {self.world.leaf.serial_number: self.world.leaf}
        self.cache = self.make(OCSPOptions())

    def make(self, options: OCSPOptions) -> OCSPCache:
        return OCSPCache(
            self.clock,
            self.wall,
            self.ask,
            options,
            announce=self.announced.append,
        )

    def wall(self) -> datetime:
        return self.world.now + timedelta(seconds=self.clock.seconds()) + self.jump

    def ask(self, url: str, body: bytes) -> Deferred[bytes]:
        self.questions.append(Question(url, body))
        return self.questions[-1].answer

    def status(
        self, leaf: Identity | None = None, responder: Responder = RESPONDER
    ) -> Word | Deferred[Word]:
        return self.cache.status(leaf or self.leaf, self.world.issuer, responder)

    def waiting(
        self, leaf: Identity | None = None, responder: Responder = RESPONDER
    ) -> Deferred[Word]:
        """One who asks, and has to wait."""
        word = self.status(leaf, responder)
        assert isinstance(word, Deferred), word
        return word

    def said(self, word: Word | Deferred[Word]) -> Word:
        return self.successResultOf(word) if isinstance(word, Deferred) else word

    def at_once(self) -> Answer:
        """The answer that is there without waiting."""
        word = self.status()
        assert isinstance(word, Answer), word
        return word

    def no_answer(self, word: Word | Deferred[Word]) -> NoAnswer:
        found = self.said(word)
        assert isinstance(found, NoAnswer), found
        return found

    def body(self, saying: Saying = BRIEF, serial: int | None = None) -> bytes:
        """What the delegate says now of a certificate, by default of the client."""
        signatory = self.world.signatories["delegate"]
        leaf = self.world.leaf if serial is None else self.certificates[serial]
        return signatory.answer(leaf, self.world.issuer, saying, self.wall())

    def reply(self, saying: Saying = BRIEF, index: int = -1) -> None:
        """Answer the last question, or another."""
        question = self.questions[index]
        body = self.body(evolve(saying, nonce=question.nonce), question.request.serial_number)
        question.answer.callback(body)

    def refuse(self, kind: Problem, index: int = -1) -> None:
        self.questions[index].answer.errback(AnswerRefused(kind, "so it was"))

    def known(self, saying: Saying = LONG) -> Answer:
        """The first answer, asked for and kept."""
        word = self.waiting()
        self.reply(saying)
        answer = self.said(word)
        assert isinstance(answer, Answer), answer
        return answer

    def another(self, number: int = 0) -> Identity:
        """Another client of the same issuer."""
        key = self.world.client.key.public_key()
        template = evolve(platform(RECETTE), serial=1000 + number)
        certificate = self.world.authority.certify(template, key, now=self.world.now)
        self.certificates[certificate.serial_number] = certificate
        return Identity.read(certificate)

    def timers(self) -> int:
        return len(self.clock.getDelayedCalls())

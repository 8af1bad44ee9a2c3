"""A `MemoryGateway` that checks revocation: lists, OCSP and débrayage are the test's own."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred

from front import answers
from memory_gateway import HERE, MemoryGateway
from ocsp_desk import Question
from sasgate.addresses import parse_peer
from sasgate.client_connection import ClientConnection
from sasgate.identity import Identity
from sasgate.lab import trees
from sasgate.lab.authority import Authority
from sasgate.lab.lists import ListTemplate, plain_list, sign_list
from sasgate.lab.ocsp_answers import Saying, Signatory
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Extension
from sasgate.revocation.checks import Checks
from sasgate.revocation.crl import LoadedList, verify_list
from sasgate.revocation.disengagement import ByHand, Disengagements
from sasgate.revocation.lists import Lists
from sasgate.revocation.ocsp_cache import OCSPCache
from sasgate.revocation.ocsp_responder import OCSPOptions
from sasgate.revocation.ocsp_words import AnswerRefused, Problem
from sasgate.settings import RevocationMode
from tls_memory import Ends, client_context, ends
from wires import Wire


_STATE = "disengagement.json"
URL = "http://ocsp.lab.invalid/"
_ADDRESSES = "addresses = 127.0.0.1 ::1"
_SOURCES = f"{_ADDRESSES}\nocsp = {URL}\ncrl = http://crl.lab.invalid/"


def loaded(
    authority: Authority,
    *serials: int,
    now: datetime,
    lasts: timedelta = timedelta(days=6),
    age: timedelta = timedelta(hours=1),
    extra: tuple[Extension, ...] = (),
    number: int = 1,
) -> LoadedList:
    """A CA's list of these serials, signed and verified; it ends `lasts` from now."""
    template = ListTemplate(number=number, this_update=-age, next_update=lasts, extra=extra)
    if serials:
        der = plain_list(authority, serials, template, now=now)
    else:
        der = sign_list(authority, template, now=now)
    return verify_list(der, [authority.certificate], now)


class RevokingGateway(MemoryGateway):
    """`questions` are those to the responder; `outages` begin as `admit_for` says."""

    def __init__(
        self,
        lab: Lab,
        folder: Path,
        mode: RevocationMode = RevocationMode.CRL,
        *,
        admit_for: float | None = None,
        changes: dict[str, str] | None = None,
        **limits: Any,
    ) -> None:
        self.questions: list[Question] = []
        self.admit_for = admit_for
        self._shaken: dict[str, Ends] = {}
        self.lab = lab
        changes = {"mode = off": f"mode = {mode.value}", _ADDRESSES: _SOURCES} | (changes or {})
        self.changes = changes
        super().__init__(lab, folder, changes, **limits)

    def begin_anew(self, admit_for: float | None = None) -> Self:
        """Forget all that was revoked, asked, disengaged, connected and written; rules stay."""
        (self.folder / _STATE).unlink(missing_ok=True)
        self.admit_for = admit_for
        self.questions.clear()
        self.journal.decisions.clear()
        for connection in tuple(self.listener.connections):
            connection.abort()
        for wire in self.server.wires:
            wire.close()
        self.pass_time(0)
        self.server.wires.clear()
        self.server.attempts = 0
        self.surroundings.checks = self.make_checks()
        return self

    def make_checks(self) -> Checks:
        self.outages = Disengagements(
            self.clock,
            self.wall,
            self.folder / _STATE,
            self.admit_for,
            self._word_changed,
        )
        self.cache = OCSPCache(
            self.clock,
            self.wall,
            self._ask,
            OCSPOptions(),
            announce=self._revoked,
        )
        self.checks = Checks(self.wall, self.outages, self.cache)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.outages.open()
        return self.checks

    def _ask(self, url: str, body: bytes) -> Deferred[bytes]:
        self.questions.append(Question(url, body))
        return self.questions[-1].answer

    def _word_changed(self) -> None:
        self.checks.changed()

    def _revoked(self, leaf: Identity) -> None:
        self.checks.answer_revoked(leaf)

    def serial(self, client: str = "recette") -> int:
        return self.lab.clients[client].certificate.serial_number

    def list_of(self, ca: str, *serials: int, **more: Any) -> LoadedList:
        """A list of a CA of the lab, as of now."""
        return loaded(self.lab.authorities[ca], *serials, now=self.wall(), **more)

    def publish(self, *revoked: int, cas: tuple[int, ...] = (), **more: Any) -> None:
        """Put current lists of leaves and of CAs in force."""
        self.put_in_force(
            self.list_of(trees.ORG_TEST, *revoked, **more), self.list_of(trees.ROOT_TEST, *cas)
        )

    def put_in_force(self, *lists: LoadedList) -> None:
        self.checks.lists_changed(Lists.of(lists))

    def reply(self, saying: Saying | None = None, index: int = -1, client: str = "recette") -> None:
        """Answer a question, as the issuer itself."""
        signatory = Signatory(self.lab.authorities[trees.ORG_TEST].credential)
        issuer = self.lab.authorities[trees.ORG_TEST].certificate
        leaf = self.lab.clients[client].certificate
        body = signatory.answer(leaf, issuer, saying or Saying(), self.wall())
        self.questions[index].answer.callback(body)

    def refuse(self, kind: Problem = Problem.UNREACHABLE, index: int = -1) -> None:
        """Leave a question without an answer."""
        self.questions[index].answer.errback(AnswerRefused(kind, "so it was"))

    def disengage(
        self, *, lasts: timedelta = timedelta(hours=4), without_list: bool = False
    ) -> None:
        """Disengage all checks by hand."""
        now = self.wall()
        self.outages.disengage(
            ByHand("root", "a test", now, now + lasts, without_list=without_list)
        )

    def handshake(self, client: str) -> Ends:
        """A handshake of a client with the listener, made once."""
        if client not in self._shaken:
            shaken = ends(
                self.listener.rules.context, client_context(self.lab, self.lab.clients[client])
            )
            shaken.shake()
            self._shaken[client] = shaken
        return self._shaken[client]

    def seat(self, client: str = "recette", address: IPv4Address = HERE) -> "Seated":
        """A connection past its handshake, its bytes in clear."""
        return Seated(self, self.handshake(client), address)


class _Secured(Wire):
    """In clear, with what a handshake has left."""

    handle: SSL.Connection

    def getHandle(self) -> SSL.Connection:  # type: ignore[override]
        return self.handle


class Seated:
    """One connection of a client, without the cost of its TLS."""

    def __init__(self, gateway: RevokingGateway, shaken: Ends, address: IPv4Address) -> None:
        self.gateway = gateway
        listener = gateway.listener
        peer, place = parse_peer(address.host), listener.place()
        assert peer is not None
        assert place is not None
        secured: Any = listener.secured(peer, place)
        self.connection: ClientConnection = secured.inner
        site: Any = self.connection.site
        site.handshake = shaken.record
        self.wire = _Secured(self.connection, gateway.clock, lingers=False)
        self.wire.handle = shaken.server
        self.connection.makeConnection(self.wire)
        self.connection.handshakeCompleted()

    def ask(self, raw: bytes) -> Self:
        """Send bytes of requests."""
        self.wire.send(raw)
        return self

    def answers(self, *methods: str) -> list[tuple[int, bytes]]:
        """Status and body of what came, whole answers all."""
        return answers(self.wire.take(), *methods)

    def leave(self) -> None:
        """The client closes."""
        self.wire.close()

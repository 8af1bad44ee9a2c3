"""OCSP as a real twistd asks it: of `openssl ocsp`, of the lab's responder, of one that is mute.

Each responder has a listener of its own, so that what is remembered of one that failed is nothing
to another.
"""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from calling import SLOT, TLS_1_2, answered, platform
from ocsp_world import World
from openssl_ca import OpenSSLCA
from processes import LoggedProcess, environment, free_port
from raw_backend import Peer, RawBackend, Seen
from revoking_processes import (
    ADMITTED,
    GET,
    REVOKED,
    UNKNOWN,
    Door,
    Gateway,
    PublisherProcess,
    gateway_on,
    write_configuration,
)
from sasgate.environments import RECETTE
from sasgate.lab import trees
from sasgate.lab.client import platform as platform_template
from sasgate.lab.lists import sign_list
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Extension
from sasgate.lab.publication import Publication
from sasgate.lab.switches import ListMode, OCSPMode


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


@pytest.fixture(scope="module")
def publisher(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublisherProcess]:
    """Its lists and answers say that `revoked` is revoked."""
    with PublisherProcess(lab, tmp_path_factory.mktemp("publisher")) as process:
        process.board.revoke("revoked")
        yield process


def configured(
    lab: Lab, folder: Path, backend: RawBackend, doors: dict[str, Door], **revocation: object
) -> Path:
    return write_configuration(
        lab, folder, backend.url, doors, revocation=revocation, limits={"ocsp_time": "2s"}
    )


TRUSTED = ("ca", "delegate")
STRANGERS = ("delegate-without-ocsp-signing", "delegate-of-neighbour", "client")
WORDS = {"recette": ADMITTED, "revoked": REVOKED, "extra-chain": UNKNOWN}


class TestOpenSSLResponder:
    """S29: {good, revoked, unknown} by whoever may want to answer; OpenSSL signs."""

    @pytest.fixture(scope="class")
    @classmethod
    def gateway(
        cls, lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Gateway]:
        folder = tmp_path_factory.mktemp("openssl")
        office = OpenSSLCA(lab, folder)
        office.knows(["recette"])
        office.revoke("revoked")
        issuer = lab.directory / "authorities" / f"{trees.ORG_TEST}.pem"
        with ExitStack() as stack:
            doors = {}
            root = folder / "root.crl"
            root.write_bytes(sign_list(lab.authorities[trees.ROOT_TEST]))
            signatories = World.of(lab).signatories
            for name in (*TRUSTED, *STRANGERS):
                (folder / f"{name}.pem").write_bytes(signatories[name].credential.pem())
                command = (
                    "openssl", "ocsp", "-index", "index.txt", "-CA", issuer, "-nmin", "5",
                    "-rsigner", f"{name}.pem", "-port", "0",
                )  # fmt: skip
                process = stack.enter_context(LoggedProcess(command, folder, environment()))
                port = process.wait_for(r"ACCEPT \S*:(\d+) PID")[1]
                doors[name] = Door({"crl": root, "ocsp": f"http://127.0.0.1:{port}/"})
            ini = configured(
                lab, folder, backend, doors, mode="ocsp", ocsp_hash="sha256", ocsp_nonce="required"
            )
            yield stack.enter_context(gateway_on(ini, lab))

    @pytest.mark.parametrize("client", WORDS)
    @pytest.mark.parametrize("signatory", TRUSTED)
    def test_s29_is_believed(self, gateway: Gateway, signatory: str, client: str) -> None:
        """With SHA-256 and a nonce that is required (S31)."""
        assert gateway.word(client, signatory) == WORDS[client]

    @pytest.mark.parametrize("client", WORDS)
    @pytest.mark.parametrize("signatory", STRANGERS)
    def test_s29_is_not_believed_from_a_stranger(
        self, gateway: Gateway, signatory: str, client: str
    ) -> None:
        assert gateway.word(client, signatory) == UNKNOWN


FAILING = (
    OCSPMode.LATE, OCSPMode.WRONGLY_SIGNED, OCSPMode.STALE, OCSPMode.TRY_LATER, OCSPMode.UNKNOWN,
    OCSPMode.HTML, OCSPMode.ERROR, OCSPMode.NONE,
)  # fmt: skip
MODES = ("ocsp", "crl-or-ocsp", "crl-and-ocsp")


def relay(publisher: PublisherProcess) -> RawBackend:
    """Passes bytes on both ways until either side ends."""
    port = int(publisher.url.rpartition(":")[2])

    def script(peer: Peer) -> None:
        seen = peer.request()
        assert seen is not None
        with socket.create_connection(("127.0.0.1", port), 30) as other:
            lines = [seen.line, *(f"{name}: {value}" for name, value in seen.fields), "", ""]
            other.sendall("\r\n".join(lines).encode("latin-1") + seen.body)
            while data := other.recv(65536):
                peer.send(data)

    return RawBackend(script)


class TestLabResponder:
    """S29, S31, S32: each way to answer, in each mode that asks."""

    @pytest.fixture(scope="class", params=MODES)
    @classmethod
    def gateway(
        cls,
        request: pytest.FixtureRequest,
        lab: Lab,
        backend: RawBackend,
        publisher: PublisherProcess,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Gateway]:
        """A listener for each way, since a responder that failed is left in peace for a while."""
        with ExitStack() as stack:
            doors = {}
            for way in ("good", *(mode.value for mode in FAILING)):
                url = f"{stack.enter_context(relay(publisher)).url}/ocsp"
                doors[way] = Door({"crl": cls.lists(request.param, publisher), "ocsp": url})
            refused = f"http://127.0.0.1:{free_port()}/ocsp"
            nobody = "http://responder.lab.invalid/ocsp"
            for way, url in (("refused", refused), ("dns", nobody)):
                doors[way] = Door({"crl": cls.lists(request.param, publisher), "ocsp": url})
            ini = configured(
                lab, tmp_path_factory.mktemp("modes"), backend, doors, mode=request.param
            )
            gateway = stack.enter_context(gateway_on(ini, lab))
            gateway.refresh()
            yield gateway
        publisher.board.ocsp(OCSPMode.GOOD)

    @staticmethod
    def lists(mode: str, publisher: PublisherProcess) -> str:
        """Where OCSP stands in for a list there is none of the leaf's CA."""
        both = (trees.ROOT_TEST, trees.ORG_TEST)
        return publisher.lists(*(both if mode == "crl-and-ocsp" else both[:1]))

    def test_s29_a_good_answer_admits(self, gateway: Gateway, publisher: PublisherProcess) -> None:
        publisher.board.ocsp(OCSPMode.GOOD)
        assert gateway.word("recette", "good") == ADMITTED

    def test_s29_a_revoked_answer_refuses(
        self, gateway: Gateway, publisher: PublisherProcess
    ) -> None:
        publisher.board.ocsp(OCSPMode.GOOD)
        assert gateway.word("revoked", "good") == REVOKED

    @pytest.mark.parametrize("mode", FAILING, ids=lambda mode: mode.value)
    def test_s32_what_is_no_answer_admits_nobody(
        self, gateway: Gateway, publisher: PublisherProcess, backend: RawBackend, mode: OCSPMode
    ) -> None:
        publisher.board.ocsp(mode, late=4.0)
        before = len(backend.requests)
        assert gateway.word("recette", mode.value) == UNKNOWN
        assert len(backend.requests) == before

    @pytest.mark.parametrize("way", ["refused", "dns"])
    def test_s32_a_responder_that_cannot_be_reached_admits_nobody(
        self, gateway: Gateway, way: str
    ) -> None:
        assert gateway.word("recette", way) == UNKNOWN


class TestListFirst:
    """`crl-or-ocsp` with a current list, which then is enough."""

    @pytest.fixture(scope="class")
    @classmethod
    def gateway(
        cls,
        lab: Lab,
        backend: RawBackend,
        publisher: PublisherProcess,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Gateway]:
        doors = {"test": Door({"crl": publisher.lists(), "ocsp": publisher.responder})}
        ini = configured(lab, tmp_path_factory.mktemp("first"), backend, doors, mode="crl-or-ocsp")
        with gateway_on(ini, lab) as gateway:
            gateway.refresh()
            yield gateway

    def test_s32_nobody_is_asked(self, gateway: Gateway, publisher: PublisherProcess) -> None:
        before = len(publisher.asked("ocsp"))
        assert gateway.word() == ADMITTED
        assert gateway.word("revoked") == REVOKED
        assert len(publisher.asked("ocsp")) == before

    def test_s35_what_the_list_revokes_no_answer_admits(
        self, gateway: Gateway, publisher: PublisherProcess
    ) -> None:
        """A good answer is held, and the list has run out: the next list still counts."""
        publisher.board.lists(ListMode.EXPIRED, trees.ORG_TEST)
        publisher.board.ocsp(OCSPMode.GOOD)
        gateway.refresh()
        asked = len(publisher.asked("ocsp"))
        with gateway.caller("recette-bmp").wire() as live:
            assert live.ask(GET).status == 200
            assert len(publisher.asked("ocsp")) == asked + 1
            publisher.board.revoke("recette-bmp")
            gateway.refresh()
            assert live.ended()
        assert gateway.word("recette-bmp") == REVOKED
        assert len(publisher.asked("ocsp")) == asked + 1
        publisher.board.lists(ListMode.GOOD, trees.ORG_TEST)
        gateway.refresh()


class TestNonce:
    """S31: where a nonce is required, an answer without it is none."""

    def test_s31_an_answer_for_anybody_admits_nobody(
        self, lab: Lab, backend: RawBackend, publisher: PublisherProcess, tmp_path: Path
    ) -> None:
        doors = {"test": Door({"crl": publisher.lists(), "ocsp": publisher.responder})}
        ini = configured(lab, tmp_path, backend, doors, mode="ocsp", ocsp_nonce="required")
        with gateway_on(ini, lab) as gateway:
            gateway.refresh()
            publisher.board.ocsp(OCSPMode.GOOD, nonce=False)
            assert gateway.word() == UNKNOWN
            publisher.board.ocsp(OCSPMode.GOOD, nonce=True)
            assert gateway.word("extra-chain") == ADMITTED


class Held:
    """A responder that answers no question before it is told to, and then honestly."""

    def __init__(self, publisher: PublisherProcess) -> None:
        self._publication = Publication(publisher.board.lab)
        self._board = publisher.board
        self._released = threading.Event()
        self._honest = True
        self.raw = RawBackend(self._answer)

    @property
    def url(self) -> str:
        return f"{self.raw.url}/ocsp"

    @property
    def questions(self) -> list[Seen]:
        return self.raw.requests

    def await_question(self) -> None:
        self.raw.wait_until(lambda: bool(self.raw.requests))

    def release(self) -> None:
        self._released.set()

    def fail(self) -> None:
        """Close what waits, and what comes, without an answer."""
        self._honest = False
        self._released.set()

    def _answer(self, peer: Peer) -> None:
        seen = peer.request()
        assert seen is not None
        if self._released.wait(30) and self._honest:
            served = self._publication.answer(seen.body, self._board.read(), self._board.wall())
            peer.answer(served.body, f"Content-Type: {served.media_type}", "Connection: close")


@pytest.fixture
def held(publisher: PublisherProcess) -> Iterator[Held]:
    publisher.board.ocsp(OCSPMode.GOOD)
    responder = Held(publisher)
    with responder.raw:
        yield responder
        responder.release()


class TestMuteResponder:
    """S32, S34: who waits for it, and for how long."""

    @pytest.fixture
    def gateway(
        self,
        lab: Lab,
        backend: RawBackend,
        publisher: PublisherProcess,
        held: Held,
        tmp_path: Path,
    ) -> Iterator[Gateway]:
        """Only what a test does ends the wait for an answer."""
        lists = publisher.lists(trees.ROOT_TEST)
        doors = {
            "mute": Door({"crl": lists, "ocsp": held.url}),
            "other": Door({"crl": lists, "ocsp": publisher.responder}),
        }
        ini = write_configuration(
            lab,
            tmp_path,
            backend.url,
            doors,
            revocation={"mode": "ocsp"},
            limits={"ocsp_time": "40s", "answer": "1m"},
        )
        with gateway_on(ini, lab) as gateway:
            gateway.refresh()
            yield gateway

    def test_s34_it_delays_no_handshake_and_nobody_else(self, gateway: Gateway, held: Held) -> None:
        with gateway.caller("recette", "mute").wire(TLS_1_2) as waiting:
            # The handshake is over here, and the question has no answer.
            held.await_question()
            waiting.send(GET)
            assert gateway.word("extra-chain", "other") == ADMITTED
            assert select.select([waiting.stream.plain], [], [], 0)[0] == []
            held.release()
            assert waiting.answer().status == 200

    def test_s34_many_who_wait_are_one_question(self, gateway: Gateway, held: Held) -> None:
        with ExitStack() as stack:
            caller = gateway.caller("recette", "mute")
            wires = [stack.enter_context(caller.wire()) for _ in range(50)]
            for wire in wires:
                wire.send(GET)
            held.await_question()
            held.release()
            assert {wire.answer().status for wire in wires} == {200}
        assert len(held.questions) == 1

    def test_s34_a_failure_is_one_for_all_who_waited(self, gateway: Gateway, held: Held) -> None:
        with ExitStack() as stack:
            caller = gateway.caller("recette", "mute")
            wires = [stack.enter_context(caller.wire()) for _ in range(10)]
            for wire in wires:
                wire.send(GET)
            held.await_question()
            assert len(held.questions) == 1
            held.fail()
            assert {wire.answer().status for wire in wires} == {401}


class TestWithinTheTime:
    def test_s32_who_waits_for_a_mute_responder_is_told_in_the_end(
        self, lab: Lab, backend: RawBackend, publisher: PublisherProcess, held: Held, tmp_path: Path
    ) -> None:
        """Nobody releases it: the gateway itself ends the wait, before its own answer is due."""
        lists = publisher.lists(trees.ROOT_TEST)
        doors = {"mute": Door({"crl": lists, "ocsp": held.url})}
        ini = configured(lab, tmp_path, backend, doors, mode="ocsp")
        with gateway_on(ini, lab) as gateway:
            gateway.refresh()
            assert gateway.word("recette", "mute") == UNKNOWN
            gateway.process.wait_for("no usable OCSP answer from .*: no answer in time")


class TestRevokedByAnswer:
    """S15: an answer cuts as a list does."""

    def test_s15_live_connections_are_cut_and_others_go_on(
        self, lab: Lab, backend: RawBackend, publisher: PublisherProcess, tmp_path: Path
    ) -> None:
        """The answer comes by way of another listener, whose responder was not asked yet."""
        publisher.board.ocsp(OCSPMode.GOOD)
        lists = publisher.lists(trees.ROOT_TEST)
        with relay(publisher) as other:
            doors = {
                "one": Door({"crl": lists, "ocsp": publisher.responder}),
                "two": Door({"crl": lists, "ocsp": f"{other.url}/ocsp"}),
            }
            ini = configured(lab, tmp_path, backend, doors, mode="ocsp")
            with (
                gateway_on(ini, lab) as gateway,
                gateway.caller("reversed-name", "one").wire() as live,
                gateway.caller("recette", "one").wire() as innocent,
            ):
                gateway.refresh()
                assert live.ask(GET).status == innocent.ask(GET).status == 200
                publisher.board.revoke("reversed-name")
                assert gateway.word("reversed-name", "two") == REVOKED
                assert live.ended()
                assert innocent.ask(GET).status == 200


class TestUrlsOfTheCertificate:
    """S36: what a client's certificate names is never asked, however little else there is."""

    @pytest.mark.parametrize("configured_too", [True, False])
    def test_s36_nobody_is_asked_there(
        self,
        lab: Lab,
        backend: RawBackend,
        publisher: PublisherProcess,
        tmp_path: Path,
        configured_too: bool,
    ) -> None:
        publisher.board.ocsp(OCSPMode.GOOD)
        source = {"crl": publisher.lists(trees.ROOT_TEST)}
        if configured_too:
            source["ocsp"] = publisher.responder
        with RawBackend() as canary:
            template = evolve(platform_template(RECETTE), extra=naming(canary.url))
            leaf = lab.authorities[trees.ORG_TEST].issue(template, lab.clients["recette"].key)
            pem = tmp_path / "leaf.pem"
            pem.write_bytes(leaf.pem())
            doors = {"test": Door(source)}
            ini = configured(lab, tmp_path / "gateway", backend, doors, mode="crl-or-ocsp")
            with gateway_on(ini, lab) as gateway:
                gateway.refresh()
                port = gateway.process.port("inbound:test")
                status = answered(platform(lab, port, pem).send(SLOT)).status
            assert status == (200 if configured_too else 401)
            assert canary.accepted == 0


def naming(url: str) -> tuple[Extension, ...]:
    """Extensions that name a list and a responder there."""
    name = x509.UniformResourceIdentifier
    access = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, name(f"{url}/ocsp")),
            x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, name(f"{url}/ca")),
        ]
    )
    points = x509.CRLDistributionPoints(
        [x509.DistributionPoint([name(f"{url}/list.crl")], None, None, None)]
    )
    return tuple(x509.Extension(each.oid, False, each) for each in (access, points))

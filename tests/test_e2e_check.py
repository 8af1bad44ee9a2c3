"""`<base_path>/check` at a real gateway: who may ask, what is said, and at what cost."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateways import gateway
from processes import GatewayProcess
from raw_backend import Peer, RawBackend, Script, echo
from raw_client import Answer, Caller, attempts, request
from sasgate.lab.pki import Lab


AVAILABLE = (200, {"status": "available"})
UNREACHABLE = (503, {"status": "KO: backend unreachable"})


def said(answer: Answer) -> tuple[int, object]:
    return answer.status, answer.json


def until(caller: Caller, wanted: tuple[int, object]) -> None:
    """Ask until it says so: a look is kept for a second."""
    with caller.wire() as wire:
        for _ in attempts():
            if said(wire.ask(request("GET", "/check"))) == wanted:
                return


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


@pytest.fixture(autouse=True)
def _afresh(backend: RawBackend) -> Iterator[None]:
    backend.follows(echo)
    yield
    assert backend.faults == []


class TestConnect:
    @pytest.fixture(scope="class")
    @classmethod
    def port(
        cls, lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[int]:
        with gateway(lab, tmp_path_factory.mktemp("gateway"), {"backend": backend.url}) as process:
            yield process.port()

    @pytest.fixture
    def caller(self, lab: Lab, port: int) -> Caller:
        return Caller(lab, port)

    @pytest.mark.parametrize("target", ["/check", "/check?", "/check?a=b", "/check?/../x"])
    def test_it_answers_whatever_the_query(
        self, caller: Caller, backend: RawBackend, target: str
    ) -> None:
        answer = caller.get(target)
        assert said(answer) == AVAILABLE
        assert answer.headers["Content-Type"] == "application/json"
        assert backend.requests == []

    def test_it_answers_the_absolute_form(self, caller: Caller) -> None:
        assert said(caller.get("http://gateway.example/check")) == AVAILABLE

    def test_it_answers_head_without_a_body(self, caller: Caller) -> None:
        with caller.wire() as wire:
            answer = wire.ask(request("HEAD", "/check"), "HEAD")
            assert (answer.status, answer.body) == (200, b"")
            assert said(wire.ask(request("GET", "/check"))) == AVAILABLE

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
    def test_it_answers_no_other_method(
        self, caller: Caller, backend: RawBackend, method: str
    ) -> None:
        with caller.wire() as wire:
            assert wire.ask(request(method, "/check", body=b"x")).status == 405
            assert said(wire.ask(request("GET", "/check"))) == AVAILABLE
        assert backend.requests == []

    @pytest.mark.parametrize("client", [None, "self-signed", "expired", "ssl-serv", "wrong-cn"])
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    def test_a_stranger_gets_403(
        self, lab: Lab, port: int, backend: RawBackend, client: str | None, method: str
    ) -> None:
        """Specification, 2.4."""
        with Caller(lab, port, client).wire() as wire:
            answer = wire.ask(request(method, "/check"), method)
            assert answer.status == 403
            assert wire.rest() == b""
        assert backend.accepted == 0

    @pytest.mark.parametrize("target", ["/check/", "/checks", "/CHECK", "/x/check", "/%63heck"])
    def test_another_path_is_the_backends(
        self, caller: Caller, backend: RawBackend, target: str
    ) -> None:
        assert caller.get(target).body == target.encode()

    def test_the_look_is_a_connection_and_not_a_byte(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        looked = threading.Event()

        def script(peer: Peer) -> None:
            if peer.ended():
                looked.set()

        backend.follows(script)
        until(caller, AVAILABLE)
        with caller.wire() as wire:
            for _ in attempts():
                assert said(wire.ask(request("GET", "/check"))) == AVAILABLE
                if looked.is_set():
                    break

    def test_it_is_never_one_look_a_request(self, caller: Caller, backend: RawBackend) -> None:
        with caller.wire() as wire:
            for _ in range(500):
                assert said(wire.ask(request("GET", "/check"))) == AVAILABLE
        assert backend.accepted < 50

    def test_a_backend_that_goes_and_comes_back(self, caller: Caller, backend: RawBackend) -> None:
        until(caller, AVAILABLE)
        backend.goes_deaf()
        until(caller, UNREACHABLE)
        backend.hears_again()
        until(caller, AVAILABLE)


class TestBasePath:
    @pytest.fixture(scope="class")
    @classmethod
    def caller(
        cls, lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Caller]:
        inbound = {"backend": backend.url, "base_path": "/fhir/R4"}
        with gateway(lab, tmp_path_factory.mktemp("gateway"), inbound) as process:
            yield Caller(lab, process.port())

    def test_it_stands_below_the_base_path(self, caller: Caller) -> None:
        assert said(caller.get("/fhir/R4/check")) == AVAILABLE

    @pytest.mark.parametrize("target", ["/check", "/fhir/check", "/fhir/R4//check"])
    def test_and_nowhere_else(self, caller: Caller, target: str) -> None:
        assert caller.get(target).body == target.encode()

    def test_other_paths_are_forwarded_with_it(self, caller: Caller) -> None:
        assert caller.get("/fhir/R4/Slot").body == b"/fhir/R4/Slot"

    def test_a_stranger_gets_403_there_and_401_elsewhere(self, caller: Caller) -> None:
        stranger = Caller(caller.lab, caller.port, None)
        assert stranger.get("/fhir/R4/check").status == 403
        assert stranger.get("/check").status == 401


class TestRoutes:
    @pytest.fixture
    def dead(self) -> Iterator[RawBackend]:
        with RawBackend() as server:
            server.goes_deaf()
            yield server

    def test_one_live_backend_of_a_route_is_enough(
        self, lab: Lab, backend: RawBackend, dead: RawBackend, tmp_path: Path
    ) -> None:
        with gateway(lab, tmp_path, {"backend": f"{dead.url} {backend.url}"}) as process:
            assert said(Caller(lab, process.port()).get("/check")) == AVAILABLE

    def test_every_route_needs_one(
        self, lab: Lab, backend: RawBackend, dead: RawBackend, tmp_path: Path
    ) -> None:
        inbound = {"backend": backend.url, "routes": f"/documents = {dead.url}"}
        with gateway(lab, tmp_path, inbound) as process:
            caller = Caller(lab, process.port())
            assert said(caller.get("/check")) == UNREACHABLE
            assert caller.get("/other").status == 200

    def test_but_only_those_of_the_callers_environment(
        self, lab: Lab, backend: RawBackend, dead: RawBackend, tmp_path: Path
    ) -> None:
        inbound = {"backend": backend.url, "routes": f"lab-recette:/documents = {dead.url}"}
        with gateway(lab, tmp_path, inbound) as process:
            assert said(Caller(lab, process.port()).get("/check")) == UNREACHABLE
            other = Caller(lab, process.port(), "preproduction")
            assert said(other.get("/check")) == AVAILABLE

    def test_a_unix_socket(self, lab: Lab, tmp_path: Path) -> None:
        with (
            RawBackend(path=tmp_path / "backend.sock") as server,
            gateway(lab, tmp_path, {"backend": server.url}) as process,
        ):
            caller = Caller(lab, process.port())
            until(caller, AVAILABLE)
            server.goes_deaf()
            until(caller, UNREACHABLE)


class TestGet:
    @pytest.fixture(scope="class")
    @classmethod
    def process(
        cls, lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[GatewayProcess]:
        inbound = {"backend": backend.url, "check": "GET /health"}
        limits = {"connect": "500 ms"}
        with gateway(lab, tmp_path_factory.mktemp("gateway"), inbound, limits=limits) as running:
            yield running

    @pytest.fixture
    def caller(self, lab: Lab, process: GatewayProcess) -> Caller:
        return Caller(lab, process.port())

    @staticmethod
    def answering(status: str, *fields: str) -> Script:
        def script(peer: Peer) -> None:
            while peer.request() is not None:
                peer.answer(b"", *fields, status=status)

        return script

    @staticmethod
    def looked(caller: Caller, backend: RawBackend) -> tuple[int, object]:
        """What is said after a look at what the backend is now."""
        with caller.wire() as wire:
            for _ in attempts():
                if backend.requests:
                    break
                wire.ask(request("GET", "/check"))
            return said(wire.ask(request("GET", "/check")))

    @pytest.mark.parametrize("status", ["200 OK", "204 No Content", "299 Odd"])
    def test_2xx_is_available(self, caller: Caller, backend: RawBackend, status: str) -> None:
        backend.follows(self.answering(status))
        assert self.looked(caller, backend) == AVAILABLE
        assert {seen.line for seen in backend.requests} == {"GET /health HTTP/1.1"}
        assert backend.requests[0].values("Host") == [f"127.0.0.1:{backend.port}"]

    @pytest.mark.parametrize("status", ["302 Found", "304 Not Modified", "404 No", "500 No"])
    def test_anything_else_is_not(self, caller: Caller, backend: RawBackend, status: str) -> None:
        backend.follows(self.answering(status, "Location: /other"))
        assert self.looked(caller, backend) == UNREACHABLE
        assert {seen.target for seen in backend.requests} == {"/health"}

    def test_silence_is_not(self, caller: Caller, backend: RawBackend) -> None:
        def script(peer: Peer) -> None:
            peer.request()
            peer.ended()

        backend.follows(script)
        assert self.looked(caller, backend) == UNREACHABLE

    def test_garbage_is_not(self, caller: Caller, backend: RawBackend) -> None:
        def script(peer: Peer) -> None:
            peer.request()
            peer.send(b"\x00" * 100)

        backend.follows(script)
        assert self.looked(caller, backend) == UNREACHABLE

    def test_it_is_never_one_look_a_request(self, caller: Caller, backend: RawBackend) -> None:
        assert self.looked(caller, backend) == AVAILABLE
        with caller.wire() as wire:
            for _ in range(500):
                assert said(wire.ask(request("GET", "/check"))) == AVAILABLE
        assert len(backend.requests) < 50

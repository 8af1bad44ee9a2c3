"""Connections to backends: kept and shared, checked before use, balanced, tried again."""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateways import gateway
from processes import GatewayProcess
from raw_backend import Peer, RawBackend, echo
from raw_client import PATIENCE, Caller, attempts, request
from sasgate.lab.pki import Lab


UNREACHABLE = {"status": "KO: backend failed"}
TOO_LATE = {"status": "KO: backend too late"}


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


@pytest.fixture(scope="module")
def process(
    lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway(lab, folder, {"backend": backend.url}, limits={"answer": "1 s"}) as running:
        yield running


@pytest.fixture(scope="module")
def caller(lab: Lab, process: GatewayProcess) -> Caller:
    return Caller(lab, process.port())


@contextmanager
def stopped(process: GatewayProcess) -> Iterator[None]:
    """The gateway sees nothing meanwhile, and all of it at once afterwards."""
    number = process.process.pid
    process.send_signal(signal.SIGSTOP)
    try:
        while "\nState:\tT" not in Path(f"/proc/{number}/status").read_text():
            pass
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@pytest.fixture(autouse=True)
def _afresh(backend: RawBackend) -> Iterator[None]:
    backend.follows(echo)
    yield
    assert backend.faults == []


class TestKept:
    def test_clients_share_a_connection_one_after_another(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        for number in range(10):
            assert caller.get(f"/{number}").status == 200
        assert backend.accepted == 1

    def test_no_two_requests_are_under_way_on_one_connection(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        all_there = threading.Barrier(5)

        def script(peer: Peer) -> None:
            while (seen := peer.request()) is not None:
                all_there.wait(PATIENCE)
                peer.answer(seen.target.encode())

        backend.follows(script)
        for _ in range(2):
            wires = [caller.wire() for _ in range(5)]
            opened = [wire.__enter__() for wire in wires]
            for number, wire in enumerate(opened):
                wire.send(request("GET", f"/{number}"))
            assert [wire.answer().body for wire in opened] == [b"/%d" % each for each in range(5)]
            for wire in wires:
                wire.__exit__(None, None, None)
        assert backend.accepted == 5

    @pytest.mark.parametrize(
        "head",
        [
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        ],
    )
    def test_a_server_that_wants_to_close_is_not_asked_again(
        self, caller: Caller, backend: RawBackend, head: bytes
    ) -> None:
        def script(peer: Peer) -> None:
            peer.request()
            peer.send(head)
            assert peer.ended()

        backend.follows(script)
        with caller.wire() as wire:
            for _ in range(3):
                assert wire.ask(request("GET", "/")).status == 200
        assert backend.accepted == 3

    @pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
    def test_s40_a_body_that_a_server_may_not_expect_is_the_last_of_its_connection(
        self, caller: Caller, backend: RawBackend, method: str
    ) -> None:
        smuggled = request("GET", "/smuggled")

        def deaf_to_bodies(peer: Peer) -> None:
            while (seen := peer.head()) is not None:
                backend.record(seen)
                peer.answer(seen.target.encode())

        backend.follows(deaf_to_bodies)
        with caller.wire() as wire:
            assert wire.ask(request(method, "/a", body=smuggled)).body == b"/a"
            assert wire.ask(request("GET", "/b")).body == b"/b"
        first, *others = backend.requests
        assert first.values("Connection") == ["close"]
        assert {seen.connection for seen in others if seen.target == "/b"} == {2}

    def test_http_1_0_is_kept_where_it_says_so(self, caller: Caller, backend: RawBackend) -> None:
        def script(peer: Peer) -> None:
            while peer.request() is not None:
                peer.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")

        backend.follows(script)
        for _ in range(3):
            assert caller.get("/").status == 200
        assert backend.accepted == 1

    def test_a_connection_that_the_server_closed_meanwhile_is_not_used(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        with caller.wire() as wire:
            for number in range(5):
                assert wire.ask(request("POST", f"/{number}", body=b"x")).status == 200
                backend.drop()
        assert [seen.target for seen in backend.requests] == [f"/{each}" for each in range(5)]
        assert backend.accepted == 5

    def test_nor_one_whose_end_the_gateway_has_not_seen_yet(
        self, caller: Caller, backend: RawBackend, process: GatewayProcess
    ) -> None:
        with caller.wire() as wire:
            for number in range(5):
                with stopped(process):
                    wire.send(request("POST", f"/{number}", body=b"x"))
                    backend.drop()
                assert wire.answer().status == 200
        assert [seen.target for seen in backend.requests] == [f"/{each}" for each in range(5)]

    def test_a_client_that_leaves_takes_its_connection_with_it(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        left = threading.Event()

        def script(peer: Peer) -> None:
            while (seen := peer.request()) is not None:
                if seen.target == "/left":
                    assert peer.ended()
                    left.set()
                    return
                peer.answer(seen.target.encode())

        backend.follows(script)
        with caller.wire() as wire:
            wire.send(request("GET", "/left"))
            backend.wait_until(lambda: len(backend.requests) == 1)
        assert left.wait(PATIENCE)
        assert caller.get("/next").body == b"/next"


class TestNeverTwice:
    """What may have reached a server is never sent again."""

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
    @pytest.mark.parametrize("by_reset", [False, True])
    def test_a_server_that_dies_after_reading_is_502_and_saw_one_request(
        self, caller: Caller, backend: RawBackend, method: str, by_reset: bool
    ) -> None:
        def script(peer: Peer) -> None:
            peer.request()
            if by_reset:
                peer.reset()

        backend.follows(script)
        with caller.wire() as wire:
            answer = wire.ask(request(method, "/"), method)
            assert answer.status == 502
            assert answer.body == b"" if method == "HEAD" else answer.json == UNREACHABLE
            assert len(backend.requests) == 1
            backend.follows(echo)
            assert wire.ask(request("GET", "/same-client")).status == 200

    def test_nor_where_a_kept_connection_dies_under_it(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        def script(peer: Peer) -> None:
            peer.request()
            peer.answer()
            peer.request()

        backend.follows(script)
        assert caller.get("/first").status == 200
        assert caller.get("/second").status == 502
        assert [seen.target for seen in backend.requests] == ["/first", "/second"]

    def test_nor_where_the_answer_comes_too_late(self, caller: Caller, backend: RawBackend) -> None:
        dropped = threading.Event()

        def script(peer: Peer) -> None:
            peer.request()
            assert peer.ended()
            dropped.set()

        backend.follows(script)
        with caller.wire() as wire:
            answer = wire.ask(request("POST", "/", body=b"x"))
            assert (answer.status, answer.json) == (504, TOO_LATE)
            assert answer.headers["Content-Type"] == "application/json"
            assert dropped.wait(PATIENCE)
            assert len(backend.requests) == 1
            backend.follows(echo)
            assert wire.ask(request("GET", "/same-client")).status == 200


class TestUnreachable:
    def test_a_server_that_refuses_is_502(self, lab: Lab, tmp_path: Path) -> None:
        with RawBackend() as dead:
            url = dead.url
        with gateway(lab, tmp_path, {"backend": url}) as process:
            answer = Caller(lab, process.port()).get("/")
        assert (answer.status, answer.json) == (502, UNREACHABLE)
        assert answer.headers["Content-Type"] == "application/json"

    def test_a_socket_file_that_is_absent_is_502(self, lab: Lab, tmp_path: Path) -> None:
        with gateway(lab, tmp_path, {"backend": f"unix:{tmp_path}/none.sock"}) as process:
            assert Caller(lab, process.port()).get("/").status == 502

    def test_a_server_that_does_not_take_the_connection_in_time_is_504(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        with socket.socket() as full, socket.socket() as first, socket.socket() as second:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for client in (first, second):  # its queue is full then, and others wait
                client.setblocking(False)
                client.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            with gateway(lab, tmp_path, {"backend": url}, limits={"connect": "500 ms"}) as process:
                answer = Caller(lab, process.port()).get("/")
        assert (answer.status, answer.json) == (504, TOO_LATE)

    def test_a_unix_socket(self, lab: Lab, tmp_path: Path) -> None:
        with (
            RawBackend(path=tmp_path / "backend.sock") as backend,
            gateway(lab, tmp_path, {"backend": backend.url}) as process,
            Caller(lab, process.port()).wire() as wire,
        ):
            assert wire.ask(request("GET", "/a")).body == b"/a"
            assert wire.ask(b"GET /b HTTP/1.0\r\n\r\n").body == b"/b"
            assert backend.requests[1].values("Host") == ["localhost"]
            assert backend.accepted == 1


class TestSeveral:
    @pytest.fixture
    def pair(self) -> Iterator[tuple[RawBackend, RawBackend]]:
        with RawBackend() as first, RawBackend() as second:
            yield first, second

    @pytest.fixture
    def process(
        self, lab: Lab, pair: tuple[RawBackend, RawBackend], tmp_path: Path
    ) -> Iterator[GatewayProcess]:
        urls = " ".join(backend.url for backend in pair)
        with gateway(lab, tmp_path, {"backend": urls}) as running:
            yield running

    @pytest.fixture
    def caller(self, lab: Lab, process: GatewayProcess) -> Caller:  # type: ignore[override]
        return Caller(lab, process.port())

    def test_they_take_turns(self, caller: Caller, pair: tuple[RawBackend, RawBackend]) -> None:
        for _ in range(10):
            assert caller.get("/").status == 200
        assert [len(backend.requests) for backend in pair] == [5, 5]

    def test_a_dead_one_is_left_out_without_a_fault_and_tried_again_later(
        self, caller: Caller, pair: tuple[RawBackend, RawBackend], process: GatewayProcess
    ) -> None:
        dead, alive = pair
        dead.goes_deaf()
        for _ in range(10):
            assert caller.get("/").status == 200
        assert (len(dead.requests), len(alive.requests)) == (0, 10)
        process.wait_for(rf"{dead.url} cannot be reached")
        dead.hears_again()
        with caller.wire() as wire:
            for _ in attempts():
                assert wire.ask(request("GET", "/")).status == 200
                if dead.requests:
                    break
        process.wait_for(rf"{dead.url} answers again")
        assert process.log.count("cannot be reached") <= 2

    def test_a_server_that_took_the_request_and_died_is_not_replaced(
        self, caller: Caller, pair: tuple[RawBackend, RawBackend]
    ) -> None:
        def script(peer: Peer) -> None:
            peer.request()

        for backend in pair:
            backend.follows(script)
        assert caller.ask(request("POST", "/", body=b"x")).status == 502
        assert sum(len(backend.requests) for backend in pair) == 1

    def test_all_dead_is_502(self, caller: Caller, pair: tuple[RawBackend, RawBackend]) -> None:
        for backend in pair:
            backend.goes_deaf()
        with caller.wire() as wire:
            for _ in range(3):
                answer = wire.ask(request("GET", "/"))
                assert (answer.status, answer.json) == (502, UNREACHABLE)
        pair[1].hears_again()
        with caller.wire() as wire:
            for _ in attempts():
                if wire.ask(request("GET", "/")).status == 200:
                    break

"""What one client may cost: time, size, number, at a real gateway (S47, S48, S49)."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from itertools import repeat

import pytest

from gateways import gateway
from processes import GatewayProcess
from raw_backend import Peer, RawBackend, echo
from raw_client import PATIENCE, Caller, attempts, closed, connected, request
from sasgate.lab.pki import Lab
from sasgate.settings import Limits


TIMES = {
    "handshake": "1 s",
    "head_time": "1 s",
    "keep_alive": "1 s",
    "body_idle": "1 s",
    "answer": "1 s",
    "connection_age": "6 s",
}


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


@pytest.fixture(autouse=True)
def _afresh(backend: RawBackend) -> Iterator[None]:
    backend.follows(echo)
    yield
    assert backend.faults == []


def drip(plain: socket.socket, pieces: Iterator[bytes]) -> None:
    """Send a piece every tenth of a second until the gateway says something or leaves."""
    with contextlib.suppress(ConnectionError):
        while not select.select([plain], [], [], 0.1)[0]:
            plain.sendall(next(pieces))


SLOWLY = ssl.TLSVersion.TLSv1_2


class TestTimes:
    @pytest.fixture(scope="class")
    @classmethod
    def process(
        cls, lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[GatewayProcess]:
        folder = tmp_path_factory.mktemp("gateway")
        with gateway(lab, folder, {"backend": backend.url}, limits=TIMES) as running:
            yield running

    @pytest.fixture
    def caller(self, lab: Lab, process: GatewayProcess) -> Caller:
        return Caller(lab, process.port())

    def test_s47_a_mute_peer_is_closed(self, process: GatewayProcess) -> None:
        with connected(process.port()) as plain:
            assert closed(plain)

    def test_s47_a_client_hello_that_drips_is_closed(self, process: GatewayProcess) -> None:
        # A record that announces 512 bytes of a ClientHello.
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        with connected(process.port()) as plain:
            drip(plain, (hello[each : each + 1] or b"\x00" for each in range(512)))
            assert closed(plain)

    def test_s47_a_client_that_says_nothing_after_its_handshake_is_closed(
        self, caller: Caller
    ) -> None:
        with caller.wire() as wire:
            assert wire.rest() == b""

    def test_s47_a_head_that_drips_is_408(self, caller: Caller) -> None:
        with caller.wire(SLOWLY) as wire:
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Drip: ")
            wire.drip(repeat(b"x"))
            assert wire.answer().status == 408
            assert wire.rest() == b""

    def test_s47_a_strangers_head_that_drips_is_closed_too(
        self, lab: Lab, process: GatewayProcess
    ) -> None:
        with Caller(lab, process.port(), None).wire(SLOWLY) as wire:
            wire.send(b"GET / HTTP/1.1\r\nX-Drip: ")
            wire.drip(repeat(b"x"))
            assert wire.answer().status == 408
            assert wire.rest() == b""

    def test_s48_a_body_that_drips_is_408(self, caller: Caller, backend: RawBackend) -> None:
        left = threading.Event()

        def script(peer: Peer) -> None:
            peer.head()
            with contextlib.suppress(ConnectionError):
                peer.swallow(10_000)
            left.set()

        backend.follows(script)
        with caller.wire(SLOWLY) as wire:
            wire.send(request("PUT", "/", "Content-Length: 10000"))
            wire.drip(repeat(b"x"))
            assert wire.answer().status == 408
        assert left.wait(PATIENCE)

    def test_s48_a_body_that_stops_is_408(self, caller: Caller) -> None:
        with caller.wire() as wire:
            assert wire.ask(request("PUT", "/", "Content-Length: 10000") + b"x").status == 408

    def test_s48_a_body_that_is_fast_enough_may_last(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        pieces = 20  # 500 bytes each tenth of a second, and 500 a second are needed
        with caller.wire(SLOWLY) as wire:
            wire.send(request("PUT", "/", f"Content-Length: {pieces * 500}"))
            wire.drip(repeat(b"x" * 500, pieces))
            assert wire.answer().status == 200
        (seen,) = backend.requests
        assert len(seen.body) == pieces * 500

    def test_s48_a_client_that_does_not_read_is_dropped(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        left = threading.Event()
        size = 256 << 20

        def script(peer: Peer) -> None:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            with contextlib.suppress(ConnectionError):
                for _ in range(256):
                    peer.send(bytes(1 << 20))
            left.set()

        backend.follows(script)
        with caller.wire() as wire:
            wire.send(request("GET", "/"))
            assert left.wait(PATIENCE)
            with pytest.raises(OSError, match=r"."):
                wire.rest()

    def test_an_idle_connection_is_closed_in_order(self, caller: Caller) -> None:
        with caller.wire() as wire:
            assert wire.ask(request("GET", "/")).status == 200
            assert wire.rest() == b""

    def test_a_busy_connection_ends_in_order(self, caller: Caller) -> None:
        with caller.wire() as wire:
            for number in attempts():  # noqa: B007 - looked at below
                if wire.ask(request("GET", "/")).headers["Connection"] == "close":
                    break
            assert number > 0
            assert wire.rest() == b""


class TestSizes:
    @pytest.fixture(scope="class")
    @classmethod
    def caller(
        cls, lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Caller]:
        folder = tmp_path_factory.mktemp("gateway")
        with gateway(lab, folder, {"backend": backend.url}) as running:
            yield Caller(lab, running.port())

    @staticmethod
    def head(size: int, *, in_target: bool) -> bytes:
        """A request head of so many bytes."""
        bare = len(request("GET", "/", "X: "))
        fill = "x" * (size - bare)
        return request("GET", "/" + fill, "X: ") if in_target else request("GET", "/", f"X: {fill}")

    @pytest.mark.parametrize("in_target", [True, False])
    def test_s49_the_largest_head_passes(self, caller: Caller, in_target: bool) -> None:
        assert caller.ask(self.head(Limits().head_size, in_target=in_target)).status == 200

    @pytest.mark.parametrize("in_target", [True, False])
    @pytest.mark.parametrize("more", [1, 100_000])
    def test_s49_a_larger_one_is_431(
        self, caller: Caller, backend: RawBackend, in_target: bool, more: int
    ) -> None:
        with caller.wire() as wire:
            answer = wire.ask(self.head(Limits().head_size + more, in_target=in_target))
            assert answer.status == 431
            assert answer.json["status"].startswith("KO:")
            assert wire.rest() == b""
        assert backend.requests == []

    def test_s49_an_endless_head_is_431(self, caller: Caller) -> None:
        with caller.wire() as wire:
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    wire.send(b"X: y\r\n" * 100)
            assert wire.answer().status == 431

    def test_s49_as_many_fields_as_allowed_pass(self, caller: Caller) -> None:
        fields = [f"X-{number}: y" for number in range(Limits().head_fields - 1)]
        assert caller.get("/", *fields).status == 200

    def test_s49_one_more_is_431(self, caller: Caller, backend: RawBackend) -> None:
        fields = [f"X-{number}: y" for number in range(Limits().head_fields)]
        assert caller.get("/", *fields).status == 431
        assert backend.requests == []

    def test_s49_trailers_without_end_are_400(self, caller: Caller) -> None:
        with caller.wire() as wire:
            wire.send(request("PUT", "/", "Transfer-Encoding: chunked") + b"0\r\n")
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    wire.send(b"X: y\r\n" * 100)
            assert wire.answer().status == 400

    def test_s49_chunk_extensions_without_end_are_400(self, caller: Caller) -> None:
        with caller.wire() as wire:
            wire.send(request("PUT", "/", "Transfer-Encoding: chunked"))
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    wire.send((b"1;" + b"x" * 1000 + b"\r\ny\r\n") * 10)
            assert wire.answer().status == 400


def test_the_platform_leaves_at_seven_seconds_and_the_gateway_before() -> None:
    assert Limits().answer == 6.5

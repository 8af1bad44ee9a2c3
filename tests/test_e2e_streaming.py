"""Bodies of any size pass in flat memory, and whoever is slow holds the other side back (S48)."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateways import gateway, resident
from processes import GatewayProcess
from raw_backend import Peer, RawBackend, echo
from raw_client import PATIENCE, Caller, request
from sasgate.lab.pki import Lab


GIB = 1 << 30
MIB = 1 << 20
PIECE = bytes(MIB)
# What memory may grow by, and what the buffers of all sockets on the way may hold.
FLAT = 40 * MIB
BUFFERS = 64 * MIB


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


@pytest.fixture(scope="module")
def process(
    lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    with gateway(lab, tmp_path_factory.mktemp("gateway"), {"backend": backend.url}) as running:
        # The first exchange of a process takes memory that no later one does.
        assert Caller(lab, running.port()).get("/").status == 200
        yield running


@pytest.fixture(autouse=True)
def _afresh(backend: RawBackend) -> Iterator[None]:
    backend.follows(echo)
    yield
    assert backend.faults == []


@pytest.fixture
def growth(process: GatewayProcess) -> Callable[[], int]:
    """By how many bytes the gateway's memory was larger, at its highest, than now."""
    before = resident(process)
    # Makes the highest so far what it is now (proc(5)).
    Path(f"/proc/{process.process.pid}/clear_refs").write_text("5")
    return lambda: resident(process, "VmHWM") - before


@pytest.fixture
def client(lab: Lab, process: GatewayProcess) -> Iterator[ssl.SSLSocket]:
    """The standard library's TLS, for its speed."""
    context = ssl.create_default_context(cafile=lab.public_root)
    context.load_cert_chain(lab.path_of("recette"))
    plain = socket.create_connection(("127.0.0.1", process.port()), PATIENCE)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as stream:
        yield stream


def swallow(stream: socket.socket, size: int) -> int:
    """Read so many bytes, or fewer at the end, and keep none."""
    buffer = bytearray(MIB)
    left = size
    while left and (taken := stream.recv_into(buffer, min(left, MIB))):
        left -= taken
    return size - left


def sent_until_stuck(stream: socket.socket, most: int) -> int:
    """Send until nothing goes forward for a second; how many bytes left, at the most `most`."""
    sent = 0
    stream.settimeout(1)
    with contextlib.suppress(TimeoutError):
        while sent < most:
            sent += stream.send(PIECE[:65536])
    stream.settimeout(PATIENCE)
    return sent


class TestGibibyte:
    @pytest.mark.parametrize("chunked", [False, True])
    def test_s48_up(
        self,
        client: ssl.SSLSocket,
        backend: RawBackend,
        growth: Callable[[], int],
        chunked: bool,
    ) -> None:
        received: list[int] = []

        def script(peer: Peer) -> None:
            peer.head()
            received.append(peer.swallow_chunks() if chunked else peer.swallow(GIB))
            peer.answer()

        backend.follows(script)
        field = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {GIB}"
        client.sendall(request("PUT", "/", field))
        piece = b"%x\r\n%b\r\n" % (MIB, PIECE) if chunked else PIECE
        for _ in range(GIB // MIB):
            client.sendall(piece)
        if chunked:
            client.sendall(b"0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
        assert received == [GIB]
        assert growth() < FLAT

    def test_s48_down(
        self, client: ssl.SSLSocket, backend: RawBackend, growth: Callable[[], int]
    ) -> None:
        def script(peer: Peer) -> None:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
            for _ in range(GIB // MIB):
                peer.send(PIECE)

        backend.follows(script)
        client.sendall(request("GET", "/", "Connection: close"))
        assert swallow(client, 2 * GIB) > GIB
        assert growth() < FLAT


class TestBackPressure:
    def test_s48_a_slow_reader_stops_the_read_from_the_backend(
        self, client: ssl.SSLSocket, backend: RawBackend, growth: Callable[[], int]
    ) -> None:
        size = 256 * MIB
        stuck = threading.Event()
        taken: list[int] = []

        def script(peer: Peer) -> None:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            taken.append(peer.sent_until_stuck(PIECE, size))
            stuck.set()
            left = size - taken[0]
            while left:
                piece = PIECE[:left]
                peer.send(piece)
                left -= len(piece)

        backend.follows(script)
        client.sendall(request("GET", "/", "Connection: close"))
        assert stuck.wait(PATIENCE)
        assert taken[0] < BUFFERS
        assert growth() < FLAT
        assert swallow(client, 2 * size) > size
        assert growth() < FLAT

    def test_s48_a_slow_backend_stops_the_read_from_the_client(
        self, client: ssl.SSLSocket, backend: RawBackend, growth: Callable[[], int]
    ) -> None:
        size = 256 * MIB
        go_on = threading.Event()
        received: list[int] = []

        def script(peer: Peer) -> None:
            peer.head()
            assert go_on.wait(PATIENCE)
            received.append(peer.swallow(size))
            peer.answer()

        backend.follows(script)
        client.sendall(request("PUT", "/", f"Content-Length: {size}"))
        sent = sent_until_stuck(client, size)
        assert sent < BUFFERS
        assert growth() < FLAT
        go_on.set()
        while sent < size:
            piece = PIECE[: size - sent]
            client.sendall(piece)
            sent += len(piece)
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
        assert received == [size]
        assert growth() < FLAT

    def test_s48_pipelined_requests_are_read_no_faster_than_their_answers(
        self, client: ssl.SSLSocket, growth: Callable[[], int]
    ) -> None:
        one = request("GET", "/" + "x" * 4000)
        client.settimeout(1)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < BUFFERS:
                sent += client.send(16 * one)
        client.settimeout(PATIENCE)
        assert sent < BUFFERS
        assert growth() < FLAT / 4
        answer = len("HTTP/1.1 200 OK\r\nContent-Length: 4001\r\n\r\n") + 4001
        whole = sent // len(one) * answer
        assert swallow(client, whole) == whole

    def test_s48_a_slow_client_does_not_slow_another(
        self, lab: Lab, process: GatewayProcess, client: ssl.SSLSocket, backend: RawBackend
    ) -> None:
        stuck = threading.Event()

        def script(peer: Peer) -> None:
            while (seen := peer.request()) is not None:
                if seen.target != "/large":
                    peer.answer(seen.target.encode())
                    continue
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
                peer.sent_until_stuck(PIECE, GIB)
                stuck.set()
                assert peer.ended()

        backend.follows(script)
        client.sendall(request("GET", "/large"))
        assert stuck.wait(PATIENCE)
        with Caller(lab, process.port()).wire() as wire:
            for number in range(100):
                assert wire.ask(request("GET", f"/{number}")).body == b"/%d" % number
        client.close()

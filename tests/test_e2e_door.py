"""The door of a real twistd: who may begin a handshake, how many at once, and for how long.

Whoever is not let in sees the connection closed without a byte of TLS (S44, S47, S49).
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from calling import METADATA, SLOT, answered, pem_context, platform, raw
from processes import PATIENCE, BackendProcess, GatewayProcess, write_ini
from sasgate.lab.pki import Lab
from sasgate.lab.tls_stream import TLSStream
from tls_hello import hello


SAS, ANOTHER, NOBODY = "127.0.3.1", "127.0.4.1", "127.0.5.1"


def dial(port: int, source: str = SAS) -> socket.socket:
    """A plain connection from one of this host's own addresses."""
    return socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))


def everything(plain: socket.socket) -> bytes:
    """All that comes until the connection ends, in order or by a reset."""
    received = b""
    try:
        while data := plain.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return received


def answer(lab: Lab, port: int, source: str, client: str = "recette") -> int:
    """The status that a client gets from an address."""
    context = pem_context(lab, lab.path_of(client))
    with TLSStream(dial(port, source), context, "localhost") as stream:
        return raw(stream, METADATA)[0]


def served(lab: Lab, port: int, source: str, client: str = "recette") -> TLSStream:
    """A connection that stays open after an answer."""
    stream = TLSStream(dial(port, source), pem_context(lab, lab.path_of(client)), "localhost")
    stream.sendall(METADATA.replace(b"Connection: close\r\n", b""))
    assert stream.recv(12) == b"HTTP/1.1 200"
    return stream


def turned_away(lab: Lab, port: int, source: str) -> bool:
    """Whether the connection ends although a ClientHello was sent, and without an answer to it."""
    with dial(port, source) as plain:
        try:
            plain.sendall(hello(lab))
            return plain.recv(1) == b""
        except ConnectionError:
            return True


@pytest.fixture(scope="module")
def door(
    lab: Lab, backend: BackendProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """Recette may call from SAS's network, preproduction from ANOTHER's; nobody else."""
    limits = "[limits]\nconnections_per_address = 3\n"
    ini = write_ini(lab, tmp_path_factory.mktemp("door"), backend.url, append=limits)
    both = "addresses = 127.0.0.1 ::1"
    recette, preproduction, rest = ini.read_text().split(both, 2)
    addresses = "addresses = 127.0.3.0/24 ::1", "addresses = 127.0.4.0/24"
    ini.write_text(recette + addresses[0] + preproduction + addresses[1] + rest)
    with GatewayProcess(ini) as process:
        yield process


class TestAddress:
    """S44."""

    def test_its_own_address_is_let_in(self, lab: Lab, door: GatewayProcess) -> None:
        assert answer(lab, door.port(), SAS) == 200

    @pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2", NOBODY])
    def test_any_other_is_turned_away_before_the_handshake(
        self, lab: Lab, door: GatewayProcess, source: str
    ) -> None:
        assert turned_away(lab, door.port(), source)
        door.wait_for(rf"closed NONE listener=inbound peer={source} \(address not allowed\)")

    def test_the_other_environments_address_passes_the_door_and_is_a_403(
        self, lab: Lab, door: GatewayProcess
    ) -> None:
        """The union of addresses at the door, then the address of the environment."""
        assert answer(lab, door.port(), ANOTHER, "preproduction") == 200
        assert answer(lab, door.port(), ANOTHER, "recette") == 403
        assert answer(lab, door.port(), SAS, "preproduction") == 403

    def test_one_listeners_address_is_nothing_to_another(
        self, lab: Lab, door: GatewayProcess
    ) -> None:
        assert turned_away(lab, door.port("inbound:production"), SAS)

    @pytest.mark.parametrize(
        "field", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "Client-IP"]
    )
    def test_a_header_field_is_never_believed(
        self, lab: Lab, door: GatewayProcess, backend: BackendProcess, field: str
    ) -> None:
        backend.forget()
        context = pem_context(lab, lab.path_of("recette"))
        line = f"GET /metadata HTTP/1.1\r\nHost: x\r\n{field}: {SAS}\r\nConnection: close\r\n\r\n"
        with TLSStream(dial(door.port(), ANOTHER), context, "localhost") as stream:
            assert raw(stream, line.encode())[0] == 403
        assert backend.recorded() == []

    def test_a_proxy_header_is_no_tls(self, lab: Lab, door: GatewayProcess) -> None:
        """This listener has no proxies: what a stranger says of its address is not even read."""
        header = f"PROXY TCP4 {SAS} 127.0.0.1 1000 443\r\n".encode()
        with dial(door.port(), ANOTHER) as plain:
            plain.sendall(header + hello(lab))
            assert b"\x16\x03\x03" not in everything(plain)[:3]


def test_a_mapped_address_is_the_ipv4_address(
    lab: Lab, backend: BackendProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    r"""S44: a socket that takes both families calls 127.0.0.1 `::ffff:127.0.0.1`."""
    changes = {
        "listen = tcp:0:interface=127.0.0.1": r"listen = tcp:0:interface=\:\:",
        "addresses = 127.0.0.1 ::1": f"addresses = {SAS}",
    }
    ini = write_ini(lab, tmp_path_factory.mktemp("mapped"), backend.url, changes=changes)
    with GatewayProcess(ini) as process:
        assert answer(lab, process.port(), SAS) == 200
        assert turned_away(lab, process.port(), "127.0.0.1")
        process.wait_for(rf"admitted SUCCESS .* peer={SAS} ")


class TestCaps:
    """S49; each test has an address of its own, whose connections nobody else counts."""

    def test_of_one_address_only_so_many_strangers(self, lab: Lab, door: GatewayProcess) -> None:
        source, other = "127.0.3.11", "127.0.3.12"
        with ExitStack() as held:
            for _ in range(3):
                held.enter_context(dial(door.port(), source))
            assert turned_away(lab, door.port(), source)
            assert answer(lab, door.port(), other) == 200
        door.wait_for(rf"peer={source} \(too many connections of this address")

    def test_whoever_is_admitted_is_no_stranger(self, lab: Lab, door: GatewayProcess) -> None:
        """SAS comes from one address."""
        with ExitStack() as held:
            for _ in range(6):
                held.enter_context(served(lab, door.port(), "127.0.3.13"))

    def test_whoever_was_refused_stays_one_until_it_leaves(
        self, lab: Lab, door: GatewayProcess
    ) -> None:
        source, context = "127.0.3.14", pem_context(lab, None)
        with ExitStack() as held:
            for _ in range(3):
                stream = TLSStream(dial(door.port(), source), context, "localhost")
                held.enter_context(stream)
            assert turned_away(lab, door.port(), source)

    def test_a_place_is_free_again_when_its_connection_ends(
        self, lab: Lab, door: GatewayProcess
    ) -> None:
        source = "127.0.3.15"
        for _ in range(10):
            with ExitStack() as held:
                for _ in range(3):
                    held.enter_context(dial(door.port(), source))
        while turned_away(lab, door.port(), source):
            """The ends of the last ones have not been seen yet."""
        assert answer(lab, door.port(), source) == 200

    def test_all_together_have_a_cap_too(self, lab: Lab, crowded: GatewayProcess) -> None:
        """Over all listeners; whoever was admitted keeps its place."""
        with ExitStack() as held:
            for _ in range(3):
                held.enter_context(served(lab, crowded.port(), "127.0.0.1"))
            production = crowded.port("inbound:production")
            held.enter_context(served(lab, production, "127.0.0.1", "production"))
            assert turned_away(lab, crowded.port(), "127.0.0.1")
            assert turned_away(lab, production, "127.0.0.1")
            crowded.wait_for(r"\(too many connections\)")

    def test_the_oldest_stranger_makes_room(self, lab: Lab, crowded: GatewayProcess) -> None:
        """Mute peers from many addresses would keep everybody else out."""
        with ExitStack() as held:
            mute = [held.enter_context(dial(crowded.port(), "127.0.0.1")) for _ in range(4)]
            assert answer(lab, crowded.port(), "127.0.0.1") == 200
            assert everything(mute[0]) == b""


@pytest.fixture
def crowded(lab: Lab, backend: BackendProcess, tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway for four connections."""
    ini = write_ini(lab, tmp_path, backend.url, append="[limits]\nconnections = 4\n")
    with GatewayProcess(ini) as process:
        yield process


@pytest.fixture(scope="module")
def hasty(
    lab: Lab, backend: BackendProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    limits = "[limits]\nhandshake = 1 s\n"
    ini = write_ini(lab, tmp_path_factory.mktemp("hasty"), backend.url, append=limits)
    with GatewayProcess(ini) as process:
        yield process


class TestTime:
    """S47: with a handshake limit of 1 s."""

    def test_a_mute_peer_is_closed(self, hasty: GatewayProcess) -> None:
        with dial(hasty.port(), "127.0.0.1") as plain:
            assert everything(plain) == b""
        hasty.wait_for(r"closed NONE .*\(no handshake: not finished in time\)")

    def test_one_that_sends_byte_by_byte_is_closed(self, lab: Lab, hasty: GatewayProcess) -> None:
        """Each byte would begin the time anew if it were an idle limit."""
        flight = hello(lab)
        sent = 0
        with dial(hasty.port(), "127.0.0.1") as plain:
            plain.settimeout(0.1)
            try:
                while sent < len(flight):
                    plain.sendall(flight[sent : sent + 1])
                    sent += 1
                    try:
                        assert plain.recv(1) == b""
                        break
                    except TimeoutError:
                        continue
            except (ConnectionResetError, BrokenPipeError):
                pass
        assert sent < len(flight)

    def test_one_that_stops_after_its_hello_is_closed(
        self, lab: Lab, hasty: GatewayProcess
    ) -> None:
        with dial(hasty.port(), "127.0.0.1") as plain:
            plain.sendall(hello(lab))
            assert everything(plain)[:1] == b"\x16"

    def test_a_good_client_is_served_beside_fifty_mute_ones(
        self, lab: Lab, hasty: GatewayProcess
    ) -> None:
        with ExitStack() as held:
            for _ in range(50):
                held.enter_context(dial(hasty.port(), "127.0.0.1"))
            assert answered(platform(lab, hasty.port()).send(SLOT)).status == 200

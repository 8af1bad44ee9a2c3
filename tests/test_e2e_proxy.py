"""Behind a balancer that speaks the PROXY protocol: whom a real twistd believes, and what (S44)."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

from calling import METADATA, pem_context, raw
from processes import PATIENCE, BackendProcess, GatewayProcess, write_ini
from sasgate.lab.pki import Lab
from sasgate.lab.tls_stream import TLSStream
from tls_hello import hello


BALANCER, STRANGER = "127.0.0.1", "127.0.0.2"
SAS, CROWD, ELSEWHERE = "203.0.113.9", "203.0.113.10", "198.51.100.7"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v1(source: str, family: str = "TCP4", destination: str = "192.0.2.1") -> bytes:
    return f"PROXY {family} {source} {destination} 40000 443\r\n".encode()


def v2(source: str, *, command: int = 0x21, tlvs: bytes = b"") -> bytes:
    address = ip_address(source)
    block = address.packed * 2 + struct.pack("!HH", 40000, 443) + tlvs
    family = 0x11 if address.version == 4 else 0x21
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(block)) + block


def v2_bare(command: int, family: int, block: bytes = b"") -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(block)) + block


GOOD = {
    "v1": v1(SAS),
    "v1-mapped": v1(f"::ffff:{SAS}", "TCP6", "2001:db8::1"),
    "v2": v2(SAS),
    "v2-mapped": v2(f"::ffff:{SAS}"),
    "v2-tlvs": v2(SAS, tlvs=b"\x01\x00\x08http/1.1" + b"\x04\x00\x20" + b"\0" * 32),
}
NAMELESS = {
    "v1-unknown": b"PROXY UNKNOWN\r\n",
    "v1-unknown-with-addresses": f"PROXY UNKNOWN {SAS} {SAS} 1 2\r\n".encode(),
    "v2-local": v2_bare(0x20, 0x00),
    "v2-local-with-address": v2(SAS, command=0x20),
    "v2-unspec": v2_bare(0x21, 0x00),
    "v2-unix": v2_bare(0x21, 0x31, b"\0" * 216),
}
MALFORMED = {
    "v1-lower-case": v1(SAS).lower(),
    "v1-lf": v1(SAS).replace(b"\r\n", b"\n"),
    "v1-two-spaces": v1(SAS).replace(b"TCP4 ", b"TCP4  "),
    "v1-name": v1("sas.example"),
    "v1-zeros": v1("203.000.113.009"),
    "v1-family": v1(SAS, "TCP6"),
    "v1-port": v1(SAS).replace(b"40000", b"70000"),
    "v1-endless": b"PROXY TCP4 " + b"1" * 200,
    "v2-version-3": v2(SAS, command=0x31),
    "v2-datagram": v2_bare(0x21, 0x12, b"\0" * 12),
    "v2-short": v2_bare(0x21, 0x11, b"\0" * 8),
    "v2-huge": SIGNATURE + b"\x21\x11\xff\xff",
    "http": METADATA,
    "x-forwarded-for": f"X-Forwarded-For: {SAS}\r\n".encode(),
}


@pytest.fixture(scope="module")
def behind(
    lab: Lab, backend: BackendProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """SAS's addresses are of the documentation's."""
    folder, limits = tmp_path_factory.mktemp("behind"), "connections_per_address = 3"
    with GatewayProcess(behind_a_balancer(lab, folder, backend.url, limits)) as process:
        yield process


@pytest.fixture(scope="module")
def hasty(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """The same, with no backend and little time."""
    folder, limits = tmp_path_factory.mktemp("hasty"), "handshake = 1 s"
    with GatewayProcess(behind_a_balancer(lab, folder, "http://127.0.0.1:9", limits)) as process:
        yield process


def behind_a_balancer(lab: Lab, folder: Path, backend: str, limits: str) -> Path:
    changes = {
        "listen = tcp:0:interface=127.0.0.1": "listen = haproxy:tcp:0:interface=127.0.0.1\n"
        f"proxies = {BALANCER}",
        "addresses = 127.0.0.1 ::1": f"addresses = {SAS} {CROWD}",
    }
    return write_ini(lab, folder, backend, changes=changes, append=f"[limits]\n{limits}\n")


def dial(port: int, source: str = BALANCER) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))


def call(lab: Lab, plain: socket.socket, client: str | None = "recette") -> int:
    """The status that a client gets over a connection on which a header went ahead."""
    context = pem_context(lab, None if client is None else lab.path_of(client))
    with TLSStream(plain, context, "localhost") as stream:
        return raw(stream, METADATA)[0]


def turned_away(lab: Lab, port: int, header: bytes, source: str = BALANCER) -> bool:
    """Whether no byte comes back on a header and a ClientHello."""
    with dial(port, source) as plain:
        try:
            plain.sendall(header + hello(lab))
            return plain.recv(1) == b""
        except ConnectionError:
            return True


class TestBelieved:
    @pytest.mark.parametrize("header", GOOD.values(), ids=GOOD)
    def test_the_address_in_the_header_is_the_clients(
        self, lab: Lab, behind: GatewayProcess, backend: BackendProcess, header: bytes
    ) -> None:
        backend.forget()
        plain = dial(behind.port())
        plain.sendall(header)
        assert call(lab, plain) == 200
        (arrived,) = backend.recorded()
        assert dict(arrived["headers"])["X-Forwarded-For"] == SAS

    @pytest.mark.parametrize("header", GOOD.values(), ids=GOOD)
    def test_the_header_may_come_byte_by_byte(
        self, lab: Lab, behind: GatewayProcess, header: bytes
    ) -> None:
        plain = dial(behind.port())
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(header)):
            plain.sendall(header[at : at + 1])
        assert call(lab, plain) == 200

    @pytest.mark.parametrize("header", [GOOD["v1"], GOOD["v2"]], ids=["v1", "v2"])
    def test_header_and_handshake_may_come_in_one_piece(
        self, lab: Lab, behind: GatewayProcess, header: bytes
    ) -> None:
        class InOnePiece(TLSStream):
            ahead = header

            def _flush(self) -> None:
                if self._outgoing.pending:
                    ahead, self.ahead = self.ahead, b""
                    self.plain.sendall(ahead + self._outgoing.read())

        context = pem_context(lab, lab.path_of("recette"))
        with InOnePiece(dial(behind.port()), context, "localhost") as stream:
            assert raw(stream, METADATA)[0] == 200

    @pytest.mark.parametrize(
        ("client", "status"), [("wrong-cn", 403), ("expired", 401), (None, 401)]
    )
    def test_the_client_is_judged_like_any_other(
        self, lab: Lab, behind: GatewayProcess, client: str | None, status: int
    ) -> None:
        plain = dial(behind.port())
        plain.sendall(GOOD["v1"])
        assert call(lab, plain, client) == status

    def test_the_journal_has_the_clients_address(self, lab: Lab, behind: GatewayProcess) -> None:
        plain = dial(behind.port())
        plain.sendall(GOOD["v2"])
        assert call(lab, plain, "self-signed") == 401
        behind.wait_for(rf"refused 401 FAILED:untrusted issuer .* peer={SAS} ")


class TestNotBelieved:
    @pytest.mark.parametrize("header", GOOD.values(), ids=GOOD)
    def test_a_peer_that_is_not_listed_is_closed_whatever_it_says(
        self, lab: Lab, behind: GatewayProcess, header: bytes
    ) -> None:
        assert turned_away(lab, behind.port(), header, STRANGER)
        behind.wait_for(rf"closed NONE .* peer={STRANGER} \(not one of the listed proxies\)")

    def test_so_is_it_when_its_own_address_is_allowed(
        self, lab: Lab, behind: GatewayProcess
    ) -> None:
        assert turned_away(lab, behind.port(), b"", STRANGER)

    @pytest.mark.parametrize("header", [v1(ELSEWHERE), v2(ELSEWHERE), v1(BALANCER), v2(BALANCER),
                                        v2("2001:db8::9")],
                             ids=["v1", "v2", "v1-balancer", "v2-balancer", "v2-ipv6"])  # fmt: skip
    def test_an_address_that_is_not_allowed_is_closed_before_the_handshake(
        self, lab: Lab, behind: GatewayProcess, header: bytes
    ) -> None:
        assert turned_away(lab, behind.port(), header)

    @pytest.mark.parametrize("header", NAMELESS.values(), ids=NAMELESS)
    def test_a_header_that_names_nobody_is_closed(
        self, lab: Lab, behind: GatewayProcess, header: bytes
    ) -> None:
        """The balancer's own address is no substitute for the client's."""
        assert turned_away(lab, behind.port(), header)
        behind.wait_for(r"\(PROXY header without a client address\)")

    @pytest.mark.parametrize("header", MALFORMED.values(), ids=MALFORMED)
    def test_a_malformed_header_is_closed(
        self, lab: Lab, behind: GatewayProcess, header: bytes
    ) -> None:
        assert turned_away(lab, behind.port(), header)

    def test_without_a_header_there_is_no_handshake(self, lab: Lab, behind: GatewayProcess) -> None:
        assert turned_away(lab, behind.port(), b"")
        behind.wait_for(r"\(PROXY header: neither version's signature\)")

    def test_a_second_header_is_no_tls(self, lab: Lab, behind: GatewayProcess) -> None:
        """What the client itself sends behind the balancer's header is not looked at."""
        with dial(behind.port()) as plain:
            plain.sendall(v1(SAS) + v1(SAS) + hello(lab))
            assert plain.recv(1) != b"\x16"

    def test_a_header_inside_tls_is_a_malformed_request(
        self, lab: Lab, behind: GatewayProcess
    ) -> None:
        plain = dial(behind.port())
        plain.sendall(v1(SAS))
        context = pem_context(lab, lab.path_of("recette"))
        with TLSStream(plain, context, "localhost") as stream:
            assert raw(stream, v1(SAS) + METADATA)[0] == 400


class TestCosts:
    def test_strangers_are_counted_by_their_own_address(
        self, lab: Lab, behind: GatewayProcess
    ) -> None:
        """S49: not by the balancer's, or one of them would shut out all."""
        with ExitStack() as held:
            for _ in range(6):
                held.enter_context(dial(behind.port()))
            plain = dial(behind.port())
            plain.sendall(v1(CROWD))
            assert call(lab, plain) == 200

    def test_of_one_address_behind_the_balancer_only_so_many(
        self, lab: Lab, behind: GatewayProcess
    ) -> None:
        """S49."""
        with ExitStack() as held:
            while not turned_away(lab, behind.port(), v1(CROWD)):
                plain = held.enter_context(dial(behind.port()))
                plain.sendall(v1(CROWD))
            behind.wait_for(rf"peer={CROWD} \(too many connections of this address")

    @pytest.mark.parametrize("header", [b"", v1(CROWD)[:-1], v2(SAS)[:-1], SIGNATURE[:3]],
                             ids=["nothing", "v1", "v2", "signature"])  # fmt: skip
    def test_a_header_that_does_not_end_is_closed_in_time(
        self, hasty: GatewayProcess, header: bytes
    ) -> None:
        """S47: header and handshake share one limit."""
        with dial(hasty.port()) as plain:
            plain.sendall(header)
            with suppress(ConnectionResetError):
                assert plain.recv(1) == b""
        hasty.wait_for(r"\(no PROXY header in time\)")

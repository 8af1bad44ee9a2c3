"""The door: who may begin a handshake, and how many at once (S44, S47, S49)."""

from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from front import GET, OK
from memory_gateway import HERE, Caller, MemoryGateway
from sasgate.client_connection import GRACE
from sasgate.lab.pki import Lab
from wires import Wire


pytestmark = pytest.mark.usefixtures("no_failure_logged")

ADDRESSES = "addresses = 127.0.0.1 ::1"
ANYBODY = {ADDRESSES: "addresses = any"}
PROXIED = {"listen = tcp:0:interface=127.0.0.1\ncertificate = server.pem\nkey = server.key\n"
           "backend = http://127.0.0.1:9\n\n[inbound:production]":
           "listen = haproxy:tcp:0:interface=127.0.0.1\nproxies = 192.0.2.1\n"
           "certificate = server.pem\nkey = server.key\nbackend = http://127.0.0.1:9\n\n"
           "[inbound:production]"}  # fmt: skip
BALANCER = IPv4Address("TCP", "192.0.2.1", 40000)


def at(address: str) -> IPv4Address:
    return IPv4Address("TCP", address, 40000)


def header(source: str) -> bytes:
    return b"PROXY TCP4 %s 192.0.2.9 1000 443\r\n" % source.encode()


@pytest.fixture
def gateway(lab: Lab, tmp_path: Path) -> MemoryGateway:
    return MemoryGateway(lab, tmp_path)


class TestAddresses:
    """S44, S49: before the handshake."""

    @pytest.mark.parametrize(
        "address",
        [
            at("192.0.2.1"),
            at("127.0.0.2"),
            IPv6Address("TCP", "::2", 1),
            IPv6Address("TCP", "::ffff:192.0.2.1", 1),
            IPv4Address("TCP", "nonsense", 1),
            object(),
        ],
    )
    def test_a_stranger_is_closed_before_the_handshake(
        self, gateway: MemoryGateway, address: IAddress
    ) -> None:
        assert gateway.connect(address) is None
        assert gateway.surroundings.connections == 0
        (decision,) = gateway.journal.decisions
        assert (decision.outcome, decision.detail) == ("closed", "address not allowed")

    @pytest.mark.parametrize(
        "address",
        [
            HERE,
            IPv6Address("TCP", "::1", 1),
            IPv6Address("TCP", "::ffff:127.0.0.1", 1),
            UNIXAddress("/run/client"),
        ],
    )
    def test_whom_the_rules_name_may_begin(self, gateway: MemoryGateway, address: IAddress) -> None:
        """A mapped address is folded; whoever comes by a UNIX socket is of this host."""
        assert gateway.connect(address) is not None
        assert gateway.journal.decisions == []

    def test_any_lets_everybody_begin(self, lab: Lab, tmp_path: Path) -> None:
        gateway = MemoryGateway(lab, tmp_path, ANYBODY)
        assert gateway.connect(at("198.51.100.7")) is not None

    def test_the_rules_are_those_in_force(self, gateway: MemoryGateway) -> None:
        gateway.listener.rules = gateway.rules({ADDRESSES: "addresses = 192.0.2.1"})
        assert gateway.connect(HERE) is None
        assert gateway.connect(at("192.0.2.1")) is not None


class TestCaps:
    """S49: 2000 at once, 200 of an address that are not admitted."""

    def test_one_connection_too_many_is_closed(self, lab: Lab, tmp_path: Path) -> None:
        gateway = MemoryGateway(lab, tmp_path, connections=3)
        for _ in range(3):
            gateway.call("recette")
        assert gateway.connect() is None
        assert gateway.journal.decisions[-1].detail == "too many connections"

    def test_strangers_keep_nobody_out_the_oldest_gives_way(self, lab: Lab, tmp_path: Path) -> None:
        """Mute peers from many addresses must not starve the platform."""
        gateway = MemoryGateway(lab, tmp_path, ANYBODY, connections=3)
        admitted = gateway.call("recette")
        mute = [gateway.connect(at(f"192.0.2.{number}")) for number in (1, 2)]
        gateway.call("recette")
        assert [wire is not None and wire.aborted for wire in mute] == [True, False]
        assert not admitted.wire.aborted

    def test_a_place_that_is_given_free_is_taken_again(self, lab: Lab, tmp_path: Path) -> None:
        gateway = MemoryGateway(lab, tmp_path, connections=1)
        for _ in range(5):
            wire = gateway.connect()
            assert wire is not None
            wire.close()
        assert gateway.surroundings.connections == 0

    def test_all_listeners_share_the_places(self, lab: Lab, tmp_path: Path) -> None:
        gateway = MemoryGateway(lab, tmp_path, connections=1)
        gateway.surroundings.connections += 1
        assert gateway.connect() is None

    def test_an_address_may_not_fill_the_gateway_with_strangers(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        gateway = MemoryGateway(lab, tmp_path, ANYBODY, connections_per_address=2)
        wires = [gateway.connect(at("192.0.2.7")) for _ in range(3)]
        assert [wire is None for wire in wires] == [False, False, True]
        assert "too many connections of this address" in gateway.journal.decisions[-1].detail
        assert gateway.connect(at("192.0.2.8")) is not None

    def test_who_is_admitted_is_a_stranger_no_longer(self, lab: Lab, tmp_path: Path) -> None:
        """All of SAS comes from one address."""
        gateway = MemoryGateway(lab, tmp_path, connections_per_address=2)
        callers = [gateway.call("recette") for _ in range(10)]
        assert gateway.strangers == 0
        assert len(callers) == gateway.surroundings.connections == 10

    @pytest.mark.parametrize("client", [None, "crossed-pair", "expired"])
    def test_who_is_refused_remains_one(self, lab: Lab, tmp_path: Path, client: str | None) -> None:
        gateway = MemoryGateway(lab, tmp_path, connections_per_address=2)
        for _ in range(2):
            gateway.call(client)
        assert gateway.strangers == 2
        assert gateway.connect() is None

    @pytest.mark.parametrize("client", [None, "recette"])
    def test_nothing_is_counted_of_who_has_left(
        self, gateway: MemoryGateway, client: str | None
    ) -> None:
        for _ in range(3):
            gateway.call(client).wire.close()
        assert (gateway.strangers, gateway.surroundings.connections) == (0, 0)
        assert gateway.listener.connections == set()

    def test_who_breaks_the_handshake_off_is_counted_no_longer(
        self, gateway: MemoryGateway
    ) -> None:
        wire = gateway.connect()
        assert wire is not None
        wire.send(b"GET / HTTP/1.1\r\n\r\n")
        wire.take()
        gateway.pass_time(0)
        assert (gateway.strangers, gateway.surroundings.connections) == (0, 0)

    def test_who_is_refused_after_a_change_of_rules_is_counted_once(
        self, gateway: MemoryGateway
    ) -> None:
        caller = gateway.call("recette")
        gateway.listener.rules = gateway.rules({ADDRESSES: "addresses = 192.0.2.1"})
        caller.ask(GET)
        caller.wire.close()
        assert (gateway.strangers, gateway.surroundings.connections) == (0, 0)


class TestProxied:
    """S44: a PROXY header is believed from listed peers only, and asked of them."""

    @pytest.fixture
    def gateway(self, lab: Lab, tmp_path: Path) -> MemoryGateway:
        return MemoryGateway(lab, tmp_path, PROXIED, proxied=True, connections_per_address=2)

    def through(self, gateway: MemoryGateway, source: str) -> Wire:
        wire = gateway.connect(BALANCER)
        assert wire is not None
        wire.send(header(source))
        return wire

    @pytest.mark.parametrize("address", [HERE, at("192.0.2.2"), UNIXAddress(None)])
    def test_a_peer_that_is_not_listed_is_closed(
        self, gateway: MemoryGateway, address: IAddress
    ) -> None:
        assert gateway.connect(address) is None
        assert gateway.journal.decisions[0].detail == "not one of the listed proxies"

    def test_the_filter_looks_at_the_clients_address(self, gateway: MemoryGateway) -> None:
        wire = self.through(gateway, "192.0.2.1")
        assert wire.aborted
        (decision,) = gateway.journal.decisions
        assert (decision.peer, decision.detail) == ("192.0.2.1", "address not allowed")

    def test_a_client_is_admitted_by_its_own_address(self, gateway: MemoryGateway) -> None:
        caller = Caller(gateway, self.through(gateway, "127.0.0.1"), "recette").shaken()
        caller.ask(GET)
        (read,) = gateway.asked()
        assert read.values(b"x-forwarded-for") == [b"127.0.0.1"]
        gateway.server.wire.send(OK)
        assert caller.answer() == (200, b"hi")

    def test_strangers_are_counted_by_their_own_address(self, gateway: MemoryGateway) -> None:
        gateway.listener.rules = gateway.rules({**PROXIED, **ANYBODY})
        for source in ("198.51.100.1", "198.51.100.1", "198.51.100.2"):
            assert not self.through(gateway, source).aborted
        assert self.through(gateway, "198.51.100.1").aborted

    def test_a_header_that_is_missing_is_told_of_the_balancer(self, gateway: MemoryGateway) -> None:
        wire = gateway.connect(BALANCER)
        assert wire is not None
        wire.send(b"\x16\x03\x01")
        (decision,) = gateway.journal.decisions
        assert decision.peer == "192.0.2.1"
        assert decision.detail.startswith("PROXY header: ")

    @pytest.mark.parametrize("raw", [b"", b"x", b"PROXY UNKNOWN\r\n", header("192.0.2.1")])
    def test_the_place_is_given_free(self, gateway: MemoryGateway, raw: bytes) -> None:
        wire = gateway.connect(BALANCER)
        assert wire is not None
        assert gateway.surroundings.connections == 1
        wire.send(raw)
        wire.close()
        gateway.pass_time(0)
        assert (gateway.strangers, gateway.surroundings.connections) == (0, 0)

    def test_header_and_handshake_have_ten_seconds_together(self, gateway: MemoryGateway) -> None:
        """S47."""
        wire = gateway.connect(BALANCER)
        assert wire is not None
        gateway.pass_time(9)
        wire.send(header("127.0.0.1"))
        gateway.pass_time(0.7)
        assert not wire.aborted
        gateway.pass_time(0.3)
        assert wire.aborted

    def test_a_balancer_that_sends_no_header_has_ten_seconds_too(
        self, gateway: MemoryGateway
    ) -> None:
        wire = gateway.connect(BALANCER)
        assert wire is not None
        gateway.pass_time(10)
        assert wire.aborted

    def test_gates_are_among_the_connections_at_once(self, lab: Lab, tmp_path: Path) -> None:
        gateway = MemoryGateway(lab, tmp_path, PROXIED, proxied=True, connections=1)
        first = gateway.connect(BALANCER)
        assert first is not None
        assert gateway.connect(BALANCER) is not None
        assert first.aborted


class TestDrain:
    @pytest.fixture
    def proxied(self, lab: Lab, tmp_path: Path) -> MemoryGateway:
        return MemoryGateway(lab, tmp_path, PROXIED, proxied=True)

    def drained(self, gateway: MemoryGateway) -> list[None]:
        done: list[None] = []
        gateway.listener.drain().addCallback(done.append)
        return done

    def test_a_listener_without_connections_is_drained_at_once(
        self, gateway: MemoryGateway
    ) -> None:
        assert self.drained(gateway) == [None]

    def test_one_is_drained_once_its_last_exchange_is_over(self, gateway: MemoryGateway) -> None:
        busy = gateway.call("recette").ask(GET)
        done = self.drained(gateway)
        gateway.pass_time(2 * GRACE)
        assert done == []
        gateway.server.wire.send(OK)
        assert busy.answer() == (200, b"hi")
        gateway.pass_time(0)
        assert done == [None]

    def test_a_handshake_that_has_begun_may_end_and_its_client_ask(
        self, gateway: MemoryGateway
    ) -> None:
        wire = gateway.connect()
        assert wire is not None
        done = self.drained(gateway)
        late = Caller(gateway, wire, "recette").shaken().ask(GET)
        gateway.server.wire.send(OK)
        assert late.answer() == (200, b"hi")
        late.pump()
        assert late.closed
        assert done == [None]

    def test_s2_a_stranger_among_them_is_refused_as_ever(self, gateway: MemoryGateway) -> None:
        wire = gateway.connect()
        assert wire is not None
        self.drained(gateway)
        assert Caller(gateway, wire, None).shaken().ask(GET).answer()[0] == 401
        assert gateway.servers.servers == {} or gateway.server.attempts == 0

    def test_a_mute_stranger_delays_the_end_by_no_more_than_the_grace(
        self, gateway: MemoryGateway
    ) -> None:
        gateway.connect()
        mute = gateway.call("recette")
        done = self.drained(gateway)
        gateway.pass_time(GRACE)
        mute.wire.take()  # as its kernel does; it does not even say that it closes
        gateway.pass_time(0)
        assert done == [None]

    def test_one_that_a_balancer_names_only_then_is_served(self, proxied: MemoryGateway) -> None:
        """Its connection was taken before the ports were closed."""
        wire = proxied.connect(BALANCER)
        assert wire is not None
        done = self.drained(proxied)
        assert done == []
        wire.send(header("127.0.0.1"))
        late = Caller(proxied, wire, "recette").shaken().ask(GET)
        proxied.server.wire.send(OK)
        assert late.answer() == (200, b"hi")
        late.pump()
        assert done == [None]

    def test_one_that_it_never_names_is_dropped(self, proxied: MemoryGateway) -> None:
        wire = proxied.connect(BALANCER)
        assert wire is not None
        done = self.drained(proxied)
        proxied.pass_time(GRACE)
        assert wire.aborted
        assert done == [None]

    def test_its_naming_gives_no_more_time(self, proxied: MemoryGateway) -> None:
        wire = proxied.connect(BALANCER)
        assert wire is not None
        done = self.drained(proxied)
        proxied.pass_time(GRACE / 2)
        wire.send(header("127.0.0.1"))
        proxied.pass_time(GRACE / 2)
        assert done == [None]

    def test_one_that_is_not_named_yet_is_aborted_with_the_others(
        self, proxied: MemoryGateway
    ) -> None:
        proxied.connect(BALANCER)
        done = self.drained(proxied)
        proxied.listener.abort("cut at stop")
        proxied.pass_time(0)
        assert done == [None]
        assert proxied.journal.decisions[0].detail == "cut at stop"

    def test_nobody_enters_after_the_end(self, proxied: MemoryGateway) -> None:
        assert self.drained(proxied) == [None]
        wire = proxied.connect(BALANCER)
        assert wire is not None
        wire.send(header("127.0.0.1"))
        assert wire.aborted
        assert proxied.journal.decisions[0].detail == "the gateway stops"

    def test_what_does_not_end_is_aborted(self, gateway: MemoryGateway) -> None:
        busy = gateway.call("recette").ask(GET)
        done = self.drained(gateway)
        gateway.listener.abort("cut at stop")
        gateway.pass_time(0)
        assert busy.wire.lost
        assert done == [None]
        assert gateway.server.open == []

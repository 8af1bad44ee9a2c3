"""The gate in front of TLS: one PROXY header, in time, then everything else (S44, S47)."""

from typing import Any

import pytest
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from sasgate.deadlines import Deadlines
from sasgate.proxy_gate import ProxyGate
from sasgate.settings import Address
from wires import Wire, pass_time


pytestmark = pytest.mark.usefixtures("no_failure_logged")

SAS = b"PROXY TCP4 51.91.149.173 192.0.2.1 54321 443\r\n"
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


class Inside(Protocol):
    """What speaks TLS."""

    def __init__(self) -> None:
        self.got = b""
        self.begun: Any = None
        self.ended: Failure | None = None

    def connectionMade(self) -> None:
        self.begun = self.transport

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.ended = reason


class Gate:
    """A gate, who entered, and what it told."""

    def __init__(self) -> None:
        self.clock = Clock()
        deadlines = Deadlines(self.clock)
        deadlines.start()
        self.inside = Inside()
        self.open = True
        self.entered: list[Address] = []
        self.refused: list[str] = []
        self.gone = 0
        self.wire = Wire(
            ProxyGate(deadlines, 10.0, self._enter, self.refused.append, self._leave), self.clock
        )
        self.wire.protocol.makeConnection(self.wire)

    def _enter(self, peer: Address) -> IProtocol | None:
        self.entered.append(peer)
        return self.inside if self.open else None

    def _leave(self) -> None:
        self.gone += 1

    def pass_time(self, seconds: float) -> None:
        pass_time(self.clock, seconds)


class TestEntering:
    def test_the_address_is_that_of_the_header(self) -> None:
        gate = Gate()
        gate.wire.send(SAS)
        assert [str(peer) for peer in gate.entered] == ["51.91.149.173"]

    def test_what_follows_the_header_goes_inside(self) -> None:
        gate = Gate()
        gate.wire.send(SAS + b"\x16\x03\x01")
        gate.wire.send(b"more")
        assert gate.inside.got == b"\x16\x03\x01more"

    def test_a_header_may_come_byte_by_byte(self) -> None:
        gate = Gate()
        for byte in SAS + b"\x16":
            gate.wire.send(bytes([byte]))
        assert len(gate.entered) == 1
        assert gate.inside.got == b"\x16"

    def test_inside_gets_the_transport_before_any_byte(self) -> None:
        gate = Gate()
        gate.wire.send(SAS)
        assert gate.inside.begun is gate.wire
        assert gate.inside.got == b""

    def test_a_second_header_is_no_header(self) -> None:
        gate = Gate()
        gate.wire.send(SAS + SAS)
        assert len(gate.entered) == 1
        assert gate.inside.got == SAS

    def test_the_gates_time_is_over_once_somebody_entered(self) -> None:
        gate = Gate()
        gate.wire.send(SAS)
        gate.pass_time(60)
        assert not gate.wire.aborted

    def test_whoever_is_inside_learns_of_the_end(self) -> None:
        gate = Gate()
        gate.wire.send(SAS)
        gate.wire.close()
        assert gate.inside.ended is not None
        assert gate.gone == 0


class TestRefusals:
    @pytest.mark.parametrize(
        "raw",
        [
            b"\x16\x03\x01\x02\x00",
            b"GET / HTTP/1.1\r\n",
            b"PROXY TCP4 51.91.149.173\r\n",
            b"PROXY TCP4 51.91.149.999 192.0.2.1 1 2\r\n",
            b"PROXY TCP4 " + b"1" * 200,
            b"proxy TCP4 51.91.149.173 192.0.2.1 54321 443\r\n",
            b"\r\n\r\n\x00\r\nQUIT\n\x31",
            b"\n",
        ],
    )
    def test_what_is_no_header_ends_the_connection(self, raw: bytes) -> None:
        gate = Gate()
        gate.wire.send(raw)
        assert gate.wire.aborted
        assert gate.entered == []
        (reason,) = gate.refused
        assert reason.startswith("PROXY header: ")

    @pytest.mark.parametrize(
        "raw", [LOCAL, b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN 51.91.149.173 192.0.2.1 1 2\r\n"]
    )
    def test_a_header_that_names_nobody_does_too(self, raw: bytes) -> None:
        """A missing source is never taken for an allowed one."""
        gate = Gate()
        gate.wire.send(raw)
        assert gate.wire.aborted
        assert gate.entered == []
        assert gate.refused == ["PROXY header without a client address"]

    def test_so_does_an_address_that_is_not_let_in(self) -> None:
        gate = Gate()
        gate.open = False
        gate.wire.send(SAS + b"\x16")
        assert gate.wire.aborted
        assert gate.inside.begun is None
        assert gate.refused == []

    def test_nothing_is_read_after_a_refusal(self) -> None:
        gate = Gate()
        gate.open = False
        gate.wire.send(SAS)
        gate.open = True
        gate.wire.protocol.dataReceived(b"\x16")
        assert len(gate.entered) == 1
        assert gate.inside.begun is None

    def test_the_place_is_given_free_once(self) -> None:
        gate = Gate()
        gate.wire.send(b"x")
        gate.pass_time(60)
        assert gate.gone == 1

    def test_also_where_the_balancer_leaves_before_its_header(self) -> None:
        gate = Gate()
        gate.wire.send(SAS[:10])
        gate.wire.close()
        assert (gate.gone, gate.refused) == (1, [])


class TestTime:
    def test_a_header_may_take_its_time(self) -> None:
        gate = Gate()
        gate.pass_time(9.7)
        gate.wire.send(SAS)
        assert len(gate.entered) == 1

    @pytest.mark.parametrize("start", [b"", SAS[:-1]])
    def test_but_no_more(self, start: bytes) -> None:
        gate = Gate()
        gate.wire.send(start)
        gate.pass_time(10)
        assert gate.wire.aborted
        assert gate.refused == ["no PROXY header in time"]
        assert gate.gone == 1

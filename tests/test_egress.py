"""CONNECT through an HTTP proxy, in memory: what opens a tunnel and what does not (S52)."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from sasgate.egress import ProxyRefused, Tunnel
from sasgate.failures import why
from sasgate.pool import OneConnection
from wires import Server, Wire


pytestmark = pytest.mark.usefixtures("no_failure_logged")

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
PATIENCE = 3.0


class Through(Protocol):
    """What speaks with the server behind the proxy."""

    def __init__(self) -> None:
        self.got = b""
        self.made = 0
        self.lost: Failure | None = None

    def connectionMade(self) -> None:
        self.made += 1

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure = Failure(Refused())) -> None:  # noqa: B008
        self.lost = reason


class Dig:
    """One attempt to get through."""

    def __init__(self, host: str = "sas.example", *, mute: bool = False) -> None:
        self.clock = Clock()
        self.proxy = Server(self.clock)
        self.proxy.mute = mute
        self.through = Through()
        self.opened: list[Any] = []
        self.failures: list[Failure] = []
        tunnel = Tunnel(self.clock, self.proxy, host, 443, PATIENCE)
        self.connecting: Deferred[Any] = tunnel.connect(OneConnection(self.through))
        self.connecting.addCallbacks(self.opened.append, self.failures.append)

    @property
    def wire(self) -> Wire:
        return self.proxy.wire

    def answered(self, *pieces: bytes) -> "Dig":
        for piece in pieces:
            if not self.wire.aborted:
                self.wire.send(piece)
        return self

    @property
    def words(self) -> str:
        """Why there is no tunnel."""
        assert self.opened == []
        assert self.through.made == 0
        (failure,) = self.failures
        return why(failure)


class TestOpening:
    @pytest.mark.parametrize(
        ("host", "authority"),
        [("sas.example", b"sas.example:443"), ("2001:db8::1", b"[2001:db8::1]:443")],
    )
    def test_the_proxy_is_asked_for_the_server_and_told_nothing_else(
        self, host: str, authority: bytes
    ) -> None:
        """No name of the application's, no header of its."""
        asked = Dig(host).wire.take()
        assert asked == b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (authority, authority)

    @pytest.mark.parametrize(
        "answer",
        [
            ESTABLISHED,
            b"HTTP/1.0 200 Connection established\r\nProxy-Agent: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200\r\n\r\n",
            b"HTTP/1.1 204 Fine\r\n\r\n",
        ],
    )
    def test_any_2xx_opens_it_and_its_framing_means_nothing(self, answer: bytes) -> None:
        """RFC 9110, 9.3.6."""
        dig = Dig().answered(answer)
        assert dig.opened == [dig.through]
        dig.wire.send(b"from the server")
        assert dig.through.got == b"from the server"

    @given(cuts=st.lists(st.integers(1, len(ESTABLISHED) - 1), max_size=6))
    def test_however_the_answer_is_cut(self, cuts: list[int]) -> None:
        edges = [0, *sorted(cuts), len(ESTABLISHED)]
        dig = Dig()
        dig.answered(*(ESTABLISHED[a:b] for a, b in pairwise(edges) if a < b))
        assert dig.opened == [dig.through]

    def test_the_end_of_the_connection_is_that_of_what_is_behind(self) -> None:
        dig = Dig().answered(ESTABLISHED)
        dig.wire.close()
        assert dig.through.lost is not None

    def test_time_passes_after_the_opening_without_harm(self) -> None:
        dig = Dig().answered(ESTABLISHED)
        dig.clock.advance(10 * PATIENCE)
        assert not dig.wire.aborted


class TestRefusals:
    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 Proxy Authentication"),
            (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n", "403 Forbidden"),
            (b"HTTP/1.1 502 \r\n\r\n", "the proxy refuses: 502"),
            (b"HTTP/1.1 301 Away\r\nLocation: http://evil.example/\r\n\r\n", "301 Away"),
            (b"HTTP/1.1 100 Continue\r\n\r\n", "the proxy"),
            (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "the proxy"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "malformed"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "malformed"),
            (b"HTTP/2 200\r\n\r\n", "malformed"),
            (b"<html>\r\n\r\n", "malformed"),
            (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 17), "malformed"),
            (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n", "malformed"),
            (ESTABLISHED + b"\x16\x03\x03 I am SAS", "the proxy sends bytes of its own"),
            (ESTABLISHED + b"\r\n", "the proxy sends bytes of its own"),
        ],
    )
    def test_no_tunnel_is_opened_and_the_connection_is_dropped(
        self, answer: bytes, words: str
    ) -> None:
        dig = Dig().answered(answer)
        assert words in dig.words
        assert dig.failures[0].check(ProxyRefused)
        assert dig.wire.aborted
        dig.clock.advance(10 * PATIENCE)
        assert len(dig.failures) == 1

    @given(answer=st.binary(max_size=200))
    def test_no_garbage_opens_one_or_is_more_than_a_refusal(self, answer: bytes) -> None:
        dig = Dig().answered(answer)
        if not dig.wire.aborted:
            dig.wire.close()
        dig.clock.advance(0)
        assert dig.opened == []
        assert dig.failures[0].check(ProxyRefused)

    def test_what_it_says_is_shown_without_its_control_characters(self) -> None:
        dig = Dig().answered("HTTP/1.1 500 caf\xe9\r\n\r\n".encode("latin-1"))
        assert dig.words.isascii()

    @pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 Conn"])
    def test_one_that_leaves_is_told_as_the_proxy(self, beginning: bytes) -> None:
        dig = Dig().answered(beginning)
        dig.wire.close()
        assert dig.words == "no answer from the proxy: the peer left"

    def test_one_that_is_silent_is_left_in_time(self) -> None:
        dig = Dig()
        dig.clock.advance(PATIENCE)
        assert dig.words == "the proxy opens no connection in time"
        assert dig.failures[0].check(ConnectTimeout)
        assert dig.wire.aborted

    def test_one_that_drips_is_left_in_time(self) -> None:
        dig = Dig()
        for byte in b"HTTP/1.1 200 O":
            dig.answered(bytes([byte]))
            dig.clock.advance(PATIENCE / 10)
        assert dig.words == "the proxy opens no connection in time"

    def test_one_that_cannot_be_reached_is_told_as_the_proxy(self) -> None:
        dig = Dig(mute=True)
        dig.proxy.answer(Refused(111))
        assert dig.words.startswith("the proxy cannot be reached: Connection refused")

    def test_one_that_cannot_be_reached_in_time_is_too_late(self) -> None:
        dig = Dig(mute=True)
        dig.proxy.answer(ConnectTimeout())
        assert dig.words == "the proxy cannot be reached in time"
        assert dig.failures[0].check(ConnectTimeout)

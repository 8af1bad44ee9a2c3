"""What is written leaves in its turn, in order, on every transport, whatever state that is in."""

import select
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
)
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from sasgate.sending import send


reactor: Any = _reactor

# More than two ends of a connection on this machine hold.
MUCH = 32 << 20


class Ear(Protocol):
    """Counts on what comes, and fires once it is as much as is waited for."""

    transport: Any

    def __init__(self) -> None:
        self.received = bytearray()
        self.ends: list[Failure] = []
        self.made: Deferred[Ear] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self._enough: tuple[int, Deferred[None]] | None = None

    def connectionMade(self) -> None:
        self.made.callback(self)

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._tell()

    def _tell(self) -> None:
        if self._enough is not None and len(self.received) >= self._enough[0]:
            (_, waiting), self._enough = self._enough, None
            waiting.callback(None)

    async def has(self, size: int) -> bytes:
        """All that came, once it is so much."""
        waiting: Deferred[None] = Deferred()
        self._enough = (size, waiting)
        self._tell()
        await waiting
        return bytes(self.received)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ends.append(reason)
        self.lost.callback(None)


@implementer(IPushProducer)
class Pushing:
    """Notes what a full transport tells it."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.resumed: Deferred[None] = Deferred()

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")
        if not self.resumed.called:
            self.resumed.callback(None)

    def stopProducing(self) -> None:
        self.told.append("stop")


@implementer(IPullProducer)
class Pulled:
    """Sends a piece each time that it is asked."""

    def __init__(self, transport: Any, pieces: int) -> None:
        self.transport, self.pieces = transport, pieces

    def resumeProducing(self) -> None:
        send(self.transport, b"piece")
        self.pieces -= 1
        if not self.pieces:
            self.transport.unregisterProducer()

    def stopProducing(self) -> None:
        pass


class TCPServerTests(TestCase):
    """The transport of a TCP server; the others by inheritance."""

    timeout = 20.0
    serving = True
    unix = False

    async def connect(self) -> tuple[Any, Ear, Ear]:
        """A transport with its protocol, and the protocol at the far end."""
        server, client = Ear(), Ear()
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda _: server  # type: ignore[method-assign,assignment]
        calling: Any
        if self.unix:
            folder = tempfile.TemporaryDirectory()
            self.addCleanup(folder.cleanup)
            path = str(Path(folder.name, "s"))
            listening: Any = await UNIXServerEndpoint(reactor, path).listen(factory)
            calling = UNIXClientEndpoint(reactor, path)
        else:
            listening = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
            calling = TCP4ClientEndpoint(reactor, "127.0.0.1", listening.getHost().port)
        knocking = Factory()
        knocking.noisy = False
        knocking.buildProtocol = lambda _: client  # type: ignore[method-assign,assignment]
        await calling.connect(knocking)
        await server.made
        self.addCleanup(lambda: Deferred.fromCoroutine(self._end(listening, server, client)))
        near, far = (server, client) if self.serving else (client, server)
        return near.transport, near, far

    async def _end(self, listening: Any, *ears: Ear) -> None:
        await listening.stopListening()
        for ear in ears:
            ear.transport.abortConnection()
        for ear in ears:
            if not ear.ends:
                await ear.lost

    async def test_it_leaves_before_the_reactor_turns(self) -> None:
        transport, _, far = await self.connect()
        assert send(transport, b"now")
        assert _readable(far)
        assert far.transport.socket.recv(10, socket.MSG_PEEK) == b"now"
        assert transport not in reactor.getWriters()

    async def test_nothing_is_sent_of_nothing(self) -> None:
        transport, _, far = await self.connect()
        assert send(transport, b"")
        assert not _readable(far, 0)

    async def test_order_is_kept_with_what_waits(self) -> None:
        transport, _, far = await self.connect()
        far.transport.pauseProducing()
        pieces = [bytes([i]) * size for i, size in enumerate([5, MUCH, 1, 70_000, 0, 200_000, 3])]
        for i, piece in enumerate(pieces):
            if i % 3 == 2:
                transport.write(piece)
            else:
                send(transport, piece)
        far.transport.resumeProducing()
        whole = b"".join(pieces)
        assert await far.has(len(whole)) == whole

    async def test_order_is_kept_with_what_waits_by_itself(self) -> None:
        transport, _, far = await self.connect()
        transport.write(b"first ")
        assert not send(transport, b"second")
        assert await far.has(12) == b"first second"

    async def test_all_that_was_written_comes_before_the_close(self) -> None:
        transport, _, far = await self.connect()
        whole = b"x" * MUCH + b"end"
        assert not send(transport, whole[:-3])
        transport.loseConnection()
        assert not send(transport, b"end")
        await far.lost
        assert bytes(far.received) == whole

    async def test_a_producer_is_paused_and_resumed_once(self) -> None:
        transport, _, far = await self.connect()
        far.transport.pauseProducing()
        producer = Pushing()
        transport.registerProducer(producer, True)
        send(transport, b"x" * MUCH)
        assert producer.told == ["pause"]
        far.transport.resumeProducing()
        await producer.resumed
        assert producer.told == ["pause", "resume"]
        assert send(transport, b"more")
        assert len(await far.has(MUCH + 4)) == MUCH + 4
        transport.unregisterProducer()

    async def test_no_producer_is_paused_by_what_leaves_at_once(self) -> None:
        transport, _, far = await self.connect()
        producer = Pushing()
        transport.registerProducer(producer, True)
        for _ in range(20):
            send(transport, b"x" * 10_000)
        assert len(await far.has(200_000)) == 200_000
        assert producer.told == []
        transport.unregisterProducer()

    async def test_a_producer_that_is_pulled_is_asked_until_it_is_done(self) -> None:
        transport, _, far = await self.connect()
        transport.registerProducer(Pulled(transport, 5), False)
        assert await far.has(25) == b"piece" * 5

    async def test_after_an_abort_nothing_leaves(self) -> None:
        transport, near, far = await self.connect()
        transport.abortConnection()
        assert not send(transport, b"late")
        assert not _readable(far, 0)
        await near.lost
        assert far.received == b""

    async def test_a_peer_that_is_gone_is_told_by_the_reactor_and_once(self) -> None:
        transport, near, far = await self.connect()
        transport.pauseProducing()  # or the end of reading is seen first
        far.transport.abortConnection()
        await far.lost
        for _ in range(3):
            assert not send(transport, b"to nobody")
            assert near.ends == []
        await near.lost
        assert len(near.ends) == 1

    async def test_after_the_end_nothing_happens(self) -> None:
        transport, near, _ = await self.connect()
        transport.abortConnection()
        await near.lost
        assert not send(transport, b"late")

    async def test_tls_of_twisteds_own_is_not_gone_round(self) -> None:
        transport, _, far = await self.connect()
        sealed: list[bytes] = []
        transport.TLS = True
        transport.protocol.write = sealed.append
        assert not send(transport, b"secret")
        transport.TLS = False
        assert sealed == [b"secret"]
        assert not _readable(far, 0)


class TCPClientTests(TCPServerTests):
    serving = False


class UNIXServerTests(TCPServerTests):
    unix = True


class UNIXClientTests(UNIXServerTests):
    serving = False


class OtherTransportTests(TestCase):
    def test_is_written_to(self) -> None:
        transport = StringTransport()
        assert not send(transport, b"x")
        assert transport.value() == b"x"


def _readable(ear: Ear, milliseconds: int = 5000) -> bool:
    poll = select.poll()
    poll.register(ear.transport.fileno(), select.POLLIN)
    return bool(poll.poll(milliseconds))

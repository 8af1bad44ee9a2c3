"""Connections in memory, whose far end the test plays: no socket, no reactor."""

import os
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from sasgate.deadlines import PERIOD


class Wire:
    """A transport: keeps what its protocol writes until the peer takes it.

    Beyond `room` bytes it asks its producer to pause, and to resume once the peer has taken all, as
    sockets do. What the peer sends while reading is paused waits. After `loseConnection` it stays
    open until the peer closes too, as TLS does; without `lingers`, until all is taken, as TCP does.
    The descriptor is readable when a socket's would be.
    """

    def __init__(
        self, protocol: Any, clock: Clock, room: int = 64 * 1024, *, lingers: bool = True
    ) -> None:
        self.protocol = protocol
        self.clock = clock
        self.room = room
        self.lingers = lingers
        self.reading = True
        self.delays = True
        self.closing = False
        self.lost = False
        self.aborted = False
        self._unread = bytearray()
        self._unsent = bytearray()
        self._producer: Any = None
        self._full = False
        # Made where it is asked for: some tests have thousands of connections.
        self._readable: int | None = None

    def __del__(self) -> None:
        self._close_descriptor()

    def _close_descriptor(self) -> None:
        readable, self._readable = self._readable, None
        if readable is not None:
            os.close(readable)

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.delays = not enabled

    def write(self, data: bytes) -> None:
        if not self.closing and not self.aborted and not self.lost:
            self._unread += data
            self._tell_producer()

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        self.write(b"".join(pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = not self.aborted
        self._deliver()

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        self.closing = True
        self._close_once_taken()

    def abortConnection(self) -> None:
        """Nothing is carried from here on; the protocol learns of it in the next turn."""
        if not self.aborted and not self.lost:
            self.aborted = True
            self.reading = False
            self._unread.clear()
            self.clock.callLater(0, self._end)

    def fileno(self) -> int:
        if self._readable is None:
            self._readable = os.eventfd(0, os.EFD_NONBLOCK)
        return self._readable

    def getPeer(self) -> None:
        """Where the far end is: nowhere."""

    def getHandle(self) -> None:
        """What a site that reads certificates would be given."""

    def lose(self, reason: Exception) -> None:
        """End the connection for this reason."""
        if self.lost:
            return
        self.lost = True
        self._close_descriptor()
        self.protocol.connectionLost(Failure(reason))

    def close(self) -> None:
        """The peer closes in order."""
        self.lose(ConnectionDone())

    def send(self, data: bytes) -> None:
        """The peer sends bytes."""
        assert not self.lost
        self._unsent += data
        self._deliver()

    def send_unseen(self) -> None:
        """The peer has sent or closed, and the reactor has not looked yet."""
        os.eventfd_write(self.fileno(), 1)

    def take(self, most: int | None = None) -> bytes:
        """The peer reads what was written, or so much of it."""
        taken = bytes(self._unread[:most])
        del self._unread[:most]
        self._tell_producer()
        self._close_once_taken()
        return taken

    @property
    def held(self) -> int:
        """How many bytes were written that the peer has not taken."""
        return len(self._unread)

    def _close_once_taken(self) -> None:
        if self.closing and not self.lingers and not self._unread:
            self.clock.callLater(0, self._end)

    def _end(self) -> None:
        self.lose(ConnectionAborted() if self.aborted else ConnectionDone())

    def _tell_producer(self) -> None:
        if len(self._unread) > self.room and not self._full:
            self._full = True
            if self._producer is not None:
                self._producer.pauseProducing()
        elif not self._unread and self._full:
            self._full = False
            if self._producer is not None:
                self._producer.resumeProducing()

    def _deliver(self) -> None:
        while self.reading and self._unsent and not self.lost:
            data = bytes(self._unsent[: 64 * 1024])
            del self._unsent[: 64 * 1024]
            self.protocol.dataReceived(data)


@implementer(IStreamClientEndpoint)
class Server:
    """A server to connect to; `wires` are the connections that it has accepted.

    `refuses` is raised by the next attempts; with `mute` they stay unanswered until `answer`.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.wires: list[Wire] = []
        self.refuses: Exception | None = None
        self.mute = False
        self.attempts = 0
        self._waiting: list[tuple[Any, Deferred[Any]]] = []

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        self.attempts += 1
        if self.refuses is not None:
            return fail(self.refuses)
        connecting: Deferred[Any] = Deferred()
        self._waiting.append((protocolFactory, connecting))
        if not self.mute:
            self.answer()
        return connecting

    def answer(self, refusal: Exception | None = None) -> None:
        """Accept, or refuse, the attempts that wait."""
        waiting, self._waiting = self._waiting, []
        for factory, connecting in waiting:
            if refusal is not None:
                connecting.errback(Failure(refusal))
                continue
            protocol = factory.buildProtocol(None)
            wire = Wire(protocol, self.clock)
            self.wires.append(wire)
            protocol.makeConnection(wire)
            connecting.callback(protocol)

    @property
    def wire(self) -> Wire:
        """The one connection."""
        (wire,) = self.wires
        return wire

    @property
    def open(self) -> list[Wire]:
        """The connections that are neither lost nor about to be."""
        return [wire for wire in self.wires if not (wire.lost or wire.closing or wire.aborted)]


def pass_time(clock: Clock, seconds: float) -> None:
    """Let time pass in steps that no `Deadlines` misses."""
    end = clock.seconds() + seconds
    while clock.seconds() + PERIOD < end:
        clock.advance(PERIOD)
    clock.advance(end - clock.seconds())

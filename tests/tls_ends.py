"""Two `TLSTransport`s and the network between them, which moves bytes when the test says so."""

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from sasgate.tls_transport import TLSTransport


VERSIONS = [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]


@implementer(IHandshakeListener)
class Inner(Protocol):
    """Notes what it is told; `reacts` has what it does when told."""

    transport: Any

    def __init__(self, **reacts: Callable[["Inner"], object]) -> None:
        self.reacts = reacts
        self.told: list[str] = []
        self.received = b""
        self.ends: list[Any] = []

    def _tell(self, what: str) -> None:
        self.told.append(what)
        if what in self.reacts:
            self.reacts[what](self)

    def connectionMade(self) -> None:
        self._tell("made")

    def handshakeCompleted(self) -> None:
        self._tell("shaken")

    def dataReceived(self, data: bytes) -> None:
        assert data
        self.received += data
        self._tell("data")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ends.append(reason.value)
        self._tell("lost")

    @property
    def end(self) -> Any:
        """Why it ended, which it was told once and last."""
        (end,) = self.ends
        assert self.told[-1] == "lost"
        return end


class Socket:
    """One end of the network: a transport that behaves as those of TCP do."""

    far: "Socket"

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.out = b""
        self.reading = True
        self.closing = self.aborted = self.lost = False
        self.finished = False
        self.producer: Any = None

    def write(self, data: bytes) -> None:
        if not self.lost and not self.aborted:
            self.out += data

    def loseConnection(self) -> None:
        if not self.lost:
            self.closing, self.reading = True, False

    def abortConnection(self) -> None:
        if not self.lost:
            self.aborted, self.reading, self.out = True, False, b""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = not self.closing and not self.aborted

    def lose(self, reason: Exception) -> None:
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(reason))
            self.protocol = None

    def carry(self, most: int = 1 << 16) -> bool:
        """Move up to so many bytes to the far end, or what comes after the last; if any."""
        if self.aborted and not self.lost:
            self.lose(ConnectionAborted())
            self.far.lose(ConnectionLost())
            return True
        if self.out and self.far.lost:
            self.out = b""
            return True
        if self.out and self.far.reading:
            data, self.out = self.out[:most], self.out[most:]
            self.far.protocol.dataReceived(data)
            return True
        if self.closing and not self.out and not self.lost:
            self.finished = True
            self.lose(ConnectionDone())
            return True
        if self.finished and not self.out and self.far.reading and not self.far.lost:
            self.far.lose(ConnectionDone())
            return True
        return False

    def take(self) -> bytes:
        """What was written, which the far end takes."""
        data, self.out = self.out, b""
        return data

    def receive(self, data: bytes) -> None:
        """Hand it bytes as if the far end had sent them."""
        self.protocol.dataReceived(data)

    def end(self) -> None:
        """The far end's FIN, whatever TLS said."""
        self.lose(ConnectionDone())


def begins(context: SSL.Context, *, client: bool) -> Callable[[], SSL.Connection]:
    """What makes one side of connections."""

    def begin() -> SSL.Connection:
        connection = SSL.Connection(context, None)
        if client:
            connection.request_ocsp()
            connection.set_connect_state()
        else:
            connection.set_accept_state()
        return connection

    return begin


class Ends:
    """Both ends; the server speaks first only after the client."""

    def __init__(
        self,
        server: SSL.Context,
        client: SSL.Context,
        serving: Inner | None = None,
        calling: Inner | None = None,
    ) -> None:
        self.serving = serving or Inner()
        self.calling = calling or Inner()
        self.server = TLSTransport(begins(server, client=False), self.serving)
        self.client = TLSTransport(begins(client, client=True), self.calling)
        self.down, self.up = Socket(self.server), Socket(self.client)
        self.down.far, self.up.far = self.up, self.down
        self.server.makeConnection(self.down)
        self.client.makeConnection(self.up)

    def carry(self, most: int = 1 << 16) -> "Ends":
        """Carry on until nothing moves."""
        for _ in range(100_000):
            if not (self.up.carry(most) | self.down.carry(most)):
                return self
        raise AssertionError("it never ends")

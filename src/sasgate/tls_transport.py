"""TLS between a socket and what speaks HTTP over it, either side.

Twisted has such a transport; this one sends in the turn in which it is written to, and a
handshake's flight whole, however long. What it costs less is in docs/performance.md.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from attrs import frozen
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sasgate.sending import send


class _State(Enum):
    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


# As much as is taken from OpenSSL at once; what it holds beyond is taken in turn.
_PIECE = 1 << 16

# So many bytes of what TLS itself answers, to changes of keys above all, may wait for the peer to
# take them. A peer that asks on and reads nothing would have us keep all answers.
_MOST_UNREAD = 1 << 16


class TLSTransport(TwistedProtocol):
    """One TLS connection; `begin` makes the side of it that is ours, `inner` speaks over it.

    What `inner` writes before the handshake is over waits for that, which an `IHandshakeListener`
    is told of. It learns the end by `connectionLost`, once, and by that alone where `begin` raised:
    a `ConnectionDone` where the peer closed in order, an `OpenSSL.SSL.Error` where TLS failed.
    """

    _log = Logger()

    transport: Any  # TCP or UNIX, whose interfaces have no common name

    def __init__(self, begin: Callable[[], SSL.Connection], inner: IProtocol) -> None:
        self._begin = begin
        self.inner: Any = inner
        self._tls: SSL.Connection | None = None
        self._state = _State.HANDSHAKE
        self._early: list[bytes] = []
        self._reason: Failure | None = None
        self._closed_in_order = False
        self._waiting = 0
        self._unread = 0

    def connectionMade(self) -> None:
        """Begin the handshake."""
        try:
            self._tls = self._begin()
            self.inner.makeConnection(self)
        except Exception:
            # Twisted would log it and go on with what is half made.
            self._fail()
            return
        self._shake()

    def getHandle(self) -> SSL.Connection:
        """The connection, for what a handshake left and for what is not read yet.

        Raises:
            ConnectionLost: it is gone.
        """
        if self._tls is None:
            raise ConnectionLost
        return self._tls

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of the wire, and hand on what they say."""
        tls = self._tls
        if tls is None or self._state is _State.CLOSED:
            return
        tls.bio_write(data)
        if self._state is _State.HANDSHAKE:
            self._shake()
        if self._state in _READS:
            self._read(tls)

    def _shake(self) -> None:
        if self._tls is None or self._state is not _State.HANDSHAKE:
            return
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._flush(self._tls)
        except Exception:
            self._fail()
        else:
            self._state = _State.OPEN
            self._flush(self._tls)
            self._begin_inner()

    def _begin_inner(self) -> None:
        early, self._early = self._early, []
        self.write(b"".join(early))
        if self._state is _State.OPEN and IHandshakeListener.providedBy(self.inner):
            self.inner.handshakeCompleted()

    def _read(self, tls: SSL.Connection) -> None:
        while self._state in _READS:
            try:
                data = tls.recv(_PIECE)
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:
                self._answer_close(tls)
                return
            except Exception:
                self._fail()
                return
            self.inner.dataReceived(data)
        self._answer(tls)

    def _answer(self, tls: SSL.Connection) -> None:
        """Send what TLS itself answers to what was read, as long as the peer takes it."""
        before = self._waiting
        self._flush(tls)
        self._unread = self._unread + self._waiting - before if self._waiting else 0
        if self._unread > _MOST_UNREAD:
            self.abortConnection()

    def _answer_close(self, tls: SSL.Connection) -> None:
        self._closed_in_order = True
        if self._state is _State.OPEN:
            self._shut(tls)
        self._close_wire(tls)

    def write(self, data: bytes) -> None:
        """Send bytes; they are dropped where the connection is closing."""
        if self._state is _State.HANDSHAKE:
            self._early.append(data)
            return
        tls = self._tls
        if tls is None or self._state is not _State.OPEN or not data:
            return
        try:
            records = self._seal(tls, data)
        except Exception:
            self._fail()
            return
        self._send(records)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send bytes."""
        self.write(b"".join(data))

    def _seal(self, tls: SSL.Connection, data: bytes) -> bytes:
        # One record at a time, as pyOpenSSL has it. Each is taken out before the next, since
        # OpenSSL keeps as much memory as it ever held, until the connection ends.
        sent = tls.send(data)
        if sent == len(data):
            return tls.bio_read(_PIECE)
        records = [tls.bio_read(_PIECE)]
        while sent < len(data):
            sent += tls.send(memoryview(data)[sent:])
            records.append(tls.bio_read(_PIECE))
        return b"".join(records)

    def _flush(self, tls: SSL.Connection) -> None:
        while True:
            try:
                data = tls.bio_read(_PIECE)
            except SSL.WantReadError:
                return
            self._send(data)
            if len(data) < _PIECE:
                return

    def _send(self, data: bytes) -> None:
        self._waiting = 0 if send(self.transport, data) else self._waiting + len(data)

    def _fail(self) -> None:
        """End what cannot go on; from within the handling of the exception."""
        self._reason = Failure()
        if not self._reason.check(SSL.Error):
            # A callback of ours, which must not fail: its exception refuses, and is told (S3).
            self._log.failure("TLS failed for a reason of our own", self._reason)
        self._close_wire(self._tls)

    def _close_wire(self, tls: SSL.Connection | None) -> None:
        """Close the socket once what was written has left, an alert among it."""
        self._state = _State.CLOSED
        if tls is not None:
            self._flush(tls)
        # Or a socket that is full would wait for a producer that has nothing to say.
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def loseConnection(self) -> None:
        """Close in order: what was written leaves, and the peer may close its side.

        No producer is waited for. A handshake that goes on is dropped, with what waits for it.
        """
        if self._tls is None or self._state is _State.HANDSHAKE:
            self.abortConnection()
        elif self._state is _State.OPEN:
            self._state = _State.CLOSING
            if self._shut(self._tls):
                self._close_wire(self._tls)
            else:
                self._flush(self._tls)

    def _shut(self, tls: SSL.Connection) -> bool:
        """Say that nothing follows; whether the peer has said so too, or nobody can."""
        try:
            return tls.shutdown()
        except SSL.Error:
            return True

    def abortConnection(self) -> None:
        """Drop the connection at once, with all that has not left."""
        self._state = _State.CLOSED
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """Tell the inner side why: an end that TLS was not told of is a connection that broke."""
        self._state = _State.CLOSED
        self._tls = None  # or it and its callbacks would keep each other
        if self._reason is not None:
            reason = self._reason
        elif not self._closed_in_order and reason.check(ConnectionDone):
            reason = Failure(ConnectionLost())
        # Both lead back to here.
        inner, self.inner, self._reason = self.inner, None, None
        inner.connectionLost(reason)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Hold `producer` back where the socket takes no more."""
        self.transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Hold nobody back any more."""
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """Read no more from the socket."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read again."""
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """Close: nobody reads any more."""
        self.loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """As the socket's."""
        self.transport.setTcpNoDelay(enabled)

    def fileno(self) -> int:
        """The socket's."""
        number: int = self.transport.fileno()
        return number


_READS = (_State.OPEN, _State.CLOSING)


@implementer(IStreamClientEndpoint)
@frozen
class OverTLS:
    """An endpoint for what listens behind TLS at another."""

    endpoint: IStreamClientEndpoint
    creator: IOpenSSLClientConnectionCreator

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; named by Twisted. Fires before the handshake, which the protocol is told of."""
        connecting: Deferred[Any] = self.endpoint.connect(_Wrapped(protocolFactory, self.creator))
        return connecting.addCallback(lambda transport: transport.inner)


class _Wrapped(Factory):
    noisy = False

    def __init__(self, inner: IProtocolFactory, creator: IOpenSSLClientConnectionCreator) -> None:
        self._inner = inner
        self._creator = creator

    def buildProtocol(self, addr: IAddress | None) -> TLSTransport | None:
        inner = None if addr is None else self._inner.buildProtocol(addr)
        return None if inner is None else TLSTransport(self._begin, inner)

    def _begin(self) -> SSL.Connection:
        nobody: Any = None
        connection: SSL.Connection = self._creator.clientConnectionForTLS(nobody)
        return connection

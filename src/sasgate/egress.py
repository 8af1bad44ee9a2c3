"""Through an HTTP proxy to a server: CONNECT, then bytes that are none of the proxy's."""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from sasgate.failures import why
from sasgate.http1 import BadMessage, HeadLimits, ResponseReader
from sasgate.log_format import escaped
from sasgate.pool import OneConnection


class ProxyRefused(Exception):
    """The proxy opens no tunnel; says what it answered."""


@implementer(IStreamClientEndpoint)
class Tunnel:
    """An endpoint for a server, to which the HTTP proxy at another leads (RFC 9110, 9.3.6).

    `timeout` in seconds is how long the proxy may take once it is reached.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        proxy: IStreamClientEndpoint,
        host: str,
        port: int,
        timeout: float,
    ) -> None:
        self._reactor = reactor
        self._proxy = proxy
        self._authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; named by Twisted. Fails with `ProxyRefused`, or as the proxy's endpoint does."""
        digging = _Digging(protocolFactory, self._authority.encode("ascii"))

        def dig(_: object) -> Deferred[IProtocol]:
            return digging.dug.addTimeout(self._timeout, self._reactor, _too_late)

        connecting: Deferred[Any] = self._proxy.connect(OneConnection(digging))
        return connecting.addCallbacks(dig, _unreachable)


def _unreachable(failure: Failure) -> Any:
    """Say that it is the proxy, and not the server, that was not reached."""
    if failure.check(CancelledError):
        return failure
    if failure.check(ConnectTimeout):
        raise ConnectTimeout(string="the proxy cannot be reached in time")
    raise ProxyRefused(f"the proxy cannot be reached: {why(failure)}")


def _too_late(result: Any, seconds: float) -> Any:
    del seconds
    if isinstance(result, Failure):
        raise ConnectTimeout(string="the proxy opens no connection in time")
    return result


class _Digging(Protocol):
    """Speaks with the proxy, and passes everything on once it leads through."""

    transport: Any

    def __init__(self, factory: IProtocolFactory, authority: bytes) -> None:
        self.dug: Deferred[IProtocol] = Deferred(lambda _: self.transport.abortConnection())
        self._factory = factory
        self._authority = authority
        self._reader = ResponseReader(HeadLimits())
        self._through: Any = None

    def connectionMade(self) -> None:
        request = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n"
        self.transport.write(request % (self._authority, self._authority))

    def dataReceived(self, data: bytes) -> None:
        if self._through is not None:
            self._through.dataReceived(data)
            return
        if self.dug.called:
            return
        self._reader.receive(data)
        try:
            head = self._reader.head(b"CONNECT")
        except BadMessage as error:
            self._refuse(f"the proxy's answer is malformed: {error.reason}")
            return
        if head is None:
            return
        if not 200 <= head.status < 300:
            said = escaped(head.reason.decode("latin-1"))
            self._refuse(f"the proxy refuses: {head.status} {said}".rstrip())
        elif self._reader.buffered:
            # A TLS server waits for its client: these bytes are not the server's.
            self._refuse("the proxy sends bytes of its own")
        else:
            self._open()

    def _open(self) -> None:
        through: Any = self._factory.buildProtocol(self.transport.getPeer())
        self._through = through
        through.makeConnection(self.transport)
        self.dug.callback(through)

    def _refuse(self, why: str) -> None:
        self.dug.errback(ProxyRefused(why))
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        if self._through is not None:
            self._through.connectionLost(reason)
        elif not self.dug.called:
            self.dug.errback(ProxyRefused(f"no answer from the proxy: {why(reason)}"))

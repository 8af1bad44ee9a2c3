"""The connection of one call for a list or an OCSP answer: counted, not decoded, closed in the end.

Agent bounds neither what it takes from the wire nor how long it keeps a connection whose answer
is not wanted any more.
"""

from enum import Enum
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from sasgate.failures import why
from sasgate.tls_transport import TLSTransport


class Trouble(Enum):
    """Why a call brought nothing; the value is for people.

    Each side that calls has all of these names among problems of its own.
    """

    UNREACHABLE = "the server cannot be reached"
    NAME_NOT_FOUND = "the server's name cannot be resolved"
    TOO_LATE = "no answer in time"
    HTTP_STATUS = "an HTTP status other than 200"
    TOO_LARGE = "the answer is too large"
    CUT_SHORT = "the answer was cut short"
    NOT_AN_ANSWER = "not an answer in HTTP"


class CallFailed(Exception):
    """A call brought nothing; `kind` says why, `detail` what was found."""

    def __init__(self, kind: Enum, detail: str = "") -> None:
        super().__init__(f"{kind.value}: {detail}" if detail else kind.value)
        self.kind = kind
        self.detail = detail


# Interim answers that may come before the one asked for: Twisted writes a line of log for each,
# so a responder that is asked every minute could fill the disk with them.
_MOST_HEADS = 16
_HEAD_BEGINS = b"\nHTTP/1."


@implementer(IStreamClientEndpoint, IAgentEndpointFactory)
class Line:
    """An endpoint for one connection, which takes at most `most` bytes from the wire.

    That is for the head of an answer, until `allow` takes more.
    """

    endpoint: IStreamClientEndpoint

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._heads = 0
        self._last = b""
        self._body = False
        self._cut = False
        self._wire: _Wire | None = None

    def endpointForURI(self, uri: object) -> IStreamClientEndpoint:
        """The line, whatever the URI; named by Twisted."""
        del uri
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; named by Twisted."""
        connecting: Deferred[Any] = self.endpoint.connect(_Wires(protocolFactory, self))
        return connecting.addCallback(self._connected)

    def _connected(self, wire: "_Wire") -> IProtocol:
        self._wire = wire
        return wire.wrappedProtocol

    def takes(self, data: bytes) -> bool:
        """Count bytes from the wire; whether they may still be taken."""
        self._taken += len(data)
        if not self._body:
            self._count_heads(data)
        self._cut = self._cut or self._taken > self._most or self._heads > _MOST_HEADS
        return not self._cut

    def _count_heads(self, data: bytes) -> None:
        # One that is cut in two is whole together with the last bytes before.
        window = self._last + data
        self._heads += window.count(_HEAD_BEGINS)
        self._last = window[1 - len(_HEAD_BEGINS) :]

    def allow(self, more: int) -> None:
        """Take so many bytes more, of a body."""
        self._most += more
        self._body = True

    def _too_large(self) -> CallFailed:
        if self._heads > _MOST_HEADS:
            return CallFailed(Trouble.TOO_LARGE, f"more than {_MOST_HEADS} interim answers")
        return CallFailed(Trouble.TOO_LARGE, f"more than {self._most} bytes on the wire")

    def hang_up(self) -> None:
        """Close the connection, at once where the exchange did not come to its end."""
        if self._wire is not None:
            self._wire.hang_up()

    def failure(self, error: Exception) -> CallFailed:
        """The same failure, in our words."""
        if self._cut:
            return self._too_large()
        if isinstance(error, DNSLookupError):
            return CallFailed(Trouble.NAME_NOT_FOUND, str(error))
        reasons = error.reasons if isinstance(error, ResponseFailed) else [Failure(error)]
        detail = "; ".join(why(reason) for reason in reasons)
        if self._wire is not None and any(reason.check(ConnectionClosed) for reason in reasons):
            return CallFailed(Trouble.CUT_SHORT, detail)
        kind = Trouble.NOT_AN_ANSWER if self._taken else Trouble.UNREACHABLE
        return CallFailed(kind, detail)


class _Wires(WrappingFactory[Any]):
    """Makes the one `_Wire` of a line."""

    noisy = False

    def __init__(self, wrapped: IProtocolFactory, line: Line) -> None:
        super().__init__(wrapped)
        self.line = line
        wrapped.noisy = False  # type: ignore[attr-defined]  # or each call would be two lines of log

    def buildProtocol(self, addr: Any) -> "_Wire":
        """The wire; named by Twisted."""
        return _Wire(self, self.wrappedFactory.buildProtocol(addr))


class _Wire(ProtocolWrapper):
    """Passes on what the line takes."""

    factory: _Wires
    transport: Any
    _lost = False

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the wire; named by Twisted."""
        if self.factory.line.takes(data):
            super().dataReceived(data)
        else:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end; named by Twisted."""
        self._lost = True
        super().connectionLost(reason)

    def hang_up(self) -> None:
        """Close; what HTTP has closed in order already is left to end by itself, but for TLS.

        There the other side would have to agree.
        """
        in_order = self.disconnecting and not isinstance(self.transport, TLSTransport)
        if not self._lost and not in_order:
            self.transport.abortConnection()


@implementer(IAgent)
class Unencoded:
    """An agent whose answers come as they are: a few KiB of gzip can be many MiB (S25)."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Ask for, and take, no other content coding; named by Twisted."""
        plain = Headers() if headers is None else headers.copy()
        plain.setRawHeaders("Accept-Encoding", ["identity"])
        asking: Deferred[IResponse] = self._agent.request(method, uri, plain, bodyProducer)
        return asking.addCallback(_unencoded)


def _unencoded(response: IResponse) -> IResponse:
    codings = response.headers.getRawHeaders("Content-Encoding", [])
    if any(coding.strip().lower() != "identity" for coding in codings):
        raise CallFailed(Trouble.NOT_AN_ANSWER, f"Content-Encoding {', '.join(codings)}")
    return response

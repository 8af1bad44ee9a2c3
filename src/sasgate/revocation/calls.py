"""One HTTP call for a list or an OCSP answer, on a connection of its own, directly or by a proxy.

Whatever the other side does, the time, the bytes taken from the wire and the size of the answer
are bounded, and the connection is closed in the end. No redirect is followed here.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from urllib.parse import urlsplit

import treq
from attrs import frozen
from OpenSSL import SSL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IConsumer, IStreamClientEndpoint
from twisted.python.failure import Failure
from twisted.web.client import Agent, ProxyAgent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from sasgate import __version__
from sasgate.revocation.line import CallFailed, Line, Trouble, Unencoded
from sasgate.tls_transport import OverTLS
from sasgate.upstream_tls import VerifiedServer, client_context


T = TypeVar("T")

# Bytes that may come before the end of an answer's head is seen: the head, and a read of Twisted's
# in which much of the body may be already.
_HEAD = 16 * 1024 + 64 * 1024
# Framing may take this part of what a body may: 8 bytes in chunks of 512.
_FRAMING = 64


@frozen
class Call:
    """One call under way."""

    url: str
    _http: HTTPClient
    _line: Line
    _reactor: Any

    async def send(
        self, method: str, headers: dict[str, str], body: bytes | None = None
    ) -> IResponse:
        """The head of the answer."""
        fields = {**headers, "User-Agent": f"sasgate/{__version__}"}
        response: IResponse = await self._http.request(
            method,
            self.url,
            headers=Headers({name: [value] for name, value in fields.items()}),
            data=body,
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )
        return response

    async def body(
        self, response: IResponse, largest: int, write: Callable[[bytes], object]
    ) -> None:
        """Give the body to `write` in pieces.

        It is refused beyond `largest` bytes, before any of it was taken where it is announced so.
        """
        count = response.length if isinstance(response.length, int) else 0
        if count > largest:
            raise CallFailed(Trouble.TOO_LARGE, f"{count} bytes, {largest} at most")
        self._line.allow(largest + largest // _FRAMING)
        count = 0

        def collect(data: bytes) -> None:
            nonlocal count
            count += len(data)
            if count > largest:
                raise CallFailed(Trouble.TOO_LARGE, f"more than {largest} bytes")
            write(data)

        await treq.collect(response, collect)


class Caller:
    """Makes calls; `proxy` is `host:port` of an HTTP proxy for http:// URLs.

    `connect` is how long a connection may take, in seconds.
    """

    def __init__(self, reactor: Any, connect: float, proxy: str | None = None) -> None:
        self._reactor = reactor
        self._connect = connect
        self._proxy = proxy
        self._context: SSL.Context | None = None

    def within(self, seconds: float, calling: Coroutine[Any, Any, T]) -> Deferred[T]:
        """What `calling` returns; a CallFailed when it has not come by then."""
        return Deferred.fromCoroutine(calling).addTimeout(seconds, self._reactor, _too_late)

    async def call(self, url: str, talk: Callable[[Call], Awaitable[T]]) -> T:
        """What `talk` makes of one call to an http:// or https:// URL, which then is over.

        It fails with CallFailed, and with nothing else but a cancellation.
        """
        line = Line(_HEAD)
        try:
            agent = Unencoded(self._agent(url, line))
            http = HTTPClient(agent, data_to_body_producer=_Question)
            return await talk(Call(url, http, line, self._reactor))
        except (CallFailed, CancelledError):
            raise
        except Exception as error:
            raise line.failure(error) from error
        finally:
            line.hang_up()

    def _agent(self, url: str, line: Line) -> IAgent:
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        if self._proxy is not None:
            if secure:
                raise CallFailed(
                    Trouble.UNREACHABLE, "an https:// URL cannot be asked for through the proxy"
                )
            proxy = urlsplit(f"//{self._proxy}")
            line.endpoint = self._tcp(proxy.hostname or "", proxy.port or 0)
            through: IAgent = ProxyAgent(line, self._reactor)
            return through
        line.endpoint = self._tcp(host, parts.port or (443 if secure else 80))
        if secure:
            line.endpoint = OverTLS(line.endpoint, self._verified(host))
        direct: IAgent = Agent.usingEndpointFactory(self._reactor, line)
        return direct

    def _tcp(self, host: str, port: int) -> IStreamClientEndpoint:
        tcp: IStreamClientEndpoint = HostnameEndpoint(self._reactor, host, port, self._connect)
        return tcp

    def _verified(self, host: str) -> VerifiedServer:
        if self._context is None:
            self._context = client_context(None)
        return VerifiedServer(self._context, host)


@implementer(IBodyProducer)
class _Question:
    """A body that is written at once; treq's own takes turns of the global reactor."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write it; named by Twisted."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """There is nothing left to pause; named by Twisted."""

    def resumeProducing(self) -> None:
        """There is nothing left to resume; named by Twisted."""

    def stopProducing(self) -> None:
        """There is nothing left to stop; named by Twisted."""


def unexpected(response: IResponse) -> CallFailed:
    """The failure of an answer with such a status."""
    location = response.headers.getRawHeaders("Location", [""])[0][:500]
    to = f", redirects to {location}" if location else ""
    return CallFailed(Trouble.HTTP_STATUS, f"HTTP {response.code}{to}")


def _too_late(result: Any, seconds: float) -> Any:
    # What was under way words its cancellation in its own way.
    if isinstance(result, Failure):
        raise CallFailed(Trouble.TOO_LATE, f"none within {seconds:g} s")
    return result

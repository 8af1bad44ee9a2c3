"""One OCSP question by HTTP POST (RFC 6960, appendix A), on a connection of its own.

Whatever the other side does, the time, the bytes taken from the wire and the size of the answer
are bounded, and the connection is closed in the end (S32). No redirect is followed.
"""

from typing import Any
from urllib.parse import urlsplit

import treq
from OpenSSL import SSL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure
from twisted.web.client import Agent, ProxyAgent
from twisted.web.http import OK
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from sasgate import __version__
from sasgate.revocation.ocsp_line import Line, Question, Unencoded
from sasgate.revocation.ocsp_words import AnswerRefused, Problem
from sasgate.settings import Limits
from sasgate.upstream_tls import VerifiedServer, client_context


# Bytes of heads and framing that may come around an answer.
_AROUND = 16 * 1024
_HEADERS = Headers(
    {
        "Content-Type": ["application/ocsp-request"],
        "Accept": ["application/ocsp-response"],
        "User-Agent": [f"sasgate/{__version__}"],
    }
)


class OCSPClient:
    """Posts questions; `proxy` is `host:port` of an HTTP proxy for http:// responders.

    Of the limits, `connect`, `ocsp_time` (for the whole question) and `ocsp_size` are used.
    """

    def __init__(self, reactor: Any, limits: Limits, proxy: str | None = None) -> None:
        self._reactor = reactor
        self._limits = limits
        self._proxy = proxy
        self._context: SSL.Context | None = None

    def ask(self, url: str, question: bytes) -> Deferred[bytes]:
        """The body of the answer, not verified; may be cancelled.

        It fails with `AnswerRefused`, and with nothing else but a cancellation.
        """
        asking = Deferred.fromCoroutine(self._ask(url, question))
        return asking.addTimeout(self._limits.ocsp_time, self._reactor, _too_late)

    async def _ask(self, url: str, question: bytes) -> bytes:
        line = Line(_AROUND + self._limits.ocsp_size)
        try:
            return await self._exchange(url, question, line)
        except (AnswerRefused, CancelledError):
            raise
        except Exception as error:
            raise line.refusal(error) from error
        finally:
            line.hang_up()

    async def _exchange(self, url: str, question: bytes, line: Line) -> bytes:
        agent = Unencoded(self._agent(url, line))
        response = await HTTPClient(agent, data_to_body_producer=Question).post(
            url,
            headers=_HEADERS,
            data=question,
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )
        body = await self._body(response)
        line.check()
        return body

    async def _body(self, response: IResponse) -> bytes:
        if response.code != OK:
            raise AnswerRefused(Problem.HTTP_STATUS, _status(response))
        largest = self._limits.ocsp_size
        body = bytearray()

        def collect(data: bytes) -> None:
            body.extend(data)
            if len(body) > largest:
                raise AnswerRefused(Problem.TOO_LARGE, f"more than {largest} bytes")

        await treq.collect(response, collect)
        return bytes(body)

    def _agent(self, url: str, line: Line) -> IAgent:
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        if self._proxy is not None:
            if secure:
                raise AnswerRefused(
                    Problem.UNREACHABLE, "an https:// responder cannot be asked through the proxy"
                )
            proxy = urlsplit(f"//{self._proxy}")
            line.endpoint = self._tcp(proxy.hostname or "", proxy.port or 0)
            through: IAgent = ProxyAgent(line, self._reactor)
            return through
        line.endpoint = self._tcp(host, parts.port or (443 if secure else 80))
        if secure:
            line.endpoint = wrapClientTLS(self._verified(host), line.endpoint)
        direct: IAgent = Agent.usingEndpointFactory(self._reactor, line)
        return direct

    def _tcp(self, host: str, port: int) -> IStreamClientEndpoint:
        tcp: IStreamClientEndpoint = HostnameEndpoint(
            self._reactor, host, port, self._limits.connect
        )
        return tcp

    def _verified(self, host: str) -> VerifiedServer:
        if self._context is None:
            self._context = client_context(None)
        return VerifiedServer(self._context, host)


def _status(response: IResponse) -> str:
    location = response.headers.getRawHeaders("Location", [""])[0]
    return f"HTTP {response.code}" + (f", redirects to {location}" if location else "")


def _too_late(result: Any, seconds: float) -> Any:
    # What was under way words its cancellation in its own way.
    if isinstance(result, Failure):
        raise AnswerRefused(Problem.TOO_LATE, f"none within {seconds:g} s")
    return result

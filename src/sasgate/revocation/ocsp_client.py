"""One OCSP question by HTTP POST (RFC 6960, appendix A), on a connection of its own.

Whatever the other side does, the time, the bytes taken from the wire and the size of the answer
are bounded, and the connection is closed in the end (S32). No redirect is followed.
"""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http import OK

from sasgate.revocation.calls import Call, Caller, unexpected
from sasgate.revocation.line import CallFailed
from sasgate.revocation.ocsp_words import AnswerRefused, Problem
from sasgate.settings import Limits


_HEADERS = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}


class OCSPClient:
    """Posts questions; `proxy` is `host:port` of an HTTP proxy for http:// responders.

    Of the limits, `connect`, `ocsp_time` (for the whole question) and `ocsp_size` are used.
    """

    def __init__(self, reactor: Any, limits: Limits, proxy: str | None = None) -> None:
        self._limits = limits
        self._caller = Caller(reactor, limits.connect, proxy)

    def ask(self, url: str, question: bytes) -> Deferred[bytes]:
        """The body of the answer, not verified; may be cancelled.

        It fails with `AnswerRefused`, and with nothing else but a cancellation.
        """
        asking = self._caller.within(self._limits.ocsp_time, self._ask(url, question))
        return asking.addErrback(_refused)

    async def _ask(self, url: str, question: bytes) -> bytes:
        async def talk(call: Call) -> bytes:
            response = await call.send("POST", _HEADERS, question)
            if response.code != OK:
                raise unexpected(response)
            body = bytearray()
            await call.body(response, self._limits.ocsp_size, body.extend)
            return bytes(body)

        return await self._caller.call(url, talk)


def _refused(failure: Failure) -> bytes:
    failure.trap(CallFailed)
    error: Any = failure.value
    raise AnswerRefused(Problem[error.kind.name], error.detail) from error

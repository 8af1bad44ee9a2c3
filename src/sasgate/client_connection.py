"""A connection that a client opened to the gateway: its requests in order, its time limits.

Answers leave in the order of their requests, since the next request is looked at only when the
exchange before it is over (S42). What a client may cost is bounded at every step: how long it
may take, how much is held for it, and how slowly it may read or write.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sasgate.deadlines import NEVER, Deadlines
from sasgate.forward import Exchange
from sasgate.heads import reply_head
from sasgate.http1 import BadMessage, HeadLimits, RequestHead, RequestReader
from sasgate.sending import send
from sasgate.settings import Limits
from sasgate.site import Exchanged, Reply, Site


class _State(Enum):
    HANDSHAKE = "handshake"
    HEAD = "head"
    IDLE = "idle"
    EXCHANGE = "exchange"
    DISCARDING = "discarding"
    CLOSING = "closing"
    CLOSED = "closed"


# A refused request's body is read and thrown away up to so many bytes, for so many seconds, so
# that the answer arrives and no TCP reset does; the peer has as long to close its side.
_MOST_DISCARDED = 1024 * 1024
_LINGER = 5.0

# After that the socket is closed in order, and what it has not taken yet has so many seconds.
_LAST_BYTES = 60.0

# So many seconds before it may carry no more requests, a connection says with each answer that it
# closes: a busy client's next request would meet the close instead.
_NOTICE = 1.0

# Once nothing new is served, whoever has come and not asked yet has so many seconds to do so.
GRACE = 1.0

# More than this of what is not yet asked for, or than the largest head, and the client is read no
# further.
_MOST_BUFFERED = 64 * 1024


class Aborted(Exception):
    """The gateway itself dropped the connection, for the reason given."""


@implementer(IHandshakeListener, IPushProducer)
class ClientConnection(Protocol):
    """One client; `accepted` is when its connection came, in seconds of the reactor's clock."""

    _log = Logger()

    transport: Any  # TCP, UNIX or TLS: no one interface of Twisted has all that is used
    deadline = NEVER

    def __init__(
        self, site: Site, deadlines: Deadlines, limits: Limits, accepted: float, *, secure: bool
    ) -> None:
        self.site = site
        self.limits = limits
        self.reader = RequestReader(HeadLimits(limits.head_size, limits.head_fields))
        self.now: Callable[[], float] = deadlines.now
        self._deadlines = deadlines
        self._accepted = accepted
        self._state = _State.HANDSHAKE
        self._exchange: Exchange | None = None
        self._ends = accepted + limits.connection_age
        self._handshaken = not secure
        self._draining = False
        self._ask_by = NEVER
        self._wire_closing = False
        self._aborted_because = ""
        self._full = False
        self._held = False
        self._advancing = False
        self._discarded = 0

    def connectionMade(self) -> None:
        """Wait for the handshake, or, on a plain listener, for a request."""
        # What OpenSSL says after a handshake is not answered, and Nagle's algorithm would then hold
        # the first answer back until the client's kernel has waited for 40 ms.
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self._deadlines.add(self)
        if self._handshaken:
            self._await_first_head()
        else:
            self.deadline = min(self._accepted + self.limits.handshake, self._ask_by)

    def handshakeCompleted(self) -> None:
        """Let the site take note of the client, and learn how long its connection may last."""
        self._handshaken = True
        try:
            lasts = self.site.handshake_completed(self.transport)
        except Exception:
            # Twisted would log it and go on with a connection that nobody judged (S3).
            self._log.failure("a finished handshake could not be read")
            self._handshaken = False
            self.abort("internal error")
            return
        self._ends = min(self._ends, self.now() + lasts)
        self._await_first_head()

    def _await_first_head(self) -> None:
        self._state = _State.HEAD
        self.limit(min(self.now() + self.limits.head_time, self._ask_by))

    def limit(self, deadline: float) -> None:
        """Set the time limit of what goes on now; the connection's own end comes first."""
        self.deadline = min(deadline, self._ends)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of requests, or throw them away once an answer closed the connection."""
        if self._state is _State.DISCARDING:
            self._discard(data)
            return
        if self._state in (_State.CLOSING, _State.CLOSED):
            return
        self.reader.receive(data)
        if self._exchange is None:
            self._advance()
        else:
            self._exchange.request_bytes()
        if self._is_ahead():
            self.hold()

    def _is_ahead(self) -> bool:
        """Whether more is there than the next head can take."""
        return self.reader.buffered > max(_MOST_BUFFERED, self.limits.head_size)

    def _advance(self) -> None:
        # A loop and not a recursion: a client may send many requests in one piece.
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._exchange is None and not self._full and self._begin_exchange():
                pass
        finally:
            self._advancing = False

    def _begin_exchange(self) -> bool:
        if self._state not in (_State.HEAD, _State.IDLE):
            return False
        try:
            head = self._next_head()
        except BadMessage as error:
            self._refuse(error)
            return False
        if head is None:
            if self._state is _State.IDLE and self.reader.buffered:
                self._await_first_head()
            return False
        self._state = _State.EXCHANGE
        self._exchange = exchange = Exchange(self, head)
        exchange.start()
        return True

    def _next_head(self) -> RequestHead | None:
        head = self.reader.head()
        if head is not None and head.keep_alive and not self.reader.followed_by_request():
            raise BadMessage("bytes that begin no request follow this one")
        return head

    def exchange_over(self, *, keep: bool) -> None:
        """Turn to the next request, or close once the answer has left."""
        self._exchange = None
        if not keep or self._draining:
            self._end()
            return
        self._state = _State.IDLE
        self.limit(min(self.now() + self.limits.keep_alive, self._last_request))
        self.go_on()
        self._advance()

    def drain(self, ask_by: float | None = None) -> None:
        """Serve what is under way and nothing after it.

        Whoever has come and not asked yet is under way too: a client whose connection was taken
        relies on an answer. It has until `ask_by`, by the clock of its time limits, or else for
        `GRACE` from now.
        """
        self._draining = True
        if self._state is _State.IDLE:
            self._lose()
        elif self._state in (_State.HANDSHAKE, _State.HEAD):
            self._ask_by = min(self._ask_by, self.now() + GRACE if ask_by is None else ask_by)
            self.deadline = min(self.deadline, self._ask_by)

    def keeps(self) -> bool:
        """Whether another request may follow the one under way."""
        return not self._draining and self.now() + _NOTICE < self._last_request

    @property
    def _last_request(self) -> float:
        # A request that came later might be cut off at the end of the connection.
        return self._ends - self.limits.answer

    def write(self, data: bytes) -> None:
        """Send bytes."""
        send(self.transport, data)

    def reply(self, reply: Reply, head: RequestHead, *, keep: bool) -> int:
        """Send an answer of the gateway's own; returns the bytes of body sent."""
        body = b"" if head.method == b"HEAD" else reply.body
        self.write(reply_head(reply, head, keep=keep) + body)
        return len(body)

    def _refuse(self, error: BadMessage) -> None:
        now = self.now()
        reply = self.site.failure(error.status, error.reason)
        record = Exchanged("", b"", b"", now, now, now, error.status, error=reply.reason)
        record.sent = len(reply.body)
        self.write(reply_head(reply, None, keep=False) + reply.body)
        self.site.finished(record)
        self._lose()

    def hold(self) -> None:
        """Read no more for now."""
        if not self._held:
            self._held = True
            self.transport.pauseProducing()

    def go_on(self) -> None:
        """Read again, unless what is there has to be taken first."""
        if self._held and not self._is_ahead():
            self._resume()

    def _resume(self) -> None:
        if self._held:
            self._held = False
            self.transport.resumeProducing()

    def is_full(self) -> bool:
        """Whether the client reads slower than answers come."""
        return self._full

    def pauseProducing(self) -> None:
        """Remember that the client is behind; the exchange holds its server back."""
        self._full = True

    def resumeProducing(self) -> None:
        """Go on: the client has taken what was sent."""
        self._full = False
        if self._exchange is not None:
            self._exchange.client_drained()
        else:
            self._advance()

    def stopProducing(self) -> None:
        """Nothing: `connectionLost` follows."""

    def deadline_passed(self, now: float) -> None:
        """End what takes too long."""
        del now
        if self._exchange is not None and self.deadline >= self._ends:
            self._exchange.connection_ends()
        elif self._exchange is not None:
            self._exchange.deadline_passed()
        elif self._state is _State.IDLE:
            self._lose()
        elif self._state is _State.HEAD and self.reader.buffered:
            self._refuse(BadMessage("the request's head comes too slowly", 408))
        elif self._state in (_State.HEAD, _State.DISCARDING):
            mute = self._state is _State.HEAD
            self._lose()
            if mute and self._draining:
                # It would wait for TLS's closing from a peer that has said nothing at all.
                self._close_wire()
        elif self._state is _State.CLOSING and not self._wire_closing:
            self._close_wire()
        else:
            self.abort()

    def _close_wire(self) -> None:
        # The peer does not answer TLS's closing, but may still be reading: what is in the
        # kernel's buffer arrives after an orderly close, and is lost by a reset.
        self._wire_closing = True
        self.deadline = self.now() + _LAST_BYTES
        getattr(self.transport, "transport", self.transport).loseConnection()

    def _end(self) -> None:
        self._resume()
        if self.reader.body_complete:
            self._lose()
            return
        self._state = _State.DISCARDING
        self.deadline = self.now() + _LINGER
        self._discard(b"")

    def _discard(self, data: bytes) -> None:
        self.reader.receive(data)
        self._discarded += len(data)
        try:
            self.reader.body()
        except BadMessage:
            self._lose()
            return
        if self.reader.body_complete or self._discarded > _MOST_DISCARDED:
            self._lose()

    def _lose(self) -> None:
        """Close in order: what was written leaves first, and the peer may still be sending."""
        self._state = _State.CLOSING
        self.deadline = self.now() + _LINGER
        self._resume()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self, reason: str = "not finished in time") -> None:
        """Drop the connection at once; `reason` is for the journal."""
        if self._state is _State.CLOSED:
            return
        self._aborted_because = reason
        self._state = _State.CLOSED
        self.deadline = NEVER
        self.transport.unregisterProducer()
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """Give up the exchange under way."""
        if self._aborted_because:
            reason = Failure(Aborted(self._aborted_because))
        self._state = _State.CLOSED
        self._deadlines.discard(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_lost(self._aborted_because)
        self.site.closed(reason, handshaken=self._handshaken)

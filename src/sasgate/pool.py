"""Connections to upstream servers: kept, checked before use, and shared by all exchanges.

A `Pool` is a live object for one `Backend`; it outlives reloads. A `Balancer` picks among the
pools of one route. A request is tried on another connection only where nothing of it was sent.
"""

import select
import socket
from collections.abc import Sequence
from typing import Any, Protocol

from attrs import frozen
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IHandshakeListener, IPushProducer, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sasgate.deadlines import NEVER, Deadlines
from sasgate.failures import why
from sasgate.http1 import BadMessage, HeadLimits, ResponseHead, ResponseReader
from sasgate.sending import send


class UpstreamUser(Protocol):
    """The exchange that a connection serves at the moment."""

    def response_head(self, head: ResponseHead) -> None:
        """Take an interim or the final head."""

    def response_body(self, data: bytes) -> None:
        """Take a piece of the body; not empty."""

    def response_read(self) -> None:
        """Learn that this is what has come so far."""

    def response_complete(self) -> None:
        """Learn that the response ended as it should."""

    def upstream_failed(self, reason: str) -> None:
        """Learn that the connection is lost or its server does not speak HTTP."""

    def upstream_full(self) -> None:
        """Send no more for now."""

    def upstream_drained(self) -> None:
        """Go on sending."""


_MOST_INTERIM_RESPONSES = 16


# An idle connection is closed after this many seconds, and no more than so many are kept.
_IDLE = 60.0
MOST_IDLE = 64

# A server that is to close its side, as TLS wants it, has so many seconds for it.
_LINGER = 5.0

# A server that cannot be reached is left out for so long, doubled each time up to the cap.
_FIRST_ABSENCE = 1.0
_LONGEST_ABSENCE = 30.0


@implementer(IHandshakeListener, IPushProducer)
class UpstreamConnection(TwistedProtocol):
    """One connection to a server; it carries one exchange at a time."""

    transport: Any  # TCP, UNIX or TLS: no one interface of Twisted has all that is used
    _user: UpstreamUser | None = None
    _method = b""
    _interim = 0
    _responding = False
    _closed = False
    _held = False

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.deadline = pool.deadlines.now() + pool.connect_time
        self._reader = ResponseReader(pool.head_limits)
        self._ready: Deferred[UpstreamConnection] | None = Deferred()

    def when_ready(self) -> "Deferred[UpstreamConnection]":
        """Fires once requests may be sent: with TLS, after the server was verified."""
        return self._ready if self._ready is not None else Deferred()

    def connectionMade(self) -> None:
        """Begin."""
        # The end of a body must not wait until the server's kernel has acknowledged its beginning.
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self.pool.deadlines.add(self)
        if not self.pool.secure:
            self._become_ready()

    def handshakeCompleted(self) -> None:
        """Begin, with TLS."""
        self._become_ready()

    def _become_ready(self) -> None:
        if self._ready is not None:
            self._ready.callback(self)

    def begin(self, user: UpstreamUser, method: bytes) -> None:
        """Serve an exchange from here on; its request may be written."""
        self._ready = None
        self._user = user
        self._method = method
        self._interim = 0
        self._responding = False
        self.deadline = NEVER

    def write(self, data: bytes) -> None:
        """Send bytes of the request."""
        send(self.transport, data)

    def hold(self) -> None:
        """Stop reading the response: its reader is behind."""
        if not self._held:
            self._held = True
            self.transport.pauseProducing()

    def go_on(self) -> None:
        """Read the response again."""
        if self._held:
            self._held = False
            self.transport.resumeProducing()

    def finish(self, *, reusable: bool) -> None:
        """End an exchange that is whole; another may follow if the connection can serve it."""
        self._user = None
        self.go_on()
        if not reusable or self._closed or self._reader.buffered:
            self.close()
        else:
            self.pool.keep(self)

    def close(self) -> None:
        """Close in order; nothing is under way."""
        if not self._closed:
            self._closed = True
            self.deadline = self.pool.deadlines.now() + _LINGER
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def abort(self) -> None:
        """Drop the connection and whatever is under way on it."""
        self._user = None
        if not self._closed:
            self._closed = True
            self.transport.unregisterProducer()
        self.transport.abortConnection()

    def deadline_passed(self, now: float) -> None:
        """Close after a long idle time; drop what is not ready, or not closed, in time."""
        del now
        if self._ready is not None and not self._ready.called:
            self._ready.errback(ConnectTimeout())
            self.abort()
        elif self._closed:
            self.abort()
        else:
            self.pool.forget(self)
            self.close()

    def is_usable(self) -> bool:
        """Whether an idle connection still stands: nothing to read, not even its end.

        The reactor may not have looked yet when a server closes at its own idle limit; and of what
        it has read, TLS may hold a record that came in one piece with the answer before (S45).
        """
        if self._closed or (self.pool.secure and _has_more(self.transport.getHandle())):
            return False
        poll = select.poll()
        poll.register(self.transport.fileno(), select.POLLIN)
        return not poll.poll(0)

    def dataReceived(self, data: bytes) -> None:
        """Read a response; bytes that nobody asked for end the connection (S45)."""
        user = self._user
        if user is None:
            self.pool.forget(self)
            self.abort()
            return
        self._reader.receive(data)
        try:
            self._read(user)
        except BadMessage as error:
            self.abort()
            user.upstream_failed(f"the server's answer is malformed: {error.reason}")

    def _read(self, user: UpstreamUser) -> None:
        while not self._responding:
            head = self._reader.head(self._method)
            if head is None:
                return
            self._count_interim(head)
            user.response_head(head)
            if self._user is not user:
                return
        data = self._reader.body()
        if data:
            user.response_body(data)
        if not self._reader.body_complete:
            user.response_read()
        elif self._user is user:
            user.response_complete()

    def _count_interim(self, head: ResponseHead) -> None:
        if head.status >= 200:
            self._responding = True
            return
        self._interim += 1
        if self._interim > _MOST_INTERIM_RESPONSES:
            raise BadMessage("too many interim responses")

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """End what was under way; a body that runs until the close is whole by it."""
        self._closed = True
        self.pool.deadlines.discard(self)
        self.pool.forget(self)
        if self._ready is not None and not self._ready.called:
            self._ready.errback(reason)
        user, self._user = self._user, None
        if user is None:
            return
        if self._responding and reason.check(ConnectionDone) and self._reader.closed():
            user.response_complete()
        else:
            user.upstream_failed(f"{_NOT_WHOLE}{_alert(reason)}")

    def pauseProducing(self) -> None:
        """Pass on that the server reads slower than the client sends."""
        if self._user is not None:
            self._user.upstream_full()

    def resumeProducing(self) -> None:
        """Pass on that there is room again."""
        if self._user is not None:
            self._user.upstream_drained()

    def stopProducing(self) -> None:
        """Nothing: `connectionLost` follows."""


def _has_more(connection: SSL.Connection) -> bool:
    """Whether anything but silence is next on a TLS connection; nothing is taken from it."""
    try:
        connection.recv(1, socket.MSG_PEEK)
    except SSL.WantReadError:
        return False
    except SSL.Error:
        return True
    return True


_NOT_WHOLE = "the server closed the connection before its answer was whole"


def _alert(reason: Failure) -> str:
    """What TLS said at the end: in 1.3 a server refuses our certificate after the handshake."""
    return f": {why(reason)}" if reason.check(SSL.Error) else ""


class OneConnection(Factory):
    """Hands a protocol that exists already to the endpoint that connects it."""

    noisy = False  # or each connection would be worth a line in the log

    def __init__(self, protocol: TwistedProtocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: object) -> TwistedProtocol:
        """Return the one protocol; named by Twisted."""
        del addr
        return self._protocol


@frozen
class PoolState:
    """How it goes with a server; `problem` and `retry_in` (seconds) are of one out of reach.

    `idle` counts connections that wait for a request. `tried` is false for a server that nobody
    has called yet: it counts as reachable, and nothing is known of it.
    """

    server: str
    reachable: bool
    problem: str
    retry_in: float
    idle: int
    tried: bool = True


class Pool:
    """The connections to one server; `name` is how the journal calls it.

    `authority` stands in Host where a request has none. `connect_time` is in seconds, TLS included.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        authority: str,
        endpoint: IStreamClientEndpoint,
        deadlines: Deadlines,
        head_limits: HeadLimits,
        *,
        connect_time: float,
        secure: bool = False,
    ) -> None:
        self.name = name
        self.authority = authority
        self.endpoint = endpoint
        self.secure = secure
        self.head_limits = head_limits
        self.deadlines = deadlines
        self.connect_time = connect_time
        self._idle: list[UpstreamConnection] = []
        self._closed = False
        self._absence = 0.0
        self._retry_at = 0.0
        self._problem = ""
        self._tried = False

    @property
    def state(self) -> PoolState:
        """How it goes with the server, as far as calls have told."""
        wait = max(0.0, self._retry_at - self.deadlines.now()) if self._absence else 0.0
        idle = len(self._idle)
        return PoolState(self.name, not self._absence, self._problem, wait, idle, self._tried)

    def available(self) -> bool:
        """Whether the server is not known to be dead, or is to be tried again."""
        return self._absence == 0 or self.deadlines.now() >= self._retry_at

    def idle_connection(self) -> UpstreamConnection | None:
        """Take the connection used last that still stands, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            connection.abort()
        return None

    async def connect(self) -> UpstreamConnection:
        """Open a new connection; a failure marks the server as dead for a while.

        Raises whatever the endpoint does, or an `OpenSSL.SSL.Error` from the handshake.
        """
        connection = UpstreamConnection(self)
        try:
            await self.endpoint.connect(OneConnection(connection))
            await connection.when_ready()
        except Exception as error:
            self._mark_unreachable(error)
            raise
        self._mark_reachable()
        return connection

    def _mark_reachable(self) -> None:
        if self._absence:
            self._log.info("{server} answers again", server=self.name)
        self._tried = True
        self._absence = 0.0
        self._problem = ""

    def _mark_unreachable(self, error: Exception) -> None:
        self._tried = True
        if not self.available():
            return  # many requests that fail at once are one failure
        self._problem = why(Failure(error))
        if self._absence == 0:
            self._log.warn(
                "{server} cannot be reached: {reason}", server=self.name, reason=self._problem
            )
        self._absence = min(max(self._absence * 2, _FIRST_ABSENCE), _LONGEST_ABSENCE)
        self._retry_at = self.deadlines.now() + self._absence

    def keep(self, connection: UpstreamConnection) -> None:
        """Take back a connection whose exchange is over."""
        if self._closed or len(self._idle) >= MOST_IDLE:
            connection.close()
            return
        connection.deadline = self.deadlines.now() + _IDLE
        self._idle.append(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        """Drop a connection that is closed or closing."""
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Close what is idle, and keep nothing any more."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class Balancer:
    """The servers of one route in turn, those that are known to be dead last."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self.pools = tuple(pools)
        self._turn = 0

    def order(self) -> Sequence[Pool]:
        """The pools in the order in which the next request shall try them."""
        if len(self.pools) == 1:
            return self.pools
        self._turn = (self._turn + 1) % len(self.pools)
        turned = self.pools[self._turn :] + self.pools[: self._turn]
        return sorted(turned, key=lambda pool: not pool.available())

"""A client connection in memory, with a site that does as the test says and servers behind it."""

from collections.abc import Callable
from typing import Any, Self

import h11
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from sasgate.client_connection import ClientConnection
from sasgate.deadlines import Deadlines
from sasgate.http1 import HeadLimits, RequestHead, RequestReader
from sasgate.pool import Balancer, Pool
from sasgate.settings import Limits
from sasgate.site import Exchanged, Forward, Plan, Reply
from strict_http import Read, read_strictly
from wires import Server, Wire, pass_time


GET = b"GET /Slot HTTP/1.1\r\nHost: sas.example\r\n\r\n"
REFUSED = Reply(401, b"{}", close=True, reason="a stranger")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class ScriptedSite:
    """Sends everything to one route, unless `plan` is set; keeps what it is told."""

    def __init__(self, balancer: Balancer, limits: Limits) -> None:
        self.balancer = balancer
        self.limits = limits
        self.plan: Callable[[RequestHead], Plan | Deferred[Plan]] = self.forward
        self.lasts: Callable[[], float] = lambda: limits.connection_age
        self.finished_exchanges: list[Exchanged] = []
        self.endings: list[tuple[Failure, bool]] = []

    def forward(self, head: RequestHead) -> Forward:
        target = head.target
        return Forward(
            self.balancer, target, b"b", b"X-By: us\r\n", frozenset(), self.limits.answer
        )

    def handshake_completed(self, transport: Any) -> float:
        return self.lasts()

    def direct(self, head: RequestHead, request_id: str) -> Plan | Deferred[Plan]:
        return self.plan(head)

    def failure(self, status: int, reason: str, *, sent: bool = False) -> Reply:
        del sent
        return Reply(status, b'{"status": "KO"}', close=status in {400, 408, 431}, reason=reason)

    def finished(self, exchange: Exchanged) -> None:
        self.finished_exchanges.append(exchange)

    def closed(self, reason: Failure, *, handshaken: bool) -> None:
        self.endings.append((reason, handshaken))


class Front:
    """The gateway as one client sees it; `servers` are tried in order, `clock` stands still."""

    def __init__(self, *, servers: int = 1, secure: bool = False, **limits: Any) -> None:
        self.clock = Clock()
        self.limits = evolve(Limits(), **limits)
        self.deadlines = Deadlines(self.clock)
        self.deadlines.start()
        self.servers = [Server(self.clock) for _ in range(servers)]
        self.pools = [
            Pool(f"http://{number}", "b", server, self.deadlines, HeadLimits(), connect_time=3.0)
            for number, server in enumerate(self.servers)
        ]
        self.site = ScriptedSite(Balancer(self.pools), self.limits)
        self.accepted = self.clock.seconds()
        self.connection = ClientConnection(
            self.site, self.deadlines, self.limits, self.accepted, secure=secure
        )
        self.wire = Wire(self.connection, self.clock)
        self.connection.makeConnection(self.wire)

    def shaken(self) -> Self:
        """The same, once its handshake is finished."""
        self.connection.handshakeCompleted()
        return self

    @property
    def server(self) -> Server:
        """The one server."""
        (server,) = self.servers
        return server

    @property
    def upstream(self) -> Wire:
        """The one connection to it."""
        return self.server.wire

    @property
    def done(self) -> Exchanged:
        """What was noted of the one exchange."""
        (done,) = self.site.finished_exchanges
        return done

    def pass_time(self, seconds: float) -> None:
        pass_time(self.clock, seconds)

    def head(self) -> RequestHead:
        """The head of `GET`."""
        reader = RequestReader(HeadLimits())
        reader.receive(GET)
        head = reader.head()
        assert head is not None
        return head

    def taken(self) -> bytes:
        """All that the client gets while it reads on."""
        raw = b""
        while self.wire.held:
            raw += self.wire.take()
        return raw

    def asked(self) -> list[Read]:
        """The requests that the one server got since the last time."""
        return read_strictly(self.upstream.take())

    def answer(self) -> tuple[int, bytes]:
        """Status and body of what the client got; it must be one whole answer."""
        ((status, body),) = answers(self.wire.take())
        return status, body


def answers(raw: bytes, *methods: str, closed: bool = True) -> list[tuple[int, bytes]]:
    """Status and body of each answer in `raw`, read by h11; interim ones are left out.

    `methods` are those of the requests, GET where they end. Raises h11.RemoteProtocolError where
    an answer is not whole.
    """
    found = []
    asked = iter(methods)
    while raw:
        method = next(asked, "GET")
        reader = h11.Connection(h11.CLIENT)
        reader.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
        reader.send(h11.EndOfMessage())
        reader.receive_data(raw)
        if closed:
            reader.receive_data(b"")
        status, body = 0, b""
        while not isinstance(event := reader.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA, "an answer is not whole"
            assert not isinstance(event, h11.ConnectionClosed), raw
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
        found.append((status, body))
        raw = reader.trailing_data[0]
    return found

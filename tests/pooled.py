"""A pool of connections to one server in memory, and an exchange that only listens."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from sasgate.deadlines import Deadlines
from sasgate.http1 import HeadLimits, ResponseHead
from sasgate.pool import Pool, UpstreamConnection
from wires import Server, Wire, pass_time


class User:
    """An exchange that only keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.head: ResponseHead | None = None

    def response_head(self, head: ResponseHead) -> None:
        self.head = head
        self.told.append("head")

    def response_body(self, data: bytes) -> None:
        self.told.append("body")

    def response_read(self) -> None:
        self.told.append("read")

    def response_complete(self) -> None:
        self.told.append("complete")

    def upstream_failed(self, reason: str) -> None:
        self.told.append("failed")

    def upstream_full(self) -> None:
        self.told.append("full")

    def upstream_drained(self) -> None:
        self.told.append("drained")


class Pooled:
    """A pool of connections to one server in memory."""

    def __init__(self, *, secure: bool = False) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)
        self.deadlines.start()
        self.server = Server(self.clock)
        self.pool = Pool(
            "http://a",
            "a",
            self.server,
            self.deadlines,
            HeadLimits(),
            connect_time=3.0,
            secure=secure,
        )

    def connecting(self) -> "Deferred[UpstreamConnection]":
        return Deferred.fromCoroutine(self.pool.connect())

    def connect(self) -> UpstreamConnection:
        connected: list[UpstreamConnection] = []
        self.connecting().addCallback(connected.append)
        (connection,) = connected
        return connection

    def fail(self) -> Failure:
        """Try to connect, in vain."""
        failures: list[Failure] = []
        self.connecting().addErrback(failures.append)
        (failure,) = failures
        return failure

    def keep(self, number: int = 1) -> list[Wire]:
        """So many connections that have served an exchange each."""
        connections = [self.connect() for _ in range(number)]
        for connection in connections:
            connection.begin(User(), b"GET")
            connection.finish(reusable=True)
        return self.server.wires[-number:]

    def pass_time(self, seconds: float) -> None:
        pass_time(self.clock, seconds)

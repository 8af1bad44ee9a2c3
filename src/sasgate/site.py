"""What the forwarder asks of the side it serves, and what it is told to do.

The forwarder knows heads and bodies; a `Site` knows who the client is, where its requests go and
in which words a fault is told. One site belongs to one client connection.
"""

from typing import Any, Protocol

from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from sasgate.headers import Kind
from sasgate.http1 import RequestHead
from sasgate.journal import Access
from sasgate.pool import Balancer
from sasgate.settings import Address


# The methods that are passed on, for a 405 to name.
PASSED_ON = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

# After these it is not known where the next request would begin: they close the connection.
UNREADABLE = frozenset({400, 408, 417, 431})


@frozen
class Reply:
    """An answer of the gateway's own; `close` ends the connection after it.

    `allow` names the methods that a 405 has to name (RFC 9110, 15.5.6). `reason` is for the
    journal alone: the body tells no more than a client has to know (S46). `extra` are whole header
    lines, each with its CRLF.
    """

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    close: bool = False
    reason: str = ""
    allow: bytes = b""
    extra: bytes = b""


@frozen
class Forward:
    """Send the request on.

    `target` is in origin-form. `extra` are whole header lines, each with its CRLF; fields of a
    kind in `drop` are not passed on. `answer_within` is in seconds from the end
    of the request's head. `body_within` is how many seconds the client may take for its body,
    without those in which the server takes no more of it.
    """

    balancer: Balancer
    target: bytes
    host: bytes
    extra: bytes
    drop: frozenset[Kind]
    answer_within: float
    body_within: float = float("inf")


Plan = Reply | Forward


@define
class Exchanged:
    """What is known of an exchange when it is over; times in seconds of the reactor's clock."""

    request_id: str
    method: bytes
    target: bytes
    started: float
    answered: float = 0.0
    ended: float = 0.0
    status: int = 0
    received: int = 0
    sent: int = 0
    backend: str = ""
    error: str = ""

    def access(self, listener: str, environment: str | None, peer: Address) -> Access:
        """The event of it, for the journal."""
        return Access(
            listener=listener,
            environment=environment,
            peer=str(peer),
            request_id=self.request_id,
            method=self.method.decode("ascii"),
            target=self.target,
            status=self.status,
            received=self.received,
            sent=self.sent,
            seconds=self.ended - self.started,
            answer_seconds=(self.answered or self.ended) - self.started,
            backend=self.backend,
            error=self.error,
        )


class Site(Protocol):
    """One client connection, seen from the side that it came to."""

    def handshake_completed(self, transport: Any) -> float:
        """Learn that the handshake is over; returns how many seconds the connection may last."""

    def direct(self, head: RequestHead, request_id: str) -> Plan | Deferred[Plan]:
        """Say what becomes of a request."""

    def failure(self, status: int, reason: str, *, sent: bool = False) -> Reply:
        """Word an answer of the gateway's own to a request that cannot be served.

        `sent` says whether anything of it was sent to a server.
        """

    def finished(self, exchange: Exchanged) -> None:
        """Take note of an exchange."""

    def closed(self, reason: Failure, *, handshaken: bool) -> None:
        """Learn that the connection is gone."""

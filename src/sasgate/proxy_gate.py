"""The gate in front of TLS where a balancer sends PROXY headers.

It stands between the socket and TLS: nothing of a handshake is read before a listed balancer has
named the client, and the client's own address has passed the filter (S44).
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from sasgate.deadlines import Deadlines
from sasgate.proxy_protocol import Header, InvalidHeader, parse
from sasgate.settings import Address


class ProxyGate(Protocol):
    """Reads the header, byte by byte if need be, then hands all that follows to TLS.

    `enter` is given the client's address and returns what speaks TLS with it, or None where it is
    not let in; `refused` learns why a header was not taken; `gone` that the connection is lost
    before anybody entered. `deadline` is that of the handshake.
    """

    transport: Any

    def __init__(
        self,
        deadlines: Deadlines,
        deadline: float,
        enter: Callable[[Address], IProtocol | None],
        refused: Callable[[str], None],
        gone: Callable[[], None],
    ) -> None:
        self.deadline = deadline
        self._deadlines = deadlines
        self._enter = enter
        self._refused = refused
        self._gone = gone
        self._buffer = b""
        self._inner: IProtocol | None = None
        self._ended = False

    def connectionMade(self) -> None:
        """Wait for the header."""
        self._deadlines.add(self)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of the header, then pass everything on."""
        if self._inner is not None:
            self._inner.dataReceived(data)
        elif not self._ended:
            self._buffer += data
            self._read_header()

    def _read_header(self) -> None:
        try:
            header = parse(self._buffer)
        except InvalidHeader as error:
            self._end(f"PROXY header: {error}")
            return
        if not isinstance(header, Header):
            return
        if header.source is None:
            # LOCAL and UNKNOWN name nobody, and nobody is not an allowed address.
            self._end("PROXY header without a client address")
            return
        self._pass_on(header.source, self._buffer[header.consumed :])

    def _pass_on(self, source: Address, rest: bytes) -> None:
        inner = self._enter(source)
        if inner is None:
            self._end(None)
            return
        self._deadlines.discard(self)
        self._buffer = b""
        self._inner = inner
        inner.makeConnection(self.transport)
        if rest:
            inner.dataReceived(rest)

    def deadline_passed(self, now: float) -> None:
        """Close: no header came in time."""
        del now
        self._end("no PROXY header in time")

    def drain(self, deadline: float) -> None:
        """Wait for the header until then, and no longer: the gateway stops."""
        self.deadline = min(self.deadline, deadline)

    def abort(self, reason: str) -> None:
        """Close at once; `reason` is for the journal."""
        self._end(reason)

    def _end(self, reason: str | None) -> None:
        if self._ended:
            return
        self._ended = True
        if reason is not None:
            self._refused(reason)
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """Tell whoever is inside, or that nobody came in."""
        self._deadlines.discard(self)
        if self._inner is not None:
            self._inner.connectionLost(reason)
        else:
            self._gone()

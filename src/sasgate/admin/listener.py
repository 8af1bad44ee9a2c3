"""The admin endpoint: plain HTTP for whoever is on this host, bounded so that it can't hurt."""

from collections import OrderedDict

from attrs import evolve
from twisted.internet.defer import Deferred

from sasgate.admin.pages import Pages
from sasgate.admin.site import AdminSite, Turnstile
from sasgate.browsers import Way
from sasgate.client_connection import ClientConnection
from sasgate.settings import Address
from sasgate.surroundings import Surroundings


# Apart from SAS's connections, which these must not keep out; the oldest makes room for a newcomer.
MOST_CONNECTIONS = 32

# Seconds, and bytes of a head.
_AGE, _KEEP_ALIVE, _HEAD_TIME = 300.0, 30.0, 5.0
_HEAD_SIZE = 8 * 1024


class AdminListener:
    """Connections to the admin endpoint."""

    def __init__(self, pages: Pages, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self._pages = pages
        self._turnstile = Turnstile()
        self._connections: OrderedDict[ClientConnection, None] = OrderedDict()
        self._drained: Deferred[None] | None = None

    @property
    def connections(self) -> frozenset[ClientConnection]:
        """Those that are there."""
        return frozenset(self._connections)

    def enter(self, peer: Address, way: Way) -> ClientConnection | None:
        """A connection of somebody on this host, or None where it is to be closed."""
        del peer
        if self._drained is not None:
            return None
        if len(self._connections) >= MOST_CONNECTIONS:
            # Its loss is told later: whoever comes until then must not find it the oldest again.
            oldest, _ = self._connections.popitem(last=False)
            oldest.abort("made room for a newcomer")
        shared = self.surroundings
        limits = evolve(
            shared.limits,
            connection_age=_AGE,
            keep_alive=_KEEP_ALIVE,
            head_time=_HEAD_TIME,
            head_size=_HEAD_SIZE,
        )
        site = AdminSite(self._pages, way, self._turnstile, shared.reactor)
        now = shared.deadlines.now()
        connection = ClientConnection(site, shared.deadlines, limits, now, secure=False)
        self._connections[connection] = None
        site.when_closed = lambda: self._left(connection)
        return connection

    def _left(self, connection: ClientConnection) -> None:
        self._connections.pop(connection, None)
        self._tell_if_drained()

    def drain(self) -> Deferred[None]:
        """Close what is idle and let answers end; fires when no connection is left."""
        self._drained = Deferred()
        for connection in tuple(self._connections):
            connection.drain()
        self._tell_if_drained()
        return self._drained

    def abort(self, reason: str) -> None:
        """Drop all connections."""
        for connection in tuple(self._connections):
            connection.abort(reason)

    def _tell_if_drained(self) -> None:
        if self._drained is not None and not self._drained.called and not self._connections:
            self._drained.callback(None)

"""The door of an inbound listener: who may begin a handshake, and how many at once.

What can be refused without TLS is refused before it: an address that no environment of the
listener takes, one connection too many, a PROXY header from a peer that is not listed (S44, S49).
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import Factory

from sasgate.addresses import allowed, parse_peer
from sasgate.admission import Verify, address_admitted
from sasgate.client_connection import GRACE, ClientConnection
from sasgate.generation import ListenerRules
from sasgate.health import Health
from sasgate.inbound import InboundSite
from sasgate.journal import Decision
from sasgate.proxy_gate import ProxyGate
from sasgate.settings import Address, Listen
from sasgate.surroundings import Surroundings
from sasgate.tls import server_connection
from sasgate.tls_transport import TLSTransport


# A UNIX socket's peer is a process of this host.
_LOCAL_PROCESS = ip_address("127.0.0.1")

_MADE_ROOM = "made room for a newcomer"


class InboundListener:
    """One inbound listener; `rules` is swapped by a reload, connections and counts live on."""

    def __init__(self, rules: ListenerRules, surroundings: Surroundings) -> None:
        self.rules = rules
        self.surroundings = surroundings
        self.connections: set[ClientConnection] = set()
        self._gates: set[ProxyGate] = set()
        self._health = self._new_health()
        self._strangers: Counter[Address] = Counter()
        self._drained: Deferred[None] | None = None
        self._ask_by = 0.0

    def _new_health(self) -> Health:
        shared = self.surroundings
        return Health(shared.reactor, self.rules.settings.check, shared.limits.connect)

    def follow(self, rules: ListenerRules) -> None:
        """Put other rules in force, for those who come and those who are there."""
        check = self.rules.settings.check
        self.rules = rules
        if rules.settings.check != check:
            self._health = self._new_health()

    def place(self) -> "Place | None":
        """A place for one more connection, or None where all are taken.

        Where all are taken, the stranger that came first loses its own, so that mute peers from
        many addresses keep nobody else out (S49).
        """
        shared = self.surroundings
        if shared.connections >= shared.limits.connections:
            if not shared.strangers:
                return None
            oldest = next(iter(shared.strangers))
            shared.strangers.pop(oldest)()
        return Place(self, shared.deadlines.now())

    def refusal_of(self, peer: Address | None) -> str:
        """Why a peer may not begin a handshake; empty where it may."""
        if self._drained is not None and self._drained.called:
            return "the gateway stops"
        if peer is None or not address_admitted(self.rules.environments, peer):
            return "address not allowed"
        if self._strangers[peer] >= self.surroundings.limits.connections_per_address:
            return "too many connections of this address that are not admitted"
        return ""

    def secured(self, peer: Address, place: "Place") -> IProtocol:
        """What speaks TLS with a peer that may begin a handshake."""
        shared = self.surroundings
        site = InboundSite(self._current_rules, peer, shared, self._health, place)
        connection = ClientConnection(
            site, shared.deadlines, shared.limits, place.taken, secure=True
        )
        place.hold(peer, connection)
        if self._drained is not None:
            connection.drain(self._ask_by)

        def begin() -> SSL.Connection:
            tls, site.handshake = server_connection(self.rules.context)
            return tls

        return TLSTransport(begin, connection)

    def _current_rules(self) -> ListenerRules:
        return self.rules

    def waits(self, gate: ProxyGate) -> None:
        """Note a connection whose client a balancer has not named yet."""
        self._gates.add(gate)

    def named(self, gate: ProxyGate) -> None:
        """Forget one that is a connection by now, or lost."""
        self._gates.discard(gate)
        self._tell_if_drained()

    def count_stranger(self, peer: Address, change: int) -> None:
        """Count a connection that is not admitted yet, or no longer."""
        self._strangers[peer] += change
        if not self._strangers[peer]:
            del self._strangers[peer]

    def drain(self) -> Deferred[None]:
        """Close what is idle and let exchanges end; fires when no connection is left."""
        self._drained = Deferred()
        self._ask_by = self.surroundings.deadlines.now() + GRACE
        for gate in self._gates:
            gate.drain(self._ask_by)
        for connection in tuple(self.connections):
            connection.drain(self._ask_by)
        self._tell_if_drained()
        return self._drained

    def abort(self, reason: str) -> None:
        """Drop all connections; `reason` is for the journal."""
        for gate in tuple(self._gates):
            gate.abort(reason)
        for connection in tuple(self.connections):
            connection.abort(reason)

    def left(self, connection: ClientConnection) -> None:
        """Forget a connection that is lost."""
        self.connections.discard(connection)
        self._tell_if_drained()

    def _tell_if_drained(self) -> None:
        if self._drained is None or self._drained.called or self.connections or self._gates:
            return
        self._drained.callback(None)

    def closed_early(self, peer: object, reason: str) -> None:
        """Write that a connection was closed before any handshake."""
        self.surroundings.journal.decision(
            Decision(
                listener=self.rules.name,
                environment=None,
                peer=str(peer),
                outcome="closed",
                verify=Verify.NONE.value,
                detail=reason,
            )
        )


class Place:
    """One connection's place among all, and, until it is admitted, among its address's."""

    def __init__(self, listener: InboundListener, taken: float) -> None:
        self.taken = taken
        self._listener = listener
        self._peer: Address | None = None
        self._stranger = False
        self._connection: ClientConnection | None = None
        listener.surroundings.connections += 1

    def stranger(self, end: Callable[[], None]) -> None:
        """Let the connection be ended by `end` for the sake of a newcomer, until it is admitted."""
        self._listener.surroundings.strangers[self] = end

    def hold(self, peer: Address, connection: ClientConnection) -> None:
        """Note whose place it is."""
        self._peer = peer
        self._stranger = True
        self._connection = connection
        self._listener.connections.add(connection)
        self._listener.count_stranger(peer, 1)
        self.stranger(partial(connection.abort, _MADE_ROOM))

    def admitted(self) -> None:
        """Count the client no longer among strangers."""
        self._listener.surroundings.strangers.pop(self, None)
        if self._stranger and self._peer is not None:
            self._stranger = False
            self._listener.count_stranger(self._peer, -1)

    def cut(self, reason: str) -> None:
        """Drop the connection at once; `reason` is for the journal."""
        if self._connection is not None:
            self._connection.abort(reason)

    def drain(self) -> None:
        """Serve what is under way on the connection, and nothing after it."""
        if self._connection is not None:
            self._connection.drain()

    def gone(self) -> None:
        """Give the place free; called once, when the connection is lost."""
        self.admitted()
        self._listener.surroundings.connections -= 1
        # Its site leads back to here.
        connection, self._connection = self._connection, None
        if connection is not None:
            self._listener.left(connection)


class Door(Factory):
    """What a port of a listener is opened with; `proxied` where PROXY headers come first."""

    noisy = False  # or each port would be announced by the name of this class

    def __init__(self, listener: InboundListener, *, proxied: bool) -> None:
        self._listener = listener
        self._proxied = proxied

    def lead_to(self, listener: InboundListener, listen: Listen) -> None:
        """Lead newcomers to a listener, which may be another after a reload."""
        self._listener = listener
        self._proxied = listen.proxied

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:  # type: ignore[override]
        """A protocol for a new connection, or None, on which Twisted closes it."""
        listener = self._listener
        peer = _peer(addr)
        reason = self._refusal(peer)
        if reason or peer is None:
            listener.closed_early(peer or addr, reason)
            return None
        place = listener.place()
        if place is None:
            listener.closed_early(peer, "too many connections")
            return None
        return self._gate(peer, place) if self._proxied else listener.secured(peer, place)

    def _refusal(self, peer: Address | None) -> str:
        if not self._proxied:
            return self._listener.refusal_of(peer)
        if allowed(peer, self._listener.rules.settings.proxies):
            return ""
        return "not one of the listed proxies"

    def _gate(self, balancer: Address, place: Place) -> ProxyGate:
        listener = self._listener

        def enter(peer: Address) -> IProtocol | None:
            reason = listener.refusal_of(peer)
            if reason:
                listener.closed_early(peer, reason)
                return None
            inner = listener.secured(peer, place)
            listener.named(gate)
            return inner

        def refused(reason: str) -> None:
            listener.closed_early(balancer, reason)

        def gone() -> None:
            place.gone()
            listener.named(gate)

        shared = listener.surroundings
        deadline = place.taken + shared.limits.handshake
        gate = ProxyGate(shared.deadlines, deadline, enter, refused, gone)
        place.stranger(partial(gate.abort, _MADE_ROOM))
        listener.waits(gate)
        return gate


def _peer(address: IAddress) -> Address | None:
    if isinstance(address, IPv4Address | IPv6Address):
        return parse_peer(address.host)
    return _LOCAL_PROCESS if isinstance(address, UNIXAddress) else None

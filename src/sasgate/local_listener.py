"""An outbound listener: plain HTTP for applications of this host."""

from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from attrs import evolve
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import Factory

from sasgate.addresses import parse_peer
from sasgate.admission import Verify
from sasgate.browsers import Way
from sasgate.client_connection import ClientConnection
from sasgate.config.endpoints import endpoint_from
from sasgate.journal import Decision
from sasgate.outbound import OutboundSite, Shared, tell_refusal
from sasgate.outbound_rules import OutboundRules
from sasgate.places import Places
from sasgate.repeats import Repeats
from sasgate.settings import Address, Listen
from sasgate.surroundings import Surroundings


# Calls under way at once, and waiting: SAS takes appointments one by one, and an application that
# has gone wild must not be what it remembers us by.
MOST_CALLS = 32
MOST_WAITING = 128

# Connections of applications; apart from SAS's own, which these must not keep out.
MOST_CONNECTIONS = 512

_LOCAL_PROCESS = ip_address("127.0.0.1")


class OutboundListener:
    """One outbound listener; `rules` is swapped by a reload, connections live on."""

    def __init__(self, rules: OutboundRules, surroundings: Surroundings) -> None:
        self.rules = rules
        self.surroundings = surroundings
        self._shared = Shared(
            Places(MOST_CALLS, MOST_WAITING), Repeats(surroundings.reactor, tell_refusal)
        )
        self.connections: set[ClientConnection] = set()
        self._drained: Deferred[None] | None = None

    def follow(self, rules: OutboundRules) -> None:
        """Put other rules in force, for those who come and those who are there."""
        self.rules = rules

    def enter(self, peer: Address, way: Way) -> ClientConnection | None:
        """A connection of an application, or None where it is to be closed."""
        if self._drained is not None:
            return None
        if len(self.connections) >= MOST_CONNECTIONS:
            self._closed_early(peer)
            return None
        shared = self.surroundings
        limits = evolve(shared.limits, answer=shared.limits.outbound_answer)
        site = OutboundSite(self._current_rules, peer, way, shared, self._shared)
        now = shared.deadlines.now()
        connection = ClientConnection(site, shared.deadlines, limits, now, secure=False)
        self.connections.add(connection)
        site.when_closed = lambda: self._left(connection)
        return connection

    def _closed_early(self, peer: Address) -> None:
        """Write it where identical events are counted: an application gone wild is no flood."""
        self.surroundings.journal.decision(
            Decision(
                listener=self.rules.name,
                environment=self.rules.environment,
                peer=str(peer),
                outcome="closed",
                verify=Verify.NONE.value,
                detail=f"the application holds {MOST_CONNECTIONS} connections already",
            )
        )

    def _current_rules(self) -> OutboundRules:
        return self.rules

    def _left(self, connection: ClientConnection) -> None:
        self.connections.discard(connection)
        self._tell_if_drained()

    def drain(self) -> Deferred[None]:
        """Close what is idle and let exchanges end; fires when no connection is left."""
        self._drained = Deferred()
        for connection in tuple(self.connections):
            connection.drain()
        self._tell_if_drained()
        return self._drained

    def abort(self, reason: str) -> None:
        """Drop all connections; `reason` is for the journal."""
        for connection in tuple(self.connections):
            connection.abort(reason)

    def _tell_if_drained(self) -> None:
        if self._drained is not None and not self._drained.called and not self.connections:
            self._shared.refusals.close()
            self._drained.callback(None)


class LocalListener(Protocol):
    """Who stands behind a local port."""

    def enter(self, peer: Address, way: Way) -> ClientConnection | None:
        """A connection for somebody on this host, or None where it is to be closed."""


class LocalDoor(Factory):
    """What a port of a listener for this host is opened with."""

    noisy = False  # or each port would be announced by the name of this class

    def __init__(self, listener: LocalListener, listen: Listen) -> None:
        self.lead_to(listener, listen)

    def lead_to(self, listener: LocalListener, listen: Listen) -> None:
        """Lead newcomers to a listener, which may be another after a reload."""
        self._listener = listener
        self._way = way_to(listen)

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:  # type: ignore[override]
        """A connection, or None, on which Twisted closes it."""
        return self._listener.enter(_peer(addr), self._way)


def way_to(listen: Listen) -> Way:
    """By which way callers come; of a socket that systemd opens for TCP no more is known."""
    endpoint = endpoint_from(Path("/"))(listen.endpoint)
    if not endpoint.addressed:
        return Way.SOCKET
    return Way.LOOPBACK if endpoint.local else Way.NETWORK


def _peer(address: IAddress) -> Address:
    if isinstance(address, IPv4Address | IPv6Address):
        return parse_peer(address.host) or _LOCAL_PROCESS
    return _LOCAL_PROCESS

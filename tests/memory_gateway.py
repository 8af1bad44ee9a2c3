"""An inbound listener in memory: its real door, rules and TLS, and clients that call it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from attrs import evolve
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock

from front import answers
from processes import write_ini
from sasgate.config import load
from sasgate.deadlines import Deadlines
from sasgate.generation import Generation, ListenerRules, build, load_trust
from sasgate.http1 import HeadLimits
from sasgate.journal import Access, Decision
from sasgate.lab.pki import Lab
from sasgate.listener import Door, InboundListener
from sasgate.pool import Pool
from sasgate.revocation.checks import Checks
from sasgate.revocation.disengagement import Disengagements
from sasgate.settings import Limits
from sasgate.surroundings import Surroundings
from sasgate.upstreams import BackendServer
from strict_http import Read, read_strictly
from tls_memory import client_context
from wires import Server, Wire, pass_time


HERE = IPv4Address("TCP", "127.0.0.1", 40000)


class KeptJournal:
    """Keeps what it is told; `broken` makes it raise the next time."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.accesses: list[Access] = []
        self.broken = False

    def decision(self, decision: Decision) -> None:
        if self.broken:
            self.broken = False
            raise OSError("no space left on device")
        self.decisions.append(decision)

    def access(self, access: Access) -> None:
        self.accesses.append(access)

    def refused(self, access: Access) -> None:
        """An exchange that is worth no line."""

    def handshake(self, listener: str, seconds: float) -> None:
        """A handshake that is worth no line."""


class Servers:
    """Stands in for `Upstreams`: a server in memory for each backend."""

    def __init__(self, deadlines: Deadlines, clock: Clock) -> None:
        self._clock = clock
        self.servers: dict[str, Server] = {}
        self._pools: dict[BackendServer, Pool] = {}
        self._deadlines = deadlines

    def pool(self, server: BackendServer, context: SSL.Context | None) -> Pool:
        if server not in self._pools:
            name = str(server.backend)
            self._pools[server] = Pool(
                name,
                server.backend.authority,
                self.servers.setdefault(name, Server(self._clock)),
                self._deadlines,
                HeadLimits(),
                connect_time=3.0,
                secure=context is not None,
            )
        return self._pools[server]


class MemoryGateway:
    """The lab's listener for recette and preproduction; `changes` are those of `write_ini`."""

    def __init__(
        self,
        lab: Lab,
        folder: Path,
        changes: dict[str, str] | None = None,
        *,
        proxied: bool = False,
        **limits: Any,
    ) -> None:
        self.lab = lab
        self.folder = folder
        self.clock = Clock()
        self.now = datetime.now(UTC)
        self.journal = KeptJournal()
        deadlines = Deadlines(self.clock)
        deadlines.start()
        self.servers = Servers(deadlines, self.clock)
        self.surroundings = Surroundings(
            reactor=self.clock,
            wall=self.wall,
            journal=self.journal,  # type: ignore[arg-type]
            deadlines=deadlines,
            limits=evolve(Limits(), **limits),
            checks=self.make_checks(),
        )
        self.listener = InboundListener(self.rules(changes), self.surroundings)
        self.door = Door(self.listener, proxied=proxied)

    def make_checks(self) -> Checks:
        """What the listener asks about revocation: nothing is disengaged, nobody is asked."""
        state = self.folder / "disengagement.json"
        return Checks(self.wall, Disengagements(self.clock, self.wall, state, None, lambda: None))

    def wall(self) -> datetime:
        return self.now + timedelta(seconds=self.clock.seconds())

    def generation(self, changes: dict[str, str] | None = None) -> Generation:
        settings = load(write_ini(self.lab, self.folder, changes=changes))
        return build(settings, load_trust(settings, self.now), self.servers)  # type: ignore[arg-type]

    def rules(self, changes: dict[str, str] | None = None) -> ListenerRules:
        """Other rules for the listener, to be put in force or not."""
        return self.generation(changes).listeners["inbound"]

    def connect(self, address: IAddress = HERE) -> Wire | None:
        """A connection from there, or None where it is closed at once."""
        protocol: Any = self.door.buildProtocol(address)
        if protocol is None:
            return None
        wire = Wire(protocol, self.clock, lingers=False)
        protocol.makeConnection(wire)
        return wire

    def call(self, client: str | None, address: IAddress = HERE) -> "Caller":
        """A client of the lab's catalogue that has shaken hands."""
        wire = self.connect(address)
        assert wire is not None
        return Caller(self, wire, client).shaken()

    def pass_time(self, seconds: float) -> None:
        pass_time(self.clock, seconds)

    @property
    def server(self) -> Server:
        """The one server behind the gateway."""
        (server,) = self.servers.servers.values()
        return server

    def asked(self) -> list[Read]:
        """The requests on the one connection to it."""
        return read_strictly(self.server.wire.take())

    @property
    def strangers(self) -> int:
        return sum(self.listener._strangers.values())


class Caller:
    """A client of a `MemoryGateway`: TLS over memory."""

    def __init__(self, gateway: MemoryGateway, wire: Wire, client: str | None) -> None:
        self.gateway = gateway
        self.wire = wire
        lab = gateway.lab
        credential = None if client is None else lab.clients[client]
        self.tls = SSL.Connection(client_context(lab, credential), None)
        self.tls.set_tlsext_host_name(b"localhost")
        self.tls.set_connect_state()
        self._got = b""
        self.closed = False

    def shaken(self) -> Self:
        """The same, once the handshake is finished."""
        for _ in range(4):
            try:
                self.tls.do_handshake()
            except SSL.WantReadError:
                self.pump()
        self.pump()
        return self

    def ask(self, raw: bytes) -> Self:
        """Send bytes of requests."""
        self.tls.sendall(raw)
        self.pump()
        return self

    def answer(self) -> tuple[int, bytes]:
        """Status and body of what came; it must be one whole answer."""
        self.pump()
        got, self._got = self._got, b""
        ((status, body),) = answers(got, closed=self.closed)
        return status, body

    def pump(self) -> None:
        """Carry bytes to and fro until nothing moves."""
        while self._carry():
            pass

    def _carry(self) -> bool:
        self.gateway.clock.advance(0)
        down = self.wire.take()
        if down:
            self.tls.bio_write(down)
        for data in self._plain():
            self._got += data
        up = b"" if self.wire.lost else self._cipher()
        if up:
            self.wire.send(up)
        return bool(up or down)

    def _plain(self) -> Iterator[bytes]:
        while True:
            try:
                yield self.tls.recv(65536)
            except SSL.WantReadError:
                return
            except SSL.ZeroReturnError:
                self.closed = True
                self.tls.shutdown()
                return

    def _cipher(self) -> bytes:
        try:
            return self.tls.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""

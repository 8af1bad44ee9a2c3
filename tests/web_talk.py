"""A web server's side of one connection after another, byte by byte, on 127.0.0.1."""

from collections.abc import Callable
from functools import partial
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHostnameResolver,
    IOpenSSLServerConnectionCreator,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from sasgate.lab.pki import Lab


Talk = Callable[["Talker"], None]


def saying(*pieces: bytes, close: bool = False) -> Talk:
    """Answer a request with these bytes, and leave the connection open unless told otherwise."""

    def talk(talker: "Talker") -> None:
        for piece in pieces:
            talker.send(piece)
        if close:
            talker.transport.loseConnection()

    return talk


def http(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    """An answer with its length."""
    head = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


def chunked(body: bytes) -> bytes:
    """An answer in one chunk."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"


class Talker(Protocol):
    """Waits for one whole request, then talks."""

    transport: Any

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._received = b""
        self._asked = self.over = False

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def connectionMade(self) -> None:
        self._server.made(self)

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        lengths = [int(line[16:]) for line in head.split(b"\r\n") if line[:15] == _LENGTH]
        if blank and not self._asked and len(body) >= sum(lengths):
            self._asked = True
            self._server.asked(self, self._received)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.over = True
        self._server.lost(reason)


_LENGTH = b"Content-Length:"


class Server:
    """Listens on a free port; `talk` is what it does once a request is there."""

    def __init__(self, talk: Talk, wrap: Callable[[Any], Any] | None = None) -> None:
        self._talk = talk
        self.requests: list[bytes] = []
        self.talkers: list[Talker] = []
        self.endings: list[Failure] = []
        self._waiting: list[Deferred[None]] = []
        factory: Any = Factory.forProtocol(partial(Talker, self))
        listening: Any = reactor
        self._port = listening.listenTCP(
            0, factory if wrap is None else wrap(factory), interface="127.0.0.1"
        )
        self.port: int = self._port.getHost().port

    def made(self, talker: Talker) -> None:
        self.talkers.append(talker)
        self._tell()

    def asked(self, talker: Talker, request: bytes) -> None:
        self.requests.append(request)
        self._talk(talker)
        self._tell()

    def lost(self, reason: Failure) -> None:
        self.endings.append(reason)
        self._tell()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something of this server to be so."""
        while not condition():
            self._waiting.append(Deferred())
            await self._waiting[-1]

    async def all_lost(self) -> None:
        """Wait until no connection is left."""
        await self.until(lambda: len(self.endings) == len(self.talkers))

    async def stop(self) -> None:
        """Listen no more, and end what is still open."""
        await self._port.stopListening()
        for talker in self.talkers:
            if not talker.over:
                talker.transport.abortConnection()
        await self.all_lost()


class TalkCase(TestCase):
    """Servers that are stopped when the test is over, and time that only the test moves."""

    timeout = 30.0

    def setUp(self) -> None:
        self.time = SimulatedTime()

    def serve(self, talk: Talk, wrap: Callable[[Any], Any] | None = None) -> Server:
        server = Server(talk, wrap)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        return server

    def secure(self, lab: Lab, talk: Talk) -> Server:
        """A server by https://, with the lab's certificate for `localhost`."""
        certificate, key = lab.server_paths()
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey_file(str(key))
        connections = _Connections(context)
        return self.serve(talk, lambda factory: TLSMemoryBIOFactory(connections, False, factory))


@implementer(IOpenSSLServerConnectionCreator)
class _Connections:
    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        return SSL.Connection(self._context, None)


@implementer(IReactorTime, IReactorTCP, IReactorPluggableNameResolver)
class SimulatedTime:
    """The real reactor for connections, simulated time, and names that no network is asked for.

    Every name and every address leads to 127.0.0.1, but names that begin with `nowhere`.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.callLater = self.clock.callLater
        self.seconds = self.clock.seconds
        self.getDelayedCalls = self.clock.getDelayedCalls
        self.nameResolver = _Resolver()

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


@implementer(IHostnameResolver)
class _Resolver:
    silent = False

    def resolveHostName(
        self, resolutionReceiver: Any, hostName: str, portNumber: int = 0, *_: Any
    ) -> Any:
        resolutionReceiver.resolutionBegan(None)
        if self.silent:
            return
        if not hostName.startswith("nowhere"):
            resolutionReceiver.addressResolved(IPv4Address("TCP", "127.0.0.1", portNumber))
        resolutionReceiver.resolutionComplete()

"""The SAS platform as a server: what editors call (specification, 4.3.4).

A server of threads on `http.server`, with a TLS of its own, so that the gateway is judged by other
code than its own. As ANS's does, it asks for a certificate and lets every handshake finish, so that
who has none, or a wrong one, gets an answer over HTTP.
"""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self

from attrs import field, frozen
from cryptography import x509
from OpenSSL import SSL

from sasgate.identity import Identity, NamePair
from sasgate.lab import trees
from sasgate.lab.authority import Credential
from sasgate.lab.pki import SERVER, Lab
from sasgate.lab.sas_answers import Answer, Clients, refusal, served
from sasgate.lab.sas_stream import Stream, server_context


HOST = "127.0.0.1"
# How long `wait_until` waits, in seconds.
PATIENCE = 30.0


class Behaviour(Enum):
    """How SAS answers those that it takes; each spelt as on the command line."""

    ANSWER = "answer"
    SLOW = "slow"
    NEVER = "never"
    CUT = "cut"
    RESET = "reset"
    CLOSE = "close"


@frozen
class Received:
    """A call as it arrived; `connection` counts from 1.

    `certificates` is how many the client sent, `cn` and `ou` are the first one's, `until` is when
    it ends. `status` is what was to be answered.
    """

    connection: int
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    certificates: int
    cn: str
    ou: str
    until: datetime | None
    status: int

    def values(self, name: str) -> list[str]:
        """All values of the fields of this name, whatever its case."""
        return [value for each, value in self.headers if each.lower() == name.lower()]


class SASServer:
    """SAS of recette, or of production, on a port of 127.0.0.1; it runs within `with`.

    It may be changed at any time: `behaviour`, `seconds` (how slow SLOW is), `answer` (in the place
    of what FHIR would have), `registered` and `revoked` (pairs, serial numbers). NEVER ends by
    `release`. What came is in `calls`; `connections` counts those accepted, `handshakes` those that
    finished TLS, `names` are what SNI asked for.
    """

    def __init__(
        self,
        lab: Lab,
        *,
        production: bool = False,
        port: int = 0,
        credential: Credential | None = None,
        tell: Callable[[Received], None] = lambda _: None,
    ) -> None:
        issuer = trees.ORG if production else trees.ORG_TEST
        root = trees.ROOT if production else trees.ROOT_TEST
        self._root, self._issuer = (lab.authorities[each].certificate for each in (root, issuer))
        self.registered = set(editors(lab, self._issuer))
        self.revoked: set[int] = set()
        self.behaviour = Behaviour.ANSWER
        self.seconds = 5.0
        self.answer: Answer | None = None
        self.calls: list[Received] = []
        self.connections = 0
        self.handshakes = 0
        self.names: list[str | None] = []
        self._tell = tell
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._sockets: set[socket.socket] = set()
        own = credential or lab.servers[SERVER]
        self._context = server_context(own, (self._root, self._issuer), self.names.append)
        self.port = port
        self._server: _Server | None = None
        self._open()

    @property
    def url(self) -> str:
        """The URL that an environment of the lab names."""
        return f"https://{HOST}:{self.port}"

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for what a call or a connection brings.

        Raises:
            TimeoutError: it did not come.
        """
        with self._changed:
            if not self._changed.wait_for(condition, PATIENCE):
                raise TimeoutError(f"SAS in the lab waits in vain; it has {self.calls}")

    def register(self, certificate: x509.Certificate) -> None:
        """Know the CN and OU of a certificate."""
        pair = Identity.read(certificate).pair
        if pair is not None:
            self.registered.add(pair)

    def unregister(self, certificate: x509.Certificate) -> None:
        """Know the CN and OU of a certificate no more."""
        pair = Identity.read(certificate).pair
        if pair is not None:
            self.registered.discard(pair)

    def release(self) -> None:
        """Answer those that wait under NEVER, and whoever comes under it from here on."""
        self._released.set()

    def hold(self) -> None:
        """Answer nobody until `release`."""
        self._released.clear()
        self.behaviour = Behaviour.NEVER

    def drop(self) -> None:
        """Close every connection in order, as a server does that has been idle for long enough."""
        with self._changed:
            open_now = tuple(self._sockets)
        for each in open_now:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.wait_until(lambda: not self._sockets.intersection(open_now))

    def stop(self) -> None:
        """Be down: nobody listens on the port any more."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        self._released.set()
        self.drop()

    def start(self) -> None:
        """Be up again, on the same port."""
        if self._server is None:
            self._released.clear()
            self._open()

    def _open(self) -> None:
        self._server = server = _Server((HOST, self.port), self._serve)
        self.port = int(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _serve(self, plain: socket.socket) -> None:
        """Serve one connection to its end, in a thread of its own."""
        with self._changed:
            self.connections += 1
            number = self.connections
            self._sockets.add(plain)
            self._changed.notify_all()
        try:
            stream = Stream(self._context, plain)
            with self._changed:
                self.handshakes += 1
                self._changed.notify_all()
            _Handler(stream, self, number).handle()
            stream.end()
        except (OSError, SSL.Error):
            pass  # a client may leave at any moment, and what it got is its own to tell
        finally:
            plain.close()
            with self._changed:
                self._sockets.discard(plain)
                self._changed.notify_all()

    def judge(self, handler: "_Handler", body: bytes) -> tuple[Answer, bool]:
        """What a call shall be answered, noted down, and whether its client is taken."""
        leaf, chain = handler.stream.peer
        clients = Clients(
            self._root, self._issuer, frozenset(self.registered), frozenset(self.revoked)
        )
        refused = refusal(leaf, chain, clients, datetime.now(UTC))
        answer = refused or self.answer
        if answer is None:
            number = len(self.calls) + 1
            answer = served(handler.command, handler.path, body, self.url, number)
        call = _received(handler, body, leaf, chain, answer.status)
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
        self._tell(call)
        return answer, refused is None

    def wait_as_told(self) -> bool:
        """Let the time pass that the behaviour wants; False where no answer is to follow."""
        if self.behaviour is Behaviour.SLOW:
            self._released.wait(self.seconds)
        elif self.behaviour is Behaviour.NEVER:
            self._released.wait()
        return self._server is not None


def editors(lab: Lab, issuer: x509.Certificate) -> Iterable[NamePair]:
    """The pairs of the lab's editors that one CA has certified."""
    for each in lab.editors.values():
        pair = Identity.read(each.certificate).pair
        if each.certificate.issuer == issuer.subject and pair is not None:
            yield pair


def _received(
    handler: "_Handler",
    body: bytes,
    leaf: x509.Certificate | None,
    chain: tuple[x509.Certificate, ...],
    status: int,
) -> Received:
    identity = None if leaf is None else Identity.read(leaf)
    return Received(
        connection=handler.number,
        method=handler.command,
        target=handler.path,
        headers=tuple(handler.headers.items()),
        body=body,
        certificates=0 if identity is None else 1 + len(chain),
        cn="" if identity is None else identity.cn,
        ou="" if identity is None else identity.ou,
        until=None if identity is None else identity.not_after,
        status=status,
    )


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        super().__init__(address, socketserver.BaseRequestHandler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection; named by socketserver."""
        del client_address
        self._serve(request)

    def shutdown_request(self, request: Any) -> None:
        """Nothing: `_serve` has closed it."""


class _Handler(BaseHTTPRequestHandler):
    """One connection: parses requests, sends what the server says."""

    protocol_version = "HTTP/1.1"
    server_version = "nginx"
    sys_version = ""

    def __init__(self, stream: Stream, sas: SASServer, number: int) -> None:
        # Not the inherited one, which serves within its constructor.
        self.stream = stream
        self.sas = sas
        self.number = number
        self.rfile, self.wfile = stream.reader(), stream.writer()

    def do_any(self) -> None:
        """Answer one request, whatever its method."""
        answer, taken = self.sas.judge(self, self._body())
        if not taken:
            self._send(answer)
        elif not self.sas.wait_as_told():
            self.close_connection = True
        elif self.sas.behaviour is Behaviour.RESET:
            self.stream.reset()
            raise ConnectionResetError
        elif self.sas.behaviour is Behaviour.CUT:
            self._send(answer, whole=False)
            self.close_connection = True
        else:
            self._send(answer)
            # What the client was not told of, as happens when a server restarts.
            self.close_connection |= self.sas.behaviour is Behaviour.CLOSE

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_any  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline(), 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _send(self, answer: Answer, *, whole: bool = True) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body if whole else answer.body[: len(answer.body) // 2])

    def log_message(self, *_: object) -> None:
        """Nothing: `calls` is the log."""

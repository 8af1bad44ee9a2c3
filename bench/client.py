"""The calls that are measured: TLS with a client certificate, and one GET or many.

On the standard library's `ssl`, for three reasons. Each answer is looked at, which neither `ab` nor
`openssl s_time` does: a call that was refused must not pass for a cheap one. No session is ever
offered again, so that each call is a whole handshake. And its OpenSSL knows no post-quantum key
exchange before 3.5: a client that offers one would get more work out of the newer of two servers.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen

from bench.backend import BODY


_REQUEST = (
    b"GET /Slot?status=free HTTP/1.1\r\nHost: localhost\r\nAccept: application/fhir+json\r\n\r\n"
)
_PATIENCE = 60.0


class WrongAnswer(Exception):
    """An answer that is not the backend's: what was measured is not what was meant."""


class Connection:
    """One connection, kept open, on which one request is sent again and again."""

    def __init__(self, stream: socket.socket, request: bytes = _REQUEST) -> None:
        self._stream = stream
        self._request = request

    def exchange(self) -> tuple[int, bytes]:
        """Send the request; status and body of the answer.

        Raises:
            OSError: the connection broke.
        """
        self._stream.sendall(self._request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._received()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = _length(head)
        while len(body) < length:
            body += self._received()
        return int(head.split()[1]), body

    def call(self) -> None:
        """Have one request answered by the backend.

        Raises:
            WrongAnswer: somebody else answered.
        """
        status, body = self.exchange()
        if (status, body) != (200, BODY):
            raise WrongAnswer(f"{status} {body[:200]!r}")

    def _received(self) -> bytes:
        data = self._stream.recv(65536)
        if not data:
            raise ConnectionError("closed in the middle of an answer")
        return data


@frozen
class Caller:
    """Somebody with a certificate of the lab's, who calls a server on 127.0.0.1."""

    port: int
    context: ssl.SSLContext = field(repr=False)
    request: bytes = _REQUEST

    @classmethod
    def of(cls, port: int, roots: Path, pem: Path, request: bytes = _REQUEST) -> "Caller":
        """`roots` knows the server, `pem` has the client's key and leaf, or its whole chain.

        TLS 1.3 where the server speaks it, else 1.2: the server's configuration chooses.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(roots)
        context.load_cert_chain(pem)
        return cls(port, context, request)

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A new connection, closed at the end."""
        with self.context.wrap_socket(dial(self.port), server_hostname="localhost") as tls:
            yield Connection(tls, self.request)

    def call(self) -> None:
        """One new connection with one request.

        Raises:
            WrongAnswer: it was not the backend that answered.
        """
        with self.connected() as connection:
            connection.call()

    def status(self) -> int:
        """What a new connection's first request is answered with."""
        with self.connected() as connection:
            return connection.exchange()[0]


def dial(port: int) -> socket.socket:
    """A plain connection to 127.0.0.1."""
    plain = socket.create_connection(("127.0.0.1", port), _PATIENCE)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plain


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise WrongAnswer(f"an answer without a length: {head!r}")

"""A server that treats each connection as a test's script says; everything it got is kept."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import field, frozen


PATIENCE = 30.0
_PIECE = 1 << 20


@frozen
class Seen:
    """A request as it arrived; `fields` with their case and order, `connection` counted from 1."""

    line: str
    fields: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    connection: int

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    def values(self, name: str) -> list[str]:
        """All values of the fields of this name, whatever its case."""
        return [value for each, value in self.fields if each.lower() == name.lower()]


class Peer:
    """One connection of the gateway's to the backend."""

    def __init__(self, connection: socket.socket, backend: "RawBackend", number: int) -> None:
        connection.settimeout(PATIENCE)
        self.number = number
        self._socket = connection
        self._file = connection.makefile("rb", buffering=1 << 16)
        self._backend = backend

    def request(self) -> Seen | None:
        """The next request, whole and recorded; None once the gateway has closed."""
        head = self.head()
        if head is None:
            return None
        length, coding = head.values("content-length"), head.values("transfer-encoding")
        body = self._chunks() if coding else self.read(int(length[0]) if length else 0)
        seen = Seen(head.line, head.fields, body, self.number)
        self._backend.record(seen)
        return seen

    def head(self) -> Seen | None:
        """The head of the next request, not recorded; None once the gateway has closed."""
        line = self._file.readline()
        if not line:
            return None
        fields = []
        while (text := self._line()) != "":
            name, _, value = text.partition(":")
            fields.append((name, value.strip(" ")))
        return Seen(line.decode("latin-1").removesuffix("\r\n"), tuple(fields), b"", self.number)

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        return self._file.read(size)

    def some(self) -> bytes:
        """Whatever has come of a body; nothing at the end."""
        return self._file.read1(_PIECE)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self, body: bytes = b"ok", *fields: str, status: str = "200 OK") -> None:
        """A plain answer with its length."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + body)

    def sent_until_stuck(self, piece: bytes, most: int) -> int:
        """Send until nothing goes forward for a second; how many bytes left, at the most `most`."""
        self._socket.settimeout(1)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < most:
                sent += self._socket.send(piece[: most - sent])
        self._socket.settimeout(PATIENCE)
        return sent

    def swallow(self, size: int) -> int:
        """Read so many bytes, or fewer at the end, and keep none."""
        left = size
        while left and (piece := self._file.read1(min(left, _PIECE))):
            left -= len(piece)
        return size - left

    def swallow_chunks(self) -> int:
        """Read a chunked body and keep nothing; its length."""
        total = 0
        while size := int(self._line(), 16):
            total += self.swallow(size)
            self._line()
        self._line()
        return total

    def ended(self) -> bool:
        """Whether the gateway closes, in order or not, without another byte."""
        try:
            return self._file.read(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def end_tls(self) -> None:
        """Say by TLS that nothing follows, and leave TCP open."""
        assert isinstance(self._socket, ssl.SSLSocket)
        self._socket.unwrap()

    def reset(self) -> None:
        """Die: the gateway sees a TCP reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def _line(self) -> str:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError(f"the gateway left within a head, after {line!r}")
        return line[:-2].decode("latin-1")

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._line(), 16):
            body += self.read(size)
            assert self._line() == ""
        trailers = []
        while (line := self._line()) != "":
            trailers.append(line)
        self._backend.trailers += trailers
        return body


Script = Callable[[Peer], None]


def echo(peer: Peer) -> None:
    """Answer each request with its target, for as long as the gateway keeps the connection."""
    while (seen := peer.request()) is not None:
        body = seen.target.encode("latin-1")
        peer.answer(body if not seen.line.startswith("HEAD ") else b"")


class RawBackend:
    """Listens on a free port of 127.0.0.1, or on a UNIX socket where a path is given.

    With `tls` it speaks TLS; `handshakes` counts those that the gateway finished.
    """

    def __init__(
        self,
        script: Script = echo,
        path: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[Seen] = []
        self.trailers: list[str] = []
        self.faults: list[BaseException] = []
        self.accepted = 0
        self.handshakes = 0
        self._script = script
        self._tls = tls
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        self._path = path
        self._listening = self._listen()
        self.port = 0 if path else int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"unix:{self._path}" if self._path else f"{scheme}://127.0.0.1:{self.port}"

    def follows(self, script: Script) -> None:
        """Another script from here on; what came before is closed and forgotten."""
        self.drop()
        self._script = script
        with self._changed:
            self.requests.clear()
            self.trailers.clear()
            self.faults.clear()
            self.accepted = 0
            self.handshakes = 0

    def record(self, seen: Seen) -> None:
        with self._changed:
            self.requests.append(seen)
            self._changed.notify_all()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that a request or a connection brings."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE)

    def drop(self) -> None:
        """Close every connection."""
        with self._changed:
            connections = tuple(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.wait_until(lambda: not self._connections.intersection(connections))

    def goes_deaf(self) -> None:
        """Refuse connections from here on."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.drop()

    def hears_again(self) -> None:
        """Take connections again, on the same port."""
        self._listening = self._listen()
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.goes_deaf()

    def _listen(self) -> socket.socket:
        if self._path:
            self._path.unlink(missing_ok=True)
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(self._path))
            listening.listen(128)
            return listening
        return socket.create_server(("127.0.0.1", getattr(self, "port", 0)), backlog=128)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with self._changed:
                self.accepted += 1
                number = self.accepted
                self._connections.add(connection)
                self._changed.notify_all()
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with self._secured(connection) as stream:
                peer = Peer(stream, self, number)
                self._script(peer)
                peer.close()
        except OSError:
            pass  # the gateway may leave at any moment; a test says what it should have got
        except BaseException as error:
            self.faults.append(error)
        finally:
            connection.close()
            with self._changed:
                self._connections.discard(connection)
                self._changed.notify_all()

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        # The plain socket stays what the test drops.
        stream = self._tls.wrap_socket(connection.dup(), server_side=True)
        with self._changed:
            self.handshakes += 1
            self._changed.notify_all()
        return stream

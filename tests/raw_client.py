"""A client that sends any bytes, reads answers one by one, and tells a reset from a close."""

import contextlib
import io
import json
import select
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPMessage, HTTPResponse
from itertools import count
from typing import Any, cast

from attrs import evolve, frozen

from sasgate.lab.pki import Lab
from sasgate.lab.platform import Platform
from sasgate.lab.tls_stream import TLSStream


# No answer of a test takes as long, on the slowest machine.
PATIENCE = 30.0


@frozen
class Answer:
    """One answer; field names as they came."""

    status: int
    headers: HTTPMessage
    body: bytes
    version: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Kept(io.BufferedReader):
    """Stays open: the next answer follows in the same buffer."""

    def close(self) -> None:
        """Nothing; the connection ends with its `Wire`."""


class _Source:
    """What `HTTPResponse` asks of a socket."""

    def __init__(self, reader: io.BufferedReader) -> None:
        self._reader = reader

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return self._reader


class Wire:
    """One connection to the gateway after its handshake."""

    def __init__(self, stream: TLSStream) -> None:
        self.stream = stream
        self._reader = _Kept(stream.makefile("rb").detach(), 1 << 16)

    def close(self) -> None:
        """Leave, without a word of TLS."""
        self._reader.raw.close()
        self.stream.close()

    def drip(self, pieces: Iterator[bytes]) -> None:
        """Send a piece every tenth of a second until there are none or the gateway says something.

        Only for TLS 1.2: in 1.3 it says more than HTTP.
        """
        assert self.stream.tls.version() == "TLSv1.2"
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                if select.select([self.stream.plain], [], [], 0.1)[0]:
                    return
                self.send(piece)

    def send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer, whole; an interim one other than 100 is an answer of its own."""
        response = HTTPResponse(cast("Any", _Source(self._reader)), method=method)
        response.begin()
        version = {10: "1.0", 11: "1.1"}[response.version]
        return Answer(response.status, response.headers, response.read(), version)

    def ask(self, data: bytes, method: str = "GET") -> Answer:
        self.send(data)
        return self.answer(method)

    def line(self) -> bytes:
        """The next line, or what is there of it before the end."""
        return self._reader.readline()

    def read(self, size: int) -> bytes:
        """Exactly so many bytes, or fewer at the end."""
        return self._reader.read(size)

    def rest(self) -> bytes:
        """All bytes until the gateway closes in order.

        Raises:
            OSError: it did not: a reset, an end without TLS's own, nothing in time.
        """
        return self._reader.read()

    def ended(self) -> bool:
        """Whether the gateway closes, in whatever way, without another byte."""
        try:
            return self.rest() == b""
        except TimeoutError:
            return False
        except OSError:
            return True


@frozen
class Caller:
    """Who calls which port; the catalogue's name of a client, or None for no certificate."""

    lab: Lab
    port: int
    client: str | None = "recette"

    @property
    def platform(self) -> Platform:
        """The lab's platform as this caller."""
        return Platform(
            "127.0.0.1",
            self.port,
            self.lab.public_root,
            None if self.client is None else self.lab.path_of(self.client),
            timeout=PATIENCE,
        )

    @contextmanager
    def wire(self, version: ssl.TLSVersion | None = None) -> Iterator[Wire]:
        wire = Wire(evolve(self.platform, version=version).dial())
        try:
            yield wire
        finally:
            wire.close()

    def ask(self, data: bytes, method: str = "GET") -> Answer:
        """The first answer to these bytes on a connection of their own."""
        with self.wire() as wire:
            return wire.ask(data, method)

    def get(self, path: str, *fields: str) -> Answer:
        return self.ask(request("GET", path, *fields))


def request(method: str, target: str, *fields: str, body: bytes = b"") -> bytes:
    """A plain HTTP/1.1 request; Content-Length where there is a body."""
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway.example", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def attempts() -> Iterator[int]:
    """Numbers to try with until what has to come has come; fails after a long time."""
    end = time.monotonic() + PATIENCE
    for number in count():
        yield number
        assert time.monotonic() < end, f"not within {PATIENCE} s"


def connected(port: int, source: str = "127.0.0.1") -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))
    plain.settimeout(PATIENCE)
    return plain


def closed(plain: socket.socket) -> bool:
    """Whether the gateway closes, in whatever way, without a byte."""
    try:
        return plain.recv(1) == b""
    except ConnectionError:
        return True

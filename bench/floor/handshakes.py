"""Handshakes in memory, on the standard library alone: also run by a Python of another OpenSSL.

    python3 bench/floor/handshakes.py ca.pem server.pem server.key client.pem root.pem 1.3 500

prints the version of OpenSSL and the server's CPU of each of 500 handshakes, in seconds, as JSON.
"""

import json
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


_MOST = 1 << 16
_LEGS = 10


class Server(Protocol):
    """The server's side of one handshake."""

    def feed(self, data: bytes) -> None:
        """Take what the client sent."""

    def step(self) -> bool:
        """Go on as far as that leads; whether the handshake has ended. This is what is timed."""

    def drain(self) -> bytes:
        """What is to be sent."""


class Unfinished(Exception):
    """A handshake failed, or did not end."""


class Side:
    """Either side, by the standard library."""

    def __init__(self, context: ssl.SSLContext, *, server: bool) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server,
            server_hostname=None if server else "localhost",
        )

    def feed(self, data: bytes) -> None:
        self._incoming.write(data)

    def step(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise Unfinished(str(error)) from error
        return True

    def drain(self) -> bytes:
        return self._outgoing.read(_MOST)


def server_seconds(server: Server, client: Side) -> float:
    """CPU that the server's side of a handshake takes; the client's is not in it.

    Raises:
        Unfinished: it fails, or does not end.
    """
    spent = 0.0
    served = called = False
    for _ in range(_LEGS):
        called = client.step() or called
        server.feed(client.drain())
        before = time.thread_time()
        served = server.step() or served
        spent += time.thread_time() - before
        client.feed(server.drain())
        if served and called:
            return spent
    raise Unfinished(f"no end after {_LEGS} legs")


def measured(make: Callable[[], Server], client: ssl.SSLContext, count: int) -> list[float]:
    """Seconds of so many handshakes; some before them are not counted."""
    for _ in range(max(count // 10, 3)):
        server_seconds(make(), Side(client, server=False))
    return [server_seconds(make(), Side(client, server=False)) for _ in range(count)]


def client_context(root: Path, pem: Path, tls: str) -> ssl.SSLContext:
    """One that speaks `tls` alone and knows the server by `root`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(root)
    context.load_cert_chain(pem)
    context.minimum_version = context.maximum_version = _version(tls)
    return context


def server_context(cas: Path, certificate: Path, key: Path, tls: str) -> ssl.SSLContext:
    """One that demands a certificate of those CAs and resumes nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(cas)
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_TICKET
    context.minimum_version = context.maximum_version = _version(tls)
    return context


def _version(tls: str) -> ssl.TLSVersion:
    return {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls]


def main(arguments: list[str]) -> None:
    """What the module's text says."""
    cas, certificate, key, client, root = map(Path, arguments[:5])
    tls, count = arguments[5], int(arguments[6])
    context = server_context(cas, certificate, key, tls)
    seconds = measured(lambda: Side(context, server=True), client_context(root, client, tls), count)
    json.dump({"openssl": ssl.OPENSSL_VERSION, "seconds": seconds}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])

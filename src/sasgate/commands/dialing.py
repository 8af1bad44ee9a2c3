"""The way to a server for commands that block: its addresses, TCP, and a proxy's tunnel."""

import socket
from collections.abc import Iterable
from http.client import HTTPResponse


class NotOpened(Exception):
    """The proxy opens no tunnel; says what it answered."""


def addresses_of(host: str, port: int) -> tuple[str, ...]:
    """The addresses of a name, each once; it waits for as long as the resolver does.

    Raises:
        OSError: the name has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[4][0]) for address in found))


def first_connected(addresses: Iterable[str], port: int, wait: float) -> socket.socket:
    """A connection to the first address that takes one within `wait` seconds.

    Raises:
        OSError: what the last of them failed with.
    """
    failure: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((address, port), wait)
        except OSError as error:
            failure = error
    raise failure or OSError("the name has no address")


def open_tunnel(plain: socket.socket, host: str, port: int) -> None:
    """Ask the proxy at the other end for a tunnel (RFC 9110, 9.3.6).

    Raises:
        NotOpened: it answers that it opens none.
        OSError: it does not answer; `http.client.HTTPException` where that is no HTTP.
    """
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    plain.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii"))
    answer = HTTPResponse(plain, method="CONNECT")
    answer.begin()
    if not 200 <= answer.status < 300:
        raise NotOpened(f"the proxy answered {answer.status} {answer.reason}")

"""Calls to a gateway, and what every refusal looks like."""

import json
import socket
import ssl
from pathlib import Path
from typing import Any

from processes import PATIENCE
from sasgate.lab.pki import Lab
from sasgate.lab.platform import Call, Platform, Response, Result
from sasgate.lab.tls_stream import TLSStream


TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = [TLS_1_2, TLS_1_3]
SLOT = Call("GET", "/Slot?start=ge2026-07-01T00:00:00%2B02:00&start=le2026-07-02T00:00:00%2B02:00")
CHECK = Call("GET", "/check")
METADATA = b"GET /metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def platform(
    lab: Lab, port: int, client: str | Path | None = "recette", *, chain: bool = False, **more: Any
) -> Platform:
    """SAS with a client's certificate, of the catalogue or of a file, or with none."""
    path = lab.path_of(client, chain=chain) if isinstance(client, str) else client
    return Platform("127.0.0.1", port, lab.public_root, path, **{"timeout": PATIENCE, **more})


def answered(result: Result) -> Response:
    assert isinstance(result, Response), result
    return result


def refusal_in(response: Response) -> dict[str, str]:
    """The body of a refusal, whose shape and headers are always these."""
    assert response.header("content-type") == "application/json"
    assert response.header("connection") == "close"
    assert {name for name, _ in response.headers} == {
        "content-type",
        "content-length",
        "connection",
    }
    body: dict[str, str] = json.loads(response.body)
    assert list(body) == ["status", "verify", "CN"]
    assert all(isinstance(value, str) for value in body.values())
    assert response.body.isascii()
    return body


def connected(port: int) -> socket.socket:
    """A plain connection to the gateway."""
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def raw(stream: TLSStream | socket.socket, request: bytes) -> tuple[int, bytes]:
    """Status and everything that came until the gateway closed the connection in order."""
    stream.sendall(request)
    return status_and_rest(stream)


def status_and_rest(stream: TLSStream | socket.socket) -> tuple[int, bytes]:
    received = b""
    while data := stream.recv(65536):
        received += data
    assert received.startswith(b"HTTP/1.1 "), received
    return int(received[9:12]), received


def pem_context(lab: Lab, client: Path | None) -> ssl.SSLContext:
    """A client's context for what `Platform` doesn't offer."""
    context = ssl.create_default_context(cafile=lab.public_root)
    if client is not None:
        context.load_cert_chain(client)
    return context

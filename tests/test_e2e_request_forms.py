"""Forms of request that have slipped past the check elsewhere: one decision for all (S41)."""

from collections.abc import Iterator

import pytest
from attrs import frozen

from gateways import gateway
from raw_backend import Peer, RawBackend, echo
from raw_client import Caller
from sasgate.lab.pki import Lab


@frozen
class Form:
    """One request: its answer to an admitted client, and what the backend then sees."""

    name: str
    raw: bytes
    admitted: int
    line: str | None = None
    method: str = "GET"


_HOST = b"Host: gateway.example\r\n"

FORMS = (
    Form("http-1.0", b"GET /a HTTP/1.0\r\n\r\n", 200, "GET /a HTTP/1.1"),
    Form("http-1.0-host", b"GET /a HTTP/1.0\r\n" + _HOST + b"\r\n", 200, "GET /a HTTP/1.1"),
    Form(
        "absolute-form",
        b"GET http://gateway.example/a?b HTTP/1.1\r\n" + _HOST + b"\r\n",
        200,
        "GET /a?b HTTP/1.1",
    ),
    Form(
        "absolute-form-https",
        b"GET HTTPS://GATEWAY.example/a HTTP/1.1\r\n" + _HOST + b"\r\n",
        200,
        "GET /a HTTP/1.1",
    ),
    Form(
        "absolute-form-without-path",
        b"GET http://gateway.example HTTP/1.1\r\n" + _HOST + b"\r\n",
        200,
        "GET / HTTP/1.1",
    ),
    Form(
        "absolute-form-of-another-host",
        b"GET http://other.example/a HTTP/1.1\r\n" + _HOST + b"\r\n",
        400,
    ),
    Form(
        "absolute-form-with-a-user",
        b"GET http://me@gateway.example/a HTTP/1.1\r\n" + _HOST + b"\r\n",
        400,
    ),
    Form(
        "absolute-form-of-another-scheme",
        b"GET ftp://gateway.example/a HTTP/1.1\r\n" + _HOST + b"\r\n",
        400,
    ),
    Form("asterisk", b"OPTIONS * HTTP/1.1\r\n" + _HOST + b"\r\n", 200, "OPTIONS * HTTP/1.1"),
    Form("asterisk-of-get", b"GET * HTTP/1.1\r\n" + _HOST + b"\r\n", 400),
    Form("trace", b"TRACE /a HTTP/1.1\r\n" + _HOST + b"\r\n", 405),
    Form("connect", b"CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n", 405),
    Form("connect-path", b"CONNECT /a HTTP/1.1\r\n" + _HOST + b"\r\n", 405),
    Form(
        "upgrade",
        b"GET /a HTTP/1.1\r\n"
        + _HOST
        + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        200,
        "GET /a HTTP/1.1",
    ),
    Form(
        "h2c",
        b"GET /a HTTP/1.1\r\n" + _HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        200,
        "GET /a HTTP/1.1",
    ),
    Form("rare-method", b"PROPFIND /a HTTP/1.1\r\n" + _HOST + b"\r\n", 200, "PROPFIND /a HTTP/1.1"),
    Form("head", b"HEAD /a HTTP/1.1\r\n" + _HOST + b"\r\n", 200, "HEAD /a HTTP/1.1", "HEAD"),
)

# What cannot be read as HTTP/1 is refused before anybody asks who calls.
UNREADABLE = {
    "http-0.9": b"GET /a\r\n\r\n",
    "http-0.9-lf": b"GET /a\n",
    "http-2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "http-1.1-without-host": b"GET /a HTTP/1.1\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32 + b"\r\n",
    "http-2-preface-as-http-1.1": b"PRI * HTTP/1.1\r\n" + _HOST + b"\r\nSM\r\n\r\n",
    "authority-form-of-get": b"GET gateway.example:443 HTTP/1.1\r\n" + _HOST + b"\r\n",
    "no-slash": b"GET a HTTP/1.1\r\n" + _HOST + b"\r\n",
    "no-method-that-is-known": b"BREW /a HTTP/1.1\r\n" + _HOST + b"\r\n",
}

STRANGERS = (None, "self-signed", "wrong-cn")


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


@pytest.fixture(scope="module")
def port(lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with gateway(lab, tmp_path_factory.mktemp("gateway"), {"backend": backend.url}) as process:
        yield process.port()


@pytest.fixture(autouse=True)
def _afresh(backend: RawBackend) -> Iterator[None]:
    backend.follows(echo)
    yield
    assert backend.faults == []


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_s41_an_admitted_client(lab: Lab, port: int, backend: RawBackend, form: Form) -> None:
    assert Caller(lab, port).ask(form.raw, form.method).status == form.admitted
    assert [seen.line for seen in backend.requests] == ([form.line] if form.line else [])
    for seen in backend.requests:
        assert seen.values("Upgrade") == seen.values("HTTP2-Settings") == []
        assert seen.values("Connection") == []


@pytest.mark.parametrize("client", STRANGERS)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_s41_a_stranger(
    lab: Lab, port: int, backend: RawBackend, form: Form, client: str | None
) -> None:
    with Caller(lab, port, client).wire() as wire:
        answer = wire.ask(form.raw, form.method)
        assert answer.status == (403 if client == "wrong-cn" else 401)
        assert answer.headers["Connection"] == "close"
        assert wire.rest() == b""
    assert backend.accepted == 0


@pytest.mark.parametrize("client", ["recette", *STRANGERS])
@pytest.mark.parametrize("name", UNREADABLE)
def test_s41_what_is_no_request_of_http_1(
    lab: Lab, port: int, backend: RawBackend, name: str, client: str | None
) -> None:
    with Caller(lab, port, client).wire() as wire:
        answer = wire.ask(UNREADABLE[name])
        assert (answer.status, answer.json) == (400, {"status": "KO:Bad Request"})
        assert wire.rest() == b""
    assert backend.accepted == 0


def test_s41_connect_opens_no_tunnel(lab: Lab, port: int, backend: RawBackend) -> None:
    target = f"127.0.0.1:{backend.port}".encode()
    inner = b"GET /through HTTP/1.1\r\nHost: gateway.example\r\n\r\n"
    with Caller(lab, port).wire() as wire:
        head = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)
        answer = wire.ask(head)
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        assert wire.ask(inner).status == 200
    (seen,) = backend.requests
    assert seen.values("X-SSL-Client-Verify") == ["SUCCESS"]


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.0"])
def test_s41_a_backend_cannot_switch_protocols(
    lab: Lab, port: int, backend: RawBackend, protocol: str
) -> None:
    def switch(peer: Peer) -> None:
        peer.request()
        head = f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n"
        peer.send(head.encode() + b"\r\nraw bytes of another protocol")
        assert peer.ended()

    backend.follows(switch)
    with Caller(lab, port).wire() as wire:
        upgrade = f"Connection: Upgrade\r\nUpgrade: {protocol}\r\n".encode()
        answer = wire.ask(b"GET /a HTTP/1.1\r\n" + _HOST + upgrade + b"\r\n")
    assert answer.status == 502
    assert b"raw" not in answer.body

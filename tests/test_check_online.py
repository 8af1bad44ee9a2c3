"""`sasgate check --online`: every flow that is needed, and which step is blocked."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingUnixStreamServer
from threading import Thread

import pytest
from attrs import evolve
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp

from configurations import write
from loopback import answer, closed_port, mute_server, web_server
from sasgate.commands import main
from sasgate.commands.flows import Expected, Flow, flows
from sasgate.commands.online import Outcome, try_flow
from sasgate.config import load
from sasgate.generation import load_trust
from sasgate.lab.pki import Lab


OCSP_ANSWER = ocsp.OCSPResponseBuilder.build_unsuccessful(
    ocsp.OCSPResponseStatus.UNAUTHORIZED
).public_bytes(serialization.Encoding.DER)


def settings_text(lab: Lab, **values: str) -> str:
    certificate, key = lab.server_paths()
    given = {
        "mode": "crl-or-ocsp", "crl": "http://127.0.0.1:1/x.crl", "ocsp": "http://127.0.0.1:1/",
        "backend": "http://127.0.0.1:1", "more": "", "inbound": "", "revocation": "", **values,
    }  # fmt: skip
    return f"""\
[inbound]
environment = own
listen = tcp:0
certificate = {certificate}
key = {key}
backend = {given["backend"]}
{given["inbound"]}
[revocation]
mode = {given["mode"]}
{given["revocation"]}
[environment:own]
roots = {lab.ca_path("ACR-EL-TEST")}
issuers = {lab.ca_path("ACI-EL-ORG-TEST")}
clients = CN=a,OU=1
addresses = any
crl = {given["crl"]}
ocsp = {given["ocsp"]}
url = https://sas.example/
{given["more"]}
"""


def outbound_text(lab: Lab, extra: str = "") -> str:
    pem = lab.editor_path("ACME_TEST")
    return f"[outbound]\nenvironment = own\nlisten = unix:out\ncertificate = {pem}\n{extra}\n"


def needed(folder: Path, text: str) -> tuple[Flow, ...]:
    settings = load(write(folder, text))
    return flows(settings, load_trust(settings, datetime.now(UTC)).anchors)


def online(folder: Path, text: str) -> Result:
    return CliRunner().invoke(main, ["check", "--online", str(write(folder, text))])


def server_tls(lab: Lab, server: str = "server", *, ask: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*lab.server_paths(server))
    if ask:
        root = lab.authorities["ACR-EL-TEST"].certificate
        context.load_verify_locations(cadata=root.public_bytes(serialization.Encoding.DER))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def to(place: str, expected: Expected = Expected.ANSWER, path: str = "/") -> Flow:
    return Flow("test", f"http://{place}{path}", expected)


def tried(flow: Flow) -> Outcome:
    return try_flow(flow, wait=5, whole=10)


def test_every_needed_flow_is_listed(tmp_path: Path, lab: Lab) -> None:
    text = settings_text(lab, backend="http://127.0.0.1:1 unix:/run/app.sock https://app.example")
    found = needed(tmp_path, text + outbound_text(lab))
    assert [(flow.purpose, flow.url, flow.socket) for flow in found] == [
        ("backend of [inbound]", "http://127.0.0.1:1/", None),
        ("backend of [inbound]", "http://localhost/", "/run/app.sock"),
        ("backend of [inbound]", "https://app.example/", None),
        ("list for own", "http://127.0.0.1:1/x.crl", None),
        ("OCSP for own", "http://127.0.0.1:1/", None),
        ("SAS for [outbound]", "https://sas.example/", None),
    ]


def test_what_two_listeners_need_is_tried_once(tmp_path: Path, lab: Lab) -> None:
    text = settings_text(lab)
    second = text.partition("[revocation]")[0].replace("[inbound]", "[inbound:b]")
    urls = [flow.url for flow in needed(tmp_path, text + second)]
    assert urls == [flow.url for flow in needed(tmp_path, text)]


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        ("off", set()),
        ("crl", {Expected.LIST}),
        ("crl-or-ocsp", {Expected.LIST, Expected.OCSP}),
        ("crl-and-ocsp", {Expected.LIST, Expected.OCSP}),
        ("ocsp", {Expected.LIST, Expected.OCSP}),
    ],
)
def test_revocation_asks_for_what_its_mode_needs(
    tmp_path: Path, lab: Lab, mode: str, kinds: set[Expected]
) -> None:
    found = needed(tmp_path, settings_text(lab, mode=mode, ocsp="http://127.0.0.1:2/"))
    assert {flow.expected for flow in found} - {Expected.CONNECTION} == kinds


def test_files_and_folders_are_no_flows(tmp_path: Path, lab: Lab) -> None:
    found = needed(tmp_path, settings_text(lab, mode="crl", crl="lists /srv/x.crl"))
    assert {flow.expected for flow in found} == {Expected.CONNECTION}


def test_proxies_are_those_of_the_configuration(tmp_path: Path, lab: Lab) -> None:
    text = settings_text(lab, revocation="proxy = p.example:1", ocsp="http://o.example/")
    found = needed(tmp_path, text + outbound_text(lab, "proxy = q.example:2"))
    assert {flow.expected: flow.proxy for flow in found} == {
        Expected.CONNECTION: None,
        Expected.LIST: "p.example:1",
        Expected.OCSP: "p.example:1",
        Expected.ANSWER: "q.example:2",
    }


def test_a_backend_is_asked_what_check_asks(tmp_path: Path, lab: Lab) -> None:
    found = needed(tmp_path, settings_text(lab, mode="off", inbound="check = GET /health"))
    (flow,) = found
    assert (flow.url, flow.expected) == ("http://127.0.0.1:1/health", Expected.SUCCESS)


def test_ocsp_is_asked_about_the_issuer(tmp_path: Path, lab: Lab) -> None:
    found = needed(tmp_path, settings_text(lab, ocsp="http://o.example/"))
    (flow,) = [flow for flow in found if flow.expected is Expected.OCSP]
    assert flow.query is not None
    issuer = lab.authorities["ACI-EL-ORG-TEST"].certificate
    assert ocsp.load_der_ocsp_request(flow.query).serial_number == issuer.serial_number


def test_all_open_ends_with_0(tmp_path: Path, lab: Lab) -> None:
    def send(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "POST":
            answer(200, OCSP_ANSWER)(handler)
        else:
            answer(200, b"\x30\x80")(handler)

    with web_server(send) as place:
        result = online(
            tmp_path,
            settings_text(
                lab,
                backend=f"http://{place}",
                crl=f"http://{place}/x.crl",
                ocsp=f"http://{place}/o",
            ),
        )
    assert result.exit_code == 0, result.output
    assert result.output.count("ok  ") == 3
    assert "BLOCKED" not in result.output


def test_one_blocked_ends_with_1_and_is_named(tmp_path: Path, lab: Lab) -> None:
    place = closed_port()
    with web_server(answer(200, b"\x30\x80")) as good:
        text = settings_text(lab, mode="crl", backend=f"http://{place}", crl=f"http://{good}/")
        result = online(tmp_path, text)
    assert result.exit_code == 1
    assert f"BLOCKED at TCP backend of [inbound]: http://{place}/" in result.output
    assert f"list for own: http://{good}/: HTTP 200" in result.output


def test_a_name_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    outcome = tried(to("lists.invalid"))
    assert (outcome.step, outcome.detail) == ("DNS", "Name or service not known")


def test_closed_port() -> None:
    outcome = tried(to(closed_port()))
    assert (outcome.step, outcome.detail) == ("TCP", "Connection refused")


def test_mute_server_is_left_in_time() -> None:
    with mute_server() as place:
        assert try_flow(to(place), wait=0.05, whole=10).step == "HTTP"
        assert try_flow(to(place), wait=60, whole=0.05).step == "HTTP"


def test_connection_is_enough_for_a_backend() -> None:
    with mute_server() as place:
        assert tried(to(place, Expected.CONNECTION)).step is None


def test_what_speaks_no_http() -> None:
    def greet(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"SSH-2.0\r\n")

    with web_server(greet) as place:
        assert tried(to(place)).step == "HTTP"


@pytest.mark.parametrize(
    ("expected", "status", "body", "is_open"),
    [
        (Expected.ANSWER, 404, b"", True),
        (Expected.ANSWER, 503, b"", True),
        (Expected.SUCCESS, 204, b"", True),
        (Expected.SUCCESS, 302, b"", False),
        (Expected.SUCCESS, 500, b"", False),
        (Expected.LIST, 200, b"\x30\x82", True),
        (Expected.LIST, 200, b"-----BEGIN X509 CRL-----\n", True),
        (Expected.LIST, 200, b"<html>portal</html>", False),
        (Expected.LIST, 200, b"", False),
        (Expected.LIST, 302, b"\x30\x82", False),
        (Expected.LIST, 404, b"\x30\x82", False),
        (Expected.OCSP, 200, OCSP_ANSWER, True),
        (Expected.OCSP, 200, b"<html>portal</html>", False),
        (Expected.OCSP, 200, b"", False),
        (Expected.OCSP, 403, OCSP_ANSWER, False),
    ],
)
def test_what_an_answer_shows(expected: Expected, status: int, body: bytes, is_open: bool) -> None:
    """A captive portal answers too, and blocks all the same."""
    with web_server(answer(status, body)) as place:
        outcome = tried(to(place, expected))
    assert outcome.step == (None if is_open else "HTTP")
    assert f"HTTP {status}" in outcome.detail


def test_plain_http_goes_through_the_proxy_as_a_whole_url() -> None:
    asked: list[str] = []

    def send(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.requestline)
        answer(200, b"\x30")(handler)

    with web_server(send) as proxy:
        flow = Flow("test", "http://lists.invalid/x.crl?y", Expected.LIST, proxy=proxy)
        outcome = tried(flow)
    assert outcome.step is None
    assert f"through {proxy}" in str(outcome)
    assert asked == ["GET http://lists.invalid/x.crl?y HTTP/1.1"]


def test_a_proxy_that_cannot_be_reached_is_the_blocked_step() -> None:
    flow = Flow("test", "https://sas.invalid/", Expected.ANSWER, proxy=closed_port())
    assert tried(flow).step == "TCP"


def test_a_proxy_that_refuses_is_named() -> None:
    asked: list[str] = []

    def send(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.requestline)
        answer(403)(handler)

    with web_server(send) as proxy:
        outcome = tried(Flow("test", "https://sas.invalid/", Expected.ANSWER, proxy=proxy))
    assert (outcome.step, "403" in outcome.detail) == ("proxy", True)
    assert asked == ["CONNECT sas.invalid:443 HTTP/1.1"]


def test_tls_goes_through_the_tunnel(lab: Lab) -> None:
    """The server itself plays its proxy: it says yes to CONNECT, then speaks TLS."""
    tls = server_tls(lab)

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with tls.wrap_socket(handler.connection, server_side=True) as inner:
            inner.recv(1024)
            inner.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        handler.close_connection = True

    with web_server(send) as proxy:
        flow = Flow(
            "test", "https://localhost/", Expected.ANSWER, proxy=proxy, roots=lab.public_root
        )
        outcome = tried(flow)
    assert (outcome.step, outcome.detail) == (None, "HTTP 404")


@pytest.mark.parametrize("server", ["expired", "no-san", "other-name", "client-auth"])
def test_a_server_that_is_not_to_be_trusted(lab: Lab, server: str) -> None:
    """S52: chain, dates, SAN and usage of the server are all verified."""
    with web_server(answer(200), server_tls(lab, server)) as place:
        port = place.partition(":")[2]
        flow = Flow("test", f"https://localhost:{port}/", Expected.ANSWER, roots=lab.public_root)
        assert tried(flow).step == "TLS"


def test_a_server_of_an_unknown_ca(lab: Lab) -> None:
    with web_server(answer(200), server_tls(lab)) as place:
        outcome = tried(evolve(to(place), url=f"https://{place}/"))
    assert outcome.step == "TLS"
    assert "not trusted" in outcome.detail


def test_the_editors_certificate_is_presented(lab: Lab) -> None:
    seen: list[object] = []

    def send(handler: BaseHTTPRequestHandler) -> None:
        assert isinstance(handler.connection, ssl.SSLSocket)
        der = handler.connection.getpeercert(binary_form=True)
        seen.append(x509.load_der_x509_certificate(der or b""))
        answer(401)(handler)

    pem = lab.editor_path("ACME_TEST")
    with web_server(send, server_tls(lab, ask=True)) as place:
        flow = evolve(
            to(place), url=f"https://{place}/", roots=lab.public_root, credential=(pem, pem)
        )
        outcome = tried(flow)
    assert (outcome.step, outcome.detail) == (None, "HTTP 401")
    assert seen == [lab.editors["ACME_TEST"].certificate]


@contextmanager
def unix_server(path: Path) -> Iterator[None]:
    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1024)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with ThreadingUnixStreamServer(str(path), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield
        server.shutdown()


@pytest.mark.parametrize("expected", [Expected.CONNECTION, Expected.SUCCESS])
def test_unix_socket(tmp_path: Path, expected: Expected) -> None:
    path = tmp_path / "app.sock"
    with unix_server(path):
        flow = Flow("test", "http://localhost/health", expected, socket=str(path))
        assert tried(flow).step is None


def test_unix_socket_that_is_not_there(tmp_path: Path) -> None:
    flow = Flow("test", "http://localhost/", Expected.CONNECTION, socket=str(tmp_path / "none"))
    outcome = tried(flow)
    assert (outcome.step, outcome.detail) == ("TCP", "No such file or directory")
    assert f"unix:{tmp_path}/none" in str(outcome)

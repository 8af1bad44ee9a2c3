"""Calls by `sasgate call`, and servers that play SAS for them."""

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread

from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from loopback import Answer
from processes import PATIENCE
from sasgate.commands import main
from sasgate.lab import trees
from sasgate.lab.pki import Lab


PATH = "/fhir/v1/Appointment"


class Caller:
    """Calls with the lab's editor certificate; no output of any call may hold its key."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.pem = lab.editor_path("ACME_TEST")

    def ini(self, url: str, *, limits: str = "", **keys: object) -> Path:
        path = self.folder / "gate.ini"
        path.write_text(self.text(url, **keys) + f"[limits]\n{limits}\n", "utf-8")
        return path

    def text(self, url: str, *, name: object = "own", **keys: object) -> str:
        outbound = {"environment": name, "certificate": self.pem, "listen": f"unix:{name}", **keys}
        roots = outbound.pop("sas_roots", self.lab.public_root)
        lines = "\n".join(f"{key} = {value}" for key, value in outbound.items())
        return f"""\
[outbound:{name}]
{lines}
[environment:{name}]
roots = {self.lab.ca_path(trees.ROOT_TEST)}
issuers = {self.lab.ca_path(trees.ORG_TEST)}
url = {url}
sas_roots = {roots}
"""

    def call(self, ini: Path, *arguments: str, method: str = "GET", path: str = PATH) -> Result:
        command = ["call", "--config", str(ini), *arguments, method, path]
        result = CliRunner().invoke(main, command)
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert "Traceback" not in result.output
        self._holds_no_key(result.output)
        return result

    def at(self, place: str, *arguments: str, method: str = "GET", limits: str = "",
           **keys: object) -> Result:  # fmt: skip
        """A call to `localhost` at the port of `place`."""
        ini = self.ini(f"https://localhost:{place.rpartition(':')[2]}/", limits=limits, **keys)
        return self.call(ini, *arguments, method=method)

    def _holds_no_key(self, output: str) -> None:
        """S57."""
        key = self.pem.read_text().partition("-----END")[0].splitlines()[1:]
        assert len(key) > 10
        assert not [line for line in key if line in output]
        assert "PRIVATE KEY" not in output


def sas(
    lab: Lab,
    server: str = "server",
    *,
    ask: str | None = trees.ROOT_TEST,
    version: ssl.TLSVersion | None = None,
) -> ssl.SSLContext:
    """The TLS of a SAS that demands a certificate of one of the lab's roots; None asks for none."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*lab.server_paths(server))
    if ask is not None:
        root = lab.authorities[ask].certificate
        context.load_verify_locations(cadata=root.public_bytes(serialization.Encoding.DER))
        context.verify_mode = ssl.CERT_REQUIRED
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def saying(raw: bytes) -> Answer:
    """An answer in so many bytes, after which the connection ends."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(raw)
        handler.close_connection = True

    return send


class Recorded:
    """An answer, and what was asked for it."""

    def __init__(self, given: Answer) -> None:
        self._given = given
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self.fields: list[dict[str, str]] = []
        self.clients: list[x509.Certificate] = []

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.requestline)
        self.fields.append(dict(handler.headers.items()))
        self.bodies.append(handler.rfile.read(int(handler.headers.get("Content-Length", "0"))))
        handler.headers.replace_header("Content-Length", "0") if self.bodies[-1] else None
        if isinstance(handler.connection, ssl.SSLSocket):
            der = handler.connection.getpeercert(binary_form=True)
            if der is not None:
                self.clients.append(x509.load_der_x509_certificate(der))
        self._given(handler)


def steps(result: Result) -> list[str]:
    """The names of the steps that were reached, the failed one with a mark."""
    found = re.findall(r"^(\w+) +\d+ ms  (FAILED)?", result.output, re.MULTILINE)
    return [name + ("!" if failed else "") for name, failed in found]


def tunnel(tls: ssl.SSLContext) -> Answer:
    """A proxy that plays the server behind it, too."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        handler.close_connection = True
        try:
            with tls.wrap_socket(handler.connection, server_side=True) as inner:
                inner.recv(65536)
                inner.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except ssl.SSLError:
            return

    return send


@contextmanager
def resetting_server() -> Iterator[str]:
    """A port whose connections are reset as soon as something comes."""

    def reset(listening: socket.socket) -> None:
        while True:
            try:
                taken, _ = listening.accept()
            except OSError:
                return
            taken.settimeout(PATIENCE)
            taken.recv(1)
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            taken.close()

    listening = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=reset, args=(listening,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()

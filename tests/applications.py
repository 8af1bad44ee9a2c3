"""An application that calls SAS through a real gateway, and gateways for it."""

import json
import socket
from collections.abc import Container, Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

import raw_client
from processes import GatewayProcess
from raw_client import PATIENCE, Answer, Wire
from sasgate.lab import trees
from sasgate.lab.authority import Credential
from sasgate.lab.pki import Lab
from sasgate.lab.sas_answers import APPOINTMENT
from sasgate.lab.sas_server import SASServer


Section = Mapping[str, object]
BODY = b'{"resourceType": "Appointment", "status": "booked"}'


def request(method: str, target: str, *fields: str, body: bytes = b"") -> bytes:
    """A request as programs of this host send it."""
    sent = raw_client.request(method, target, *fields, body=body)
    return sent.replace(b"Host: gateway.example\r\n", b"Host: localhost\r\n", 1)


POST = request("POST", APPOINTMENT, "Content-Type: application/json", body=BODY)
GET = request("GET", APPOINTMENT)

# https://hl7.org/fhir/R4/valueset-issue-type.html
_ISSUE_TYPES = """\
invalid structure required value invariant security login unknown expired forbidden suppressed
processing not-supported duplicate multiple-matches not-found deleted too-long code-invalid
extension too-costly business-rule conflict transient lock-error no-store exception timeout
incomplete throttled informational"""


def own_file(credential: Credential, path: Path) -> Path:
    """A certificate as ANS's one PEM file, that only its owner reads."""
    path.touch(0o600)
    path.write_bytes(credential.pem(chain=True))
    return path


def local_url(sas: SASServer) -> str:
    """The URL with a name, which SNI and Host then carry."""
    return f"https://localhost:{sas.port}"


def environment(lab: Lab, url: str, *, production: bool = False) -> Section:
    """The section of an environment whose SAS is there."""
    return {
        "roots": lab.ca_path(trees.ROOT if production else trees.ROOT_TEST),
        "issuers": lab.ca_path(trees.ORG if production else trees.ORG_TEST),
        "url": url,
        "sas_roots": lab.public_root,
    }


def write_outbound(
    lab: Lab,
    folder: Path,
    servers: Mapping[str, str],
    *,
    listeners: Mapping[str, Section] | None = None,
    limits: Section | None = None,
    production: Container[str] = (),
) -> Path:
    """A configuration whose listener `outbound:NAME` leads to each server's URL.

    `listeners` changes the sections of some of them; those in `production` are to present a
    certificate of the CAs of production.
    """
    sections: dict[str, Section] = {
        "sasgate": {"state": folder / "state", "ca": lab.directory / "ca"},
        "revocation": {"mode": "off"},
        "limits": limits or {},
    }
    for name, url in servers.items():
        sections[f"environment:own-{name}"] = environment(lab, url, production=name in production)
        sections[f"outbound:{name}"] = {
            "environment": f"own-{name}",
            "listen": "tcp:0:interface=127.0.0.1",
            "certificate": lab.editor_path("ACME_TEST"),
            **(listeners or {}).get(name, {}),
        }
    ini = ConfigParser(interpolation=None, delimiters=("=",))
    ini.read_dict(
        {
            name: {key: str(value) for key, value in section.items()}
            for name, section in sections.items()
        }
    )
    path = folder / "sasgate.ini"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        ini.write(file)
    return path


@frozen
class Application:
    """Calls one listener of a gateway."""

    gateway: GatewayProcess
    listener: str

    @contextmanager
    def wire(self) -> Iterator[Wire]:
        """A connection for several calls."""
        with self.connected() as plain:
            yield Wire(plain)  # type: ignore[arg-type]

    def connected(self) -> socket.socket:
        port = self.gateway.port(f"outbound:{self.listener}")
        return socket.create_connection(("127.0.0.1", port), PATIENCE)

    def ask(self, data: bytes = POST, method: str = "POST") -> Answer:
        """The answer to one request on a connection of its own."""
        with self.wire() as wire:
            return wire.ask(data, method)


def outcome(answer: Answer, status: int) -> str:
    """The diagnostics of a fault of the gateway's, a FHIR R4 OperationOutcome to the letter."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/fhir+json"
    assert answer.body.isascii()
    body: dict[str, Any] = json.loads(answer.body)
    assert body.keys() == {"resourceType", "issue"}
    assert body["resourceType"] == "OperationOutcome"
    (issue,) = body["issue"]
    assert issue.keys() == {"severity", "code", "diagnostics"}
    assert issue["severity"] == "error"
    assert issue["code"] in _ISSUE_TYPES.split()
    text: str = issue["diagnostics"]
    assert text.strip() == text != ""
    return text

"""What SAS answers to an editor's call: its checks of the certificate, then FHIR.

Pure. The chain is judged with `cryptography` alone, from what the client sent: whoever wants to
know whether the gateway presented its certificate rightly must not ask the gateway's own TLS code.
Source: specification, 4.3.4 and 5.6; facts page, "How the platform behaves".
"""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from sasgate.identity import Identity, NamePair, UnreadableCertificate
from sasgate.lab import fhir


APPOINTMENT = "/fhir/v1/Appointment"
_FHIR = "application/fhir+json"


@frozen
class Answer:
    """Status, further header fields and body; `Content-Length` comes of itself."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


@frozen
class Clients:
    """Whom SAS takes: those that `issuer`, under `root`, certified, by CN and OU.

    `revoked` holds serial numbers.
    """

    root: x509.Certificate = field(repr=False)
    issuer: x509.Certificate = field(repr=False)
    registered: AbstractSet[NamePair]
    revoked: AbstractSet[int] = frozenset()


def refusal(
    leaf: x509.Certificate | None,
    chain: Sequence[x509.Certificate],
    clients: Clients,
    now: datetime,
) -> Answer | None:
    """Why a client is refused, or None; `chain` is what it sent behind its `leaf`."""
    if leaf is None:
        return _refused(401, "Unauthorized", "NONE", "")
    try:
        identity = Identity.read(leaf)
    except UnreadableCertificate:
        return _refused(401, "Unauthorized", "FAILED:unreadable certificate", "")
    fault = _fault(leaf, chain, identity, clients, now)
    if fault:
        return _refused(401, "Unauthorized", f"FAILED:{fault}", identity.cn)
    if identity.pair not in clients.registered:
        return _refused(403, "Forbidden", "SUCCESS", identity.cn)
    return None


def _fault(
    leaf: x509.Certificate,
    chain: Sequence[x509.Certificate],
    identity: Identity,
    clients: Clients,
    now: datetime,
) -> str:
    if not (_issued(leaf, clients.issuer) and _issued(clients.issuer, clients.root)):
        return "unable to get local issuer certificate"
    if clients.issuer not in chain:
        # The platform may know ACI-EL-ORG itself; the guide has editors send it all the same.
        return "unable to verify the first certificate"
    if not identity.not_before <= now <= identity.not_after:
        return "certificate has expired"
    if not identity.auth_cli:
        return "unsupported certificate purpose"
    return "certificate revoked" if leaf.serial_number in clients.revoked else ""


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _refused(status: int, word: str, verify: str, cn: str) -> Answer:
    """The guide's own refusal, 5.6 and 5.9: 57 bytes of it where no certificate came."""
    body = json.dumps({"status": f"KO:{word}", "verify": verify, "CN": cn}).encode()
    return Answer(status, (("Content-Type", "application/octet-stream"),), body)


def served(method: str, target: str, body: bytes, base: str, number: int) -> Answer:
    """What an admitted client's call is answered.

    `base` is the URL before the path, as it stands in Location; `number` becomes the id of what is
    created.
    """
    parts = urlsplit(target)
    if parts.path != APPOINTMENT or method not in {"POST", "PUT"}:
        return _outcome(404, "not-found", f"no {method} {parts.path} here")
    identifiers = parse_qs(parts.query).get("Identifier", [])
    if method == "PUT" and len(identifiers) != 1:
        return _outcome(400, "required", "PUT needs one Identifier=system|value")
    try:
        resource = json.loads(body)
    except ValueError as error:
        return _outcome(400, "structure", f"the body is not JSON: {error}")
    if not isinstance(resource, dict) or resource.get("resourceType") != "Appointment":
        return _outcome(422, "processing", "the body is not an Appointment")
    return _kept(resource, 201 if method == "POST" else 200, base, number)


def _kept(resource: Mapping[str, Any], status: int, base: str, number: int) -> Answer:
    name = f"lab-{number}"
    where = f"{base}{APPOINTMENT}/{name}/_history/1"
    body = fhir.encode({**resource, "id": name})
    return Answer(status, (("Content-Type", _FHIR), ("Location", where)), body)


def _outcome(status: int, code: str, diagnostics: str) -> Answer:
    issue = {"severity": "error", "code": code, "diagnostics": diagnostics}
    body = fhir.encode({"resourceType": "OperationOutcome", "issue": [issue]})
    return Answer(status, (("Content-Type", _FHIR),), body)

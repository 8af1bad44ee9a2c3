"""The sheet that ANS's guide asks the editor to send (specification v3.2, 2.1 and 3.2).

It is in French, since it is for ANS. What only the editor knows is left to be filled in.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from sasgate.commands.material import Material
from sasgate.commands.own_certificate import Findings, examine_client, examine_server
from sasgate.config.endpoints import endpoint_from
from sasgate.identity import Identity
from sasgate.settings import Inbound, Outbound, RevocationMode, Settings


TO_FILL_IN = "À COMPLÉTER"
_ENVIRONMENTS = {
    "recette": "Recette ANS",
    "preproduction": "Préproduction ANS",
    "production": "Production ANS",
}
_METHODS = {
    RevocationMode.CRL: "CRL",
    RevocationMode.OCSP: "OCSP (CRL pour les autorités)",
    RevocationMode.CRL_OR_OCSP: "CRL, à défaut OCSP",
    RevocationMode.CRL_AND_OCSP: "CRL et OCSP",
    RevocationMode.OFF: "aucune",
}


def sheet(settings: Settings, material: Material, now: datetime) -> Iterator[str]:
    """The sheet, line by line; `now` is aware."""
    yield "Raccordement mTLS à la plateforme numérique SAS"
    yield "(Sécurisation des échanges par mTLS, v3.2, paragraphes 2.1 et 3.2)"
    yield ""
    yield f"Éditeur et solution logicielle : {TO_FILL_IN}"
    for inbound in settings.inbounds:
        yield from ("", *_server(inbound, settings, material, now))
    for outbound in settings.outbounds:
        yield from ("", *_client(outbound, settings, material, now))


def _server(
    inbound: Inbound, settings: Settings, material: Material, now: datetime
) -> Iterator[str]:
    findings = examine_server(material.credentials[inbound.name], now)
    environments = [settings.environments[name] for name in inbound.environments]
    yield f"Solution éditeur dans le rôle « serveur » [{inbound.name}]"
    yield f"  Environnements : {', '.join(map(_environment, inbound.environments))}"
    for endpoint in _endpoints(inbound, findings):
        yield f"  Endpoint : {endpoint}{inbound.base_path}"
        yield f"  Healthcheck : {endpoint}{inbound.base_path}/check"
    yield f"  Versions TLS : {', '.join(version.value for version in inbound.tls)}"
    yield "  Certificat serveur"
    yield f"    Autorité de certification : {findings.issuer}"
    yield f"    Noms (SAN) : {', '.join(findings.names) or 'aucun'}"
    yield f"    Fin de validité : {findings.not_after:%d/%m/%Y}"
    yield f"    Révocation : {', '.join(findings.revocation) or 'non indiquée'}"
    method = _METHODS[settings.revocation.mode]
    yield f"  Méthode de révocation pour les certificats clients : {method}"
    for environment in environments:
        yield f"  {_environment(environment.name)}"
        for client in environment.clients:
            yield f"    Client accepté : CN = {client.cn}, OU = {client.ou}"
        addresses = environment.addresses
        named = "toutes" if addresses is None else ", ".join(map(_address, addresses))
        yield f"    Adresses sources acceptées : {named}"


def _client(
    outbound: Outbound, settings: Settings, material: Material, now: datetime
) -> Iterator[str]:
    credential = material.credentials[outbound.name]
    findings = examine_client(credential, outbound.environment, now)
    identity = Identity.read(credential.leaf)
    yield f"Solution éditeur dans le rôle « client » [{outbound.name}]"
    yield f"  Environnement : {_environment(outbound.environment)}"
    yield f"  URL appelée : {settings.environments[outbound.environment].url}"
    yield f"  Certificat client : CN = {identity.cn}, OU = {identity.ou}"
    yield f"    Autorité de certification : {findings.issuer}"
    yield f"    Fin de validité : {findings.not_after:%d/%m/%Y}"
    yield f"  Adresse IP source : {TO_FILL_IN}"


def _endpoints(inbound: Inbound, findings: Findings) -> Iterable[str]:
    """One URL a name of the certificate and port; what a balancer in front hides is left open."""
    names = [name for name in findings.names if "*" not in name] or [TO_FILL_IN]
    ports = {_port(listen.endpoint, proxied=listen.proxied) for listen in inbound.listen}
    for name in names:
        host = f"[{name}]" if ":" in name else name
        yield from (f"https://{host}{port}" for port in sorted(ports))


def _port(endpoint: str, *, proxied: bool) -> str:
    parsed = endpoint_from(Path("/"))(endpoint)
    if proxied or parsed.kind != "tcp":
        return f":{TO_FILL_IN}"
    port = parsed.place[1]
    return "" if port == "443" else f":{port}"


def _environment(name: str) -> str:
    return _ENVIRONMENTS.get(name, name)


def _address(network: object) -> str:
    return str(network).removesuffix("/32").removesuffix("/128")

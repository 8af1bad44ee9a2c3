"""The configuration file of a lab's gateway, and what the gateway leaves beside it."""

import shutil
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from sasgate.environments import PREPRODUCTION, PRODUCTION, RECETTE, Preset
from sasgate.lab import trees
from sasgate.lab.profile import Publication
from sasgate.lab.switchboard import FILE as SWITCHES


FILE = "sasgate.ini"
STATE = "state"
ADMIN_SOCKET = "admin.sock"
BACKEND_PORT = 8080
PUBLISHER_PORT = 8089
SAS_PORT = 8445

_TEXT = """\
# Written by `sasgate lab init`: a gateway whose only friends are the lab's own certificates.

[sasgate]
state = {state}
ca = ca
{admin}
[inbound]
environment = lab-recette lab-preproduction
listen = {listen}
certificate = server.pem
key = server.key
backend = {backend}

[inbound:production]
environment = lab-production
listen = {listen_production}
certificate = server.pem
key = server.key
backend = {backend}

[revocation]
"""
_UNPUBLISHED = """\
# The lab runs without revocation: nobody publishes lists of its CAs.
mode = off
"""
_PUBLISHED = """\
# Lists and answers come from `sasgate lab serve`; the lists are asked for every minute.
mode = crl-or-ocsp
refresh = 1m
"""

_OUTBOUND = """
[outbound]
environment = lab-recette
listen = {listen}
certificate = editor/ACME_TEST.key.crt.ca.pem
"""

_ENVIRONMENT = """
[environment:lab-{name}]
roots = ca/{root}.cer
issuers = ca/{issuer}.cer
clients = CN={cn},OU={ou}
addresses = 127.0.0.1 ::1
"""
_SOURCES = """\
crl = {root.crl_url} {issuer.crl_url}
ocsp = {issuer.ocsp_url}
"""
_SAS = """\
url = {url}
sas_roots = public-root.pem
"""


@frozen
class Ports:
    """TCP ports of the listeners on 127.0.0.1; 0 leaves the choice to the system."""

    test: int = 8443
    production: int = 8444
    outbound: int = 8081


def configuration(
    ports: Ports,
    backend: str,
    publisher: str | None = None,
    sas: str | None = None,
    admin: str | None = None,
) -> str:
    """The whole ini file; `backend` is a URL such as `http://127.0.0.1:8080`.

    `publisher` is the URL where `sasgate lab serve` publishes, without which there is no
    revocation; `sas` that of `sasgate lab sas`, without which applications have nobody to call;
    `admin` is the endpoint of the status page.
    """
    head = _TEXT.format(
        state=STATE,
        listen=_endpoint(ports.test),
        listen_production=_endpoint(ports.production),
        backend=backend,
        admin="" if admin is None else f"admin = {admin}\n",
    )
    head += _UNPUBLISHED if publisher is None else _PUBLISHED
    if sas is not None:
        head += _OUTBOUND.format(listen=_endpoint(ports.outbound))
    return head + "".join(
        _environment(preset, root, issuer, publisher)
        + ("" if sas is None else _SAS.format(url=sas))
        for preset, root, issuer in (
            (RECETTE, trees.ROOT_TEST, trees.ORG_TEST),
            (PREPRODUCTION, trees.ROOT_TEST, trees.ORG_TEST),
            (PRODUCTION, trees.ROOT, trees.ORG),
        )
    )


def forget_earlier(directory: Path) -> None:
    """Remove what gateway and publisher of an earlier lab in `directory` have kept.

    The lists there are those of CAs that are no more.

    Raises:
        OSError: something there can't be removed.
    """
    (directory / SWITCHES).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        shutil.rmtree(directory / STATE)


def admin_endpoint(port: int | None) -> str:
    """That of the status page: a port for browsers, or a UNIX socket beside the file."""
    return f"unix:{ADMIN_SOCKET}" if port is None else _endpoint(port)


def _endpoint(port: int) -> str:
    return f"tcp:{port}:interface=127.0.0.1"


def _environment(preset: Preset, root: str, issuer: str, publisher: str | None) -> str:
    text = _ENVIRONMENT.format(
        name=preset.name,
        root=root,
        issuer=issuer,
        cn=preset.client_cn,
        ou=preset.client_ou,
    )
    if publisher is None:
        return text
    return text + _SOURCES.format(
        root=Publication(publisher, root), issuer=Publication(publisher, issuer)
    )

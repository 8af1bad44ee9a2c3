"""The configuration file of a lab's gateway."""

from attrs import frozen

from sasgate.environments import PREPRODUCTION, PRODUCTION, RECETTE, Preset
from sasgate.lab import trees


FILE = "sasgate.ini"

_TEXT = """\
# Written by `sasgate lab init`: a gateway whose only friends are the lab's own certificates.

[sasgate]
state = state
ca = ca

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
# The lab runs without revocation: nobody publishes lists of its CAs.
mode = off
"""

_ENVIRONMENT = """
[environment:lab-{name}]
roots = ca/{root}.cer
issuers = ca/{issuer}.cer
clients = CN={cn},OU={ou}
addresses = 127.0.0.1 ::1
"""


@frozen
class Ports:
    """TCP ports of the two listeners on 127.0.0.1; 0 leaves the choice to the system."""

    test: int = 8443
    production: int = 8444


def configuration(ports: Ports, backend: str) -> str:
    """The whole ini file; `backend` is a URL such as `http://127.0.0.1:8080`."""
    head = _TEXT.format(
        listen=_endpoint(ports.test), listen_production=_endpoint(ports.production), backend=backend
    )
    return head + "".join(
        _environment(preset, root, issuer)
        for preset, root, issuer in (
            (RECETTE, trees.ROOT_TEST, trees.ORG_TEST),
            (PREPRODUCTION, trees.ROOT_TEST, trees.ORG_TEST),
            (PRODUCTION, trees.ROOT, trees.ORG),
        )
    )


def _endpoint(port: int) -> str:
    return f"tcp:{port}:interface=127.0.0.1"


def _environment(preset: Preset, root: str, issuer: str) -> str:
    return _ENVIRONMENT.format(
        name=preset.name,
        root=root,
        issuer=issuer,
        cn=preset.client_cn,
        ou=preset.client_ou,
    )

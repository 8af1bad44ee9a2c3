"""What is in force on one outbound listener, and how it is loaded from what is configured."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

from attrs import evolve, field, frozen
from OpenSSL import SSL

from sasgate.editor_certificate import doubts, unusable
from sasgate.errors import ConfigError
from sasgate.failures import unread
from sasgate.identity import Identity
from sasgate.pool import Balancer
from sasgate.settings import Outbound, Settings
from sasgate.trust import Anchors, Credential, UnusableFile, load_credential
from sasgate.upstream_tls import server_trust
from sasgate.upstreams import SASServer, Upstreams


@frozen
class OutboundTrust:
    """The editor's certificate as loaded, what is odd about it, and what presents it."""

    context: SSL.Context = field(repr=False)
    identity: Identity
    server: SASServer
    doubts: tuple[str, ...]


@frozen
class OutboundRules:
    """Where an outbound listener leads; `authority` is the server's, as it stands in Host."""

    name: str
    environment: str
    authority: bytes
    identity: Identity
    balancer: Balancer
    settings: Outbound


def load_outbound(
    settings: Settings, outbound: Outbound, anchors: Mapping[str, Anchors], now: datetime
) -> OutboundTrust:
    """Load the certificate of one listener and the CAs of its server.

    Raises:
        ConfigError: with every fault (S55, S57).
    """
    name, path = outbound.name, outbound.certificate
    credential = load_editor(settings, outbound, now)
    faults = [
        settings.fault(name, "certificate", path, reason, remedy)
        for reason, remedy in unusable(credential, anchors[outbound.environment])
    ]
    if faults:
        raise ConfigError(*faults)
    environment = settings.environments[outbound.environment]
    try:
        trusted = server_trust(environment.sas_roots, credential)
    except UnusableFile as error:
        section = f"environment:{environment.name}"
        raise ConfigError(
            settings.fault(section, "sas_roots", error.path, error.reason, error.remedy)
        ) from error
    except SSL.Error as error:
        reason = f"OpenSSL refuses it with its key: {error}"
        raise ConfigError(settings.fault(name, "certificate", path, reason)) from error
    parts = urlsplit(environment.url or "")
    server = SASServer(
        name, parts.hostname or "", parts.port or 443, outbound.proxy, trusted.made_of
    )
    odd = tuple(doubts(credential, outbound.environment, now))
    return OutboundTrust(trusted.context, Identity.read(credential.leaf), server, odd)


def load_editor(settings: Settings, outbound: Outbound, now: datetime) -> Credential:
    """Load the editor's certificate of one listener with its key.

    Raises:
        ConfigError: as `load_credential`; of a file that is not there it says how it is made.
    """
    try:
        return load_credential(settings, outbound.name, outbound.certificate, outbound.key, now)
    except ConfigError as error:
        missing = unread(FileNotFoundError())
        raise ConfigError(
            *(
                evolve(fault, remedy=_bundling(settings, outbound))
                if (fault.key, fault.reason) == ("certificate", missing)
                else fault
                for fault in error.faults
            )
        ) from error


def _bundling(settings: Settings, outbound: Outbound) -> str:
    """The command that makes the PEM of an outbound listener."""
    environment = settings.environments[outbound.environment]
    issuer = environment.issuers[0].path
    ca = issuer.parent if environment.preset else issuer
    return (
        f"make it: sasgate bundle --key KEY --certificate CRT --environment {environment.name}"
        f" --ca {ca} --to {outbound.certificate.parent}; until then leave [{outbound.name}] out"
    )


def outbound_rules(outbound: Outbound, trust: OutboundTrust, upstreams: Upstreams) -> OutboundRules:
    """Put the rules of one listener together of what was loaded."""
    pool = upstreams.sas(trust.server, trust.context)
    return OutboundRules(
        name=outbound.name,
        environment=outbound.environment,
        authority=pool.authority.encode("ascii"),
        identity=trust.identity,
        balancer=Balancer([pool]),
        settings=outbound,
    )

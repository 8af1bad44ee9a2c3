"""The rules in force, for a person to compare with what was meant."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import attrs

from sasgate.commands.material import Material
from sasgate.commands.own_certificate import Findings, examine_client, examine_server
from sasgate.identity import printable_name, printable_value
from sasgate.settings import (
    DeniedFingerprint,
    Environment,
    Inbound,
    Limits,
    Outbound,
    RevocationMode,
    Settings,
)
from sasgate.trust import CA, Anchors


def rules(settings: Settings, material: Material, now: datetime) -> Iterator[str]:
    """The report of `sasgate check`, line by line; `now` is aware."""
    yield f"OK {settings.path}"
    for inbound in settings.inbounds:
        yield from ("", *_inbound(inbound, settings, material, now))
    for outbound in settings.outbounds:
        yield from ("", *_outbound(outbound, settings, material, now))
    yield from ("", *_policy(settings))
    yield from _unused(settings)


def _inbound(
    inbound: Inbound, settings: Settings, material: Material, now: datetime
) -> Iterator[str]:
    yield f"[{inbound.name}] SAS calls {' '.join(map(str, inbound.listen))}"
    if inbound.proxies:
        yield f"  PROXY headers believed from: {_joined(inbound.proxies)}"
    yield f"  TLS {' '.join(version.value for version in inbound.tls)}"
    yield from _certificate(
        str(inbound.certificate), examine_server(material.credentials[inbound.name], now)
    )
    for name in inbound.environments:
        yield from _environment(settings.environments[name], material.anchors[name])
    yield "  routes"
    for route in inbound.routes:
        only = f"{route.environment}:" if route.environment else ""
        yield f"    {only}{route.prefix} = {_joined(route.backends)}"
    look = f"GET {inbound.check}" if inbound.check else "a connection"
    yield f"  {inbound.base_path}/check is answered here, after {look} to the backends"


def _outbound(
    outbound: Outbound, settings: Settings, material: Material, now: datetime
) -> Iterator[str]:
    environment = settings.environments[outbound.environment]
    yield f"[{outbound.name}] calls of the application to {' '.join(map(str, outbound.listen))}"
    yield f"  go to {environment.url} ({environment.name})"
    if outbound.proxy:
        yield f"  through the proxy {outbound.proxy}"
    credential = material.credentials[outbound.name]
    yield from _certificate(
        str(outbound.certificate), examine_client(credential, environment.name, now)
    )
    yield f"    subject {printable_name(credential.leaf.subject)}"


def _certificate(path: str, findings: Findings) -> Iterator[str]:
    yield f"  certificate {path}, its key matches"
    if findings.names:
        yield f"    names {_joined(findings.names)}"
    yield f"    issued by {findings.issuer}"
    yield f"    valid until {_day(findings.not_after)} ({findings.days} days)"
    for warning in findings.warnings:
        yield f"    warning: {warning}"


def _environment(environment: Environment, anchors: Anchors) -> Iterator[str]:
    yield f"  environment {environment.name}"
    for kind, cas in (("root", anchors.roots), ("issuer", anchors.issuers)):
        for ca in cas:
            yield from _ca(kind, ca)
    for client in environment.clients:
        yield f"    client {client}"
    if environment.addresses is None:
        yield "    addresses: any, the filter is off"
    else:
        yield f"    addresses: {_joined(environment.addresses)}"
    for denial in environment.deny:
        if isinstance(denial, DeniedFingerprint):
            yield f"    denied SHA-256 {denial.sha256}"
            continue
        yield f"    denied serial {denial.serial} of {denial.issuer_cn}"


def _ca(kind: str, ca: CA) -> Iterator[str]:
    pinned_until = _day(ca.certificate.not_valid_after_utc)
    yield f"    {kind} {printable_value(ca.common_name)} ({ca.path}), until {pinned_until}"
    yield f"      SHA-256 {ca.sha256}"


def _policy(settings: Settings) -> Iterator[str]:
    revocation = settings.revocation
    yield f"revocation: {revocation.mode.value}"
    if revocation.mode is RevocationMode.OFF:
        yield "  warning: a revoked certificate is let in until it ends or is denied here"
    if revocation.admit_for is not None:
        yield f"  warning: unknown status is admitted for {revocation.admit_for:g} s"
    changed = [
        f"{each.name} = {getattr(settings.limits, each.name):g} (default {each.default:g})"
        for each in attrs.fields(Limits)
        if getattr(settings.limits, each.name) != each.default
    ]
    yield f"limits: {'; '.join(changed) or 'the defaults'}"
    paths = "full" if settings.log.full_paths else "masked"
    yield f"log: {settings.log.format.value}, paths {paths}"


def _unused(settings: Settings) -> Iterator[str]:
    sections = {section for section, _ in settings.lines if section.startswith("environment:")}
    for section in sorted(sections):
        if section.partition(":")[2] not in settings.environments:
            yield f"warning: [{section}] has no effect, no listener uses it"


def _joined(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"

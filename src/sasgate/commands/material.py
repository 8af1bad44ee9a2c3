"""Every file that a configuration names, loaded as the daemon loads it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from attrs import frozen

from sasgate.commands.list_files import list_faults
from sasgate.errors import ConfigError, Fault
from sasgate.generation import load_trust
from sasgate.identity import Identity, UnreadableCertificate
from sasgate.outbound_rules import load_editor
from sasgate.settings import Inbound, Outbound, Settings
from sasgate.trust import Anchors, Credential, UnusableFile, load_credential, read_certificates


@frozen
class Material:
    """`anchors` by environment, `credentials` by section; all of them were checked."""

    anchors: Mapping[str, Anchors]
    credentials: Mapping[str, Credential]


def load_material(settings: Settings, now: datetime) -> Material:
    """Load the CAs, certificates and keys; `now` (aware) decides what has expired.

    Raises:
        ConfigError: with all faults of all files, in the order of the configuration.
    """
    faults: list[Fault] = []
    anchors: Mapping[str, Anchors] = {}
    try:
        anchors = load_trust(settings, now).anchors
    except ConfigError as error:
        faults.extend(error.faults)
    listeners: list[Inbound | Outbound] = [*settings.inbounds, *settings.outbounds]
    credentials: dict[str, Credential] = {}
    for each in listeners:
        try:
            credentials[each.name] = _credential(settings, each, now)
        except ConfigError as error:
            faults.extend(error.faults)
    faults.extend(_faulty_roots(settings))
    if anchors:
        faults.extend(list_faults(settings, anchors, now))
    if faults:
        last = float("inf")
        # The same CA file serves several environments, the same fault is told once.
        distinct = dict.fromkeys(faults)
        raise ConfigError(*sorted(distinct, key=lambda fault: fault.line or last))
    return Material(anchors, credentials)


def _credential(settings: Settings, listener: Inbound | Outbound, now: datetime) -> Credential:
    section, path = listener.name, listener.certificate
    if isinstance(listener, Outbound):
        credential = load_editor(settings, listener, now)
    else:
        credential = load_credential(settings, section, path, listener.key, now)
    try:
        Identity.read(credential.leaf)
    except UnreadableCertificate as error:
        reason = f"the certificate cannot be decoded: {error}"
        raise ConfigError(settings.fault(section, "certificate", path, reason)) from None
    return credential


def _faulty_roots(settings: Settings) -> Iterable[Fault]:
    """What is wrong with the CAs that servers are verified against."""
    for section, key, path in _root_files(settings):
        try:
            read_certificates(path)
        except UnusableFile as error:
            yield settings.fault(section, key, error.path, error.reason, error.remedy)


def _root_files(settings: Settings) -> set[tuple[str, str, Path]]:
    files = {
        (inbound.name, "backend_roots", backend.roots)
        for inbound in settings.inbounds
        for route in inbound.routes
        for backend in route.backends
        if backend.roots is not None
    }
    return files | {
        (f"environment:{environment.name}", "sas_roots", environment.sas_roots)
        for environment in settings.environments.values()
        if environment.sas_roots is not None
    }

"""What single values cannot show: sections that contradict each other, or leave a gap."""

from collections.abc import Iterable
from itertools import combinations
from os.path import normpath

from attrs import frozen

from sasgate.config.endpoints import Endpoint
from sasgate.config.section import Report
from sasgate.environments import PRODUCTION
from sasgate.settings import Environment, Inbound, RevocationMode, Settings


@frozen
class Placed:
    """Where the listeners of one `[section] key` listen."""

    section: str
    key: str
    endpoints: tuple[Endpoint, ...]


def check_coherence(settings: Settings, places: Iterable[Placed], report: Report) -> None:
    """Note what is wrong between the parts of `settings`.

    Values that were already refused are left out of it, or stand as an empty name.
    """
    located = tuple(places)
    _check_presence(settings, report)
    _check_overlaps(located, report)
    served: dict[str, Environment] = {}
    for inbound in settings.inbounds:
        environments = _environments(settings, inbound)
        _check_ambiguity(inbound, environments, report)
        served.update({environment.name: environment for environment in environments})
    for environment in served.values():
        _check_admits_somebody(environment, report)
    _check_unaddressed(settings, located, report)
    _check_outbound_urls(settings, report)
    _check_revocation(settings, report)


def _check_presence(settings: Settings, report: Report) -> None:
    if not settings.inbounds and not settings.outbounds:
        report.add(None, None, "has neither an [inbound] nor an [outbound] section")
    bare = [each.name for each in settings.inbounds if not each.environments]
    bare += [each.name for each in settings.outbounds if not each.environment]
    for section in bare:
        if not {("sasgate", "environment"), (section, "environment")} & report.lines.keys():
            remedy = "give it here or in [sasgate]: recette, preproduction or production"
            report.at(section, "environment", None, "is missing", remedy)


def _check_overlaps(places: tuple[Placed, ...], report: Report) -> None:
    every = [(place, endpoint) for place in places for endpoint in place.endpoints]
    for (first, one), (second, other) in combinations(every, 2):
        if one.overlaps(other):
            reason = f"cannot listen beside [{first.section}] {first.key} = {one.text}"
            report.at(second.section, second.key, other.text, reason)


def _check_ambiguity(inbound: Inbound, environments: Iterable[Environment], report: Report) -> None:
    for one, other in combinations(environments, 2):
        if not _share_an_issuer(one, other):
            continue
        for pair in sorted(set(one.clients) & set(other.clients), key=str):
            reason = f"{one.name} and {other.name} both have {pair} from the same CA"
            remedy = "give them listeners of their own, or the pair to one of them"
            report.at(inbound.name, "environment", None, reason, remedy)


def _share_an_issuer(one: Environment, other: Environment) -> bool:
    """By path: presets have one folder of CAs, and no file is opened here."""
    paths = ({normpath(ca.path) for ca in each.issuers} for each in (one, other))
    return not set.isdisjoint(*paths)


def _check_admits_somebody(environment: Environment, report: Report) -> None:
    section = f"environment:{environment.name}"
    wanted = {
        "clients": (environment.clients, "write CN=some-client,OU=123456789012345"),
        "addresses": (environment.addresses, "list them, or write addresses = any"),
    }
    for key, (value, remedy) in wanted.items():
        if value == () and (section, key) not in report.lines:
            report.at(section, key, None, "is missing: everyone would be refused", remedy)


def _check_unaddressed(settings: Settings, places: Iterable[Placed], report: Report) -> None:
    by_name = {inbound.name: inbound for inbound in settings.inbounds}
    for place in places:
        if place.section not in by_name:
            continue
        filtered = [
            environment.name
            for environment in _environments(settings, by_name[place.section])
            if environment.addresses is not None
        ]
        for endpoint in place.endpoints:
            if filtered and not endpoint.addressed:
                reason = "its peers have no address, so that none of them would be let in"
                names = " and ".join(f"[environment:{name}]" for name in filtered)
                report.at(
                    place.section,
                    place.key,
                    endpoint.text,
                    reason,
                    f"set addresses = any in {names}",
                )


def _check_outbound_urls(settings: Settings, report: Report) -> None:
    for outbound in settings.outbounds:
        environment = settings.environments.get(outbound.environment)
        if environment is None or environment.url is not None:
            continue
        section = f"environment:{environment.name}"
        if (section, "url") not in report.lines:
            report.at(section, "url", None, f"is missing: [{outbound.name}] calls it")


def _check_revocation(settings: Settings, report: Report) -> None:
    mode = settings.revocation.mode
    served = {name for inbound in settings.inbounds for name in inbound.environments}
    used = served | {outbound.environment for outbound in settings.outbounds}
    if mode is RevocationMode.OFF:
        if PRODUCTION.name in used:
            reason = "production cannot run without revocation checks"
            report.at("revocation", "mode", mode.value, reason, "remove the line")
        return
    if not report.sound("revocation", "mode"):
        return
    needed = {"crl"}
    if mode in {RevocationMode.OCSP, RevocationMode.CRL_AND_OCSP}:
        needed.add("ocsp")
    for name in sorted(served & settings.environments.keys()):
        for key in sorted(needed):
            section = f"environment:{name}"
            if not getattr(settings.environments[name], key) and (section, key) not in report.lines:
                reason = f"is missing: revocation mode {mode.value} would refuse everyone"
                report.at(section, key, None, reason, "give it, or set [revocation] mode = off")


def _environments(settings: Settings, inbound: Inbound) -> list[Environment]:
    return [
        settings.environments[name]
        for name in inbound.environments
        if name in settings.environments
    ]

"""The ini file as settings.

`load` either returns a whole, valid configuration or raises every fault of the file at once.
Nothing but the file itself is opened: certificates and CAs are read by `trust`.
"""

import re
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from sasgate.config import ini
from sasgate.config.coherence import Placed, check_coherence
from sasgate.config.endpoints import Endpoint
from sasgate.config.environment import PREFIX as ENVIRONMENT
from sasgate.config.environment import environment_name, read_environments
from sasgate.config.listeners import admin_endpoint, read_inbound, read_outbound
from sasgate.config.policy import read_limits, read_log, read_revocation
from sasgate.config.section import Report, SectionReader, likely
from sasgate.config.values import path_from
from sasgate.environments import PRESETS
from sasgate.settings import Settings


_SECTIONS = ("sasgate", "inbound", "outbound", "revocation", "limits", "log")
_REPEATED = re.compile(r"(inbound|outbound):[A-Za-z0-9][A-Za-z0-9_.-]*")


def load(path: str | PathLike[str]) -> Settings:
    """The settings in the file at `path`; relative paths in it start at its folder.

    Raises:
        ConfigError: the file cannot be read, or holds at least one fault; all are in it, in the
            order of the file.
    """
    file = Path(path).absolute()
    document = ini.read(file)
    report = Report(file, document.faults)
    settings = _settings(_known_sections(document.sections, report), report)
    report.conclude()
    return settings


def load_state(path: str | PathLike[str]) -> Path:
    """Where the daemon of a file keeps its state; faults of the rest of the file don't matter.

    A daemon that runs by what the file said before must be reachable while it is being mended.

    Raises:
        ConfigError: the file cannot be read, or its `state`.
    """
    reader, report = _head(Path(path).absolute())
    own = path_from(reader.folder)
    state: Path = reader.one("state", own, own("state"))
    report.conclude()
    return state


def load_admin(path: str | PathLike[str]) -> Endpoint | None:
    """Where the daemon of a file shows its status; faults of the rest of the file don't matter.

    Raises:
        ConfigError: the file cannot be read, or its `admin`.
    """
    reader, report = _head(Path(path).absolute())
    admin = admin_endpoint(reader)
    report.conclude()
    return admin


def _head(file: Path) -> tuple[SectionReader, Report]:
    """[sasgate] alone."""
    sections = [each for each in ini.read(file).sections if each.name == "sasgate"]
    report = Report(file, ())
    return SectionReader(sections[0] if sections else ini.Section("sasgate", None), report), report


def _settings(sections: dict[str, ini.Section], report: Report) -> Settings:
    def reader(name: str) -> SectionReader:
        return SectionReader(sections.get(name, ini.Section(name, None)), report)

    head = reader("sasgate")
    path = path_from(head.folder)
    known = [*PRESETS, *(name.removeprefix(ENVIRONMENT) for name in _named(ENVIRONMENT, sections))]
    inherited = head.words("environment", environment_name(known))
    state = head.one("state", path, path("state"))
    ca = head.one("ca", path, path("ca"))
    admin = admin_endpoint(head)
    head.finish()
    inbounds = [read_inbound(reader(n), known, inherited) for n in _named("inbound", sections)]
    outbounds = [read_outbound(reader(n), known, inherited) for n in _named("outbound", sections)]
    used = {name for inbound, _ in inbounds for name in inbound.environments}
    used |= {outbound.environment for outbound, _ in outbounds}
    environments = read_environments(sections, ca, report).items()
    settings = Settings(
        path=report.path,
        state=state,
        admin=admin.text if admin else None,
        environments=MappingProxyType({name: each for name, each in environments if name in used}),
        inbounds=tuple(inbound for inbound, _ in inbounds),
        outbounds=tuple(outbound for outbound, _ in outbounds),
        revocation=read_revocation(reader("revocation")),
        limits=read_limits(reader("limits")),
        log=read_log(reader("log")),
        lines=MappingProxyType(report.lines),
    )
    places = [place for _, place in (*inbounds, *outbounds)]
    admin_place = Placed("sasgate", "admin", (admin,) if admin else ())
    check_coherence(settings, [admin_place, *places], report)
    return settings


def _known_sections(sections: Iterable[ini.Section], report: Report) -> dict[str, ini.Section]:
    """The sections by name; a repeated or unknown one is noted and left out."""
    found: dict[str, ini.Section] = {}
    for section in sections:
        name = section.name
        if name in found:
            reason = f"is given twice, first on line {found[name].number}"
            report.add(section.number, name, reason, "keep one of them")
        elif name in _SECTIONS or _REPEATED.fullmatch(name) or name.startswith(ENVIRONMENT):
            found[name] = section
        else:
            remedy = likely(name, (*_SECTIONS, "inbound:NAME", "outbound:NAME", "environment:NAME"))
            report.add(section.number, name, "is no section", remedy)
    return found


def _named(kind: str, sections: Iterable[str]) -> list[str]:
    return [name for name in sections if name.partition(":")[0] == kind.removesuffix(":")]

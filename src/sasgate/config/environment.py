"""[environment:NAME]: what ANS publishes with the file's changes, or one of the editor's own."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from attrs import evolve

from sasgate.config.ini import Section
from sasgate.config.section import Report, SectionReader, likely, likely_only
from sasgate.config.values import (
    Rejected,
    denial,
    http_url,
    list_source,
    name_pair,
    network,
    path_from,
    server_url,
)
from sasgate.environments import PRESETS, Preset, PublishedCA
from sasgate.identity import NamePair
from sasgate.settings import CAFile, Environment, Network


PREFIX = "environment:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def environment_name(known: Iterable[str]) -> Callable[[str], str]:
    """A converter to the name of a known environment."""
    names = tuple(known)

    def convert(text: str) -> str:
        if text not in names:
            raise Rejected("is no environment", likely(text, names))
        return text

    return convert


def read_environments(
    sections: Mapping[str, Section], ca: Path, report: Report
) -> dict[str, Environment]:
    """The three presets and every environment that the file adds, by name.

    `ca` is the folder of ANS's CA files, which are not looked at here.
    """
    found: dict[str, Environment] = {}
    for name, preset in PRESETS.items():
        section = sections.get(PREFIX + name, Section(PREFIX + name, None))
        found[name] = _preset(preset, SectionReader(section, report), ca)
    for title, section in sections.items():
        name = title.removeprefix(PREFIX)
        if title.startswith(PREFIX) and name not in PRESETS:
            if not _NAME.fullmatch(name):
                report.add(section.number, title, "is no name of an environment")
            found[name] = _own(name, SectionReader(section, report))
    return found


def _preset(preset: Preset, reader: SectionReader, ca: Path) -> Environment:
    for key in ("roots", "issuers"):
        reader.refuse(
            key,
            f"the CAs of {preset.name} are ANS's, pinned by their SHA-256",
            "give other CAs in an [environment:NAME] of your own",
        )
    published = Environment(
        name=preset.name,
        preset=True,
        roots=(_pinned(preset.root, ca),),
        issuers=(_pinned(preset.issuer, ca),),
        clients=(NamePair(preset.client_cn, preset.client_ou),),
        addresses=(network(preset.address),),
        deny=(),
        crl=(preset.root.crl_url, preset.issuer.crl_url),
        ocsp=preset.ocsp_url,
        ocsp_signers=(),
        url=preset.url,
        sas_roots=None,
    )
    return _with_changes(published, reader)


def _own(name: str, reader: SectionReader) -> Environment:
    reader.expect("roots", "issuers", "clients", "addresses")
    files: dict[str, tuple[CAFile, ...]] = {}
    for key in ("roots", "issuers"):
        paths = reader.words(key, path_from(reader.folder))
        if not reader.has(key):
            reason = "is missing: an environment of your own says its CAs"
            reader.reject(key, None, reason, likely_only(name, PRESETS))
        files[key] = tuple(CAFile(path, None) for path in paths)
    bare = Environment(
        name=name,
        preset=False,
        roots=files["roots"],
        issuers=files["issuers"],
        clients=(),
        addresses=(),
        deny=(),
        crl=(),
        ocsp=None,
        ocsp_signers=(),
        url=None,
        sas_roots=None,
    )
    return _with_changes(bare, reader)


def _with_changes(base: Environment, reader: SectionReader) -> Environment:
    path = path_from(reader.folder)
    changed = evolve(
        base,
        clients=tuple(dict.fromkeys((*base.clients, *reader.rows("clients", name_pair)))),
        addresses=_addresses(base, reader),
        deny=reader.rows("deny", denial),
        crl=reader.words("crl", list_source(reader.folder), base.crl),
        ocsp=reader.one("ocsp", http_url, base.ocsp),
        ocsp_signers=reader.words("ocsp_signers", path),
        url=reader.one("url", server_url, base.url),
        sas_roots=reader.one("sas_roots", path, None),
    )
    reader.finish()
    return changed


def _addresses(base: Environment, reader: SectionReader) -> tuple[Network, ...] | None:
    def network_or_any(text: str) -> Network | None:
        return None if text == "any" else network(text)

    found = reader.words("addresses", network_or_any)
    if not reader.has("addresses"):
        return base.addresses
    networks = tuple(each for each in found if each is not None)
    if len(networks) < len(found):
        if len(found) > 1:
            reader.reject("addresses", None, "`any` stands beside other addresses", "keep one")
        return None
    return networks


def _pinned(published: PublishedCA, folder: Path) -> CAFile:
    return CAFile(folder / f"{published.name}.cer", published.sha256)

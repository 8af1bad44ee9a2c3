"""The lists that the daemon keeps, each verified anew against the configuration's CAs.

What is said here is true of the bytes on disk, whether a daemon runs or not; of the daemon's own
notes only what nothing else can tell is believed: where a list came from, and what went wrong.
"""

import os
from datetime import datetime
from pathlib import Path

from attrs import field, frozen
from cryptography import x509

from sasgate.errors import ConfigError, Fault
from sasgate.identity import fingerprint
from sasgate.revocation.crl import VerifiedList, verify_into
from sasgate.revocation.export import Exportable, newest
from sasgate.revocation.plan import Plan
from sasgate.revocation.refusal import ListRefused, Refusal
from sasgate.revocation.shelf import FOLDER, Kept, Record, Shelf, open_regular
from sasgate.settings import RevocationMode, Settings
from sasgate.trust import Anchors, load_anchors
from sasgate.trusted_files import own_users


@frozen
class KeptList:
    """A list that is in force; `record` None where the daemon's note on it can't be read."""

    exportable: Exportable
    record: Record | None

    @property
    def facts(self) -> VerifiedList:
        """What it says."""
        return self.exportable.facts


@frozen
class KeptLists:
    """All that is kept for one configuration: what is in force, and what was wrong with the rest.

    `lacking` are the CAs that no list is held of.
    """

    folder: Path
    mode: RevocationMode
    plan: Plan
    lists: tuple[KeptList, ...]
    lacking: tuple[x509.Certificate, ...] = field(repr=False)
    faults: tuple[str, ...]


def kept_lists(settings: Settings, now: datetime) -> KeptLists:
    """Read and verify what the daemon of a configuration keeps, one list at a time.

    Raises:
        ConfigError: with the faults of all files of CAs.
        OSError: the folder is there, and can't be read.
    """
    plan, folder = _plan(settings), settings.state / FOLDER
    kept, faults = _on_shelf(folder)
    found: list[KeptList] = []
    for each in kept:
        try:
            exportable = _verified(each.path, plan, settings.limits.crl_size, now)
            found.append(KeptList(exportable, each.record))
        except _Unusable as error:
            faults.append(f"{each.path}: {error}")
    chosen = newest(each.exportable for each in found)
    lists = tuple(each for one in chosen for each in found if each.exportable is one)
    listed = {issuer for each in lists for issuer in each.facts.issuers}
    lacking = tuple(ca for ca in plan.authorities if fingerprint(ca) not in listed)
    return KeptLists(folder, settings.revocation.mode, plan, lists, lacking, tuple(faults))


def _on_shelf(folder: Path) -> tuple[list[Kept], list[str]]:
    try:
        # Whoever runs this, the daemon's notes belong to the daemon's user.
        return Shelf(folder, own_users() | {folder.stat().st_uid}).read()
    except FileNotFoundError:
        return [], []


def _plan(settings: Settings) -> Plan:
    anchors: dict[str, Anchors] = {}
    faults: list[Fault] = []
    for environment in settings.environments:
        try:
            anchors[environment] = load_anchors(settings, environment)
        except ConfigError as error:
            faults.extend(error.faults)
    if faults:
        raise ConfigError(*faults)
    return Plan.of(settings, anchors)


class _Unusable(Exception):
    """A kept file that is no list of the configuration; says why."""


def _verified(path: Path, plan: Plan, longest: int, now: datetime) -> Exportable:
    try:
        with open_regular(path, os.O_NOFOLLOW) as file:
            data = file.read(longest + 1)
    except OSError as error:
        raise _Unusable(error.strerror) from error
    if len(data) > longest:
        raise _Unusable(f"has more than {longest} bytes ([limits] crl_size)")
    try:
        facts = verify_into(lambda _: None, data, plan.authorities, now)
    except ListRefused as refused:
        if refused.kind is Refusal.WRONG_ISSUER:
            raise _Unusable(f"of no CA of this configuration: {refused.detail}") from refused
        raise _Unusable(str(refused)) from refused
    authority = next(ca for ca in plan.authorities if fingerprint(ca) in facts.issuers)
    return Exportable(authority, facts, path)

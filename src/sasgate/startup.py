"""A configuration and all that it names, read and checked as a whole, at start and reload."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sasgate.availability import not_yet_available
from sasgate.config import load
from sasgate.errors import ConfigError
from sasgate.generation import Trust, load_trust
from sasgate.settings import Listen, RevocationMode, Settings


def load_all(path: str | Path, now: datetime) -> tuple[Settings, Trust]:
    """The settings of a file, with what it names on disk; `now` is aware.

    Raises:
        ConfigError: with every fault of the file and of the others.
    """
    settings = load(path)
    missing = not_yet_available(settings)
    try:
        trust = load_trust(settings, now)
    except ConfigError as error:
        raise ConfigError(*missing, *error.faults) from None
    if missing:
        raise ConfigError(*missing)
    return settings, trust


def only_at_restart(old: Settings, new: Settings) -> None:
    """Refuse what a running gateway cannot take up yet.

    Raises:
        ConfigError: naming what has changed and needs a restart.
    """
    faults = [
        new.fault(section, key, shown, "changed: it is taken up at a restart only", _RESTART)
        for section, key, shown in _changed(old, new)
    ]
    if faults:
        raise ConfigError(*faults)


_RESTART = "run: systemctl restart sasgate"


def _changed(old: Settings, new: Settings) -> Iterator[tuple[str, str, object]]:
    if old.state != new.state:
        yield "sasgate", "state", new.state
    if old.limits != new.limits:
        yield "limits", "", "its values"
    if old.log != new.log:
        yield "log", "", "its values"
    before, after = _endpoints(old), _endpoints(new)
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            yield name, "listen", " ".join(map(str, after.get(name, ())))
    off = RevocationMode.OFF
    if (old.revocation.mode is off) != (new.revocation.mode is off):
        yield "revocation", "mode", new.revocation.mode.value
    for key in _LIVING:
        if getattr(old.revocation, key) != getattr(new.revocation, key):
            yield "revocation", key, getattr(new.revocation, key)


def _endpoints(settings: Settings) -> dict[str, tuple[Listen, ...]]:
    inbounds = {each.name: each.listen for each in settings.inbounds}
    return inbounds | {each.name: each.listen for each in settings.outbounds}


# What the clients of lists and OCSP were made with.
_LIVING = ("proxy", "ocsp_hash", "ocsp_nonce")

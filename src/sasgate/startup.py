"""A configuration and all that it names, read and checked as a whole, at start and reload."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sasgate.config import load
from sasgate.errors import ConfigError
from sasgate.generation import Trust, load_trust
from sasgate.settings import RevocationMode, Settings


def load_all(path: str | Path, now: datetime) -> tuple[Settings, Trust]:
    """The settings of a file, with what it names on disk; `now` is aware.

    Raises:
        ConfigError: with every fault of the file and of the others.
    """
    settings = load(path)
    return settings, load_trust(settings, now)


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
    if old.log.format is not new.log.format:
        yield "log", "format", new.log.format.value
    off = RevocationMode.OFF
    if (old.revocation.mode is off) != (new.revocation.mode is off):
        yield "revocation", "mode", new.revocation.mode.value

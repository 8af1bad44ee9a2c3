"""Gateways for tests of their HTTP side: configurations in a few words, and their processes."""

from collections.abc import Mapping
from configparser import ConfigParser
from pathlib import Path

from processes import GatewayProcess
from sasgate.environments import PREPRODUCTION, RECETTE
from sasgate.lab import trees
from sasgate.lab.pki import Lab


Section = Mapping[str, object]


def gateway(
    lab: Lab,
    folder: Path,
    inbound: Section,
    *,
    limits: Section | None = None,
    more: Mapping[str, Section] | None = None,
    addresses: str = "127.0.0.1",
) -> GatewayProcess:
    """A gateway for the lab's recette and preproduction, to be entered.

    `inbound` holds what is particular to [inbound], a `backend` mostly; `more` are further
    listeners by the second half of their names; all listen on free ports of 127.0.0.1.
    """
    certificate, key = lab.server_paths()
    common: Section = {
        "environment": "lab-recette lab-preproduction",
        "listen": "tcp:0:interface=127.0.0.1",
        "certificate": certificate,
        "key": key,
    }
    sections: dict[str, Section] = {
        "sasgate": {"state": folder / "state", "ca": lab.directory / "ca"},
        "inbound": {**common, **inbound},
        **{f"inbound:{name}": {**common, **section} for name, section in (more or {}).items()},
        "revocation": {"mode": "off"},
        "limits": limits or {},
        **{
            f"environment:lab-{preset.name}": {
                "roots": lab.ca_path(trees.ROOT_TEST),
                "issuers": lab.ca_path(trees.ORG_TEST),
                "clients": f"CN={preset.client_cn},OU={preset.client_ou}",
                "addresses": addresses,
            }
            for preset in (RECETTE, PREPRODUCTION)
        },
    }
    return GatewayProcess(_written(folder / "sasgate.ini", sections))


def _written(path: Path, sections: Mapping[str, Section]) -> Path:
    ini = ConfigParser(interpolation=None, delimiters=("=",))
    ini.read_dict(
        {
            name: {key: str(value) for key, value in section.items()}
            for name, section in sections.items()
        }
    )
    with path.open("w", encoding="utf-8") as file:
        ini.write(file)
    return path


def resident(process: GatewayProcess, field: str = "VmRSS") -> int:
    """Memory of a process in bytes: `VmRSS` now, `VmHWM` at its highest so far."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    (line,) = (each for each in status.splitlines() if each.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024

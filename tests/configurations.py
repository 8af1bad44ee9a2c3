"""Configurations to be changed by tests."""

from pathlib import Path

import pytest

from sasgate.config import load
from sasgate.errors import ConfigError, Fault


INBOUND = """\
[sasgate]
environment = recette
[inbound]
listen = tcp:443
certificate = server.pem
backend = http://127.0.0.1:8080
"""

OWN = """\
[inbound]
environment = own
listen = tcp:443
certificate = server.pem
backend = http://127.0.0.1:8080
[revocation]
mode = off
[environment:own]
roots = root.cer
issuers = issuer.cer
clients = CN=a,OU=1
addresses = any
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "gate.ini"
    path.write_text(text, "utf-8")
    return path


def faults_in(folder: Path, text: str) -> tuple[Fault, ...]:
    """The faults of a configuration that must be refused."""
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text))
    return caught.value.faults


def fault_in(folder: Path, text: str) -> Fault:
    """The one fault of a configuration that must be refused for one reason only."""
    faults = faults_in(folder, text)
    assert len(faults) == 1, "\n".join(map(str, faults))
    return faults[0]


def line_of(text: str, start: str) -> int:
    """The number of the one line that starts with `start`."""
    numbers = [
        number for number, line in enumerate(text.splitlines(), 1) if line.strip().startswith(start)
    ]
    assert len(numbers) == 1, numbers
    return numbers[0]

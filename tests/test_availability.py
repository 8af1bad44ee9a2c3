"""What this version cannot do yet is refused, never ignored."""

from pathlib import Path

import pytest

from configurations import INBOUND, OWN, line_of, write
from sasgate.availability import not_yet_available
from sasgate.config import load


OFF = INBOUND + "[revocation]\nmode = off\n"


def asked(tmp_path: Path, text: str) -> list[tuple[str | None, str | None, int | None]]:
    faults = not_yet_available(load(write(tmp_path, text)))
    assert all("not available yet" in fault.reason for fault in faults)
    assert all(fault.remedy for fault in faults)
    return [(fault.section, fault.key, fault.line) for fault in faults]


@pytest.mark.parametrize("text", [INBOUND, OFF, OWN])
def test_inbound_can_run(tmp_path: Path, text: str) -> None:
    assert asked(tmp_path, text) == []


@pytest.mark.parametrize("mode", ["crl", "ocsp", "crl-or-ocsp", "crl-and-ocsp"])
def test_so_can_every_mode_of_revocation(tmp_path: Path, mode: str) -> None:
    assert asked(tmp_path, OFF.replace("= off", f"= {mode}")) == []


def test_so_can_outbound(tmp_path: Path) -> None:
    text = OFF + "[limits]\noutbound_answer = 9\n[outbound]\nlisten = unix:out\ncertificate = a\n"
    assert asked(tmp_path, text) == []


def test_admin(tmp_path: Path) -> None:
    text = OFF.replace("[inbound]", "admin = unix:admin\n[inbound]")
    assert asked(tmp_path, text) == [("sasgate", "admin", line_of(text, "admin"))]

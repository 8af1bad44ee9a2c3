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


@pytest.mark.parametrize("text", [OFF, OWN])
def test_inbound_without_revocation_can_run(tmp_path: Path, text: str) -> None:
    assert asked(tmp_path, text) == []


def test_the_default_mode_protects_and_is_not_ignored(tmp_path: Path) -> None:
    assert asked(tmp_path, INBOUND) == [("revocation", "mode", None)]


@pytest.mark.parametrize("mode", ["crl", "ocsp", "crl-or-ocsp", "crl-and-ocsp"])
def test_a_mode_that_was_asked_for(tmp_path: Path, mode: str) -> None:
    text = OFF.replace("= off", f"= {mode}")
    assert asked(tmp_path, text) == [("revocation", "mode", line_of(text, "mode"))]


@pytest.mark.parametrize("name", ["outbound", "outbound:b"])
def test_outbound(tmp_path: Path, name: str) -> None:
    text = f"{OFF}[{name}]\nlisten = unix:out\ncertificate = acme.pem\n"
    assert asked(tmp_path, text) == [(name, "listen", line_of(text, "listen = unix"))]


def test_admin(tmp_path: Path) -> None:
    text = OFF.replace("[inbound]", "admin = unix:admin\n[inbound]")
    assert asked(tmp_path, text) == [("sasgate", "admin", line_of(text, "admin"))]


@pytest.mark.parametrize(
    "line", ["crl = http://l.example/", "ocsp = http://o.example/", "ocsp_signers = x.pem"]
)
def test_key_of_an_environment(tmp_path: Path, line: str) -> None:
    text = f"{OFF}[environment:recette]\n{line}\n"
    key = line.partition(" ")[0]
    assert asked(tmp_path, text) == [("environment:recette", key, line_of(text, key))]


@pytest.mark.parametrize(
    "line",
    ["refresh = 30m", "when_unknown = admit", "admit_for = 4h", "proxy = p.example:3128",
     "ocsp_hash = sha256", "ocsp_nonce = yes", "export_pem = x.pem", "export_hash_dir = x"],
)  # fmt: skip
def test_key_of_revocation(tmp_path: Path, line: str) -> None:
    text = f"{OFF}{line}\n"
    key = line.partition(" ")[0]
    assert asked(tmp_path, text) == [("revocation", key, line_of(text, key))]


@pytest.mark.parametrize("key", ["outbound_answer", "crl_time", "ocsp_time", "ocsp_cache"])
def test_limit_of_what_is_not_there(tmp_path: Path, key: str) -> None:
    text = f"{OFF}[limits]\n{key} = 2\n"
    assert asked(tmp_path, text) == [("limits", key, line_of(text, key))]


def test_other_limits_and_keys_are_in_force(tmp_path: Path) -> None:
    text = OFF + "[limits]\nanswer = 2\n[environment:recette]\naddresses = any\n"
    assert asked(tmp_path, text) == []


def test_everything_is_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        INBOUND.replace("[inbound]", "admin = unix:admin\n[inbound]")
        + "[limits]\ncrl_time = 9\n[outbound]\nlisten = unix:out\ncertificate = acme.pem\n"
    )
    assert [section for section, _, _ in asked(tmp_path, text)] == [
        "sasgate",
        "limits",
        "outbound",
        "revocation",
    ]

"""SIGHUP and `sasgate reload`: everything is taken up, or nothing (S54, S55, S56)."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from calling import SLOT, answered, platform
from processes import BackendProcess, GatewayProcess, write_ini
from sasgate.lab.pki import Lab


COMMAND = (sys.executable, "-c", "from sasgate.commands import main; main()")


def reload(ini: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "reload", "--config", str(ini)], capture_output=True, text=True, check=False
    )


def change(ini: Path, old: str, new: str) -> None:
    text = ini.read_text()
    assert old in text
    ini.write_text(text.replace(old, new, 1))


@pytest.fixture
def ini(lab: Lab, backend: BackendProcess, tmp_path: Path) -> Path:
    return write_ini(lab, tmp_path, backend.url)


@pytest.fixture
def gateway(ini: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(ini) as process:
        yield process


class TestReload:
    def test_it_says_that_it_is_in_force(self, ini: Path, gateway: GatewayProcess) -> None:
        done = reload(ini)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"{ini} is in force" in done.stdout

    def test_a_fault_is_told_and_everything_stays(
        self, lab: Lab, ini: Path, gateway: GatewayProcess
    ) -> None:
        """S56."""
        change(ini, "backend =", "bakend =")
        done = reload(ini)
        assert done.returncode == 1
        assert "bakend" in done.stderr
        assert "What was in force before still is." in done.stderr
        assert answered(platform(lab, gateway.port()).send(SLOT)).status == 200

    def test_s55_a_key_of_another_certificate_is_refused(
        self, lab: Lab, ini: Path, gateway: GatewayProcess
    ) -> None:
        shutil.copy(lab.editor_path("ACME_TEST"), ini.parent / "server.key")
        done = reload(ini)
        assert done.returncode == 1
        assert "does not belong to the certificate" in done.stderr
        assert answered(platform(lab, gateway.port()).send(SLOT)).status == 200

    def test_a_listener_more_and_one_less(
        self, lab: Lab, ini: Path, gateway: GatewayProcess
    ) -> None:
        before = gateway.port()
        text = ini.read_text()
        head, _, tail = text.partition("[inbound:production]")
        section, _, rest = tail.partition("\n\n")
        ini.write_text(head + "[inbound:new]" + section + "\n\n" + rest)
        assert reload(ini).returncode == 0
        assert gateway.port() == before
        gateway.wait_for(r"inbound:new admits lab-production")
        assert answered(platform(lab, before).send(SLOT)).status == 200

    def test_a_port_that_cannot_be_opened_changes_nothing(
        self, lab: Lab, ini: Path, gateway: GatewayProcess
    ) -> None:
        taken = gateway.port()
        append = ini.read_text().partition("[inbound:production]")[2].partition("\n\n")[0]
        more = append.replace("tcp:0:", f"tcp:{taken}:")
        ini.write_text(ini.read_text() + f"\n[inbound:more]{more}\n")
        done = reload(ini)
        assert done.returncode == 1
        assert "another server has it" in done.stderr
        assert answered(platform(lab, taken).send(SLOT)).status == 200

    def test_who_is_no_client_any_more_is_refused_at_once(
        self, lab: Lab, ini: Path, gateway: GatewayProcess
    ) -> None:
        with platform(lab, gateway.port()).dial() as stream:
            request = b"GET /check HTTP/1.1\r\nHost: x\r\n\r\n"
            stream.sendall(request)
            assert b" 200 " in stream.recv(4096)
            change(ini, "OU=499700234190004", "OU=499700234190005")
            assert reload(ini).returncode == 0
            assert stream.recv(4096) == b""
        assert answered(platform(lab, gateway.port()).send(SLOT)).status == 403

    def test_what_only_a_restart_takes_up_is_named(
        self, ini: Path, gateway: GatewayProcess
    ) -> None:
        change(ini, "state = state", "state = elsewhere")
        gateway.send_signal(signal.SIGHUP)
        gateway.wait_for("reload refused: .*state.*at a restart only")

    def test_without_a_daemon_it_fails(self, ini: Path) -> None:
        done = reload(ini)
        assert done.returncode == 1
        assert done.stdout == ""
        assert "Traceback" not in done.stderr

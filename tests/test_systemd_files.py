"""What is in systemd/ and the journal's examples in etc/, asked of systemd's own tools (S57)."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from openssl import program
from processes import CHECKOUT


SYSTEMD = CHECKOUT / "systemd"
UNIT = SYSTEMD / "sasgate.service"


def said(*command: object) -> tuple[int, str]:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def settings(path: Path) -> list[str]:
    lines = path.read_text("ascii").splitlines()
    return [line for line in lines if line and line[0] not in "#["]


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Path]:
    """A root with the unit, and the programs that it names."""
    units, programs = tmp_path / "etc/systemd/system", tmp_path / "opt/sasgate/bin"
    units.mkdir(parents=True)
    programs.mkdir(parents=True)
    for name in ("twistd", "sasgate"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    for path in SYSTEMD.glob("sasgate.*"):
        text = path.read_text().replace("/opt/sasgate/bin/", f"{programs}/")
        (units / path.name).write_text(text)
    return units


class TestUnit:
    @pytest.mark.parametrize("name", ["sasgate.service", "sasgate.socket"])
    def test_systemd_finds_no_fault(self, installed: Path, name: str) -> None:
        analyze = program("systemd-analyze")
        assert said(analyze, "verify", "--man=no", installed / name) == (0, "")

    def test_its_exposure_is_no_more_than_it_must_be(self) -> None:
        code, text = said(program("systemd-analyze"), "security", "--offline=true", UNIT)
        found = re.search(r"Overall exposure level for sasgate.service: ([\d.]+)", text)
        assert code == 0
        assert found is not None, text
        assert float(found[1]) <= 1.5

    def test_what_would_break_it_is_off_with_the_reason(self) -> None:
        """OpenSSL's callbacks need memory to execute; low ports need the host's user namespace."""
        assert "MemoryDenyWriteExecute=no" in settings(UNIT)
        assert not [line for line in settings(UNIT) if line.startswith("PrivateUsers")]
        text = UNIT.read_text()
        assert re.search(r"# No MemoryDenyWriteExecute: [^\n]*cffi", text)
        assert re.search(r"# No PrivateUsers: [^\n]*\n?[^\n]*CAP_NET_BIND_SERVICE", text)

    def test_a_core_is_not_written(self) -> None:
        """S57."""
        assert "LimitCORE=0" in settings(UNIT)

    def test_a_fault_that_only_a_person_mends_is_not_tried_again(self) -> None:
        lines = settings(UNIT)
        assert {"Type=notify", "Restart=on-failure", "RestartPreventExitStatus=1"} <= set(lines)
        assert "LimitNOFILE=65536" in lines

    def test_a_reload_is_waited_for(self) -> None:
        (line,) = [each for each in settings(UNIT) if each.startswith("ExecReload=")]
        assert line.endswith("bin/sasgate reload --config /etc/sasgate/prod.ini")


class TestFolders:
    def test_the_user_can_be_made(self, tmp_path: Path) -> None:
        tool = program("systemd-sysusers")
        code, text = said(tool, "--dry-run", f"--root={tmp_path}", SYSTEMD / "sysusers.conf")
        assert code == 0, text
        assert "sasgate" in text

    def test_the_folders_can_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nsasgate:x:0:0::/:/bin/sh\n")
        (tmp_path / "etc/group").write_text("root:x:0:\nsasgate:x:0:\n")
        tool = program("systemd-tmpfiles")
        code, text = said(tool, "--create", f"--root={tmp_path}", SYSTEMD / "tmpfiles.conf")
        assert (code, text) == (0, "")
        assert (tmp_path / "etc/sasgate").stat().st_mode & 0o777 == 0o750
        assert (tmp_path / "var/lib/sasgate-lists").is_dir()


class TestJournal:
    def test_systemd_knows_every_line(self, installed: Path) -> None:
        folder = installed / "sasgate.service.d"
        folder.mkdir()
        shutil.copy(CHECKOUT / "etc/sasgate-journal.conf", folder / "journal.conf")
        command = (program("systemd-analyze"), "verify", "--man=no", installed / "sasgate.service")
        assert said(*command) == (0, "")

    def test_nothing_is_lost_to_a_burst_and_a_year_is_kept(self) -> None:
        lines = settings(CHECKOUT / "etc/journald-sasgate.conf")
        assert {"Storage=persistent", "RateLimitIntervalSec=0", "MaxRetentionSec=1year"} <= set(
            lines
        )

    def test_logrotate_takes_its_file(self, tmp_path: Path) -> None:
        """Debug mode reads all of it and changes nothing."""
        text = (CHECKOUT / "etc/logrotate-sasgate").read_text()
        log = tmp_path / "log"
        log.write_text("line\n")
        own = tmp_path / "logrotate"
        own.write_text(
            text.replace("/var/log/sasgate/log", str(log)).replace("su sasgate sasgate", "")
        )
        own.chmod(0o644)
        state = tmp_path / "state"
        code, text = said(program("logrotate"), "--debug", "--state", state, own)
        assert code == 0, text
        assert "error" not in text
        assert "Handling 1 logs" in text

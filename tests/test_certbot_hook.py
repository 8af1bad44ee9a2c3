"""etc/certbot-deploy-hook: a renewed certificate is copied, for the service only, and taken up."""

import os
import shutil
import signal
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from calling import platform
from processes import CHECKOUT, PATIENCE, BackendProcess, GatewayProcess, environment, write_ini
from sasgate.lab.pki import Lab


HOOK = CHECKOUT / "etc/certbot-deploy-hook"


@frozen
class Host:
    """A gateway with the files that the hook changes, and what certbot has renewed."""

    ini: Path
    lineage: Path

    @property
    def folder(self) -> Path:
        return self.ini.parent

    def renewed(self, **more: str) -> subprocess.CompletedProcess[str]:
        """What certbot gets to see of its hook."""
        command = self.folder / "sasgate"
        command.write_text(
            f"#!/bin/sh\nexec {sys.executable} -c"
            " 'from sasgate.commands import main; main()' \"$@\"\n"
        )
        command.chmod(0o755)
        settings = {
            "RENEWED_LINEAGE": str(self.lineage),
            "SASGATE_CONFIG": str(self.ini),
            "SASGATE_FOLDER": str(self.folder),
            "SASGATE_COMMAND": str(command),
            "SASGATE_GROUP": str(os.getgid()),
        }
        return subprocess.run(
            [HOOK],
            env=environment({**settings, **more}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )


def shown(lab: Lab, port: int) -> bytes:
    """The certificate that a gateway shows."""
    with platform(lab, port).dial() as stream:
        der = stream.tls.getpeercert(binary_form=True)
    assert der is not None
    return der


@pytest.fixture
def host(lab: Lab, backend: BackendProcess, tmp_path: Path) -> Host:
    ini = write_ini(lab, tmp_path / "etc", backend.url)
    lineage = tmp_path / "live" / "gateway.example"
    lineage.mkdir(parents=True)
    certificate, key = lab.server_paths("stapling")
    shutil.copy(certificate, lineage / "fullchain.pem")
    shutil.copy(key, lineage / "privkey.pem")
    return Host(ini, lineage)


@pytest.fixture
def gateway(host: Host) -> Iterator[GatewayProcess]:
    with GatewayProcess(host.ini) as process:
        yield process


class TestRenewal:
    def test_the_next_caller_sees_the_new_certificate(
        self, lab: Lab, host: Host, gateway: GatewayProcess
    ) -> None:
        """S54."""
        before = shown(lab, gateway.port())
        done = host.renewed()
        assert (done.returncode, done.stderr) == (0, "")
        assert shown(lab, gateway.port()) != before

    def test_others_cannot_read_the_key(self, host: Host, gateway: GatewayProcess) -> None:
        """S57."""
        (host.lineage / "privkey.pem").chmod(0o644)
        assert host.renewed().returncode == 0
        for name in ("server.key", "server.pem"):
            assert stat.S_IMODE((host.folder / name).stat().st_mode) == 0o640

    def test_nothing_is_left_aside(self, host: Host, gateway: GatewayProcess) -> None:
        host.renewed()
        assert list(host.folder.glob(".*")) == []
        assert (host.folder / "server.key.before").exists()


class TestRefusal:
    def test_a_key_of_another_certificate_fails_and_the_old_one_serves_on(
        self, lab: Lab, host: Host, gateway: GatewayProcess
    ) -> None:
        """S55."""
        before = shown(lab, gateway.port())
        shutil.copy(lab.editor_path("ACME_TEST"), host.lineage / "privkey.pem")
        done = host.renewed()
        assert done.returncode == 1
        assert "does not belong to the certificate" in done.stderr
        assert "the old certificate stays" in done.stderr
        assert shown(lab, gateway.port()) == before
        # Nor does the next start stumble over it.
        assert gateway.stop() == -signal.SIGTERM
        with GatewayProcess(host.ini) as again:
            assert shown(lab, again.port()) == before

    def test_without_a_daemon_it_fails_and_the_next_start_has_it(
        self, lab: Lab, host: Host
    ) -> None:
        done = host.renewed()
        assert done.returncode == 1
        assert "is the daemon running?" in done.stderr
        with GatewayProcess(host.ini) as process:
            pem = (host.lineage / "fullchain.pem").read_text()
            assert ssl.DER_cert_to_PEM_cert(shown(lab, process.port())) in pem

    def test_an_empty_file_is_not_copied(self, host: Host) -> None:
        (host.lineage / "privkey.pem").write_bytes(b"")
        before = (host.folder / "server.pem").read_bytes()
        done = host.renewed()
        assert done.returncode == 1
        assert "privkey.pem is missing or empty" in done.stderr
        assert (host.folder / "server.pem").read_bytes() == before

    def test_outside_of_certbot_it_does_nothing(self, host: Host) -> None:
        done = host.renewed(RENEWED_LINEAGE="")
        assert done.returncode == 1
        assert "certbot sets it" in done.stderr

    def test_another_name_of_the_host_is_not_ours(self, host: Host) -> None:
        before = (host.folder / "server.pem").read_bytes()
        assert host.renewed(SASGATE_NAME="other.example").returncode == 0
        assert (host.folder / "server.pem").read_bytes() == before

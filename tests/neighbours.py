"""nginx and Apache as neighbours: they ask for IGC Santé's certificates and read exported lists."""

import os
import re
import select
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.peers import frames
from bench.peers.programs import authorities
from openssl import curl
from processes import PATIENCE, LoggedProcess, environment, free_port
from sasgate.lab.pki import Lab
from sasgate.lab.processes import NotReady


REVOKED = "certificate revoked"


class Neighbour:
    """A server that answers 200 with `admitted` to whom it trusts."""

    def __init__(self, lab: Lab, process: LoggedProcess, port: int) -> None:
        self._lab = lab
        self.process = process
        self._port = port

    def admits(self, client: str) -> bool:
        """Whether a client is answered; both TLS versions must say the same."""
        said = {
            "admitted" in curl(self._lab, f"https://localhost:{self._port}/hello", *option,
                               client=client)
            for option in (("--tls-max", "1.2"), ("--tlsv1.3",))
        }  # fmt: skip
        assert len(said) == 1
        return said.pop()

    def refuses_as(self, client: str, reason: str) -> bool:
        """Whether a client is refused, and the server's own log says `reason` of it."""
        before = len(self.process.lines)
        admitted = self.admits(client)
        # It logs on a thread of control of its own.
        return not admitted and bool(self.process.wait_for(re.escape(reason), after=before))

    def reload(self) -> None:
        """As `systemctl reload` does; returns when nobody is left who has the old lists."""
        raise NotImplementedError

    def _reload_by(self, number: signal.Signals, ready: str) -> None:
        old = [os.pidfd_open(child) for child in self._children()]
        assert old
        before = len(self.process.lines)
        self.process.send_signal(number)
        self.process.wait_for(ready, after=before)
        for each in old:
            ended, _, _ = select.select([each], [], [], PATIENCE)
            os.close(each)
            assert ended, self.process.log

    def _children(self) -> list[int]:
        pid = self.process.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class NginxNeighbour(Neighbour):
    def reload(self) -> None:
        self._reload_by(signal.SIGHUP, "start worker process ")


class ApacheNeighbour(Neighbour):
    def reload(self) -> None:
        self._reload_by(signal.SIGUSR1, "resuming normal operations")


_NGINX = """\
    access_log off;
    error_log stderr info;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_client_certificate {cas};
        ssl_verify_client on;
        ssl_verify_depth 2;
        ssl_crl {lists};
        location / {{ return 200 'admitted'; }}
    }}
"""


@contextmanager
def nginx(lab: Lab, lists: Path, folder: Path) -> Iterator[NginxNeighbour]:
    """nginx with `ssl_crl`; its own files are in `folder`."""
    program, port = installed("nginx"), free_port()
    certificate, key = lab.server_paths()
    http = _NGINX.format(
        port=port, certificate=certificate, key=key, lists=lists, cas=authorities(lab, folder)
    )
    command = frames.nginx(program, folder, http, connections=64)
    with LoggedProcess(command, folder, environment()) as process:
        process.wait_for("start worker process ")
        yield NginxNeighbour(lab, process, port)


_APACHE = """\
LogLevel info
StartServers 1
Listen 127.0.0.1:{port}
DocumentRoot site
SSLEngine on
SSLCertificateFile {certificate}
SSLCertificateKeyFile {key}
SSLCACertificateFile {cas}
SSLVerifyClient require
SSLVerifyDepth 2
SSLCARevocationPath {lists}
SSLCARevocationCheck chain
"""


@contextmanager
def apache(lab: Lab, lists: Path, folder: Path) -> Iterator[ApacheNeighbour]:
    """Apache with `SSLCARevocationPath`; its own files are in `folder`.

    Its children look into both folders, as a user of their own where the tests are root's.
    """
    port = free_port()
    (folder / "site").mkdir()
    (folder / "site" / "hello").write_text("admitted")
    certificate, key = lab.server_paths()
    directives = _APACHE.format(
        port=port, certificate=certificate, key=key, lists=lists, cas=authorities(lab, folder)
    )
    command = apache_command(folder, ("mpm_event", "authz_core", "ssl"), directives)
    with LoggedProcess(command, folder, environment()) as process:
        process.wait_for("resuming normal operations")
        yield ApacheNeighbour(lab, process, port)


def apache_command(folder: Path, modules: tuple[str, ...], directives: str) -> tuple[object, ...]:
    """As `frames.apache`; skips where there is no Apache, or it has no TLS."""
    try:
        return frames.apache(installed("apache2"), folder, modules, directives)
    except NotReady as missing:
        pytest.skip(str(missing))


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can look into, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="sasgate-neighbour-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def installed(name: str) -> str:
    """The path of a server's program; skips where it is absent."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    return path

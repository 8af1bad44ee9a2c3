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

from openssl import curl
from processes import PATIENCE, LoggedProcess, environment, free_port
from sasgate.lab import trees
from sasgate.lab.authority import pem_of
from sasgate.lab.pki import Lab


REVOKED = "certificate revoked"
_MODULES = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/libexec/apache2")


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
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr info;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    access_log off;
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
}}
"""


@contextmanager
def nginx(lab: Lab, lists: Path, folder: Path) -> Iterator[NginxNeighbour]:
    """nginx with `ssl_crl`; its own files are in `folder`."""
    program = installed("nginx")
    port, config = free_port(), folder / "nginx.conf"
    certificate, key = lab.server_paths()
    config.write_text(
        _NGINX.format(folder=folder, port=port, certificate=certificate, key=key, lists=lists,
                      cas=igc_bundle(lab, folder))
    )  # fmt: skip
    command = (program, "-c", config, "-e", "stderr", "-p", folder)
    with LoggedProcess(command, folder, environment()) as process:
        process.wait_for("start worker process ")
        yield NginxNeighbour(lab, process, port)


_APACHE = """\
{modules}
ServerRoot {folder}
ServerName localhost
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
{user}
ErrorLog /dev/stderr
LogLevel info
StartServers 1
Listen 127.0.0.1:{port}
DocumentRoot {folder}/site
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
    program, port = installed("apache2"), free_port()
    (folder / "site").mkdir()
    (folder / "site" / "hello").write_text("admitted")
    certificate, key = lab.server_paths()
    (folder / "apache.conf").write_text(
        _APACHE.format(
            modules=apache_modules("mpm_event", "authz_core", "ssl"),
            user="User #65534\nGroup #65534" if os.geteuid() == 0 else "",
            folder=folder, port=port, certificate=certificate, key=key, lists=lists,
            cas=igc_bundle(lab, folder),
        )
    )  # fmt: skip
    command = (program, "-f", folder / "apache.conf", "-DFOREGROUND")
    with LoggedProcess(command, folder, environment()) as process:
        process.wait_for("resuming normal operations")
        yield ApacheNeighbour(lab, process, port)


def apache_modules(*names: str) -> str:
    """The lines that load Apache's modules; skips where it has no TLS."""
    folder = next((each for each in map(Path, _MODULES) if (each / "mod_ssl.so").is_file()), None)
    if folder is None:
        pytest.skip("Apache's mod_ssl is not installed: apt-get install apache2")
    return "\n".join(f"LoadModule {each}_module {folder}/mod_{each}.so" for each in names)


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


def igc_bundle(lab: Lab, folder: Path) -> Path:
    """A file with both CAs of test certificates, as PEM."""
    pem = folder / "cas.pem"
    authorities = (lab.authorities[each] for each in (trees.ROOT_TEST, trees.ORG_TEST))
    pem.write_bytes(pem_of(tuple(each.certificate for each in authorities)))
    return pem

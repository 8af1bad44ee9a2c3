"""The servers that are measured: processes of their own on 127.0.0.1, in front of one backend."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen
from OpenSSL import SSL

from bench.client import Caller
from sasgate.environments import RECETTE
from sasgate.lab import trees
from sasgate.lab.authority import pem_of
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Child, Ending, NotReady


PATIENCE = 300.0
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")


@frozen(eq=False)
class Contender:
    """A server; `openssl` is the version that it runs with, `log` what it writes."""

    name: str
    openssl: str
    process: Child = field(repr=False)
    port: int

    @property
    def pid(self) -> int:
        return self.process.pid

    def caller(self, lab: Lab, client: str = RECETTE.name) -> Caller:
        """One of the lab's clients who calls this server, with the leaf alone, as SAS does."""
        return Caller.of(self.port, lab.public_root, lab.path_of(client))


@contextmanager
def backend(folder: Path, ending: Ending) -> Iterator[int]:
    """The server behind; its port."""
    command = (sys.executable, "-m", "bench.backend")
    with running("backend", command, folder / "backend.log", ending) as process:
        yield int(process.wait_for(r"^\d+$", ending, PATIENCE)[0])


_INI = """\
[sasgate]
state = state
ca = {ca}
[inbound]
environment = bench
listen = tcp:0:interface=127.0.0.1
certificate = {certificate}
key = {key}
backend = http://127.0.0.1:{backend}
[revocation]
mode = crl
[limits]
crl_size = {crl_size}
[environment:bench]
roots = {root}
issuers = {issuer}
clients = CN={cn},OU={ou}
addresses = 127.0.0.1
crl = {lists}
"""


@contextmanager
def gateway(
    lab: Lab, lists: tuple[Path, ...], backend_port: int, folder: Path, ending: Ending
) -> Iterator[Contender]:
    """A real `twistd sasgate`, once the lists in those files (DER) are in force."""
    folder.mkdir(parents=True)
    certificate, key = lab.server_paths()
    text = _INI.format(
        ca=lab.directory / "ca",
        certificate=certificate,
        key=key,
        backend=backend_port,
        crl_size=256 << 20,
        root=lab.ca_path(trees.ROOT_TEST),
        issuer=lab.ca_path(trees.ORG_TEST),
        cn=RECETTE.client_cn,
        ou=RECETTE.client_ou,
        lists=" ".join(map(str, lists)),
    )
    (folder / "sasgate.ini").write_text(text, "utf-8")
    command = (*TWISTD, "--nodaemon", "--pidfile=", "sasgate", "-c", folder / "sasgate.ini")
    with running("sasgate", command, folder / "log", ending) as process:
        port = process.wait_for(r"inbound listens on \S+ at 127\.0\.0\.1:(\d+)", ending, PATIENCE)
        process.wait_for(r"sasgate \S+ serves ", ending, PATIENCE)
        yield Contender("sasgate", openssl_of_gateway(), process, int(port[1]))


# What the guide shows (5.9), as one who wants it fast and safe would have it: each request has the
# headers and the line of log that it has with sasgate, no session is resumed, and connections to
# the server behind are kept.
_NGINX = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    access_log {folder}/access.log;
    map $ssl_client_s_dn $client_cn {{ default ""; ~CN=(?<CN>[^\\,]+) $CN; }}
    map $ssl_client_s_dn $client_ou {{ default ""; ~OU=(?<OU>[^\\,]+) $OU; }}
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 8; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache off;
        ssl_session_tickets off;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_client_certificate {cas};
        ssl_verify_client optional;
        ssl_verify_depth 2;
        ssl_crl {lists};
        if ($ssl_client_verify != SUCCESS) {{ return 401; }}
        if ($client_cn != "{cn}") {{ return 403; }}
        if ($client_ou != "{ou}") {{ return 403; }}
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-SSL-Client-Verify $ssl_client_verify;
            proxy_set_header X-SSL-Client-CN $client_cn;
            proxy_set_header X-SSL-Client-OU $client_ou;
            proxy_set_header X-SSL-Client-S-DN $ssl_client_s_dn;
            proxy_set_header X-SSL-Client-I-DN $ssl_client_i_dn;
            proxy_set_header X-SSL-Client-Serial $ssl_client_serial;
            proxy_set_header X-SAS-Environment bench;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Request-ID $request_id;
            proxy_set_header Client-Cert $ssl_client_escaped_cert;
        }}
    }}
}}
"""


@contextmanager
def nginx(
    lab: Lab, lists: Path, backend_port: int, folder: Path, ending: Ending
) -> Iterator[Contender]:
    """nginx with all lists in one file (PEM), in one process."""
    folder.mkdir(parents=True)
    certificate, key = lab.server_paths()
    authorities = tuple(lab.authorities[each] for each in (trees.ORG_TEST, trees.ROOT_TEST))
    (folder / "cas.pem").write_bytes(pem_of(tuple(each.certificate for each in authorities)))
    port = free_port()
    text = _NGINX.format(
        folder=folder,
        backend=backend_port,
        port=port,
        certificate=certificate,
        key=key,
        cas=folder / "cas.pem",
        lists=lists,
        cn=RECETTE.client_cn,
        ou=RECETTE.client_ou,
    )
    (folder / "nginx.conf").write_text(text, "utf-8")
    command = (nginx_program(), "-c", folder / "nginx.conf", "-e", "stderr", "-p", folder)
    with running("nginx", command, folder / "log", ending) as process:
        process.wait_for("using the", ending, PATIENCE)
        yield Contender("nginx", openssl_of_nginx(), process, port)


def nginx_is_installed() -> bool:
    """Whether there is somebody to compare with."""
    return _found_nginx() is not None


def openssl_of_gateway() -> str:
    """The version that the gateway runs with."""
    text: bytes = SSL.OpenSSL_version(SSL.OPENSSL_VERSION)
    return _version(text.decode("ascii"))


def openssl_of_nginx() -> str:
    """The version that nginx runs with."""
    said = subprocess.run(
        (nginx_program(), "-V"), capture_output=True, text=True, check=True
    ).stderr
    running = re.search(r"running with (OpenSSL \S+)", said) or re.search(r"OpenSSL \S+", said)
    return _version(running[running.lastindex or 0]) if running else "unknown"


def nginx_version() -> str:
    """Its own."""
    said = subprocess.run(
        (nginx_program(), "-v"), capture_output=True, text=True, check=True
    ).stderr
    return said.strip().rpartition("/")[2]


def _version(text: str) -> str:
    return text.split()[1]


def _found_nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def nginx_program() -> str:
    """Where it is.

    Raises:
        NotReady: nowhere.
    """
    found = _found_nginx()
    if found is None:
        raise NotReady("nginx is not installed: apt-get install nginx")
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        return int(chosen.getsockname()[1])


@contextmanager
def running(
    name: str, command: tuple[str | Path, ...], log: Path, ending: Ending
) -> Iterator[Child]:
    """A process, ended at the end; what it writes goes to the file `log`."""
    ending.check()
    child = Child(name, command, log)
    try:
        yield child
    finally:
        child.stop()

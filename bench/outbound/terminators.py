"""Who stands between applications and SAS in sasgate's place: plain HTTP in, TLS with our name out.

The guide shows neither. Both present the editor's PEM file, check SAS's chain and name, and know
nothing of revocation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen

from bench.contenders import PATIENCE, free_port, running
from bench.peers import frames
from bench.peers import nginx as nginx_peer
from bench.peers import stunnel as stunnel_peer
from sasgate.lab.processes import Child, Ending


@frozen(eq=False)
class Terminator:
    """A process, and its port for applications."""

    name: str
    process: Child = field(repr=False)
    port: int


# `proxy_ssl_verify` and `proxy_ssl_server_name` are off unless one says so, and without `keepalive`
# each call would have a handshake. The line of log is written as sasgate writes its own.
_NGINX = """\
    access_log access.log;
    keepalive_requests 1000000;
    upstream sas {{ server 127.0.0.1:{sas}; keepalive 8; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass https://sas;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host localhost;
            proxy_ssl_certificate {pem};
            proxy_ssl_certificate_key {pem};
            proxy_ssl_trusted_certificate {roots};
            proxy_ssl_verify on;
            proxy_ssl_verify_depth 2;
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
            proxy_ssl_protocols TLSv1.2 TLSv1.3;
        }}
    }}
"""

# A TLS connection for each of the application's. That it resumes its session, where SAS lets it, is
# what it does by itself.
_STUNNEL = """\
foreground = yes
pid =
debug = notice
syslog = no
[sas]
client = yes
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{sas}
cert = {pem}
CAfile = {roots}
verifyChain = yes
checkHost = localhost
sni = localhost
sslVersionMin = TLSv1.2
TIMEOUTclose = 0
"""


@contextmanager
def nginx(pem: Path, roots: Path, sas: int, folder: Path, ending: Ending) -> Iterator[Terminator]:
    """nginx with `proxy_ssl_certificate`, its connections to SAS kept."""
    folder.mkdir()
    port = free_port()
    http = _NGINX.format(port=port, sas=sas, pem=pem, roots=roots)
    program, main = nginx_peer.PROGRAM.path(), "master_process off;"
    command = frames.nginx(program, folder, http, connections=1024, main=main)
    with running("nginx", command, folder / "log", ending) as process:
        process.wait_for("using the", ending, PATIENCE)
        yield Terminator("nginx", process, port)


@contextmanager
def stunnel(pem: Path, roots: Path, sas: int, folder: Path, ending: Ending) -> Iterator[Terminator]:
    """stunnel as a client."""
    folder.mkdir()
    port = free_port()
    text = _STUNNEL.format(port=port, sas=sas, pem=pem, roots=roots)
    (folder / "stunnel.conf").write_text(text, "utf-8")
    command = (stunnel_peer.PROGRAM.path(), folder / "stunnel.conf")
    with running("stunnel", command, folder / "log", ending, listens=port) as process:
        yield Terminator("stunnel", process, port)

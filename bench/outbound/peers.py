"""Who takes part: SAS, which is nginx, who stands before it, and the call that all make."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import field, frozen

from bench.backend import BODY
from bench.contenders import PATIENCE, TWISTD, free_port, running
from bench.outbound.terminators import Terminator, nginx, stunnel
from bench.peers import frames
from bench.peers.nginx import PROGRAM as NGINX
from bench.peers.programs import authorities
from sasgate.lab import trees
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


EDITOR = "ACME_TEST"
_CN = "sas-agregateur-test-ACME"
PATH = "/fhir/v1/Appointment"
APPOINTMENT = b'{"resourceType": "Appointment", "status": "booked", "text": "%b"}' % (b"x" * 640)
REQUEST = (
    b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (PATH.encode("ascii"), len(APPOINTMENT), APPOINTMENT)
)
CREATED = 201, BODY


@frozen
class Peers:
    """SAS's port on 127.0.0.1, and who stands before it; the gateway is the first of them."""

    lab: Lab = field(repr=False)
    sas: int
    terminators: tuple[Terminator, ...]

    @property
    def gateway(self) -> Terminator:
        return self.terminators[0]


# The guide's sample for editors (5.9), as SAS would have it: so cheap that most of a call is what
# its caller does.
_NGINX = """\
    access_log off;
    keepalive_requests 1000000;
    map $ssl_client_s_dn $client_cn {{ default ""; ~CN=(?<CN>[^\\,]+) $CN; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_client_certificate {cas};
        ssl_verify_client optional;
        ssl_verify_depth 10;
        if ($ssl_client_verify != SUCCESS) {{ return 401; }}
        if ($client_cn != "{cn}") {{ return 403; }}
        location / {{ return 201 '{body}'; }}
    }}
"""

_INI = """\
[sasgate]
state = state
ca = {ca}
[outbound]
environment = bench
listen = tcp:0:interface=127.0.0.1
certificate = {certificate}
[revocation]
mode = off
[environment:bench]
roots = {root}
issuers = {issuer}
url = https://localhost:{sas}
sas_roots = {sas_roots}
"""


@contextmanager
def peers(lab: Lab, folder: Path, ending: Ending) -> Iterator[Peers]:
    """All of them, ready.

    Raises:
        NotReady, Stopped: as of `sasgate.lab.processes`.
    """
    pem, roots = lab.editor_path(EDITOR), lab.public_root
    with (
        _sas(lab, folder / "sas", ending) as sas,
        _gateway(lab, sas, folder / "gateway", ending) as gateway,
        nginx(pem, roots, sas, folder / "nginx", ending) as second,
        stunnel(pem, roots, sas, folder / "stunnel", ending) as third,
    ):
        yield Peers(lab, sas, (gateway, second, third))


@contextmanager
def _sas(lab: Lab, folder: Path, ending: Ending) -> Iterator[int]:
    folder.mkdir()
    certificate, key = lab.server_paths()
    port = free_port()
    http = _NGINX.format(
        port=port,
        certificate=certificate,
        key=key,
        cas=authorities(lab, folder),
        cn=_CN,
        body=BODY.decode("ascii"),
    )
    main = "master_process off;"
    command = frames.nginx(NGINX.path(), folder, http, connections=1024, main=main)
    with running("nginx", command, folder / "log", ending) as process:
        process.wait_for("using the", ending, PATIENCE)
        yield port


@contextmanager
def _gateway(lab: Lab, sas: int, folder: Path, ending: Ending) -> Iterator[Terminator]:
    folder.mkdir()
    text = _INI.format(
        ca=lab.directory / "ca",
        certificate=lab.editor_path(EDITOR),
        root=lab.ca_path(trees.ROOT_TEST),
        issuer=lab.ca_path(trees.ORG_TEST),
        sas=sas,
        sas_roots=lab.public_root,
    )
    (folder / "sasgate.ini").write_text(text, "utf-8")
    command = (*TWISTD, "--nodaemon", "--pidfile=", "sasgate", "-c", folder / "sasgate.ini")
    with running("sasgate", command, folder / "log", ending) as process:
        port = process.wait_for(r"outbound listens on \S+ at 127\.0\.0\.1:(\d+)", ending, PATIENCE)
        process.wait_for(r"sasgate \S+ serves ", ending, PATIENCE)
        yield Terminator("sasgate", process, int(port[1]))

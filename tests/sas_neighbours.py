"""SAS made of nginx, as the guide's 5.9 has it, and of Apache, as its 5.2 and 5.8 do.

What they let through goes to one small server, which tells the caller what they said of him.
"""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import frozen

from bench.peers import frames
from bench.peers.programs import authorities
from neighbours import apache_command, installed
from processes import LoggedProcess, environment
from raw_backend import Peer
from sasgate.lab import trees
from sasgate.lab.lists import ListTemplate, revoked, sign_list
from sasgate.lab.pki import Lab
from sasgate.lab.sas_answers import APPOINTMENT
from sasgate.revocation.crl import verify_list
from sasgate.revocation.export import Exportable, write_hash_dir, write_pem


REGISTERED = "sas-agregateur-test-ACME"
TLS_1_2, TLS_1_3 = "TLSv1.2", "TLSv1.3"
VERSIONS = (TLS_1_2, TLS_1_3)
# After so many calls on one connection, they close it and say so before.
FEW = 10
FEW_CALLS = "few-calls"


@frozen
class Neighbour:
    """A server that plays SAS; `ports` are by what is said of each in its configuration."""

    process: LoggedProcess
    ports: Mapping[str, int]

    def url(self, port: str) -> str:
        return f"https://localhost:{self.ports[port]}"


def created(peer: Peer) -> None:
    """Answer every call 201, with what the server in front says of the caller."""
    while (seen := peer.request()) is not None:
        said = {name[len("X-Seen-") :].lower(): value for name, value in seen.fields
                if name.startswith("X-Seen-")}  # fmt: skip
        (host,) = seen.values("host")
        where = f"Location: https://{host}{APPOINTMENT}/1"
        peer.answer(json.dumps(said).encode(), where, status="201 Created")


# Corrected of the sample: the CN is compared whole, and not as a part of it; the bodies of answers
# stand in quotes; a certificate that is wrong is answered 401 as none is, and not 400 by nginx
# itself (495); TLS 1.1 is out, and 1.3 is in. OCSP, which asks 8.8.8.8, is left out.
_NGINX = """\
access_log off;
map $ssl_client_s_dn $ssl_client_s_dn_cn {{
    default "";
    ~CN=(?<CN>[^\\,]+) $CN;
}}
{servers}
"""
_NGINX_SERVER = """\
server {{
    listen      127.0.0.1:{port} ssl;
    server_name localhost;
    ssl_certificate      {certificate};
    ssl_certificate_key  {key};
    ssl_protocols        {tls};
    ssl_verify_client    optional;
    ssl_verify_depth     10;
    ssl_client_certificate {cas};
    ssl_crl              {lists};
    keepalive_requests   {keepalive};
    error_page 495 = @unauthorized;
    location @unauthorized {{
        return 401 '{{"status": "KO:Unauthorized", "verify": "$ssl_client_verify", "CN": "$ssl_client_s_dn_cn"}}';
    }}
    location = /counted {{
        return 201 '{{"port": "$remote_port"}}';
    }}
    location / {{
        if ($ssl_client_verify != SUCCESS) {{
            return 401 '{{"status": "KO:Unauthorized", "verify": "$ssl_client_verify", "CN": "$ssl_client_s_dn_cn"}}';
        }}
        if ($ssl_client_s_dn_cn != "{cn}") {{
            return 403 '{{"status": "KO:Forbidden", "verify": "$ssl_client_verify", "CN": "$ssl_client_s_dn_cn"}}';
        }}
        proxy_pass http://127.0.0.1:{backend};
        proxy_set_header Host $http_host;
        proxy_set_header X-Seen-CN $ssl_client_s_dn_cn;
        proxy_set_header X-Seen-Verify $ssl_client_verify;
        proxy_set_header X-Seen-TLS $ssl_protocol;
        proxy_set_header X-Seen-Port $remote_port;
    }}
}}
"""  # noqa: E501 - as it stands in the guide


@contextmanager
def nginx_sas(lab: Lab, revokes: int, backend: int, folder: Path) -> Iterator[Neighbour]:
    """nginx, with a port for each version of TLS, and one that keeps connections for `FEW` calls.

    `revokes` is the serial number of a certificate.
    """
    program, lists = installed("nginx"), folder / "lists.pem"
    write_pem(lists, _lists(lab, revokes))
    ports = _ports(*VERSIONS, FEW_CALLS)
    certificate, key = lab.server_paths()
    servers = (
        _NGINX_SERVER.format(
            port=port, certificate=certificate, key=key, lists=lists, backend=backend,
            cas=authorities(lab, folder), cn=REGISTERED, tls=tls if tls in VERSIONS else TLS_1_3,
            keepalive=FEW if tls == FEW_CALLS else 100_000,
        )
        for tls, port in ports.items()
    )  # fmt: skip
    http = _NGINX.format(servers="\n".join(servers))
    command = frames.nginx(program, folder, http, connections=256)
    with LoggedProcess(command, folder, environment()) as process:
        process.wait_for("start worker process ")
        yield Neighbour(process, ports)


# Corrected of the samples: SSLVerifyClient stands outside of <Directory>, where it asks for the
# certificate in the handshake and not after it; and the CN is an editor's.
_APACHE = """\
LogLevel info
StartServers 1
KeepAlive On
MaxKeepAliveRequests 0
{hosts}
"""
_APACHE_HOST = """\
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
    SSLEngine on
    SSLCertificateFile {certificate}
    SSLCertificateKeyFile {key}
    SSLProtocol -all +{tls}
    SSLCACertificateFile {cas}
    SSLCARevocationCheck chain
    SSLCARevocationPath {lists}
    {before}
    <Location "/">
        {within}
        SSLRequireSSL
        SSLRequire (%{{SSL_CLIENT_S_DN_CN}} eq "{cn}")
    </Location>
    RequestHeader set X-Seen-CN "%{{SSL_CLIENT_S_DN_CN}}s"
    RequestHeader set X-Seen-Verify "%{{SSL_CLIENT_VERIFY}}s"
    RequestHeader set X-Seen-TLS "%{{SSL_PROTOCOL}}s"
    RequestHeader set X-Seen-Port "expr=%{{REMOTE_PORT}}"
    ProxyPreserveHost On
    ProxyPass / http://127.0.0.1:{backend}/
</VirtualHost>
"""
_APACHE_MODULES = ("mpm_event", "authz_core", "ssl", "headers", "proxy", "proxy_http")
_DEPTH = "SSLVerifyDepth 10"
_REQUIRE, _OPTIONAL = f"SSLVerifyClient require\n{_DEPTH}", f"SSLVerifyClient optional\n{_DEPTH}"
OPTIONAL, LATE_1_2, LATE_1_3 = "optional", "late-TLSv1.2", "late-TLSv1.3"
_VERIFY: Mapping[str, tuple[str, str, str]] = {
    TLS_1_2: (TLS_1_2, _REQUIRE, ""),
    TLS_1_3: (TLS_1_3, _REQUIRE, ""),
    OPTIONAL: (TLS_1_3, _OPTIONAL, ""),
    LATE_1_2: (TLS_1_2, "", _REQUIRE),
    LATE_1_3: (TLS_1_3, "", _REQUIRE),
}


@contextmanager
def apache_sas(lab: Lab, revokes: int, backend: int, folder: Path) -> Iterator[Neighbour]:
    """Apache, with a port for each version of TLS that demands a certificate.

    `OPTIONAL` only asks for one; `LATE_…` demand it after the handshake, as 5.8 stands.
    """
    lists = folder / "lists"
    write_hash_dir(lists, _lists(lab, revokes))
    ports = _ports(*_VERIFY)
    certificate, key = lab.server_paths()
    hosts = (
        _APACHE_HOST.format(
            port=port, certificate=certificate, key=key, lists=lists, backend=backend,
            cas=authorities(lab, folder), cn=REGISTERED, tls=_VERIFY[each][0],
            before=_VERIFY[each][1], within=_VERIFY[each][2],
        )
        for each, port in ports.items()
    )  # fmt: skip
    directives = _APACHE.format(hosts="\n".join(hosts))
    command = apache_command(folder, _APACHE_MODULES, directives)
    with LoggedProcess(command, folder, environment()) as process:
        process.wait_for("resuming normal operations")
        yield Neighbour(process, ports)


def _lists(lab: Lab, serial: int) -> list[Exportable]:
    now, lists = datetime.now(UTC), []
    for name, entries in ((trees.ORG_TEST, (revoked(serial),)), (trees.ROOT_TEST, ())):
        authority = lab.authorities[name]
        template = ListTemplate(number=1, next_update=timedelta(days=6), entries=entries)
        der = sign_list(authority, template, now=now)
        facts = verify_list(der, [authority.certificate], now).facts
        lists.append(Exportable(authority.certificate, facts, der))
    return lists


def _ports(*names: str) -> dict[str, int]:
    """A free port for each, all different."""
    with ExitStack() as stack:
        held = [stack.enter_context(closing(socket.create_server(("127.0.0.1", 0)))) for _ in names]
        return {name: each.getsockname()[1] for name, each in zip(names, held, strict=True)}

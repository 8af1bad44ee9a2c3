"""nginx, after the guide's 5.9."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contenders import PATIENCE, USUAL, Contender, How, free_port, running
from bench.peers import frames
from bench.peers.programs import Program, authorities
from sasgate.environments import RECETTE
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


NAME = "nginx"
PROGRAM = Program(
    name="nginx",
    package="nginx",
    version=("-v", r"nginx/(\S+)"),
    # Says the second alone where both are the same.
    openssl=("-V", r"(?:running with|built with) OpenSSL (\S+)(?!.*running with)"),
)

# Corrected in the sample: CN ends where it ends and is compared whole, OU is compared too; depth 2;
# a certificate that failed is answered 401 like none (495, 496); sessions are switched off; TLS 1.1
# and the plain port are left out; OCSP's responder is named and no public resolver asked. One
# process that accepts and works: no second one could be of use on one core.
_HTTP = """\
    access_log access.log;
    client_max_body_size 16m;
    keepalive_requests 1000000;
    keepalive_timeout 120s;
    map $ssl_client_s_dn $client_cn {{ default ""; "~(?:^|,)CN=(?<CN>[^,]+)" $CN; }}
    map $ssl_client_s_dn $client_ou {{ default ""; "~(?:^|,)OU=(?<OU>[^,]+)" $OU; }}
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_protocols {protocols};
        ssl_session_cache off;
        ssl_session_tickets off;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_client_certificate {cas};
        ssl_verify_client optional;
        ssl_verify_depth 2;
        {revocation}
        error_page 495 496 = @unauthorized;
        location @unauthorized {{ return 401; }}
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
"""


@contextmanager
def nginx(
    lab: Lab,
    lists: Path | None,
    backend_port: int,
    folder: Path,
    ending: Ending,
    *,
    how: How = USUAL,
) -> Iterator[Contender]:
    """nginx with all lists in one file (PEM), in one process; with `reloads`, a master beside."""
    folder.mkdir(parents=True)
    certificate, key = lab.server_paths()
    port = free_port()
    http = _HTTP.format(
        backend=backend_port,
        port=port,
        protocols=" ".join(f"TLSv{each}" for each in how.tls.split()),
        certificate=certificate,
        key=key,
        cas=authorities(lab, folder),
        revocation=_revocation(lists, how),
        cn=RECETTE.client_cn,
        ou=RECETTE.client_ou,
    )
    # Only a master takes SIGHUP for a reload that starts another worker.
    master = "on" if how.reloads else "off"
    main = f"master_process {master}; worker_rlimit_nofile 8192;"
    command = frames.nginx(PROGRAM.path(), folder, http, connections=4096, main=main)
    with running(NAME, command, folder / "log", ending, core=how.core) as process:
        process.wait_for("start worker process " if how.reloads else "using the", ending, PATIENCE)
        yield Contender(NAME, PROGRAM.openssl_version(), process, port)


def _revocation(lists: Path | None, how: How) -> str:
    lines = [] if lists is None else [f"ssl_crl {lists};"]
    if how.ocsp is not None:
        lines += ["ssl_ocsp leaf;", f"ssl_ocsp_responder {how.ocsp};"]
        if how.ocsp_cache:
            lines.append("ssl_ocsp_cache shared:ocsp:1m;")
    return "\n        ".join(lines)

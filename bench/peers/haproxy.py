"""HAProxy, after the guide's 5.1."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contenders import USUAL, Contender, How, free_port, running
from bench.peers.programs import Program, authorities
from sasgate.environments import RECETTE
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


NAME = "HAProxy"
PROGRAM = Program(
    name="haproxy",
    package="haproxy",
    version=("-v", r"version (\d[\d.]*)"),
    openssl=("-vv", r"Running on OpenSSL version : OpenSSL (\S+)"),
)

# Corrected in the sample, which is one line: `bind` in lower case; a certificate asked for and not
# demanded, so that who has none is answered 401; lists, without which it reads none; TLS 1.2 and
# newer; CN and OU compared, and read from the certificate by name; no tickets, no session cache.
# Room for our headers (4 kB with Client-Cert, 1 kB is usual): without it a request is answered 500
# whose body fills the buffer.
# The certificate is a file, with its key, since a folder would have to have nothing else in it.
_CONFIGURATION = """\
global
    log stdout format raw local0 info
    nbthread 1
    maxconn 4096
    tune.ssl.cachesize 0
    tune.ssl.default-dh-param 2048
    tune.maxrewrite 8192
defaults
    mode http
    log global
    option httplog
    option http-keep-alive
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-request 60s
    timeout http-keep-alive 120s
frontend sas
    bind 127.0.0.1:{port} ssl crt {pem} ca-file {cas} {lists} verify optional \
crt-ignore-err all ca-ignore-err all no-tls-tickets \
ssl-min-ver {oldest} ssl-max-ver {newest}
    http-request return status 401 unless {{ ssl_c_used }} {{ ssl_c_verify 0 }} \
{{ ssl_c_ca_err 0 }}
    http-request return status 403 unless {{ ssl_c_s_dn(CN) -m str {cn} }} \
{{ ssl_c_s_dn(OU) -m str {ou} }}
    http-request set-header X-SSL-Client-Verify SUCCESS
    http-request set-header X-SSL-Client-CN %[ssl_c_s_dn(CN)]
    http-request set-header X-SSL-Client-OU %[ssl_c_s_dn(OU)]
    http-request set-header X-SSL-Client-S-DN %[ssl_c_s_dn(,0,rfc2253)]
    http-request set-header X-SSL-Client-I-DN %[ssl_c_i_dn(,0,rfc2253)]
    http-request set-header X-SSL-Client-Serial %[ssl_c_serial,hex]
    http-request set-header X-SAS-Environment bench
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Request-ID %[uuid]
    http-request set-header Client-Cert :%[ssl_c_der,base64]:
    default_backend application
backend application
    http-reuse always
    server application 127.0.0.1:{backend}
"""


@contextmanager
def haproxy(
    lab: Lab,
    lists: Path | None,
    backend_port: int,
    folder: Path,
    ending: Ending,
    *,
    how: How = USUAL,
) -> Iterator[Contender]:
    """HAProxy in one process with one thread; it knows no OCSP for clients.

    With `reloads` it has a master beside, as Debian's unit starts it.
    """
    folder.mkdir(parents=True)
    pem, port, tls = folder / "server.pem", free_port(), how.tls.split()
    pem.write_bytes(b"".join(each.read_bytes() for each in lab.server_paths()))
    text = _CONFIGURATION.format(
        port=port,
        pem=pem,
        cas=authorities(lab, folder),
        lists="" if lists is None else f"crl-file {lists}",
        oldest=f"TLSv{tls[0]}",
        newest=f"TLSv{tls[-1]}",
        cn=RECETTE.client_cn,
        ou=RECETTE.client_ou,
        backend=backend_port,
    )
    (folder / "haproxy.cfg").write_text(text, "utf-8")
    command = (PROGRAM.path(), "-W" if how.reloads else "-db", "-f", folder / "haproxy.cfg")
    with running(NAME, command, folder / "log", ending, core=how.core, listens=port) as process:
        yield Contender(NAME, PROGRAM.openssl_version(), process, port)

"""Apache httpd, after the guide's 5.2, 5.4 and 5.8."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contenders import PATIENCE, USUAL, Contender, How, free_port, running
from bench.peers import frames
from bench.peers.programs import Program, authorities
from sasgate.environments import RECETTE
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


NAME = "Apache"
PROGRAM = Program(
    name="apache2",
    package="apache2",
    version=("-v", r"Apache/(\S+)"),
)
_MODULES = ("mpm_event", "authz_core", "ssl", "proxy", "proxy_http", "headers", "unique_id")

# Corrected in the samples: what is required stands in <Location>, since a <Directory> says nothing
# of what is proxied, and the certificate is asked for in the handshake and not after it; depth 2;
# OU compared too; a list is a file and is read because of SSLCARevocationCheck; OCSP asks about the
# leaf alone, whose issuer has no responder; no session cache, no tickets. Stapling, which is about
# the server's own certificate, is left out. Who has none or a wrong one is told 403 (`Require expr`
# has no other answer); a certificate that fails ends the handshake.
#
# The event MPM with one child that is never replaced but at a reload, which wants room for a second
# beside it: the parent sleeps, the child has a listener and 64 threads. Without
# AsyncRequestWorkerFactor that child would take 192 connections at most.
# Client-Cert is PEM in one line: Apache has no base64 of the certificate's bytes.
_DIRECTIVES = """\
LogLevel notice
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
CustomLog access.log combined
ServerLimit 2
StartServers 1
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
AsyncRequestWorkerFactor 64
MaxConnectionsPerChild 0
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 120
Listen 127.0.0.1:{port}
DocumentRoot site
SSLEngine on
SSLProtocol -all {protocols}
SSLSessionCache none
SSLSessionTickets off
SSLCertificateFile {certificate}
SSLCertificateKeyFile {key}
SSLCACertificateFile {cas}
SSLVerifyClient optional
SSLVerifyDepth 2
{revocation}
<Location "/">
    Require expr "%{{SSL_CLIENT_VERIFY}} == 'SUCCESS' && %{{SSL_CLIENT_S_DN_CN}} == '{cn}' \
&& %{{SSL_CLIENT_S_DN_OU}} == '{ou}'"
</Location>
ProxyPreserveHost On
ProxyAddHeaders Off
RequestHeader set X-SSL-Client-Verify "%{{SSL_CLIENT_VERIFY}}s"
RequestHeader set X-SSL-Client-CN "%{{SSL_CLIENT_S_DN_CN}}s"
RequestHeader set X-SSL-Client-OU "%{{SSL_CLIENT_S_DN_OU}}s"
RequestHeader set X-SSL-Client-S-DN "%{{SSL_CLIENT_S_DN}}s"
RequestHeader set X-SSL-Client-I-DN "%{{SSL_CLIENT_I_DN}}s"
RequestHeader set X-SSL-Client-Serial "%{{SSL_CLIENT_M_SERIAL}}s"
RequestHeader set X-SAS-Environment bench
RequestHeader set X-Forwarded-For "expr=%{{REMOTE_ADDR}}"
RequestHeader set X-Forwarded-Proto https
RequestHeader set X-Forwarded-Host "expr=%{{HTTP_HOST}}"
RequestHeader set X-Request-ID "%{{UNIQUE_ID}}e"
RequestHeader set Client-Cert "%{{SSL_CLIENT_CERT}}s"
ProxyPass / http://127.0.0.1:{backend}/ max=64 retry=0
"""


@contextmanager
def apache(
    lab: Lab,
    lists: Path | None,
    backend_port: int,
    folder: Path,
    ending: Ending,
    *,
    how: How = USUAL,
) -> Iterator[Contender]:
    """Apache with all lists in one file (PEM), in one child."""
    folder.mkdir(parents=True)
    (folder / "site").mkdir()
    certificate, key = lab.server_paths()
    port = free_port()
    directives = _DIRECTIVES.format(
        port=port,
        protocols=" ".join(f"+TLSv{each}" for each in how.tls.split()),
        certificate=certificate,
        key=key,
        cas=authorities(lab, folder),
        revocation=_revocation(lists, how),
        cn=RECETTE.client_cn,
        ou=RECETTE.client_ou,
        backend=backend_port,
    )
    command = frames.apache(PROGRAM.path(), folder, _MODULES, directives)
    with running(NAME, command, folder / "log", ending, core=how.core) as process:
        # Only its log says with which OpenSSL it runs.
        said = process.wait_for(r"OpenSSL/(\S+).* resuming normal operations", ending, PATIENCE)
        yield Contender(NAME, said[1], process, port)


def _revocation(lists: Path | None, how: How) -> str:
    lines = []
    if lists is not None:
        lines += ["SSLCARevocationCheck chain", f"SSLCARevocationFile {lists}"]
    if how.ocsp is not None:
        lines += [
            "SSLOCSPEnable leaf",
            f"SSLOCSPDefaultResponder {how.ocsp}",
            "SSLOCSPOverrideResponder on",
        ]
    return "\n".join(lines)

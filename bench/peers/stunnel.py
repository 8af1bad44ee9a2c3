"""stunnel in front of the backend: TLS taken off, and nothing said to the application.

The guide does not show it. It compares no OU, reads no HTTP and sets no header: what it does is the
least that a terminator can do, and a floor with a network rather than an alternative. It opens a
connection to the backend for each one that it accepts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contenders import USUAL, Contender, How, free_port, running
from bench.peers.programs import Program, authorities
from sasgate.environments import RECETTE
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


NAME = "stunnel, without headers"
PROGRAM = Program(
    name="stunnel",
    package="stunnel4",
    version=("-version", r"stunnel (\S+) on"),
    openssl=("-version", r"(?:Running  with|Compiled/running with) OpenSSL (\S+)"),
)
_CONFIGURATION = """\
foreground = yes
pid =
debug = notice
syslog = no
[sas]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{backend}
cert = {certificate}
key = {key}
CAfile = {cas}
verifyChain = yes
requireCert = yes
checkHost = {cn}
sslVersionMin = TLSv{oldest}
sslVersionMax = TLSv{newest}
sessionResume = no
options = NO_TICKET
TIMEOUTclose = 0
TIMEOUTidle = 120
{revocation}
"""


@contextmanager
def stunnel(
    lab: Lab,
    lists: Path | None,
    backend_port: int,
    folder: Path,
    ending: Ending,
    *,
    how: How = USUAL,
) -> Iterator[Contender]:
    """stunnel with all lists in one file (PEM); a thread a connection."""
    folder.mkdir(parents=True)
    certificate, key = lab.server_paths()
    port, tls = free_port(), how.tls.split()
    revocation = [] if lists is None else [f"CRLfile = {lists}"]
    if how.ocsp is not None:
        revocation.append(f"OCSP = {how.ocsp}")
    text = _CONFIGURATION.format(
        port=port,
        backend=backend_port,
        certificate=certificate,
        key=key,
        cas=authorities(lab, folder),
        # The name of a host, for stunnel, is the CN where there is no other.
        cn=RECETTE.client_cn,
        oldest=tls[0],
        newest=tls[-1],
        revocation="\n".join(revocation),
    )
    (folder / "stunnel.conf").write_text(text, "utf-8")
    command = (PROGRAM.path(), folder / "stunnel.conf")
    with running(NAME, command, folder / "log", ending, core=how.core, listens=port) as process:
        yield Contender(NAME, PROGRAM.openssl_version(), process, port)

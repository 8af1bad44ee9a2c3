"""The servers that are measured: processes of their own on 127.0.0.1, in front of one backend."""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import field, frozen
from OpenSSL import SSL

from bench.client import Caller
from bench.machine import family, settled_cpu_seconds
from sasgate.environments import RECETTE
from sasgate.lab import trees
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Child, Ending, NotReady


PATIENCE = 300.0
SASGATE = "sasgate"
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")


@frozen
class How:
    """What all contenders let one choose.

    `tls` are the versions spoken, the oldest first. `ocsp` is the URL of a responder that is asked
    about each client, None asks nobody; `ocsp_cache` keeps its answers where the server can do so
    at will (nginx). `core` is the one CPU that all of its threads run on, None any. With `reloads`
    it runs as its service does, so that it can be told to reload.
    """

    tls: str = "1.2 1.3"
    ocsp: str | None = None
    ocsp_cache: bool = False
    core: int | None = None
    reloads: bool = False


USUAL = How()


@frozen(eq=False)
class Contender:
    """A server; `openssl` is the version that it runs with.

    `cpu_seconds` are those of the process and of all its children, in so far as they live.
    """

    name: str
    openssl: str
    process: Child = field(repr=False)
    port: int

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def pids(self) -> list[int]:
        """Of the process and all below it."""
        return family(self.pid)

    def cpu_seconds(self) -> float:
        """CPU used so far, user and system, children included, once it has come to rest."""
        return settled_cpu_seconds(self.pid)

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
tls = {tls}
[revocation]
mode = {mode}
[limits]
crl_size = {crl_size}
connections = 4096
connections_per_address = 4096
keep_alive = 120
[environment:bench]
roots = {root}
issuers = {issuer}
clients = CN={cn},OU={ou}
addresses = 127.0.0.1
{revocation}
"""


@contextmanager
def gateway(
    lab: Lab,
    lists: tuple[Path, ...],
    backend_port: int,
    folder: Path,
    ending: Ending,
    *,
    how: How = USUAL,
) -> Iterator[Contender]:
    """A real `twistd sasgate`, once the lists in those files (DER) are in force."""
    folder.mkdir(parents=True)
    certificate, key = lab.server_paths()
    text = _INI.format(
        ca=lab.directory / "ca",
        certificate=certificate,
        key=key,
        backend=backend_port,
        tls=how.tls,
        mode=_mode(lists, how),
        crl_size=256 << 20,
        root=lab.ca_path(trees.ROOT_TEST),
        issuer=lab.ca_path(trees.ORG_TEST),
        cn=RECETTE.client_cn,
        ou=RECETTE.client_ou,
        revocation=_revocation(lists, how),
    )
    (folder / "sasgate.ini").write_text(text, "utf-8")
    command = (*TWISTD, "--nodaemon", "--pidfile=", "sasgate", "-c", folder / "sasgate.ini")
    with running(SASGATE, command, folder / "log", ending, core=how.core) as process:
        port = process.wait_for(r"inbound listens on \S+ at 127\.0\.0\.1:(\d+)", ending, PATIENCE)
        process.wait_for(r"sasgate \S+ serves ", ending, PATIENCE)
        yield Contender(SASGATE, openssl_of_gateway(), process, int(port[1]))


def _mode(lists: tuple[Path, ...], how: How) -> str:
    if how.ocsp is None:
        return "crl" if lists else "off"
    return "crl-and-ocsp" if lists else "ocsp"


def _revocation(lists: tuple[Path, ...], how: How) -> str:
    lines = [f"crl = {' '.join(map(str, lists))}"] if lists else []
    return "\n".join(lines if how.ocsp is None else [*lines, f"ocsp = {how.ocsp}"])


def openssl_of_gateway() -> str:
    """The version that the gateway runs with."""
    text: bytes = SSL.OpenSSL_version(SSL.OPENSSL_VERSION)
    return _version(text.decode("ascii"))


def _version(text: str) -> str:
    return text.split()[1]


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        return int(chosen.getsockname()[1])


@contextmanager
def running(
    name: str,
    command: tuple[str | Path, ...],
    log: Path,
    ending: Ending,
    *,
    core: int | None = None,
    listens: int | None = None,
) -> Iterator[Child]:
    """A process, ended at the end; what it writes goes to the file `log`.

    `core` is the one CPU that it runs on. Of one that doesn't say when it is ready, `listens` is
    the port that it listens on before this returns.
    """
    ending.check()
    # Set before it starts, so that its threads and children have it too.
    pinned = () if core is None else ("taskset", "--cpu-list", str(core))
    child = Child(name, (*pinned, *command), log)
    try:
        if listens is not None:
            _wait_for_port(child, listens, ending)
        yield child
    finally:
        child.stop()


def _wait_for_port(child: Child, port: int, ending: Ending) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        ending.check()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        if not child.running or time.monotonic() > until:
            raise NotReady(child.report("does not listen"))
        time.sleep(0.02)

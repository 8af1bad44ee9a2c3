"""The floor under every contender: CPU of the server's side of a handshake, by OpenSSL's version.

The client is the same in all: the standard library's, which offers what the callers of the benches
offer. The server's side is done by pyOpenSSL for the OpenSSL that sasgate has, and by the standard
library of Debian's own Python for that of Debian's servers.
"""

import json
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from random import Random
from statistics import fmean

from attrs import field, frozen
from cryptography import x509
from OpenSSL import SSL, crypto

from bench.contenders import openssl_of_gateway
from bench.figures import Spread
from bench.floor import handshakes
from bench.peers.programs import authorities
from sasgate.environments import RECETTE
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending, NotReady


VERSIONS = ("1.2", "1.3")
SYSTEM_PYTHON = Path("/usr/bin/python3")


@frozen
class Floors:
    """Milliseconds by (version of OpenSSL, of TLS), one value a round: the mean of `count`."""

    rounds: int
    count: int
    spreads: Mapping[tuple[str, str], Spread]
    gateway: str
    system: str


@frozen
class _Files:
    lab: Lab = field(repr=False)
    cas: Path

    def of_client(self) -> tuple[Path, Path]:
        return self.lab.path_of(RECETTE.name), self.lab.public_root

    def client(self, tls: str) -> ssl.SSLContext:
        pem, root = self.of_client()
        return handshakes.client_context(root, pem, tls)


def measure(lab: Lab, folder: Path, rounds: int, count: int, ending: Ending) -> Floors:
    """Of both versions of OpenSSL, in turn, in random order.

    Raises:
        NotReady: Debian's Python is not there, or failed.
        handshakes.Unfinished: a handshake failed.
        Stopped: by a signal.
    """
    files = _Files(lab, authorities(lab, folder))
    ours, theirs = openssl_of_gateway(), openssl_of_system()
    found: dict[tuple[str, str], list[float]] = {
        (version, tls): [] for version in (ours, theirs) for tls in VERSIONS
    }
    for number in range(rounds):
        for version, tls in Random(number).sample(list(found), len(found)):
            ending.check()
            seconds = (_of_gateway if version == ours else _of_system)(files, tls, count)
            found[version, tls].append(fmean(seconds) * 1000)
    spreads = {key: Spread.of(values) for key, values in found.items()}
    return Floors(rounds, count, spreads, ours, theirs)


def openssl_of_system() -> str:
    """The version that Debian's Python runs with, by the same library file as Debian's servers.

    Raises:
        NotReady: there is no such Python.
    """
    said = _run(str(SYSTEM_PYTHON), "-c", "import ssl; print(ssl.OPENSSL_VERSION)")
    return said.split()[1]


def _of_system(files: _Files, tls: str, count: int) -> list[float]:
    certificate, key = files.lab.server_paths()
    client, root = files.of_client()
    program = handshakes.__file__
    assert program is not None
    said = _run(
        *(str(SYSTEM_PYTHON), program),
        *map(str, (files.cas, certificate, key, client, root, tls, count)),
    )
    seconds: list[float] = json.loads(said)["seconds"]
    return seconds


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except OSError as error:
        raise NotReady(f"{command[0]}: {error.strerror}; apt-get install python3") from error
    except subprocess.CalledProcessError as error:
        raise NotReady(f"{' '.join(command)}: {error.stderr.strip()}") from error
    return done.stdout


class _GatewaySide:
    """The server's side by pyOpenSSL, without a callback: what sasgate adds is no floor."""

    def __init__(self, context: SSL.Context) -> None:
        self._tls = SSL.Connection(context, None)
        self._tls.set_accept_state()

    def feed(self, data: bytes) -> None:
        if data:
            self._tls.bio_write(data)

    def step(self) -> bool:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise handshakes.Unfinished(str(error)) from error
        return True

    def drain(self) -> bytes:
        try:
            return self._tls.bio_read(1 << 16)
        except SSL.WantReadError:
            return b""


def _of_gateway(files: _Files, tls: str, count: int) -> list[float]:
    context = _context(files, tls)
    return handshakes.measured(lambda: _GatewaySide(context), files.client(tls), count)


def _context(files: _Files, tls: str) -> SSL.Context:
    version = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}[tls]
    certificate, key = files.lab.server_paths()
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.use_certificate_chain_file(str(certificate))
    context.use_privatekey_file(str(key))
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    store = context.get_cert_store()
    assert store is not None
    for each in x509.load_pem_x509_certificates(files.cas.read_bytes()):
        store.add_cert(crypto.X509.from_cryptography(each))
    return context

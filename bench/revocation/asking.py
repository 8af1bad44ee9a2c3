"""A new connection with OCSP: what a responder that takes 50 ms does to it, at first and later.

Each contender has the lists too, and asks about the leaf alone, as the guide has it (5.4, 5.5). All
are started anew for each round, so that nobody's cache knows the client, and are warmed up by
another client of the same names, whom each lets in.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from urllib.request import ProxyHandler, Request, build_opener

from attrs import evolve, field, frozen
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from bench.contenders import (
    PATIENCE,
    SASGATE,
    USUAL,
    Contender,
    How,
    backend,
    gateway,
    running,
)
from bench.crl.lists import Lists
from bench.figures import Spread
from bench.peers import apache, nginx
from sasgate.environments import RECETTE
from sasgate.lab import trees
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending
from sasgate.lab.switchboard import Switchboard
from sasgate.lab.switches import OCSPMode


NGINX_CACHE = f"{nginx.NAME} with ssl_ocsp_cache"
DELAY = 0.05
# Of the same CN and OU under another serial: the catalogue's, in another kind of string.
SAME_NAMES = "recette-printable"


@frozen
class Bench:
    """Where it is done, and for how long; `calls` are those that follow a first one."""

    lab: Lab
    folder: Path
    ending: Ending = field(repr=False)
    rounds: int
    calls: int
    say: Callable[[str], None] = field(repr=False)


@frozen
class Asked:
    """One round of one contender: latencies and CPU in ms, questions asked of the responder."""

    first: float
    following: float
    cpu: float
    questions_first: int
    questions_following: float


@frozen
class Answers:
    """All rounds, by contender; without OCSP for the same names but the cache's."""

    rounds: int
    calls: int
    responder: Spread
    with_ocsp: Mapping[str, tuple[Asked, ...]]
    without: Mapping[str, tuple[Asked, ...]]
    openssl: Mapping[str, str]


@frozen
class _Responder:
    url: str

    @property
    def ocsp(self) -> str:
        return f"{self.url}/ocsp"

    def questions(self) -> int:
        with _direct(Request(f"{self.url}/asked")) as answer:
            return sum(each["kind"] == "ocsp" for each in json.load(answer))

    def seconds(self, question: bytes) -> float:
        """How long it takes over a question (DER), for whoever asks nothing else."""
        fields = {"Content-Type": "application/ocsp-request"}
        before = time.perf_counter()
        request = Request(self.ocsp, question, fields, method="POST")
        with _direct(request) as answer:
            answer.read()
        return time.perf_counter() - before


def _question(lab: Lab) -> bytes:
    leaf, issuer = lab.clients[SAME_NAMES].certificate, lab.authorities[trees.ORG_TEST].certificate
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA1())
    return builder.build().public_bytes(Encoding.DER)


_direct = build_opener(ProxyHandler({})).open


def measure(bench: Bench) -> Answers:
    """Begin and end each contender once a round.

    Raises:
        WrongAnswer: one doesn't let in whom it should.
        NotReady, Stopped: as of `sasgate.lab.processes`.
    """
    lists = Lists.write(bench.lab, bench.folder / "ocsp-lists", 3)
    with responder(bench) as asked, backend(bench.folder, bench.ending) as port:
        runner = _Runner(bench, lists, port, asked)
        kinds = [(name, asks) for name in _STARTS for asks in (True, False)]
        kinds.remove((NGINX_CACHE, False))
        found: dict[tuple[str, bool], list[Asked]] = {kind: [] for kind in kinds}
        for number in range(bench.rounds):
            bench.say(f"OCSP, round {number + 1} of {bench.rounds}")
            for name, asks in Random(number).sample(kinds, len(kinds)):
                found[name, asks].append(runner.run(name, asks=asks))
    return Answers(
        bench.rounds,
        bench.calls,
        Spread.of(runner.delays),
        {name: tuple(each) for (name, asks), each in found.items() if asks},
        {name: tuple(each) for (name, asks), each in found.items() if not asks},
        runner.openssl,
    )


@contextmanager
def responder(bench: Bench) -> Iterator[_Responder]:
    """`sasgate lab serve`, whose answers take `DELAY` seconds."""
    board = Switchboard.of(bench.lab)
    board.ocsp(OCSPMode.LATE, late=DELAY)
    command = (sys.executable, "-m", "sasgate", "lab", "serve", bench.lab.directory, "--port", "0")
    log = bench.folder / "responder.log"
    with running("sasgate lab serve", command, log, bench.ending) as process:
        said = process.wait_for(r" is published at (http://\S+)", bench.ending, PATIENCE)
        yield _Responder(said[1])


class _Runner:
    def __init__(self, bench: Bench, lists: Lists, port: int, asked: _Responder) -> None:
        self._bench = bench
        self._lists = lists
        self._pem = lists.pem(lists.org.with_suffix(".pem"))
        self._port = port
        self._asked = asked
        self._question = _question(bench.lab)
        self._number = 0
        self.delays: list[float] = []
        self.openssl: dict[str, str] = {}

    def run(self, name: str, *, asks: bool) -> Asked:
        how = evolve(USUAL, ocsp=self._asked.ocsp if asks else None, ocsp_cache=name == NGINX_CACHE)
        self._number += 1
        folder = self._bench.folder / f"ocsp-{self._number}"
        with _STARTS[name](self, folder, how) as contender:
            self.openssl[name] = contender.openssl
            return self._asked_of(contender)

    def _asked_of(self, contender: Contender) -> Asked:
        lab, calls = self._bench.lab, self._bench.calls
        stranger, caller = contender.caller(lab, SAME_NAMES), contender.caller(lab, RECETTE.name)
        for _ in range(3):
            stranger.call()
        self.delays.append(self._asked.seconds(self._question) * 1000)
        before = self._asked.questions()
        first = _milliseconds(caller.call)
        between, cpu = self._asked.questions(), contender.cpu_seconds()
        following = []
        for _ in range(calls):
            self._bench.ending.check()
            following.append(_milliseconds(caller.call))
        cpu = contender.cpu_seconds() - cpu
        return Asked(
            first,
            median(following),
            cpu / calls * 1000,
            between - before,
            (self._asked.questions() - between) / calls,
        )

    @contextmanager
    def sasgate(self, folder: Path, how: How) -> Iterator[Contender]:
        lists = (self._lists.root, self._lists.org)
        lab, ending = self._bench.lab, self._bench.ending
        with gateway(lab, lists, self._port, folder, ending, how=how) as contender:
            yield contender

    @contextmanager
    def nginx(self, folder: Path, how: How) -> Iterator[Contender]:
        lab, ending = self._bench.lab, self._bench.ending
        with nginx.nginx(lab, self._pem, self._port, folder, ending, how=how) as contender:
            yield contender

    @contextmanager
    def apache(self, folder: Path, how: How) -> Iterator[Contender]:
        lab, ending = self._bench.lab, self._bench.ending
        with apache.apache(lab, self._pem, self._port, folder, ending, how=how) as contender:
            yield contender


_STARTS = {
    SASGATE: _Runner.sasgate,
    nginx.NAME: _Runner.nginx,
    NGINX_CACHE: _Runner.nginx,
    apache.NAME: _Runner.apache,
}


def _milliseconds(call: Callable[[], None]) -> float:
    before = time.perf_counter()
    call()
    return (time.perf_counter() - before) * 1000

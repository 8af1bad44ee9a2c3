"""Latency of one call to SAS, by who makes it and how.

Every contender makes the same call, a POST of an Appointment that nginx answers 201, and each
answer is looked at. They are called in turn, in random order, in slices: what the machine does
meanwhile hits all of them. One of them is there twice, which shows what the noise is.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from random import Random
from statistics import median

from attrs import field, frozen

from bench.client import Caller, Connection, WrongAnswer, dial
from bench.figures import Spread
from bench.outbound.peers import APPOINTMENT, CREATED, EDITOR, PATH, REQUEST, Peers
from sasgate.lab.processes import Ending, NotReady


CURL = "`curl --cert`, a process a call, as the guide has it"
CURL_ITSELF = "the same by curl's own clock, without the process"
OPENED = "TLS from within a process, a connection a call"
HELD = "TLS from within a process, one connection kept"
THROUGH = "through sasgate, the application connects for each call"
AGAIN = "the same again"
KEPT = "through sasgate, the application keeps its connection"
CURL_THROUGH = "`curl` to sasgate, a process a call"

# Makes one call and gives the seconds it took.
Call = Callable[[], float]


@frozen
class Latencies:
    """Milliseconds, the median of each round's calls, by contender, in their order."""

    rounds: int
    calls: int
    spreads: Mapping[str, Spread]


@frozen
class Extent:
    """So many rounds, each of so many calls by each contender."""

    rounds: int
    calls: int
    ending: Ending = field(repr=False)
    say: Callable[[str], None] = field(repr=False)


def measure(peers: Peers, extent: Extent) -> Latencies:
    """Let all contenders make their calls.

    Raises:
        WrongAnswer: a call was not answered as it should be.
        NotReady: curl is not there.
        Stopped: a signal came.
    """
    curl = _Curl(f"https://localhost:{peers.sas}{PATH}", _credentials(peers))
    with _others(peers) as others:
        contenders = {CURL: curl.call, **others}
        found: dict[str, list[float]] = {name: [] for name in (CURL, CURL_ITSELF, *others)}
        for call in contenders.values():
            call()
        for number in range(extent.rounds):
            extent.say(f"round {number + 1} of {extent.rounds}")
            # Nobody always follows the same one.
            for name in Random(number).sample(list(contenders), len(contenders)):
                curl.itself.clear()
                found[name].append(_slice(contenders[name], extent))
                if name == CURL:
                    found[CURL_ITSELF].append(median(curl.itself) * 1000)
    spreads = {name: Spread.of(values) for name, values in found.items()}
    return Latencies(extent.rounds, extent.calls, spreads)


def _slice(call: Call, extent: Extent) -> float:
    """Milliseconds of the call in the middle."""
    seconds = []
    for _ in range(extent.calls):
        extent.ending.check()
        seconds.append(call())
    return median(seconds) * 1000


@contextmanager
def _others(peers: Peers) -> Iterator[dict[str, Call]]:
    """All but what the others are compared with."""
    pem = peers.lab.editor_path(EDITOR)
    direct = Caller.of(peers.sas, peers.lab.public_root, pem, REQUEST)
    with ExitStack() as stack:
        held = stack.enter_context(direct.connected())
        kept = Connection(stack.enter_context(dial(peers.gateway)), REQUEST)
        yield {
            OPENED: _timed(lambda: _opened(direct)),
            HELD: _timed(lambda: _require_created(held.exchange())),
            THROUGH: _timed(lambda: _through(peers.gateway)),
            AGAIN: _timed(lambda: _through(peers.gateway)),
            KEPT: _timed(lambda: _require_created(kept.exchange())),
            CURL_THROUGH: _Curl(f"http://127.0.0.1:{peers.gateway}{PATH}").call,
        }


def _timed(work: Callable[[], None]) -> Call:
    def call() -> float:
        before = time.perf_counter()
        work()
        return time.perf_counter() - before

    return call


def _opened(direct: Caller) -> None:
    with direct.connected() as connection:
        _require_created(connection.exchange())


def _through(gateway: int) -> None:
    with dial(gateway) as plain:
        _require_created(Connection(plain, REQUEST).exchange())


def _require_created(answer: tuple[int, bytes]) -> None:
    if answer != CREATED:
        raise WrongAnswer(f"{answer[0]} {answer[1][:200]!r}")


def _credentials(peers: Peers) -> tuple[str, ...]:
    pem, roots = peers.lab.editor_path(EDITOR), peers.lab.public_root
    return ("--cert", str(pem), "--cacert", str(roots))


class _Curl:
    """One command a call, as in the guide's 5.7; `itself` are the seconds by its own clock."""

    def __init__(self, url: str, options: tuple[str, ...] = ()) -> None:
        program = shutil.which("curl")
        if program is None:
            raise NotReady("curl is not installed: apt-get install curl")
        self.itself: list[float] = []
        self._command = (
            *(program, "-q", "--silent", "--show-error", "--noproxy", "*", "--location"),
            *("--request", "POST", url, *options, "--header", "Content-Type: application/json"),
            *("--data-raw", APPOINTMENT.decode("ascii")),
            *("--write-out", "\\n%{http_code} %{time_total}"),
        )

    def call(self) -> float:
        """Seconds from the process's start until it has ended."""
        before = time.perf_counter()
        done = subprocess.run(
            self._command, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        seconds = time.perf_counter() - before
        body, _, last = done.stdout.rpartition(b"\n")
        figures = re.fullmatch(rb"(\d{3}) (\d+\.\d+)", last)
        if figures is None or done.returncode:
            raise WrongAnswer(f"curl: {done.stderr.decode('utf-8', 'replace').strip()}")
        _require_created((int(figures[1]), body))
        self.itself.append(float(figures[2]))
        return seconds

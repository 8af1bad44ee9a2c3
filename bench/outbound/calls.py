"""Latency and CPU of one call to SAS, by who makes it and how.

Every contender makes the same call, a POST of an Appointment that nginx answers 201, and each
answer is looked at. They are called in turn, in random order, in slices: what the machine does
meanwhile hits all of them. One of them is there twice, which shows what the noise is.
"""

import re
import resource
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
from bench.machine import settled_cpu_seconds
from bench.outbound.peers import APPOINTMENT, CREATED, EDITOR, PATH, REQUEST, Peers
from bench.outbound.terminators import Terminator
from sasgate.lab.processes import Ending, NotReady


CURL = "`curl --cert`, a process a call, as the guide has it"
CURL_ITSELF = "the same by curl's own clock, without the process"
OPENED = "TLS from within a process, a connection a call"
HELD = "TLS from within a process, one connection kept"
_THROUGH = "through {}, the application connects for each call"
_KEPT = "through {}, the application keeps its connection"
THROUGH, KEPT = _THROUGH.format("sasgate"), _KEPT.format("sasgate")
AGAIN = "the same again"
CURL_THROUGH = "`curl` to sasgate, a process a call"

# Makes one call and gives the seconds it took.
Call = Callable[[], float]


@frozen
class Way:
    """How to call, and the CPU that this has cost so far, in seconds.

    Of `curl` that is the whole process's, of a TLS connection from within a process this thread's,
    and of those who stand between that of their own process alone.
    """

    call: Call
    cpu: Callable[[], float]


@frozen
class Latencies:
    """Milliseconds, the median of each round's calls, by contender, in their order.

    `cpu` are milliseconds a call, the mean of each round's; curl's own clock has none.
    """

    rounds: int
    calls: int
    spreads: Mapping[str, Spread]
    cpu: Mapping[str, Spread]


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
        contenders = {CURL: Way(curl.call, _children_cpu), **others}
        found: dict[str, list[float]] = {name: [] for name in (CURL, CURL_ITSELF, *others)}
        costs: dict[str, list[float]] = {name: [] for name in contenders}
        for way in contenders.values():
            way.call()
        for number in range(extent.rounds):
            extent.say(f"round {number + 1} of {extent.rounds}")
            # Nobody always follows the same one.
            for name in Random(number).sample(list(contenders), len(contenders)):
                curl.itself.clear()
                latency, cost = _slice(contenders[name], extent)
                found[name].append(latency)
                costs[name].append(cost)
                if name == CURL:
                    found[CURL_ITSELF].append(median(curl.itself) * 1000)
    spreads, cpu = (
        {name: Spread.of(values) for name, values in each.items()} for each in (found, costs)
    )
    return Latencies(extent.rounds, extent.calls, spreads, cpu)


def _slice(way: Way, extent: Extent) -> tuple[float, float]:
    """Milliseconds of the call in the middle, and of CPU a call."""
    seconds, before = [], way.cpu()
    for _ in range(extent.calls):
        extent.ending.check()
        seconds.append(way.call())
    return median(seconds) * 1000, (way.cpu() - before) / extent.calls * 1000


def _children_cpu() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


@contextmanager
def _others(peers: Peers) -> Iterator[dict[str, Way]]:
    """All but what the others are compared with."""
    pem = peers.lab.editor_path(EDITOR)
    direct = Caller.of(peers.sas, peers.lab.public_root, pem, REQUEST)
    with ExitStack() as stack:
        held = stack.enter_context(direct.connected())
        ways = {
            OPENED: Way(_timed(lambda: _opened(direct)), time.thread_time),
            HELD: Way(_timed(lambda: _require_created(held.exchange())), time.thread_time),
        }
        for each in peers.terminators:
            ways |= _ways_through(each, stack)
        gateway = peers.gateway
        curl = _Curl(f"http://127.0.0.1:{gateway.port}{PATH}")
        ways[CURL_THROUGH] = Way(curl.call, lambda: _children_cpu() + _cpu(gateway))
        yield ways


def _ways_through(terminator: Terminator, stack: ExitStack) -> dict[str, Way]:
    """Both ways to call through one; the gateway's first twice."""
    port, name = terminator.port, terminator.name
    kept = Connection(stack.enter_context(dial(port)), REQUEST)
    connecting = Way(_timed(lambda: _through(port)), lambda: _cpu(terminator))
    keeping = Way(_timed(lambda: _require_created(kept.exchange())), lambda: _cpu(terminator))
    again = {AGAIN: connecting} if _THROUGH.format(name) == THROUGH else {}
    return {_THROUGH.format(name): connecting, **again, _KEPT.format(name): keeping}


def _cpu(terminator: Terminator) -> float:
    return settled_cpu_seconds(terminator.process.pid)


def _timed(work: Callable[[], None]) -> Call:
    def call() -> float:
        before = time.perf_counter()
        work()
        return time.perf_counter() - before

    return call


def _opened(direct: Caller) -> None:
    with direct.connected() as connection:
        _require_created(connection.exchange())


def _through(port: int) -> None:
    with dial(port) as plain:
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

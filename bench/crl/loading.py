"""What loading a list does to who calls meanwhile, and how much memory it takes.

One connection is held, and asked at a steady pace. While that goes on the list is replaced; then
the same is done for as long without that, twice: how far the two quiet stretches are apart is what
the machine does by itself. In a fourth stretch a process that has nothing to do with the gateway
is as busy as the child is: what that costs is the want of a CPU, and not the gateway's doing.
"""

import gc
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from statistics import quantiles
from threading import Thread

from attrs import define, field, frozen

from bench.client import Connection
from bench.contenders import Contender, gateway
from bench.crl.connections import Bench
from bench.crl.lists import Lists, org_list
from bench.figures import Spread
from bench.machine import children, cpu_seconds, memory, with_memory_files
from sasgate.control_asking import ask
from sasgate.lab.processes import NotReady


# Seconds: between two calls, before the list is replaced, after it came in force, and until it is
# sure that it never will.
_PACE, _LEAD, _TAIL, _PATIENCE = 0.01, 0.5, 1.0, 300.0


@frozen
class Stretch:
    """Milliseconds of each call of a stretch of time."""

    milliseconds: tuple[float, ...]

    @property
    def slowest(self) -> float:
        return max(self.milliseconds)

    @property
    def p99(self) -> float:
        return quantiles(self.milliseconds, n=100)[-1]


@define
class Load:
    """One load: seconds from the child's start until its list was in force; memory in MiB.

    `cpu` is that of the gateway in the whole stretch, in seconds.
    """

    seconds: float = 0.0
    child: float = 0.0
    resident: float = 0.0
    cpu: float = 0.0


@frozen
class Loading:
    """All rounds; `resident` is that of the gateway before it held a list with entries."""

    entries: int
    resident: float
    loads: tuple[Load, ...]
    stretches: Mapping[str, tuple[Stretch, ...]] = field(repr=False)

    def slowest(self, kind: str) -> Spread:
        """Milliseconds of the slowest call of each round."""
        return Spread.of(each.slowest for each in self.stretches[kind])

    def p99(self, kind: str) -> Spread:
        """Milliseconds under which 99 of 100 calls of each round stayed."""
        return Spread.of(each.p99 for each in self.stretches[kind])

    def loaded(self, what: Callable[[Load], float]) -> Spread:
        """Something of each load."""
        return Spread.of(map(what, self.loads))


BUSY, QUIET, QUIET_AGAIN = "loading", "quiet", "quiet again"
NEIGHBOUR = "quiet, a busy process beside"
KINDS = (BUSY, QUIET, QUIET_AGAIN, NEIGHBOUR)


def measure(bench: Bench, entries: int) -> Loading:
    """Replace the list as many times as there are rounds.

    Raises:
        NotReady: a list never came in force.
        Stopped: by a signal.
    """
    stretches: dict[str, list[Stretch]] = {kind: [] for kind in KINDS}
    loads = []
    with ExitStack() as stack:
        lists = Lists.write(bench.lab, bench.folder / "loading-lists", 0)
        folder = bench.folder / "loading"
        contender = stack.enter_context(
            gateway(bench.lab, (lists.root, lists.org), bench.backend, folder, bench.ending)
        )
        connection = stack.enter_context(contender.caller(bench.lab).connected())
        _Pace(bench, connection).run(_LEAD.__gt__)
        before = _resident(contender)
        for number in range(bench.rounds):
            bench.say(f"loading {entries} entries, {number + 1} of {bench.rounds}")
            coming = org_list(bench.lab, entries, number + 2)
            watch = _Watch(contender, lists, coming, number + 2)
            stretches[BUSY].append(_Pace(bench, connection).run(watch.goes_on))
            watch.load.resident = _resident(contender)
            loads.append(watch.load)
            for kind in (QUIET, QUIET_AGAIN):
                stretches[kind].append(_Pace(bench, connection).run(watch.ended.__gt__))
            with _busy_process():
                stretches[NEIGHBOUR].append(_Pace(bench, connection).run(watch.ended.__gt__))
    kept = {kind: tuple(each) for kind, each in stretches.items()}
    return Loading(entries, before, tuple(loads), kept)


@frozen
class _Pace:
    bench: Bench
    connection: Connection

    def run(self, goes_on: Callable[[float], bool]) -> Stretch:
        """Call at a steady pace; `goes_on` is asked between two calls, with the seconds so far."""
        took = []
        with _no_collection():
            began = time.perf_counter()
            while goes_on(time.perf_counter() - began):
                self.bench.ending.check()
                sent = time.perf_counter()
                self.connection.call()
                took.append((time.perf_counter() - sent) * 1000)
                time.sleep(max(0.0, sent + _PACE - time.perf_counter()))
        return Stretch(tuple(took))


class _Watch:
    """Replaces the list, and follows the load of it, between two calls."""

    def __init__(self, contender: Contender, lists: Lists, coming: bytes, number: int) -> None:
        self.load = Load()
        self.ended = 0.0
        self._contender = contender
        self._lists = lists
        self._coming: bytes | None = coming
        self._began = 0.0
        self._cpu = cpu_seconds(contender.pid)
        self._in_force = re.compile(rb"list %d of \S.* is in force" % number)
        self._log = contender.process.log
        self._read = self._log.stat().st_size

    def goes_on(self, now: float) -> bool:
        """Whether there is still something to be seen."""
        if self._coming is not None:
            if now > _LEAD:
                self._lists.replace(self._coming)
                self._coming = None
                # As `sasgate crl refresh` does; without it some seconds would pass in idleness.
                state = self._log.parent / "state"
                Thread(target=ask, args=(state, "refresh", {}, 10.0, _PATIENCE)).start()
            return True
        if self.ended:
            return now < self.ended
        self._see_child(now)
        if self._is_in_force():
            self.load.seconds = now - self._began
            self.load.cpu = cpu_seconds(self._contender.pid) - self._cpu
            self.ended = now + _TAIL
        if now > _PATIENCE:
            raise NotReady(self._contender.process.report("did not take the list up"))
        return True

    def _see_child(self, now: float) -> None:
        for child in children(self._contender.pid):
            self._began = self._began or now
            self.load.child = max(self.load.child, memory(child, "VmHWM") or 0.0)

    def _is_in_force(self) -> bool:
        with self._log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        # The last line may not be whole yet.
        whole = new.rfind(b"\n") + 1
        self._read += whole
        return self._in_force.search(new[:whole]) is not None


@contextmanager
def _busy_process() -> Iterator[None]:
    """A process of its own, as nice as the child."""
    endless = "import os; os.nice(10)\nwhile True: pass"
    with subprocess.Popen((sys.executable, "-c", endless)) as process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def _no_collection() -> Iterator[None]:
    """The client's own pauses are not the gateway's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _resident(contender: Contender) -> float:
    return with_memory_files(contender.pid) or 0.0

"""A client that is revoked while connected: what becomes of its connections, and how soon.

It has three connections: an idle one, one with a request every 20 ms, and one with a call under way
that takes a while; beside that it tries to connect anew, and a client that nobody revokes has an
idle connection. Then the list of its CA is replaced by one that has it. What follows is watched
twice, each time from the start: when nobody tells the server, and when it is told (`sasgate crl
refresh`; the others reload as their services do).
"""

import os
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random
from threading import Thread

from attrs import evolve, field, frozen

from bench.client import WrongAnswer, dial
from bench.contenders import PATIENCE, SASGATE, USUAL, Contender, gateway, running
from bench.crl.lists import Lists
from bench.peers import apache, haproxy, nginx
from bench.revocation.asking import SAME_NAMES, Bench
from sasgate.control_asking import ask
from sasgate.environments import RECETTE
from sasgate.lab import trees
from sasgate.lab.lists import ListTemplate, revoked, sign_list


IDLE, BUSY, UNDER_WAY = "idle connection", "connection in use", "call under way"
NEW, OTHER = "new connection", "another client's, idle"
KINDS = (IDLE, BUSY, UNDER_WAY, NEW, OTHER)
_PACE = 0.02


@frozen
class Fate:
    """Of one connection: `end` is seconds after the new list, None where it outlived the watch.

    `answered` is a call under way that got its answer, at that moment.
    """

    end: float | None
    answered: bool = False


@frozen
class Cuts:
    """By contender and by whether it was told; one entry a round. Times are in seconds."""

    rounds: int
    watched: float
    slow: float
    fates: Mapping[tuple[str, bool], tuple[Mapping[str, Fate], ...]]


@frozen
class Watch:
    """Who is watched, for how long, and how long a call under way takes; in seconds."""

    bench: Bench
    watched: float = 8.0
    slow: float = 3.0
    names: tuple[str, ...] = field(default=(SASGATE, nginx.NAME, apache.NAME, haproxy.NAME))
    told: tuple[bool, ...] = (False, True)


def measure(watch: Watch) -> Cuts:
    """Begin and end each contender twice a round.

    Raises:
        WrongAnswer: one doesn't let in whom it should.
        NotReady, Stopped: as of `sasgate.lab.processes`.
    """
    kinds = [(name, told) for name in watch.names for told in watch.told]
    fates: dict[tuple[str, bool], list[Mapping[str, Fate]]] = {kind: [] for kind in kinds}
    bench = watch.bench
    with _application(bench) as port:
        for number in range(bench.rounds):
            for name, told in Random(number).sample(kinds, len(kinds)):
                bench.say(
                    f"revoked while connected, round {number + 1} of {bench.rounds}: {name},"
                    f" {'told' if told else 'not told'}"
                )
                folder = bench.folder / f"cut-{name}-{told}-{number}"
                with _started(bench, name, port, folder) as (contender, published):
                    fates[name, told].append(_fates(watch, contender, published, told=told))
    kept = {kind: tuple(each) for kind, each in fates.items()}
    return Cuts(bench.rounds, watch.watched, watch.slow, kept)


@contextmanager
def _application(bench: Bench) -> Iterator[int]:
    """A backend whose answers may take a while."""
    command = (sys.executable, "-m", "sasgate.lab.backend", "--port", "0")
    with running("backend", command, bench.folder / "slow-backend.log", bench.ending) as process:
        yield int(process.wait_for(r"^\d+$", bench.ending, PATIENCE)[0])


@frozen
class _Published:
    """Lists that nobody is on yet, and the files that the contender reads them from."""

    bench: Bench
    lists: Lists
    pem: Path

    def revoke(self) -> None:
        """Put the client on the list, in one step for each file."""
        lab = self.bench.lab
        serial = lab.clients[RECETTE.name].certificate.serial_number
        template = ListTemplate(
            number=2, this_update=timedelta(minutes=-90), entries=(revoked(serial),)
        )
        self.lists.replace(sign_list(lab.authorities[trees.ORG_TEST], template))
        self.lists.pem(self.pem.with_suffix(".new")).replace(self.pem)


@contextmanager
def _started(
    bench: Bench, name: str, port: int, folder: Path
) -> Iterator[tuple[Contender, _Published]]:
    lists = Lists.write(bench.lab, bench.folder / f"{folder.name}-lists", 0)
    published = _Published(bench, lists, lists.pem(lists.org.with_suffix(".pem")))
    how, lab, ending = evolve(USUAL, reloads=True), bench.lab, bench.ending
    starts = {nginx.NAME: nginx.nginx, apache.NAME: apache.apache, haproxy.NAME: haproxy.haproxy}
    contender = (
        gateway(lab, (lists.root, lists.org), port, folder, ending, how=how)
        if name == SASGATE
        else starts[name](lab, published.pem, port, folder, ending, how=how)
    )
    with contender as running_one:
        yield running_one, published


_RELOADS = {
    nginx.NAME: signal.SIGHUP,
    apache.NAME: signal.SIGUSR1,
    haproxy.NAME: signal.SIGUSR2,
}


def _tell(contender: Contender) -> None:
    """As an administrator does, or a timer: see to it that the new list is read."""
    if contender.name != SASGATE:
        os.kill(contender.pid, _RELOADS[contender.name])
        return
    state = contender.process.log.parent / "state"
    # Its answer is not waited for: it comes when all lists have been looked after.
    Thread(target=ask, args=(state, "refresh", {}, 10.0, PATIENCE)).start()


def _fates(
    watch: Watch, contender: Contender, published: _Published, *, told: bool
) -> Mapping[str, Fate]:
    clients = (RECETTE.name, RECETTE.name, RECETTE.name, SAME_NAMES)
    opened = [_Link(contender, watch, each) for each in clients]
    idle, busy, slow, other = opened
    try:
        for each in opened:
            each.require_answer()
        with ThreadPoolExecutor(len(KINDS)) as pool:
            waiting = pool.submit(slow.wait)
            # On its way through the server before the list comes.
            time.sleep(0.3)
            published.revoke()
            began = time.monotonic()
            if told:
                _tell(contender)
            found = {
                IDLE: pool.submit(_until, watch, began, idle.is_open),
                OTHER: pool.submit(_until, watch, began, other.is_open),
                BUSY: pool.submit(_until, watch, began, busy.is_answered),
                NEW: pool.submit(_until, watch, began, lambda: _is_let_in(contender, watch)),
            }
            fates = {kind: Fate(each.result()) for kind, each in found.items()}
            ended, answered = waiting.result()
    finally:
        for each in opened:
            each.close()
    return {**fates, UNDER_WAY: Fate(ended - began, answered)}


def _until(watch: Watch, began: float, goes_on: Callable[[], bool]) -> float | None:
    """Seconds until it doesn't; None where it does as long as it is watched."""
    while (now := time.monotonic()) < began + watch.watched:
        watch.bench.ending.check()
        if not goes_on():
            return time.monotonic() - began
        time.sleep(max(0.0, now + _PACE - time.monotonic()))
    return None


def _is_let_in(contender: Contender, watch: Watch) -> bool:
    try:
        link = _Link(contender, watch)
    except OSError:
        return False
    try:
        return link.is_answered()
    finally:
        link.close()


class _Link:
    """A connection of a client's."""

    def __init__(self, contender: Contender, watch: Watch, client: str = RECETTE.name) -> None:
        context = contender.caller(watch.bench.lab, client).context
        self._tls = context.wrap_socket(dial(contender.port), server_hostname="localhost")
        self._http = HTTPConnection("localhost")
        self._http.sock = self._tls
        # What was closed stays closed.
        self._http.auto_open = 0
        self._slow = f"/fhir/slow?seconds={watch.slow:g}"

    def require_answer(self) -> None:
        if not self.is_answered():
            raise WrongAnswer(f"no answer for {RECETTE.name}, whom no list has")

    def is_answered(self, path: str = "/fhir/metadata") -> bool:
        try:
            self._http.request("GET", path)
            answer = self._http.getresponse()
            answer.read()
        except (OSError, HTTPException):
            return False
        return answer.status == 200

    def is_open(self) -> bool:
        """Nothing is sent on it; the other side alone can end it."""
        self._tls.settimeout(_PACE)
        try:
            return self._tls.recv(1) != b""
        except TimeoutError:
            return True
        except (ssl.SSLError, OSError):
            return False

    def wait(self) -> tuple[float, bool]:
        """When a call that takes a while ended, and whether by its answer."""
        answered = self.is_answered(self._slow)
        return time.monotonic(), answered

    def close(self) -> None:
        self._tls.close()

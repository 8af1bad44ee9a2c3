"""All works by all contenders, in rounds: the same work by one after the other, in random order.

What the machine does meanwhile hits all of them, and nobody always follows the same one, which
leaves its traces in the processor's caches.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random

from attrs import evolve, frozen

from bench.client import Caller, WrongAnswer
from bench.contenders import Contender
from bench.figures import Spread
from bench.inbound import ab, holding, pacing
from bench.inbound.field import Field
from bench.inbound.holding import Held
from bench.inbound.pacing import Paced
from bench.inbound.works import ANSWERS, GET, SMALL, Extent, Work
from bench.peers import nginx
from sasgate.environments import RECETTE


# Connections over which calls are paced: more than are under way in a server that can follow.
_LINES = 32
# What disturbs a server makes it look smaller: the best of so many bursts is its capacity.
_TRIES = 3
_REQUEST = b"GET %b HTTP/1.1\r\nHost: localhost\r\nAccept: application/fhir+json\r\n\r\n"


@frozen
class Slice:
    """One work of one contender in one round.

    `cpu` is microseconds a call, `rate` calls a second, `busy` the share of its CPU that the
    contender used meanwhile: well below 1, `rate` says more of the load than of the contender.
    """

    cpu: float
    rate: float
    busy: float
    p50: float
    p99: float


@frozen
class Pace:
    """Calls a second, and why just so many."""

    why: str
    rate: float


@frozen
class Key:
    """What was done, and by whom: a work's key or a pace's reason, and a contender's name."""

    what: str
    name: str


@frozen
class Figures:
    """One value a round of each; `openssl` is by contender."""

    extent: Extent
    names: Sequence[str]
    openssl: Mapping[str, str]
    slices: Mapping[Key, Sequence[Slice]]
    paces: Sequence[Pace]
    paced: Mapping[Key, Sequence[Paced]]
    held: Mapping[str, Sequence[Held]]

    def slice(self, what: str, name: str, of: Callable[[Slice], float]) -> Spread | None:
        """A figure of a work; None where it was not measured."""
        found = self.slices.get(Key(what, name))
        return Spread.of(map(of, found)) if found else None

    def pace(self, what: str, name: str, of: Callable[[Paced], float]) -> Spread | None:
        """A figure of calls at a pace; None where it was not measured."""
        found = self.paced.get(Key(what, name))
        return Spread.of(map(of, found)) if found else None

    def memory(self, name: str, of: Callable[[Held], float]) -> Spread | None:
        """A figure of connections that are held; None where it was not measured."""
        found = self.held.get(name)
        return Spread.of(map(of, found)) if found else None


HALF_OF_NGINX, HALF_OF_ALL = "half of nginx's capacity", "half of the slowest one's capacity"


def measure(
    place: Field, names: Sequence[str], extent: Extent, say: Callable[[str], None]
) -> Figures:
    """All of it.

    Raises:
        WrongAnswer, OSError: one does not do what it is measured for.
        NotReady, Stopped: as of `sasgate.lab.processes`.
    """
    rounds = _Rounds(place, names, extent, say)
    with place.contenders(names) as contenders:
        rates = rounds.warm_up(contenders)
        paces = list(_paces(rates)) if extent.seconds else []
        for number in range(extent.rounds):
            for work in extent.works:
                for name in rounds.order(number, work.key):
                    found = rounds.slice(contenders[name], work)
                    rounds.slices.setdefault(Key(work.key, name), []).append(found)
            for pace in paces:
                for name in rounds.order(number, pace.why):
                    offered = rounds.paced(contenders[name], pace, number)
                    rounds.calls.setdefault(Key(pace.why, name), []).append(offered)
        openssl = {name: each.openssl for name, each in contenders.items()}
    rounds.hold()
    return Figures(
        extent, names, openssl, rounds.slices, paces, rounds.calls, rounds.held
    )  # fmt: skip


def _paces(rates: Mapping[str, float]) -> Iterator[Pace]:
    if nginx.NAME in rates:
        yield Pace(HALF_OF_NGINX, rates[nginx.NAME] / 2)
    if rates:
        yield Pace(HALF_OF_ALL, min(rates.values()) / 2)


class _Rounds:
    """What the rounds find, and how each slice is measured."""

    def __init__(
        self, place: Field, names: Sequence[str], extent: Extent, say: Callable[[str], None]
    ) -> None:
        self.slices: dict[Key, list[Slice]] = {}
        self.calls: dict[Key, list[Paced]] = {}
        self.held: dict[str, list[Held]] = {}
        self._place = place
        self._names = names
        self._extent = extent
        self._say = say
        self._pem = place.lab.path_of(RECETTE.name)

    def order(self, number: int, what: str) -> list[str]:
        """The contenders, drawn by lot; each draw is the same in every run."""
        self._say(f"round {number + 1} of {self._extent.rounds}: {what}")
        return Random(f"{number} {what}").sample(self._names, len(self._names))

    def warm_up(self, contenders: Mapping[str, Contender]) -> dict[str, float]:
        """See that the backend answers through each; calls a second over kept connections."""
        for contender in contenders.values():
            self._caller(contender).call()
        for work in self._extent.works:
            for contender in contenders.values():
                self._burst(contender, work, share=0.1)
        capacity = [work for work in self._extent.works if work.key == GET]
        return {
            name: max(self._burst(contender, work).rate for _ in range(_TRIES))
            for work in capacity
            for name, contender in contenders.items()
        }

    def slice(self, contender: Contender, work: Work) -> Slice:
        """So many calls, as fast as they go."""
        before, begin = contender.cpu_seconds(), time.perf_counter()
        burst = self._burst(contender, work)
        took = time.perf_counter() - begin
        cpu = contender.cpu_seconds() - before
        calls = work.times(self._extent.share)
        return Slice(cpu / calls * 1e6, burst.rate, cpu / took, burst.p50, burst.p99)

    def paced(self, contender: Contender, pace: Pace, number: int) -> Paced:
        """Calls at that pace, due at the same times for all contenders of a round."""
        self._place.ending.check()
        # One who is far behind is still done some seconds later.
        due = pacing.arrivals(pace.rate, self._extent.seconds, Random(f"{number} {pace.why}"))
        with pacing.lines(self._caller(contender), _LINES, ANSWERS[SMALL]) as lines:
            before = contender.cpu_seconds()
            found = pacing.offer(lines, due)
            return evolve(found, cpu=(contender.cpu_seconds() - before) / len(due) * 1e6)

    def hold(self) -> None:
        """Connections that do nothing, to a new server each time: its memory has no holes yet."""
        if not self._extent.held:
            return
        for number in range(self._extent.rounds):
            for index, name in enumerate(self.order(number, f"{self._extent.held} held")):
                with self._place.contender(name, f"held-{number}-{index}") as contender:
                    caller = self._caller(contender)
                    check = self._place.ending.check
                    found = holding.hold(contender, caller, self._extent.held, check)
                    self.held.setdefault(name, []).append(found)

    def _burst(self, contender: Contender, work: Work, share: float = 1.0) -> ab.Burst:
        self._place.ending.check()
        calls = work.times(self._extent.share * share)
        try:
            return ab.run(work, calls, contender.port, self._pem, self._place.folder)
        except WrongAnswer as error:
            raise WrongAnswer(f"{contender.name}: {error}") from error

    def _caller(self, contender: Contender) -> Caller:
        lab = self._place.lab
        request = _REQUEST % SMALL.encode("ascii")
        return Caller.of(contender.port, lab.public_root, self._pem, request)

"""CPU of a new mTLS connection with one proxied GET, by the length of the list.

One process a contender, all alive at the same time, called in turn in short slices: what the
machine does meanwhile hits all of them. The empty list is there twice, which shows how far apart
two gateways are that do the same.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from attrs import field, frozen

from bench.client import WrongAnswer
from bench.contenders import SASGATE, Contender, gateway
from bench.crl.lists import REVOKED, Lists
from bench.figures import Spread
from bench.peers import nginx
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


AGAIN, NGINX = f"{SASGATE}, again", nginx.NAME
# Seconds that a slice takes at the most, and calls at the least.
_LONGEST, _LEAST = 2.0, 5


@frozen
class Key:
    """One contender."""

    name: str
    entries: int


@frozen
class Connections:
    """Milliseconds of CPU a call, one value a round; `openssl` is by name."""

    rounds: int
    calls: int
    callers: int
    cpu: Mapping[Key, Spread]
    openssl: Mapping[str, str]


@frozen
class Bench:
    """Where it is done, and for how long: `calls` a slice, `rounds` slices a contender.

    `callers` call at the same time, each one call after the other.
    """

    lab: Lab
    folder: Path
    backend: int
    ending: Ending = field(repr=False)
    rounds: int
    calls: int
    callers: int
    say: Callable[[str], None] = field(repr=False)


def measure(bench: Bench, counts: Sequence[int], *, beside_nginx: bool) -> Connections:
    """Begin all contenders, see that each refuses whom its list revokes, and call them in turn.

    Raises:
        WrongAnswer: one doesn't do what it is measured for.
        NotReady, Stopped: as of `sasgate.lab.processes`.
    """
    with _contenders(bench, counts, beside_nginx=beside_nginx) as contenders:
        for key, each in contenders.items():
            _require_refusal(bench.lab, key, each)
            _slice(bench, each, bench.calls // 4)
        found: dict[Key, list[float]] = {key: [] for key in contenders}
        keys = list(contenders)
        for number in range(bench.rounds):
            bench.say(f"new connections, round {number + 1} of {bench.rounds}")
            # Nobody always follows the same one, which leaves its traces in the processor's caches.
            for key in Random(number).sample(keys, len(keys)):
                found[key].append(_slice(bench, contenders[key], bench.calls))
        openssl = {key.name: each.openssl for key, each in contenders.items()}
    spreads = {key: Spread.of(values) for key, values in found.items()}
    return Connections(bench.rounds, bench.calls, bench.callers, spreads, openssl)


@contextmanager
def _contenders(
    bench: Bench, counts: Sequence[int], *, beside_nginx: bool
) -> Iterator[Mapping[Key, Contender]]:
    with ExitStack() as stack:
        made: dict[Key, Contender] = {}
        for name, count in [(AGAIN, 0), *((SASGATE, each) for each in counts)]:
            bench.say(f"{name} takes up {count} entries")
            lists = Lists.write(bench.lab, bench.folder / f"lists-{count}", count)
            folder = bench.folder / f"{name.replace(', ', '-')}-{count}"
            made[Key(name, count)] = stack.enter_context(
                gateway(bench.lab, (lists.root, lists.org), bench.backend, folder, bench.ending)
            )
            if beside_nginx and name == SASGATE:
                bench.say(f"{NGINX} takes up {count} entries")
                pem = lists.pem(lists.org.with_suffix(".pem"))
                folder = bench.folder / f"{NGINX}-{count}"
                made[Key(NGINX, count)] = stack.enter_context(
                    nginx.nginx(bench.lab, pem, bench.backend, folder, bench.ending)
                )
        yield made


def _require_refusal(lab: Lab, key: Key, contender: Contender) -> None:
    contender.caller(lab).call()
    status = contender.caller(lab, REVOKED).status()
    # nginx itself answers 400 before any rule of its configuration is asked.
    if status not in ({400, 401} if key.entries else {200}):
        raise WrongAnswer(f"{key}: {status} for the client that lists with entries revoke")


def _slice(bench: Bench, contender: Contender, calls: int) -> float:
    """Milliseconds of CPU a call, over so many calls or as long as a slice may take."""
    caller = contender.caller(bench.lab)
    before, until = contender.cpu_seconds(), time.monotonic() + _LONGEST
    numbers = iter(range(calls))

    def call() -> int:
        done = 0
        for number in numbers:
            if number >= _LEAST and time.monotonic() > until:
                break
            bench.ending.check()
            caller.call()
            done += 1
        return done

    with ThreadPoolExecutor(bench.callers) as pool:
        # All of them are waited for before the first result, or failure, is looked at.
        done = sum(each.result() for each in [pool.submit(call) for _ in range(bench.callers)])
    return (contender.cpu_seconds() - before) / max(done, 1) * 1000

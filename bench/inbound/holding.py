"""Memory: of a server that has nothing to do, and of each connection that is held."""

import time
from collections.abc import Callable
from contextlib import ExitStack

from attrs import frozen

from bench.client import Caller
from bench.contenders import Contender
from bench.machine import memory


_QUIET = 0.3


@frozen
class Held:
    """MiB resident at rest, before the first call; KiB that each held connection adds."""

    idle: float
    each: float


def hold(contender: Contender, caller: Caller, count: int, check: Callable[[], None]) -> Held:
    """Open so many connections to a new server, with one call on each, and keep them.

    `check` is asked now and then whether to go on. In the end some are called again: what was
    closed meanwhile was not held.

    Raises:
        WrongAnswer, OSError: a connection did not last.
    """
    idle = resident(contender)
    # What the first calls bring in is no connection's.
    for _ in range(4):
        caller.call()
    before = resident(contender)
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            check()
            connections.append(stack.enter_context(caller.connected()))
            connections[-1].call()
        after = resident(contender)
        for connection in connections[:: max(1, count // 20)]:
            connection.call()
    return Held(idle, (after - before) * 1024 / count)


def resident(contender: Contender) -> float:
    """MiB of the server and its children, once they have come to rest."""
    contender.cpu_seconds()
    time.sleep(_QUIET)
    return sum(memory(pid) or 0.0 for pid in contender.pids)

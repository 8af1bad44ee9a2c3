"""Calls at a given pace, whatever becomes of those before: an open loop.

Latency counts from when a call was due, not from when it could be sent. A server that stands still
for a moment is then slow for all who wanted something meanwhile, and not for one caller alone.
"""

import select
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from random import Random

from attrs import frozen

from bench.client import Caller, WrongAnswer, dial


_PATIENCE = 60.0


@frozen
class Paced:
    """Milliseconds; `late` is what 99 of 100 calls were sent late by because of this client.

    `rate` is calls answered a second, which is less than was offered where a server cannot follow;
    `cpu` is microseconds a call of the server, for whom looked at it.
    """

    offered: float
    rate: float
    p50: float
    p99: float
    late: float
    cpu: float = 0.0


def arrivals(rate: float, seconds: float, random: Random) -> list[float]:
    """When calls are due, in seconds: as many a second in the mean, each regardless of the others.

    At least one.
    """
    times = [random.expovariate(rate)]
    while times[-1] < seconds:
        times.append(times[-1] + random.expovariate(rate))
    return times


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Line:
    """One kept connection, on which one call at a time is under way."""

    def __init__(self, stream: ssl.SSLSocket, request: bytes, body: bytes) -> None:
        self._stream = stream
        self._request = request
        self._body = body
        self._answer = b""
        self.due = 0.0
        self.free_since = 0.0
        stream.setblocking(False)

    def fileno(self) -> int:
        return self._stream.fileno()

    def send(self, due: float) -> None:
        """Begin the call that was due then."""
        self.due = due
        self._answer = b""
        if self._stream.send(self._request) < len(self._request):
            raise WrongAnswer("a request of some bytes was not taken whole")

    def is_answered(self) -> bool:
        """Read what is there; whether it was the last of the answer.

        Raises:
            WrongAnswer: it is not the backend's.
        """
        try:
            data = self._stream.recv(65536)
        except ssl.SSLWantReadError:
            return False
        self._answer += data
        head, _, body = self._answer.partition(b"\r\n\r\n")
        if data and len(body) < len(self._body):
            return False
        if body != self._body or not head.startswith(b"HTTP/1.1 200"):
            raise WrongAnswer(f"an answer that is not the backend's: {self._answer[:300]!r}")
        return True


@contextmanager
def lines(caller: Caller, count: int, body: bytes) -> Iterator[list[Line]]:
    """So many connections, open; `body` is what each call must be answered with."""
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            plain = dial(caller.port)
            tls = caller.context.wrap_socket(plain, server_hostname="localhost")
            made.append(Line(stack.enter_context(tls), caller.request, body))
        yield made


def offer(free: Sequence[Line], due: Sequence[float]) -> Paced:
    """Make the calls when they are due, or as soon afterwards as a connection is free.

    Raises:
        WrongAnswer: an answer is wrong, or none came.
    """
    idle, busy = list(free), dict[int, Line]()
    latencies, late = list[float](), list[float]()
    begin, sent = time.perf_counter(), 0
    while sent < len(due) or busy:
        now = time.perf_counter() - begin
        while idle and sent < len(due) and due[sent] <= now:
            line = idle.pop()
            line.send(due[sent])
            now = time.perf_counter() - begin
            late.append(now - max(line.due, line.free_since))
            busy[line.fileno()] = line
            sent += 1
        wait = due[sent] - now if idle and sent < len(due) else _PATIENCE
        ready, _, _ = select.select(list(busy), (), (), max(0.0, wait))
        if not ready and wait == _PATIENCE:
            raise WrongAnswer(f"no answer within {_PATIENCE:.0f} s")
        for number in ready:
            line = busy[number]
            if line.is_answered():
                line.free_since = time.perf_counter() - begin
                latencies.append(line.free_since - line.due)
                idle.append(busy.pop(number))
    took = time.perf_counter() - begin
    return Paced(
        len(due) / due[-1],
        len(due) / took,
        percentile(latencies, 0.5) * 1000,
        percentile(latencies, 0.99) * 1000,
        percentile(late, 0.99) * 1000,
    )

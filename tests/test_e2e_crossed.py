"""Many clients at once on a backend that misbehaves at random: each gets its own (S45)."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException

import pytest

from gateways import gateway
from raw_backend import Peer, RawBackend
from raw_client import Caller, request
from sasgate.lab.pki import Lab


CLIENTS = 8
REQUESTS = 60


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _with(field: bytes, answer: bytes) -> bytes:
    return answer.replace(b"\r\n\r\n", b"\r\n%b\r\n\r\n" % field, 1)


def _chunked(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
        len(body),
        body,
    )


# What is sent for a body, and whether the backend closes after it.
WAYS: Mapping[str, tuple[Callable[[bytes], bytes], bool]] = {
    "good": (_answer, False),
    "chunked": (_chunked, False),
    # Had it closed unsaid, a request sent at that very moment would be lost, whosever it is.
    "closed": (lambda body: _with(b"Connection: close", _answer(body)), True),
    "until-close": (lambda body: b"HTTP/1.1 200 OK\r\n\r\n" + body, True),
    "twice": (lambda body: _answer(body) * 2, False),
    "and-garbage": (lambda body: _answer(body) + b"\x00garbage", False),
    "and-evil": (lambda body: _chunked(body) + _answer(b"evil"), False),
    "cut": (lambda body: _answer(body)[:-3], True),
    "nothing": (lambda _: b"", True),
    "ambiguous": (lambda body: _with(b"Transfer-Encoding: chunked", _answer(body)), False),
}


def script(peer: Peer) -> None:
    while (seen := peer.request()) is not None:
        make, closes = WAYS[seen.target.rpartition("/")[2]]
        peer.send(make(seen.target.encode("latin-1")))
        if closes:
            return


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend(script) as server:
        yield server


@pytest.fixture(scope="module")
def caller(
    lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caller]:
    with gateway(lab, tmp_path_factory.mktemp("gateway"), {"backend": backend.url}) as process:
        yield Caller(lab, process.port())


def calls(caller: Caller, client: int, outcomes: Counter[tuple[str, str]]) -> None:
    """Call again and again, on a new connection where the gateway gave one up."""
    ways = random.Random(client).choices(list(WAYS), k=REQUESTS)
    left = [(f"/{client}/{number}/{way}", way) for number, way in enumerate(ways)]
    while left:
        with suppress(OSError, HTTPException), caller.wire() as wire:
            while left:
                target, way = left.pop(0)
                outcomes[way, "lost"] += 1
                answer = wire.ask(request("POST", target, body=target.encode()))
                outcomes[way, "lost"] -= 1
                outcomes[way, str(answer.status)] += 1
                if answer.status == 200:
                    assert answer.body == target.encode()


def test_s45_no_client_gets_what_is_another_ones(caller: Caller, backend: RawBackend) -> None:
    counts: list[Counter[tuple[str, str]]] = [Counter() for _ in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as threads:
        for done in [
            threads.submit(calls, caller, client, counts[client]) for client in range(CLIENTS)
        ]:
            done.result()
    outcomes: Counter[tuple[str, str]] = sum(counts, Counter())
    seen = {way: {how for each, how in outcomes if each == way} for way in WAYS}
    failed = {"cut": {"lost"}, "nothing": {"502"}, "ambiguous": {"502"}}
    assert seen == {way: failed.get(way, {"200"}) for way in WAYS}
    assert backend.faults == []
    assert len(backend.requests) == CLIENTS * REQUESTS
    assert len({each.target for each in backend.requests}) == CLIENTS * REQUESTS

"""Damaged HTTP/1.1 by the hundred thousand: `python tests/fuzz_http.py --count N [--seed S]`.

Every stream must come to the same end whatever the cut of its bytes, raise nothing but refusals,
and what is passed on of it must mean the same to a strict reader and to h11 (S40).
"""

import argparse
import random
import sys
from collections import Counter

from http_messages import POISON, cut
from http_readings import Reading, forwarded, read_requests, read_responses
from sasgate.http1 import Framing, RequestHead
from strict_http import read_by_h11, read_strictly


REQUESTS = (
    b"GET /fhir/Slot?start=ge2026&_count=10 HTTP/1.1\r\nHost: sas.example\r\nAccept: */*\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
    (
        b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n"
    ),
    b"HEAD http://a/b HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, x-a\r\nX-A: b\r\n\r\n",
    b"\r\nOPTIONS * HTTP/1.1\r\nhost:a\r\nX_SSL_Client_CN: me\r\nExpect: 100-continue\r\n\r\n",
)
RESPONSES = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: a\r\n\r\nhello",
    (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    ),
    b"HTTP/1.0 200\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end",
)


def damage(raw: bytes, chance: random.Random) -> bytes:
    """The bytes with one to three places changed."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        place, length = chance.randrange(len(raw) + 1), chance.randrange(8)
        part = raw[place : place + length]
        put = (chance.choice(POISON), chance.randbytes(1), b"", part + part, part[::-1])
        raw = raw[:place] + chance.choice(put) + raw[place + length * chance.randrange(2) :]
    return raw


def look_at_requests(raw: bytes, places: list[int]) -> Reading:
    """Check one stream of requests; raises AssertionError, or whatever should not be raised."""
    reading = read_requests([raw])
    assert read_requests(cut(raw, places)).meaning == reading.meaning
    for head, body in zip(reading.heads, reading.bodies, strict=True):
        assert isinstance(head, RequestHead)
        unfinished = head is reading.heads[-1] and reading.ends != "whole"
        if not unfinished or head.framing is Framing.NONE:
            sent = forwarded(head, body)
            (strict,), (other,) = read_strictly(sent), read_by_h11(sent)
            assert strict.method == other.method == head.method
            assert strict.target == other.target == head.target
            assert strict.body == other.body == body
            assert sorted(strict.fields) == sorted(other.fields)
    return reading


def look_at_responses(raw: bytes, places: list[int]) -> Reading:
    """Check one stream of responses."""
    reading = read_responses([raw])
    assert read_responses(cut(raw, places)).meaning == reading.meaning
    return reading


_SIDES = ((REQUESTS, look_at_requests), (RESPONSES, look_at_responses))


def fuzz(count: int, seed: int) -> Counter[str]:
    """Look at so many streams; returns how they ended.

    Raises:
        AssertionError: with the bytes that do it again.
    """
    chance = random.Random(seed)
    ends: Counter[str] = Counter()
    for number in range(count):
        corpus, check = _SIDES[number % 2]
        raw = damage(b"".join(chance.choices(corpus, k=chance.randint(1, 3))), chance)
        places = [chance.randrange(len(raw) + 1) for _ in range(chance.randint(1, 5))]
        try:
            ends[str(check(raw, places).ends)] += 1
        except Exception as error:
            raise AssertionError(f"{check.__name__}({raw!r}, {places!r})") from error
    return ends


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python tests/fuzz_http.py", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    sys.stderr.write(f"seed {options.seed}\n")
    sys.stdout.write(f"{dict(fuzz(options.count, options.seed))}\n")


if __name__ == "__main__":
    main()

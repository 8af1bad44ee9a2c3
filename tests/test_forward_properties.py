"""Damaged streams through the whole exchange: what reaches the server (S40)."""

import pytest
from hypothesis import given

from front import OK, Front
from http_messages import Message, cut, cuts, damaged, pipelines
from http_readings import read_requests
from strict_http import Read, read_by_h11, read_strictly


pytestmark = pytest.mark.usefixtures("no_failure_logged")


def joined(messages: list[Message]) -> bytes:
    return b"".join(message.raw for message in messages)


def served(front: Front, raw: bytes, places: list[int]) -> list[Read]:
    """The whole requests that the servers got, each answered at once."""
    found: list[Read] = []
    got = b""
    for piece in cut(raw, places):
        if front.wire.closing or front.wire.lost:
            break
        front.wire.send(piece)
        while front.server.open and (new := front.server.open[0].take()):
            got += new
            read = whole(got)
            if read is not None:
                found.append(read)
                got = b""
                front.server.open[0].send(answer(read))
        if not front.server.open:
            got = b""
    return found


def whole(raw: bytes) -> Read | None:
    try:
        (read,) = read_strictly(raw)
    except ValueError:
        return None
    (other,) = read_by_h11(raw)
    assert (other.method, other.target, other.body) == (read.method, read.target, read.body)
    return read


def answer(read: Read) -> bytes:
    return OK[:-2] if read.method == b"HEAD" else OK


@given(damaged(pipelines().map(joined)), cuts())
def test_the_server_sees_no_request_but_those_that_were_read(raw: bytes, places: list[int]) -> None:
    reading = read_requests([raw])
    meant = [
        (head.method, head.target, body)  # type: ignore[union-attr]
        for head, body in zip(reading.heads, reading.bodies, strict=True)
    ]
    reads = served(Front(), raw, places)
    assert [(read.method, read.target, read.body) for read in reads] == meant[: len(reads)]
    assert all(read.values(b"x-by") == [b"us"] for read in reads)


@given(pipelines(), cuts())
def test_of_undamaged_ones_it_sees_all_until_one_closes(
    messages: list[Message], places: list[int]
) -> None:
    kept = [b" HTTP/1.0\r\n" not in message.raw for message in messages] + [False]
    reads = served(Front(), joined(messages), places)
    assert [read.body for read in reads] == [
        message.body for message in messages[: kept.index(False) + 1]
    ]

"""What a stream of bytes comes to for the gateway's readers: messages, and how it ended."""

from collections.abc import Callable, Iterable

from attrs import define, field

from sasgate.chunked import LAST_CHUNK, chunk
from sasgate.heads import request_head
from sasgate.http1 import (
    BadMessage,
    Framing,
    HeadLimits,
    RequestHead,
    RequestReader,
    ResponseHead,
    ResponseReader,
)
from sasgate.pool import Balancer
from sasgate.site import Forward


@define
class Reading:
    """Heads with their bodies; `ends` is a refusal's status, `whole`, or `waiting` for bytes."""

    heads: list[RequestHead | ResponseHead] = field(factory=list)
    bodies: list[bytes] = field(factory=list)
    ends: int | str = "whole"

    @property
    def meaning(self) -> object:
        """All that must not depend on how the bytes were cut.

        What of a body was taken before a refusal does depend on it, and may.
        """
        refused = isinstance(self.ends, int)
        return self.heads, self.bodies[:-1] if refused else self.bodies, self.ends


def read_requests(pieces: Iterable[bytes], limits: HeadLimits | None = None) -> Reading:
    """What a connection's requests come to when their bytes arrive in these pieces."""
    reader = RequestReader(limits or HeadLimits())
    return _read(reader, reader.head, pieces)


def read_responses(
    pieces: Iterable[bytes], method: bytes = b"GET", limits: HeadLimits | None = None
) -> Reading:
    """The same for responses, all of them to requests of one method."""
    reader = ResponseReader(limits or HeadLimits())
    return _read(reader, lambda: reader.head(method), pieces)


def _read(
    reader: RequestReader | ResponseReader,
    next_head: Callable[[], RequestHead | ResponseHead | None],
    pieces: Iterable[bytes],
) -> Reading:
    reading = Reading()
    try:
        for piece in pieces:
            reader.receive(piece)
            _take(reader, next_head, reading)
    except BadMessage as refusal:
        reading.ends = refusal.status
        return reading
    if reader.buffered or not reader.body_complete:
        reading.ends = "waiting"
    return reading


def _take(
    reader: RequestReader | ResponseReader,
    next_head: Callable[[], RequestHead | ResponseHead | None],
    reading: Reading,
) -> None:
    while True:
        if not reader.body_complete:
            reading.bodies[-1] += reader.body()
            if not reader.body_complete:
                return
        head = next_head()
        if head is None:
            return
        reading.heads.append(head)
        reading.bodies.append(b"")


def forwarded(head: RequestHead, body: bytes, extra: bytes = b"") -> bytes:
    """A request as the gateway writes it to a server."""
    plan = Forward(Balancer(()), head.target, head.host or b"a", extra, frozenset(), 1.0)
    raw = request_head(head, plan)
    if head.framing is Framing.CHUNKED:
        return raw + (chunk(body) if body else b"") + LAST_CHUNK
    return raw + body

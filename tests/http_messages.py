"""HTTP/1.1 messages made of parts: valid ones whose meaning is known, and damaged ones."""

import itertools

from attrs import frozen
from hypothesis import strategies as st


@frozen
class Message:
    """A valid message as bytes, and what every reader must take it for."""

    raw: bytes
    line: tuple[bytes, ...]
    body: bytes


TOKEN_BYTES = b"!#$%&'*+.^_`|~-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TARGET_BYTES = b"/?&=%2e:;,|~@-_.azAZ09*'()"
_VALUE_BYTES = bytes(range(0x20, 0x7F)) + b"\t\xc3\xa9\xff"
# What damages a message in ways that readers disagree on.
POISON = (
    b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"+",
    b"-", b"0x", b"\x0b", b"\x7f", b"\x80", b"\xff", b"HTTP/1.0", b"chunked", b"identity",
    b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Connection: ",
)  # fmt: skip


def token() -> st.SearchStrategy[bytes]:
    return _bytes_of(TOKEN_BYTES, 1, 12)


def _bytes_of(alphabet: bytes, least: int, most: int) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(alphabet), min_size=least, max_size=most).map(bytes)


def targets() -> st.SearchStrategy[bytes]:
    """Targets in origin-form, with the characters that FHIR searches use."""
    return _bytes_of(_TARGET_BYTES, 0, 30).map(lambda rest: b"/" + rest)


@st.composite
def fields(draw: st.DrawFn) -> bytes:
    """Some header lines that mean nothing to a gateway, in any spelling."""
    lines = b""
    for _ in range(draw(st.integers(0, 4))):
        name = b"x" + draw(token())
        around = [draw(st.sampled_from([b"", b" ", b"\t", b"  "])) for _ in range(2)]
        value = draw(_bytes_of(_VALUE_BYTES, 0, 12)).strip(b" \t")
        lines += name + b":" + around[0] + value + around[1] + b"\r\n"
    return lines


@st.composite
def chunked(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A chunked body with extensions, leading zeros and trailers; and what it decodes to."""
    raw, body = b"", b""
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5)):
        zeros = b"0" * draw(st.integers(0, 3))
        size = draw(st.sampled_from([b"%x", b"%X"])) % len(data)
        extension = draw(st.sampled_from([b"", b";", b";a", b";a=b", b';a="b c"', b"; a = b"]))
        raw += zeros + size + extension + b"\r\n" + data + b"\r\n"
        body += data
    last = b"0" * draw(st.integers(1, 3)) + draw(st.sampled_from([b"", b";a"]))
    trailers = draw(st.sampled_from([b"", b"x-sum: 1\r\n", b"x-sum:\r\nETag: \t'a'\r\n"]))
    return raw + last + b"\r\n" + trailers + b"\r\n", body


@st.composite
def bodies(draw: st.DrawFn, *, can_chunk: bool) -> tuple[bytes, bytes, bytes]:
    """The header lines that frame a body, the body as sent, and as meant."""
    kind = draw(st.sampled_from(["none", "length", "chunked"] if can_chunk else ["length"]))
    if kind == "none":
        return b"", b"", b""
    if kind == "length":
        body = draw(st.binary(max_size=60))
        zeros = b"0" * draw(st.integers(0, 2))
        return b"Content-Length: %b%d\r\n" % (zeros, len(body)), body, body
    raw, body = draw(chunked())
    coding = draw(st.sampled_from([b"chunked", b"Chunked", b"CHUNKED "]))
    return b"Transfer-Encoding: %b\r\n" % coding, raw, body


@st.composite
def requests(draw: st.DrawFn) -> Message:
    """A request that every strict reader understands alike."""
    method = draw(st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH"]))
    target = draw(targets())
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]))
    framing, sent, body = draw(bodies(can_chunk=version == b"HTTP/1.1"))
    lines = [b"Host: sas.example:8443\r\n", draw(fields()), framing]
    head = b"".join(draw(st.permutations(lines)))
    start = draw(st.sampled_from([b"", b"", b"\r\n"]))
    raw = b"%b%b %b %b\r\n%b\r\n%b" % (start, method, target, version, head, sent)
    return Message(raw, (method, target), body)


@st.composite
def responses(draw: st.DrawFn) -> Message:
    """A final response to a GET whose end is known without a close."""
    status = draw(st.sampled_from([200, 201, 304, 400, 404, 500, 599]))
    reason = draw(st.sampled_from([b" OK", b" ", b"", b" Non trouv\xe9"]))
    framing, sent, body = draw(bodies(can_chunk=True))
    if status == 304:
        sent = body = b""
    elif not framing:
        framing = b"Content-Length: 0\r\n"
    head = b"".join(draw(st.permutations([draw(fields()), framing])))
    raw = b"HTTP/1.1 %d%b\r\n%b\r\n%b" % (status, reason, head, sent)
    return Message(raw, (b"%d" % status,), body)


def pipelines() -> st.SearchStrategy[list[Message]]:
    """Requests that follow one another on one connection."""
    return st.lists(requests(), min_size=1, max_size=4)


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of `whole` with up to three places changed, doubled, taken out or put in."""
    raw = draw(whole)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(raw)))
        gone = draw(st.integers(0, 3))
        put = draw(
            st.one_of(
                st.sampled_from(POISON),
                st.binary(max_size=2),
                st.just(raw[place : place + 2 * gone]),
            )
        )
        raw = raw[:place] + put + raw[place + gone :]
    return raw


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    """The bytes in pieces, cut at these places (taken modulo the length)."""
    edges = sorted({0, len(raw), *(place % (len(raw) + 1) for place in places)})
    return [raw[start:end] for start, end in itertools.pairwise(edges)]


def cuts() -> st.SearchStrategy[list[int]]:
    """Where to cut; `EVERYWHERE` gives single bytes."""
    return st.one_of(st.just(EVERYWHERE), st.lists(st.integers(0, 4000), max_size=8))


EVERYWHERE = list(range(4000))

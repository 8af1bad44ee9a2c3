r"""Bytes to heads and bodies of HTTP/1.1 and back; refuses what two readers could read apart.

A head is taken when it is there as a whole, tried for its line ends and its first line, and only
then parsed by llhttp; so the same bytes give the same head, or the same refusal, however they
were cut. Beyond llhttp's strictness: one `Host`, one decimal Content-Length, no transfer coding
but a single `chunked`, none in HTTP/1.0, no 1xx that switches protocols, no bare CR or LF.

Pure: no transport, no clock. Sources: RFC 9112, RFC 9110; S40, S41, S45.
"""

import re
from enum import Enum

import httptools
from attrs import field, frozen

from sasgate.chunked import ChunkedDecoder, InvalidChunk
from sasgate.headers import Kind, classify


Field = tuple[bytes, bytes]


class BadMessage(Exception):
    """A message that is refused; `status` is the answer that a client gets for it."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Framing(Enum):
    """How the end of a body is known (RFC 9112, 6.3)."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


@frozen
class RequestHead:
    """A request's head. `connection` holds the lower-case tokens of its Connection fields."""

    method: bytes
    target: bytes
    http11: bool
    fields: list[Field]
    host: bytes | None
    framing: Framing
    length: int
    connection: frozenset[bytes]
    expect_continue: bool

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants the connection kept (RFC 9112, 9.3)."""
        if self.http11:
            return b"close" not in self.connection
        return b"keep-alive" in self.connection and b"close" not in self.connection


@frozen
class ResponseHead:
    """A response's head; `reason` may be empty.

    `length` is the Content-Length where `announced_length`, also where no body follows.
    """

    status: int
    reason: bytes
    http11: bool
    fields: list[Field]
    framing: Framing
    length: int
    announced_length: bool
    connection: frozenset[bytes]

    @property
    def keep_alive(self) -> bool:
        """Whether the server keeps the connection after this response."""
        if self.framing is Framing.CLOSE or b"close" in self.connection:
            return False
        return self.http11 or b"keep-alive" in self.connection


@frozen
class HeadLimits:
    """The largest head in bytes, its blank line included, and its most fields."""

    size: int = 16 * 1024
    fields: int = 100


class _Reader:
    """One direction of a connection: bytes in; a head, then its body, then the next head."""

    _first_line: re.Pattern[bytes]

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._buffer = b""
        self._looked_at = 0
        self._first_line_judged = False
        self._remaining = 0
        self._chunks: ChunkedDecoder | None = None
        self._until_close = False
        self.body_complete = True

    def receive(self, data: bytes) -> None:
        """Take bytes that arrived."""
        self._buffer = self._buffer + data if self._buffer else data

    @property
    def buffered(self) -> int:
        """How many bytes are held that no head or body has taken yet."""
        return len(self._buffer)

    def body(self) -> bytes:
        """The body bytes that are there, decoded; `body_complete` tells whether they end it.

        Raises:
            BadMessage: a chunk that is not one to the letter.
        """
        buffer = self._buffer
        if self.body_complete or not buffer:
            return b""
        if self._chunks is not None:
            return self._decode(self._chunks)
        if self._until_close or len(buffer) < self._remaining:
            self._buffer = b""
            self._remaining -= len(buffer)
            return buffer
        data, self._buffer = buffer[: self._remaining], buffer[self._remaining :]
        self.body_complete = True
        return data

    def _decode(self, chunks: ChunkedDecoder) -> bytes:
        try:
            data, self._buffer = chunks.feed(self._buffer)
        except InvalidChunk as error:
            raise BadMessage(str(error)) from error
        self.body_complete = chunks.complete
        return data

    def _whole_head(self) -> bytes | None:
        """The next head with its blank line, or None while it is not there as a whole."""
        buffer, limit = self._buffer, self._limits.size
        if not buffer:
            return None
        known = max(0, self._looked_at - 3)
        end = buffer.find(b"\r\n\r\n", known, limit)
        stop = limit if end < 0 else end + 4
        # Judged by its beginning alone, so that no cut of the bytes changes the refusal; and only
        # what is new is looked at, so that a head in a thousand pieces costs no more than whole.
        begin = self._looked_at
        if begin and buffer[begin - 1] == _CR:
            begin -= 1
        if _has_bare_line_end(buffer[begin:stop]):
            raise BadMessage("a bare CR or LF")
        if not self._first_line_judged:
            self._judge_first_line(buffer, stop)
        self._looked_at = min(len(buffer), limit)
        if end < 0:
            if len(buffer) >= limit:
                raise BadMessage("the head is too large", 431)
            return None
        self._buffer = buffer[stop:]
        self._looked_at = 0
        self._first_line_judged = False
        return buffer[:stop]

    def _judge_first_line(self, buffer: bytes, stop: int) -> None:
        line_end = buffer.find(b"\r\n", max(0, self._looked_at - 1), stop)
        if line_end < 0:
            return
        self._first_line_judged = True
        if not self._first_line.fullmatch(buffer, 0, line_end):
            raise BadMessage("the first line is malformed")

    def _begin_body(self, framing: Framing, length: int) -> None:
        self._remaining = length
        self._until_close = framing is Framing.CLOSE
        self._chunks = ChunkedDecoder() if framing is Framing.CHUNKED else None
        self.body_complete = framing is Framing.NONE or (framing is Framing.LENGTH and length == 0)


class RequestReader(_Reader):
    """The requests of one connection, in order."""

    _first_line = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [\x21-\x7e]+ HTTP/1\.[01]")

    def __init__(self, limits: HeadLimits) -> None:
        super().__init__(limits)
        self._skipped_line = False

    def head(self) -> RequestHead | None:
        """The next request's head, or None until all of it is there.

        Raises:
            BadMessage: what a strict reader refuses; the connection cannot go on.
        """
        if not self._skip_empty_line():
            return None
        raw = self._whole_head()
        if raw is None:
            return None
        self._skipped_line = False
        line = raw[: raw.index(b"\r\n")]
        method, target, version = line.split(b" ")
        http11 = version == b"HTTP/1.1"
        fields = _fields(httptools.HttpRequestParser, raw, self._limits)
        known = _Known.read(fields)
        _check_host(known.hosts, http11)
        if len(set(known.singles)) != len(known.singles):
            raise BadMessage("a field that may stand once stands twice")
        framing, length = _request_framing(known, http11)
        if not http11 and framing is Framing.NONE and method in _WITH_BODY:
            raise BadMessage("an HTTP/1.0 request whose body has no length")  # RFC 1945, 7.2.2
        self._begin_body(framing, length)
        return RequestHead(
            method=method,
            target=target,
            http11=http11,
            fields=fields,
            host=known.hosts[0] if known.hosts else None,
            framing=framing,
            length=length,
            connection=known.connection,
            expect_continue=_expects_continue(known.expectations) and http11,
        )

    def followed_by_request(self) -> bool:
        """Whether what is there after the request just begun can begin another.

        Bytes that cannot mean that the two sides disagree on where this request ends. What has
        not arrived is not waited for, so this is a caution and no part of the framing.
        """
        if self._chunks is not None or not self._buffer:
            return True
        following = self._buffer[self._remaining : self._remaining + 64]
        return _BEGINS_REQUEST.match(following) is not None

    def _skip_empty_line(self) -> bool:
        # One empty line before a request line is skipped (RFC 9112, 2.2).
        buffer = self._buffer
        if buffer[:1] != b"\r" or self._skipped_line:
            return True
        if buffer == b"\r":
            return False
        if buffer.startswith(b"\r\n"):
            self._buffer = buffer[2:]
            self._skipped_line = True
        return True


class ResponseReader(_Reader):
    """The responses of one upstream connection, each to a known request."""

    _first_line = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?")

    def head(self, method: bytes) -> ResponseHead | None:
        """The head of the response to a request of this method, or None until it is there.

        An interim response (1xx) is a head too, and is followed by another.

        Raises:
            BadMessage: what a strict reader refuses, and any switch of protocols.
        """
        raw = self._whole_head()
        if raw is None:
            return None
        version, _, rest = raw[: raw.index(b"\r\n")].partition(b" ")
        status = int(rest[:3])
        if status == 101:
            raise BadMessage("the server switches protocols unasked")
        fields = _fields(httptools.HttpResponseParser, raw, self._limits)
        known = _Known.read(fields)
        http11 = version == b"HTTP/1.1"
        framing, length = _response_framing(known, status, method, http11)
        self._begin_body(framing, length)
        return ResponseHead(
            status=status,
            reason=rest[4:],
            http11=http11,
            fields=fields,
            framing=framing,
            length=length,
            announced_length=bool(known.lengths),
            connection=known.connection,
        )

    def closed(self) -> bool:
        """Tell that the server closed; whether the response is whole by that (RFC 9112, 8)."""
        if self._until_close:
            self.body_complete = True
        return self.body_complete


class _FieldCollector:
    """What llhttp calls back with; it looks at nothing."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.complete = True


_Parser = type[httptools.HttpRequestParser] | type[httptools.HttpResponseParser]


def _fields(parser_class: _Parser, raw: bytes, limits: HeadLimits) -> list[Field]:
    collector = _FieldCollector()
    try:
        parser_class(collector).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # a request to upgrade is read as any other; Upgrade is hop-by-hop and goes no further
    except httptools.HttpParserError as error:
        raise BadMessage(str(error)) from error
    if not collector.complete:
        raise BadMessage("the head does not end where its blank line is")
    if len(collector.fields) > limits.fields:
        raise BadMessage("too many fields", 431)
    return collector.fields


@frozen
class _Known:
    """The fields that framing depends on, as they came."""

    hosts: list[bytes] = field(factory=list)
    lengths: list[bytes] = field(factory=list)
    codings: list[bytes] = field(factory=list)
    expectations: list[bytes] = field(factory=list)
    singles: list[bytes] = field(factory=list)
    connection: frozenset[bytes] = frozenset()

    @classmethod
    def read(cls, fields: list[Field]) -> "_Known":
        values: dict[Kind, list[bytes]] = {}
        for name, value in fields:
            kind = classify(name)
            if kind is Kind.SINGLE:
                values.setdefault(kind, []).append(name.lower())
            elif kind is not Kind.PASS:
                values.setdefault(kind, []).append(value.strip(b" \t"))
        return cls(
            values.get(Kind.HOST, []),
            values.get(Kind.CONTENT_LENGTH, []),
            values.get(Kind.TRANSFER_ENCODING, []),
            values.get(Kind.EXPECT, []),
            values.get(Kind.SINGLE, []),
            _tokens(values[Kind.CONNECTION]) if Kind.CONNECTION in values else frozenset(),
        )


def _tokens(values: list[bytes]) -> frozenset[bytes]:
    return frozenset(token.strip(b" \t") for token in b",".join(values).lower().split(b","))


def _check_host(hosts: list[bytes], http11: bool) -> None:
    if len(hosts) > 1 or (http11 and not hosts):
        raise BadMessage(f"{len(hosts)} Host fields")
    if hosts and not is_host(hosts[0]):
        raise BadMessage("the Host field is malformed")


def is_host(value: bytes) -> bool:
    """Whether a value holds nothing but what a host and a port may hold (RFC 9110, 7.2)."""
    return _HOST.fullmatch(value) is not None


def _request_framing(known: _Known, http11: bool) -> tuple[Framing, int]:
    if known.codings:
        _check_chunked(known, http11)
        return Framing.CHUNKED, 0
    if known.lengths:
        return Framing.LENGTH, _length(known.lengths)
    return Framing.NONE, 0


def _response_framing(
    known: _Known, status: int, method: bytes, http11: bool
) -> tuple[Framing, int]:
    if known.codings:
        _check_chunked(known, http11)
    length = _length(known.lengths) if known.lengths else 0
    if method == b"HEAD" or status < 200 or status in {204, 304}:
        return Framing.NONE, length
    if known.codings:
        return Framing.CHUNKED, 0
    if known.lengths:
        return Framing.LENGTH, length
    return Framing.CLOSE, 0


def _check_chunked(known: _Known, http11: bool) -> None:
    if known.lengths:
        raise BadMessage("both Content-Length and Transfer-Encoding")
    if not http11:
        raise BadMessage("Transfer-Encoding in HTTP/1.0")
    if [coding.lower() for coding in known.codings] != [b"chunked"]:
        raise BadMessage("a transfer coding other than one `chunked`")


def _length(values: list[bytes]) -> int:
    if len(values) != 1 or not _DECIMAL.fullmatch(values[0]):
        raise BadMessage("Content-Length is not one decimal number")
    return int(values[0])


def _expects_continue(expectations: list[bytes]) -> bool:
    if not expectations:
        return False
    if [value.lower() for value in expectations] != [b"100-continue"]:
        raise BadMessage("an unknown expectation", 417)
    return True


def _has_bare_line_end(head: bytes) -> bool:
    # Counting is 50 times faster than a regular expression with look-around; a CR at the very end
    # may still get its LF.
    pairs = head.count(b"\r\n")
    return head.count(b"\n") != pairs or head.count(b"\r") - head.endswith(b"\r") != pairs


_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})
# The start of what may follow a request: nothing, an empty line, a method and a target.
_BEGINS_REQUEST = re.compile(
    rb"(?:\r\n)?(?:\r\Z|[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:\Z| \Z| [\x21-\x7e])|\Z)"
)
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_CR = ord("\r")
_DECIMAL = re.compile(rb"[0-9]{1,18}")

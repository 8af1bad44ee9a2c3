"""A second reader of HTTP/1.1 requests, which takes nothing that RFC 9112 leaves open.

It shares no line with the gateway's reader. What the gateway passes on must be read by it, and
by h11, as the gateway understood it.
"""

import re

import h11
from attrs import frozen


_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/1\.1" % _TOKEN)
_FIELD = re.compile(rb"(%b): ?([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*"
                    rb"[\x21-\x7e\x80-\xff])?|)" % _TOKEN)  # fmt: skip
_SIZE = re.compile(rb"[0-9a-f]{1,8}")


@frozen
class Read:
    """One request as a reader understood it; names in lower case."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.fields if each == name.lower()]


def read_strictly(raw: bytes) -> list[Read]:
    """All requests in `raw`.

    Raises:
        ValueError: anything is not to the letter, or the last one is cut off.
    """
    found = []
    while raw:
        head, end, raw = raw.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        line = _must(_REQUEST_LINE.fullmatch(first), first)
        matches = [_must(_FIELD.fullmatch(each), each) for each in lines]
        fields = tuple((match[1].lower(), match[2]) for match in matches)
        if not end or [name for name, _ in fields].count(b"host") != 1:
            raise ValueError(head)
        body, raw = _body(fields, raw)
        found.append(Read(line[1], line[2], fields, body))
    return found


def _body(fields: tuple[tuple[bytes, bytes], ...], raw: bytes) -> tuple[bytes, bytes]:
    framing = [each for each in fields if each[0] in {b"content-length", b"transfer-encoding"}]
    if not framing:
        return b"", raw
    ((name, value),) = framing
    if name == b"transfer-encoding":
        if value != b"chunked":
            raise ValueError(value)
        return _dechunked(raw)
    length = int(_must(re.fullmatch(rb"[0-9]{1,9}", value), value)[0])
    if len(raw) < length:
        raise ValueError("cut off")
    return raw[:length], raw[length:]


def _dechunked(raw: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, _, raw = raw.partition(b"\r\n")
        size = int(_must(_SIZE.fullmatch(line), line)[0], 16)
        data, end, raw = raw[:size], raw[size : size + 2], raw[size + 2 :]
        if end != b"\r\n" or len(data) != size:
            raise ValueError("a chunk that ends elsewhere")
        body += data
        if not size:
            return body, raw


def _must(match: re.Match[bytes] | None, text: bytes) -> re.Match[bytes]:
    if match is None:
        raise ValueError(text)
    return match


def read_by_h11(raw: bytes) -> list[Read]:
    """All requests in `raw`, read by h11.

    Raises:
        h11.RemoteProtocolError: h11 refuses them.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1024 * 1024)
    connection.receive_data(raw)
    found = []
    while isinstance(head := connection.next_event(), h11.Request):
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage), event
        fields = tuple((bytes(name), bytes(value)) for name, value in head.headers)
        found.append(Read(head.method, head.target, fields, body))
        connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        connection.send(h11.EndOfMessage())
        if connection.our_state is h11.MUST_CLOSE:
            break
        connection.start_next_cycle()
    return found

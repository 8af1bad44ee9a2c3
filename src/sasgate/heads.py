"""Heads as they leave the gateway: nothing hop-by-hop, and framing that is ours alone."""

from collections.abc import Iterator
from http import HTTPStatus

from sasgate.headers import Kind, classify
from sasgate.http1 import Field, Framing, RequestHead, ResponseHead
from sasgate.site import Forward, Reply


def request_head(head: RequestHead, plan: Forward) -> bytes:
    """The head of a request on its way to a server; always HTTP/1.1 with one Host."""
    lines = [b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (head.method, plan.target, plan.host)]
    lines.extend(_passed_on(head.fields, head.connection, plan.drop))
    if head.framing is Framing.LENGTH:
        lines.append(b"Content-Length: %d\r\n" % head.length)
    elif head.framing is Framing.CHUNKED:
        lines.append(_CHUNKED)
    if has_unusual_body(head):
        lines.append(b"Connection: close\r\n")
    lines.append(plan.extra)
    lines.append(b"\r\n")
    return b"".join(lines)


def has_unusual_body(head: RequestHead) -> bool:
    """Whether a request has a body that its method gives no meaning to (RFC 9110, 9.3.1).

    Servers that do not read it would take it for the next request of the connection, with
    identity headers and all; so no other request follows it there (S37, S40).
    """
    has_body = head.framing is Framing.CHUNKED or head.length > 0
    return has_body and head.method not in _WITH_BODY


def response_head(head: ResponseHead, request: RequestHead, *, chunked: bool, keep: bool) -> bytes:
    """The head of a server's answer on its way to the client."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason)]
    lines.extend(_passed_on(head.fields, head.connection))
    without_body = head.framing is Framing.NONE and (
        request.method == b"HEAD" or head.status == 304
    )
    if head.framing is Framing.LENGTH or (head.announced_length and without_body):
        lines.append(b"Content-Length: %d\r\n" % head.length)
    if chunked:
        lines.append(_CHUNKED)
    lines.append(_connection(request, keep=keep))
    lines.append(b"\r\n")
    return b"".join(lines)


def interim_head(head: ResponseHead) -> bytes:
    """A 1xx answer (RFC 9110, 15.2)."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason)]
    lines.extend(_passed_on(head.fields, head.connection))
    lines.append(b"\r\n")
    return b"".join(lines)


def reply_head(reply: Reply, request: RequestHead | None, *, keep: bool) -> bytes:
    """The head of an answer of the gateway's own; `request` is None where it was malformed."""
    return b"%b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b%b%b\r\n" % (
        _STATUS_LINES[reply.status],
        reply.content_type,
        len(reply.body),
        b"Allow: %b\r\n" % reply.allow if reply.allow else b"",
        reply.extra,
        _connection(request, keep=keep),
    )


_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})

_CHUNKED = b"Transfer-Encoding: chunked\r\n"

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b" % (status.value, status.phrase.encode("ascii"))
    for status in HTTPStatus
}

_CONNECTION_TOKENS_ALONE = frozenset({b"", b"close", b"keep-alive"})

_NEVER_PASSED = frozenset(
    {
        Kind.HOST,
        Kind.CONTENT_LENGTH,
        Kind.TRANSFER_ENCODING,
        Kind.CONNECTION,
        Kind.EXPECT,
        Kind.HOP_BY_HOP,
    }
)


def _connection(request: RequestHead | None, *, keep: bool) -> bytes:
    """The Connection field, where the version's default would say otherwise."""
    if not keep or request is None:
        return b"Connection: close\r\n"
    return b"" if request.http11 else b"Connection: keep-alive\r\n"


def _passed_on(
    fields: list[Field], connection: frozenset[bytes], dropped: frozenset[Kind] = frozenset()
) -> Iterator[bytes]:
    """Header lines that go on: nothing hop-by-hop, nothing that Connection names (S38)."""
    named = connection - _CONNECTION_TOKENS_ALONE
    for name, value in fields:
        kind = classify(name)
        if kind is not Kind.PASS and (kind in _NEVER_PASSED or kind in dropped):
            continue
        if named and name.lower() in named:
            continue
        yield b"%b: %b\r\n" % (name, value.strip(b" \t"))

"""The request of `sasgate call`, made and judged as one that an application sends the gateway."""

import sys
from pathlib import Path

from attrs import field, frozen

from sasgate import __version__
from sasgate.heads import request_head
from sasgate.http1 import BadMessage, Framing, HeadLimits, RequestReader
from sasgate.pool import Balancer
from sasgate.settings import Limits
from sasgate.site import Forward
from sasgate.upstreams import SASServer


_FHIR = "application/fhir+json"


class Unsendable(Exception):
    """A request, or what it is made of, that the gateway would not send; says the way out."""


@frozen
class CallRequest:
    """A request as it goes to SAS."""

    method: bytes
    head: bytes
    body: bytes = field(repr=False)


def body_of(data: str | None) -> bytes:
    """The body that `--data` names.

    Raises:
        Unsendable: it names no file, or one that cannot be read.
    """
    if data is None:
        return b""
    if not data.startswith("@"):
        raise Unsendable("--data: write the body to a file and say --data @FILE, or @-")
    if data == "@-":
        return sys.stdin.buffer.read()
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise Unsendable(f"--data: {data[1:]}: {error.strerror}") from None


def prepare(
    method: str,
    path: str,
    headers: tuple[str, ...],
    body: bytes,
    *,
    limits: Limits,
    server: SASServer,
) -> CallRequest:
    """The request as the gateway would pass it on to `server`.

    Raises:
        Unsendable: it would refuse it (S53: a CR or LF, a second Host, …).
    """
    verb = method.upper()
    if verb in {"CONNECT", "TRACE"}:
        raise Unsendable(f"{verb} is a method that is not for a gateway")
    if not path.startswith("/"):
        raise Unsendable(f"{path}: the path begins with /, as in /fhir/v1/Appointment")
    for text in (verb, path, *headers):
        if not text.isprintable():
            raise Unsendable(f"{text!r} holds a line end or another character that is never sent")
    lines = [f"{verb} {path} HTTP/1.1", "Host: sasgate", *_with_defaults(headers, body)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    reader = RequestReader(HeadLimits(limits.head_size, limits.head_fields))
    try:
        raw = "\r\n".join([*lines, "", ""]).encode("ascii")
        reader.receive(raw)
        head = reader.head()
    except UnicodeEncodeError as error:
        odd = error.object[error.start : error.end]
        raise Unsendable(f"{odd!r} is not ASCII: percent-encode it in a path") from None
    except BadMessage as error:
        raise Unsendable(f"the gateway refuses to send {verb} {path}: {error.reason}") from None
    if head is None or reader.buffered:
        raise Unsendable(
            f"the gateway refuses to send {verb} {path}: it holds more than one request"
        )
    if head.framing is Framing.CHUNKED or head.length != len(body):
        raise Unsendable(f"the length of the body is that of --data: {len(body)} bytes")
    plan = Forward(
        balancer=Balancer([]),
        target=head.target,
        host=server.authority.encode("ascii"),
        extra=b"",
        drop=frozenset(),
        answer_within=limits.outbound_answer,
    )
    return CallRequest(head.method, request_head(head, plan), body)


def _with_defaults(headers: tuple[str, ...], body: bytes) -> list[str]:
    given = {line.partition(":")[0].strip().lower() for line in headers}
    defaults = {"User-Agent": f"sasgate/{__version__}", "Accept": _FHIR}
    if body:
        defaults["Content-Type"] = _FHIR
    missing = [f"{name}: {value}" for name, value in defaults.items() if name.lower() not in given]
    return [*headers, *missing]

"""An editor's server in small, over plain HTTP: FHIR, a few paths for tests, and a record.

The last segment of the path decides, so that it can stand under any base: `Slot`, `Schedule`,
`Practitioner`, `metadata`; `echo` (what arrived, as JSON), `slow?seconds=`, `stream?bytes=`,
`status?code=`. `recorded` tells what arrived so far, DELETE forgets it.

    python -m sasgate.lab.backend --port 0
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import click
from attrs import define, field, frozen
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IPullProducer, IReactorTime
from twisted.internet.task import react
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from sasgate.lab import fhir
from sasgate.lab.configuration import BACKEND_PORT


_CHUNK = b"x" * 65536


@frozen
class Received:
    """A request as it arrived: header names and values with their case, order and repetitions."""

    method: str
    uri: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    def values(self, name: str) -> tuple[str, ...]:
        """All values of the fields of this name, whatever its case."""
        return tuple(value for each, value in self.headers if each.lower() == name.lower())

    def as_json(self) -> dict[str, object]:
        """What `echo` and `recorded` say of it: the body by its length and SHA-256."""
        return {
            "method": self.method,
            "uri": self.uri,
            "headers": [list(each) for each in self.headers],
            "body_length": len(self.body),
            "body_sha256": hashlib.sha256(self.body).hexdigest(),
        }


class Channel(HTTPChannel):
    """Keeps header lines as they came: twisted.web rewrites the case of their names."""

    def headerReceived(self, line: bytes) -> bool:
        """Keep one line, unfolded by Twisted if it was folded."""
        request = self.requests[-1]
        name, _, value = line.decode("latin-1").partition(":")
        request.raw_headers = (*getattr(request, "raw_headers", ()), (name, value.strip(" \t")))
        return bool(super().headerReceived(line))


class Backend(Site):
    """The site; `recorded` holds every request but those about the record, oldest first."""

    displayTracebacks = False  # noqa: N815 - named by Twisted
    noisy = False
    # Upstream types this as the one class that it makes, which is private.
    protocol = Channel  # type: ignore[assignment]

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(_Root(clock, self), parsePOSTFormSubmission=False, reactor=clock)
        self.recorded: list[Received] = []

    def log(self, request: HTTPRequest) -> None:
        """No access log: the record is the log."""


Answer = Callable[[Request, Received], bytes | int]


class _Root(Resource):
    isLeaf = True  # noqa: N815 - named by Twisted

    def __init__(self, clock: IReactorTime, site: Backend) -> None:
        super().__init__()
        self._clock = clock
        self._site = site

    def render(self, request: Request) -> bytes | int:
        """Record the request and answer by the last segment of its path."""
        received = _received(request)
        segments = [each for each in received.uri.partition("?")[0].split("/") if each]
        last = segments[-1] if segments else ""
        if last == "recorded":
            return self._record(request)
        self._site.recorded.append(received)
        if last == "slow":
            return self._slow(request)
        method = "GET" if received.method == "HEAD" else received.method
        answer = _ANSWERS.get((method, last)) or _ANSWERS.get(("", last))
        if answer is None:
            return _outcome(request, 404, f"no {received.method} here")
        return answer(request, received)

    def _record(self, request: Request) -> bytes:
        if request.method == b"DELETE":
            self._site.recorded.clear()
        return _json(request, [each.as_json() for each in self._site.recorded])

    def _slow(self, request: Request) -> bytes | int:
        try:
            seconds = float(_argument(request, "seconds", "1"))
        except ValueError as error:
            return _outcome(request, 400, str(error))
        later = self._clock.callLater(seconds, _finish_slow, request, seconds)
        request.notifyFinish().addErrback(_gave_up, later)
        return NOT_DONE_YET


def _gave_up(_: Failure, later: IDelayedCall) -> None:
    later.cancel()


def _finish_slow(request: Request, seconds: float) -> None:
    request.write(_json(request, {"waited": seconds}))
    request.finish()


def _slots(request: Request, received: Received) -> bytes:
    starts = [each.decode("utf-8", "replace") for each in request.args.get(b"start", [])]
    try:
        begin, end = fhir.interval(starts)
        bundle = fhir.slots(begin, end, received.uri)
    except (ValueError, TypeError) as error:
        return _outcome(request, 400, str(error))
    return _fhir(request, bundle)


def _schedules(request: Request, received: Received) -> bytes:
    return _fhir(request, fhir.schedules(received.uri))


def _create(request: Request, received: Received) -> bytes:
    resource = _resource(received)
    if resource is None:
        return _outcome(request, 400, "not a Practitioner")
    number = hashlib.sha256(received.body).hexdigest()[:8]
    request.setResponseCode(201)
    request.setHeader(b"location", f"{received.uri.partition('?')[0]}/{number}".encode("latin-1"))
    return _fhir(request, {**resource, "id": number})


def _update(request: Request, received: Received) -> bytes:
    resource = _resource(received)
    if resource is None or not _argument(request, "identifier", ""):
        return _outcome(request, 400, "not a Practitioner with its identifier in the query")
    return _fhir(request, resource)


def _metadata(request: Request, _: Received) -> bytes:
    return _fhir(request, fhir.capabilities())


def _echo(request: Request, received: Received) -> bytes:
    return _json(request, received.as_json())


def _status(request: Request, _: Received) -> bytes:
    code = _argument(request, "code", "200")
    request.setResponseCode(int(code) if code.isdecimal() else 400)
    return _json(request, {"code": code})


def _stream(request: Request, _: Received) -> bytes | int:
    size = _argument(request, "bytes", "1000000")
    if not size.isdecimal():
        return _outcome(request, 400, f"bytes={size} is no number")
    request.setHeader(b"content-type", b"application/octet-stream")
    if not _argument(request, "chunked", ""):
        request.setHeader(b"content-length", size.encode())
    request.registerProducer(_Stream(request, int(size)), False)
    return NOT_DONE_YET


@implementer(IPullProducer)
@define
class _Stream:
    """So many bytes, at the pace of the reader."""

    request: Request
    left: int

    def resumeProducing(self) -> None:
        piece = _CHUNK[: self.left]
        self.left -= len(piece)
        if piece:
            self.request.write(piece)
        if not self.left:
            self.request.unregisterProducer()
            self.request.finish()

    def stopProducing(self) -> None:
        self.left = 0


_ANSWERS: Mapping[tuple[str, str], Answer] = MappingProxyType(
    {
        ("GET", "Slot"): _slots,
        ("GET", "Schedule"): _schedules,
        ("POST", "Practitioner"): _create,
        ("PUT", "Practitioner"): _update,
        ("GET", "metadata"): _metadata,
        ("GET", "stream"): _stream,
        ("", "echo"): _echo,
        ("", "status"): _status,
    }
)


def _received(request: Request) -> Received:
    content = request.content
    assert content is not None  # twisted.web gives every request its body  # noqa: S101
    content.seek(0)
    return Received(
        request.method.decode("latin-1"),
        request.uri.decode("latin-1"),
        getattr(request, "raw_headers", ()),
        content.read(),
    )


def _resource(received: Received) -> fhir.Resource | None:
    try:
        resource = json.loads(received.body)
    except ValueError:
        return None
    good = isinstance(resource, dict) and resource.get("resourceType") == "Practitioner"
    return resource if good else None


def _argument(request: Request, name: str, default: str) -> str:
    values = request.args.get(name.encode(), [default.encode()])
    return str(values[0].decode("utf-8", "replace"))


def _outcome(request: Request, status: int, diagnostics: str) -> bytes:
    request.setResponseCode(status)
    return _fhir(request, fhir.outcome(diagnostics))


def _fhir(request: Request, resource: fhir.Resource) -> bytes:
    request.setHeader(b"content-type", fhir.MEDIA_TYPE.encode() + b";charset=utf-8")
    return fhir.encode(resource)


def _json(request: Request, content: object) -> bytes:
    request.setHeader(b"content-type", b"application/json")
    return json.dumps(content).encode()


def serve(port: int, announce: Callable[[int], None]) -> None:
    """Serve on 127.0.0.1 until a signal ends it; `announce` gets the port, 0 takes a free one.

    Raises:
        SystemExit: in the end; with 1 and a line on standard error where the port is taken.
    """

    def listening(opened: IListeningPort) -> Deferred[None]:
        address = opened.getHost()
        assert isinstance(address, IPv4Address)  # the endpoint is IPv4  # noqa: S101
        announce(address.port)
        return Deferred()

    def complain(failure: Failure) -> None:
        failure.trap(CannotListenError)
        error = getattr(failure.value, "socketError", None)
        reason = getattr(error, "strerror", None) or failure.value
        raise SystemExit(
            f"Error: 127.0.0.1:{port} cannot be opened: {reason}; --port 0 takes a free one"
        )

    def start(reactor: Any) -> Deferred[None]:
        endpoint = TCP4ServerEndpoint(reactor, port, interface="127.0.0.1")
        opening: Deferred[IListeningPort] = endpoint.listen(Backend(reactor))
        return opening.addCallbacks(listening, complain)

    react(start, [])


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=BACKEND_PORT, show_default=True)
def main(port: int) -> None:
    """Serve on 127.0.0.1 and say the port on the first line; 0 takes a free one."""
    serve(port, click.echo)


if __name__ == "__main__":
    main()

"""The lab's lists and its OCSP responder over HTTP, on the loopback.

- `/CRL/ACI-EL-ORG-TEST.crl`, …: lists, under ANS's names
- `/AC/ACI-EL-ORG-TEST.cer`, …: the CAs themselves
- `/ocsp`: POST, or GET with the question in the path (RFC 6960, A.1)
- `/asked`: all requests so far, as JSON; DELETE forgets them

The switches are read again at each request, so that `sasgate lab set` is obeyed at once.
"""

import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import frozen
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.task import react
from twisted.logger import Logger, globalLogBeginner, textFileLogObserver
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from sasgate.lab.enquiry import Enquiry, answered, entity_tag, last_modified
from sasgate.lab.publication import Publication, Served
from sasgate.lab.switchboard import Switchboard, UnusableSwitches


HOST = "127.0.0.1"
_log = Logger(namespace="sasgate.lab.publisher")


@frozen
class Question:
    """A request as it arrived, and what it gets: `status` None is an end without an answer.

    `kind` is `list`, `ocsp`, `ca` or `other`; `ca` and `serial` are what was asked about, `mode`
    is the switch in force.
    """

    when: datetime
    method: str
    path: str
    kind: str
    mode: str
    ca: str | None
    serial: int | None
    status: int | None

    def as_json(self) -> dict[str, object]:
        """What `/asked` says of it: the serial in upper-case hexadecimal."""
        return {
            "when": self.when.isoformat(),
            "method": self.method,
            "path": self.path,
            "kind": self.kind,
            "mode": self.mode,
            "ca": self.ca,
            "serial": self._serial,
            "status": self.status,
        }

    @property
    def line(self) -> str:
        """The same for the log."""
        about = filter(None, (self.mode, self.ca, self._serial))
        answer = self.status or "no answer"
        # Whoever asks chooses the path: no character of it may end the line.
        return " ".join((ascii(self.method)[1:-1], ascii(self.path)[1:-1], str(answer), *about))

    @property
    def _serial(self) -> str | None:
        return None if self.serial is None else f"{self.serial:X}"


class Publisher:
    """The server; `asked` holds every request but those about the record, oldest first.

    `clock` counts the seconds of late answers; it is the reactor itself by default. `factory`
    makes the connections, for whoever has an endpoint of its own.
    """

    def __init__(self, reactor: Any, board: Switchboard, clock: Any = None) -> None:
        self.board = board
        self.asked: list[Question] = []
        self._reactor = reactor
        self._publication = Publication(board.lab)
        self.factory = _Door(_Web(self, clock or reactor))
        self._port: IListeningPort | None = None

    async def start(self, port: int = 0) -> str:
        """Publish on the loopback, by default on a free port; returns the URL.

        Raises:
            CannotListenError: the port is taken.
            OSError, UnusableSwitches: the file of the switches can't be used.
        """
        self.board.open()
        self._port = await TCP4ServerEndpoint(self._reactor, port, interface=HOST).listen(
            self.factory
        )
        return self.url

    @property
    def url(self) -> str:
        """What stands before `/CRL` and `/ocsp` while it publishes."""
        if self._port is None:
            raise RuntimeError("does not publish now")
        address = self._port.getHost()
        assert isinstance(address, IPv4Address)  # the endpoint is IPv4  # noqa: S101
        return f"http://{HOST}:{address.port}"

    async def stop(self) -> None:
        """Listen no more, cut what is open, and return when nothing is."""
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        await self.factory.cleared()

    def serve(self, enquiry: Enquiry) -> Served:
        """What a request gets, by the switches of this moment; both are kept in `asked`."""
        now = self.board.wall()
        try:
            served = answered(enquiry, self._publication, self.board.read(), now)
        except UnusableSwitches as error:
            _log.error("{error}", error=error)
            served = Served(f"{error}\n".encode(), status=500)
        question = Question(
            now, enquiry.method, enquiry.path, served.kind, served.mode, served.ca, served.serial,
            served.status,
        )  # fmt: skip
        self.asked.append(question)
        _log.info("{line}", line=question.line)
        return served


def publish(board: Switchboard, port: int, announce: Callable[[str], None]) -> None:
    """Run a publisher in a process of its own, until a signal ends it; `announce` gets the URL.

    Raises:
        SystemExit: at its end; with what is wrong where it could not begin.
    """
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)

    async def serve(reactor: Any) -> None:
        try:
            announce(await Publisher(reactor, board).start(port))
        except CannotListenError as error:
            raise SystemExit(f"Error: {error}; choose another --port") from None
        except (OSError, UnusableSwitches) as error:
            raise SystemExit(f"Error: {error}") from None
        await Deferred()

    react(lambda reactor: ensureDeferred(serve(reactor)), [])


class _Web(Site):
    displayTracebacks = False  # noqa: N815 - named by Twisted
    noisy = False

    def __init__(self, publisher: Publisher, clock: Any) -> None:
        super().__init__(
            _Root(publisher, clock), parsePOSTFormSubmission=False, reactor=clock, timeout=None
        )

    def log(self, request: HTTPRequest) -> None:
        """No access log: each question is a line already."""


class _Root(Resource):
    isLeaf = True  # noqa: N815 - named by Twisted

    def __init__(self, publisher: Publisher, clock: Any) -> None:
        super().__init__()
        self._publisher = publisher
        self._clock = clock

    def render(self, request: Request) -> bytes | int:
        """Answer, now or later or never."""
        if request.uri == b"/asked":
            return self._record(request)
        served = self._publisher.serve(_enquiry(request))
        if served.status is None:
            request.loseConnection()
            return NOT_DONE_YET
        if not served.delay:
            _write(request, served)
            return NOT_DONE_YET
        later = self._clock.callLater(served.delay, _write, request, served)
        request.notifyFinish().addErrback(_gave_up, later)
        return NOT_DONE_YET

    def _record(self, request: Request) -> bytes:
        if request.method == b"DELETE":
            self._publisher.asked.clear()
        request.setHeader(b"content-type", b"application/json")
        return json.dumps([each.as_json() for each in self._publisher.asked]).encode()


class _Door(WrappingFactory):
    """Knows the open connections, so that a test leaves none behind."""

    noisy = False

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._waiting: list[Deferred[None]] = []

    def unregisterProtocol(self, p: ProtocolWrapper) -> None:
        """One connection less; named by Twisted."""
        super().unregisterProtocol(p)
        if not self.protocols:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)

    async def cleared(self) -> None:
        """Cut all connections, and return when there is none."""
        for each in list(self.protocols):
            each.abortConnection()
        if self.protocols:
            self._waiting.append(Deferred())
            await self._waiting[-1]


def _enquiry(request: Request) -> Enquiry:
    content = request.content
    assert content is not None  # twisted.web gives every request its body  # noqa: S101
    content.seek(0)
    fields = {
        name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
    return Enquiry(
        request.method.decode("latin-1"), request.uri.decode("latin-1"), fields, content.read()
    )


def _write(request: Request, served: Served) -> None:
    request.setResponseCode(served.status or 200)
    if (modified := last_modified(served)) is not None:
        request.setHeader("etag", entity_tag(served))
        request.setHeader("last-modified", modified)
    if served.status != 304:
        request.setHeader("content-type", served.media_type)
        request.setHeader("content-length", str(len(served.body)))
        request.write(served.body)
    request.finish()


def _gave_up(_: Failure, later: IDelayedCall) -> None:
    if later.active():
        later.cancel()

"""The SAS platform as a client: its calls, sent over mTLS with any certificate.

A blocking client on the standard library, so that the gateway is judged by a TLS and an HTTP that
aren't its own; a test inside the reactor runs it in a thread. What goes wrong is a value: ANS's
acceptance kit tells a refusal by 4xx from a reset, and so must whoever reads this.
"""

import socket
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import Enum
from http.client import HTTPConnection, HTTPException, IncompleteRead, RemoteDisconnected
from pathlib import Path
from typing import cast
from urllib.parse import quote

from attrs import field, frozen

from sasgate.lab import fhir
from sasgate.lab.tls_stream import TLSStream


PATIENCE = 7.0
_IDENTIFIERS = tuple(f"8100{number:08d}" for number in range(2673899, 2673924))


@frozen
class Call:
    """One request; `path` begins after the base URL and holds the query."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = (("Accept", fhir.MEDIA_TYPE),)
    body: bytes | None = field(default=None, repr=False)


def slots(now: datetime, *, raw: bool = False) -> Call:
    """Free slots of 25 practitioners within three days: about 1.5 kB of URL.

    ANS's examples come with `|` in both spellings: as it is when `raw`, else as `%7C`.
    """
    begin, end = _instant(now), _instant(now + timedelta(days=3))
    who = ",".join(f"{fhir.RPPS}|{each}" for each in _IDENTIFIERS)
    query = (
        "_include=Slot:schedule&_include:iterate=Schedule:actor"
        "&_include:iterate=PractitionerRole:healthcareService"
        "&_include:iterate=PractitionerRole:location&_include=Slot:service-type-reference"
        "&_include:iterate=HealthcareService:organization"
        f"&status=free&start=ge{begin}&start=le{end}"
        f"&schedule.actor:Practitioner.identifier={quote(who, safe=':,|' if raw else ':,')}"
        "&_count=1000"
    )
    return Call("GET", f"/Slot?{query}")


def schedules(now: datetime) -> Call:
    """Schedules of a doctors' association within three days."""
    begin, end = _instant(now), _instant(now + timedelta(days=3))
    return Call("GET", f"/Schedule?_revinclude=Slot:schedule&date=ge{begin}&date=le{end}")


def create_practitioner() -> Call:
    """A new regulator's account."""
    return _with_practitioner("POST", "/Practitioner")


def update_practitioner() -> Call:
    """A change of that account, found by its identifier."""
    return _with_practitioner("PUT", f"/Practitioner?identifier={fhir.RPPS}%7C810002909371")


def check() -> Call:
    """The health check (specification, 2.4)."""
    return Call("GET", "/check", (("Accept", "application/json"),))


def metadata() -> Call:
    """The editor's CapabilityStatement."""
    return Call("GET", "/metadata")


def all_calls(now: datetime) -> tuple[Call, ...]:
    """One of each of the calls that the platform makes."""
    return (
        check(),
        metadata(),
        slots(now),
        schedules(now),
        create_practitioner(),
        update_practitioner(),
    )


@frozen
class Response:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for each, value in self.headers if each == name.lower()), None)


class Failure(Enum):
    """How a call ended without an HTTP answer."""

    REFUSED = "connection refused"
    RESET = "connection reset"
    CLOSED = "connection closed before the end of the answer"
    ALERT = "TLS alert or error"
    UNTRUSTED = "the server's certificate is not trusted"
    TIMEOUT = "no answer in time"
    NOT_HTTP = "the answer is not HTTP"
    OTHER = "the network failed"


@frozen
class NoResponse:
    """A call that got no HTTP answer; `detail` is for people."""

    failure: Failure
    detail: str


Result = Response | NoResponse


@frozen
class Platform:
    """SAS, calling one gateway.

    `roots` is the PEM file of CAs that the gateway's certificate is verified against; `client`
    the PEM to present, None for none: whether it holds the leaf only, as SAS sends it, or the
    chain is the file's choice. `version` is the only TLS version offered, None leaves it open.
    """

    host: str
    port: int
    roots: Path
    client: Path | None = None
    version: ssl.TLSVersion | None = None
    base: str = ""
    server_name: str | None = None
    timeout: float = PATIENCE

    def send(self, call: Call) -> Result:
        """One call on a connection of its own."""
        with self.session() as session:
            return session.send(call)

    @contextmanager
    def session(self) -> Iterator["Session"]:
        """One connection for several calls; it is opened by the first of them."""
        session = Session(self)
        try:
            yield session
        finally:
            session.close()

    def dial(self) -> TLSStream:
        """A connection after the TLS handshake, for what no HTTP client would send.

        Raises:
            OSError: the connection or the handshake failed.
        """
        plain = socket.create_connection((self.host, self.port), self.timeout)
        try:
            return TLSStream(plain, self._context(), self.server_name or self.host)
        except BaseException:
            plain.close()
            raise

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.roots)
        context.set_alpn_protocols(["http/1.1"])
        if self.version is not None:
            if self.version < ssl.TLSVersion.TLSv1_2:
                # OpenSSL's default level of security would refuse it before the server can.
                context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                # Python deprecates the versions that a probe has to offer.
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = context.maximum_version = self.version
        if self.client is not None:
            context.load_cert_chain(self.client)
        return context


class Session:
    """One connection, used again for as long as the gateway keeps it."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._connection: HTTPConnection | None = None

    def send(self, call: Call) -> Result:
        """Send one call and read its whole answer."""
        try:
            return self._exchange(call)
        except (OSError, HTTPException) as error:
            self.close()
            return NoResponse(_failure(error), str(error) or type(error).__name__)

    def is_cut(self, within: float) -> bool:
        """Whether the gateway ends the connection in so many seconds, and says nothing more."""
        if self._connection is None or self._connection.sock is None:
            return True
        # Made by `_connect`, whatever http.client takes it for.
        stream = cast("TLSStream", self._connection.sock)
        stream.plain.settimeout(within)
        try:
            return not stream.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def open(self) -> bool:
        """Whether the gateway left the connection open after the last answer."""
        return self._connection is not None and self._connection.sock is not None

    def _exchange(self, call: Call) -> Response:
        if not self.open:
            self._connection = self._connect()
        connection = self._connection
        assert connection is not None  # just made  # noqa: S101
        connection.request(
            call.method, self._platform.base + call.path, call.body, dict(call.headers)
        )
        answer = connection.getresponse()
        headers = tuple((name.lower(), value) for name, value in answer.getheaders())
        return Response(answer.status, headers, answer.read())

    def _connect(self) -> HTTPConnection:
        platform = self._platform
        connection = HTTPConnection(platform.host, platform.port, timeout=platform.timeout)
        # http.client asks no more of a socket than TLSStream has.
        connection.sock = cast("socket.socket", platform.dial())
        return connection


def _failure(error: OSError | HTTPException) -> Failure:
    match error:
        case ConnectionRefusedError():
            return Failure.REFUSED
        case RemoteDisconnected() | IncompleteRead() | ssl.SSLEOFError():
            return Failure.CLOSED
        case ConnectionResetError() | BrokenPipeError():
            return Failure.RESET
        case ssl.SSLCertVerificationError():
            return Failure.UNTRUSTED
        case TimeoutError():
            return Failure.TIMEOUT
        case ssl.SSLError():
            return Failure.ALERT
        case HTTPException():
            return Failure.NOT_HTTP
        case _:
            return Failure.OTHER


def _with_practitioner(method: str, path: str) -> Call:
    headers = (("Accept", fhir.MEDIA_TYPE), ("Content-Type", fhir.MEDIA_TYPE))
    return Call(method, path, headers, fhir.encode(fhir.practitioner()))


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")

"""One list by HTTP GET, conditional where one is held (RFC 9110, 13.1), into a file without a name.

Whatever the other side does, the time, the memory, the disk and the redirects are bounded (S25).
What came is not judged here: a list is good when its signature is.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import inet_aton
from typing import IO, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http import (
    FOUND,
    MOVED_PERMANENTLY,
    NOT_MODIFIED,
    OK,
    PERMANENT_REDIRECT,
    SEE_OTHER,
    TEMPORARY_REDIRECT,
)
from twisted.web.iweb import IResponse

from sasgate.revocation.calls import Call, Caller, unexpected
from sasgate.revocation.line import CallFailed
from sasgate.settings import Limits


REDIRECTS = 3
_REDIRECTED = (MOVED_PERMANENTLY, FOUND, SEE_OTHER, TEMPORARY_REDIRECT, PERMANENT_REDIRECT)
# A server that says more than this to be repeated to it isn't worth a conditional request.
_LONGEST_VALIDATOR = 500


@frozen
class Validators:
    """What a server gave to recognise its list by; sent back to it unread."""

    etag: str | None = None
    last_modified: str | None = None


@frozen
class Downloaded:
    """All of a body, `size` bytes; the file has no name, and whoever gets it closes it."""

    file: IO[bytes]
    size: int
    validators: Validators


@frozen
class NotModified:
    """The server still has what the validators are of."""


class DownloadProblem(Enum):
    """Why nothing was downloaded; the value is for people, the name for journal and metrics."""

    UNREACHABLE = "the server cannot be reached"
    NAME_NOT_FOUND = "the server's name cannot be resolved"
    TOO_LATE = "not there in time"
    HTTP_STATUS = "an HTTP status other than 200"
    TOO_LARGE = "too large"
    CUT_SHORT = "cut short"
    NOT_AN_ANSWER = "not an answer in HTTP"
    REDIRECTED = "redirected too often"
    BAD_URL = "not where a list may be fetched from"
    NOT_WRITTEN = "there is no memory to hold it"


class DownloadFailed(CallFailed):
    """Nothing, or not all of it, was downloaded; `kind` says why, `detail` what was found."""

    kind: DownloadProblem


class Downloader:
    """Downloads lists; `proxy` is `host:port` of an HTTP proxy for http:// URLs.

    Of the limits, `connect`, `crl_time` (for the whole, redirects included) and `crl_size` are
    used.
    """

    def __init__(self, reactor: Any, limits: Limits, proxy: str | None) -> None:
        self._limits = limits
        self._caller = Caller(reactor, limits.connect, proxy)

    def get(self, url: str, validators: Validators) -> Deferred[Downloaded | NotModified]:
        """What is at a URL, unless it is what the validators are of; may be cancelled.

        It fails with `DownloadFailed`, and with nothing else but a cancellation.
        """
        getting = self._caller.within(self._limits.crl_time, self._get(url, validators))
        return getting.addErrback(_failed)

    async def _get(self, url: str, validators: Validators) -> Downloaded | NotModified:
        place = _place(None, url)
        for _ in range(REDIRECTS + 1):
            came = await self._from(place, validators)
            if not isinstance(came, str):
                return came
            place = _place(place, came)
        detail = f"more than {REDIRECTS} times, at last to {place[:500]}"
        raise DownloadFailed(DownloadProblem.REDIRECTED, detail)

    async def _from(self, url: str, validators: Validators) -> Downloaded | NotModified | str:
        """What one server gives; a string is where it redirects to."""

        async def talk(call: Call) -> Downloaded | NotModified | str:
            response = await call.send("GET", _headers(validators))
            if response.code == OK:
                return await self._body(call, response)
            if response.code == NOT_MODIFIED and validators != Validators():
                return NotModified()
            location: str | None = response.headers.getRawHeaders("Location", [None])[0]
            if response.code in _REDIRECTED and location is not None:
                return location
            raise unexpected(response)

        return await self._caller.call(url, talk)

    async def _body(self, call: Call, response: IResponse) -> Downloaded:
        with _writing():
            file = in_memory()

        def write(data: bytes) -> None:
            with _writing():
                file.write(data)

        try:
            await call.body(response, self._limits.crl_size, write)
            with _writing():
                # What reads it does so by its descriptor.
                file.flush()
                return Downloaded(file, file.tell(), _validators(response))
        except BaseException:
            # What could not be written can't be at the end either.
            with suppress(OSError):
                file.close()
            raise


def _headers(validators: Validators) -> dict[str, str]:
    fields = {
        "Accept": "application/pkix-crl, */*",
        "If-None-Match": validators.etag,
        "If-Modified-Since": validators.last_modified,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _validators(response: IResponse) -> Validators:
    return Validators(_validator(response, b"ETag"), _validator(response, b"Last-Modified"))


def _validator(response: IResponse, name: bytes) -> str | None:
    value: bytes = response.headers.getRawHeaders(name, [b""])[-1]
    plain = value.isascii() and value.decode("ascii").isprintable()
    return value.decode("ascii") if plain and 0 < len(value) <= _LONGEST_VALIDATOR else None


def _place(origin: str | None, location: str) -> str:
    """Where a URL leads, seen from `origin`; what was under TLS does not go on without."""
    try:
        place = urljoin(origin or "", location)
        parts = urlsplit(place)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise DownloadFailed(DownloadProblem.BAD_URL, f"{location[:500]!r}: {error}") from error
    secure = origin is not None and urlsplit(origin).scheme == "https"
    if (
        not valid
        or parts.scheme not in (("https",) if secure else ("http", "https"))
        or (origin is not None and not _may_lead(urlsplit(origin), parts))
    ):
        came = "" if origin is None else f", from {origin[:500]!r}"
        raise DownloadFailed(DownloadProblem.BAD_URL, f"{place[:500]!r}{came}")
    return place


def _may_lead(origin: SplitResult, place: SplitResult) -> bool:
    """Whether a redirect stays among servers of lists.

    Lists come over plain HTTP, so anybody on the way may redirect: not to this host's backends and
    outbound listeners, nor into the network behind it.
    """
    if _is_local(origin.hostname):
        return True
    if place.port not in {None, 80, 443, origin.port}:
        return False
    return place.hostname == origin.hostname or not _is_inside(place.hostname)


def _is_local(host: str | None) -> bool:
    address = _address(host)
    if address is not None:
        return address.is_loopback
    return (host or "").rstrip(".") == "localhost"


def _is_inside(host: str | None) -> bool:
    address = _address(host)
    return _is_local(host) if address is None else not address.is_global


def _address(host: str | None) -> IPv4Address | IPv6Address | None:
    """The address that a host is written as, in any way that the system's resolver takes."""
    text = (host or "").rstrip(".")
    try:
        return ip_address(text)
    except ValueError:
        pass
    try:
        # `127.1`, `2130706433` and `0x7f.0.0.1` are addresses for it too.
        return IPv4Address(inet_aton(text))
    except (OSError, ValueError):
        return None


def in_memory() -> IO[bytes]:
    """A file without a place on any disk: a full one must not let a revoked client in."""
    descriptor = os.memfd_create("sasgate-download", os.MFD_CLOEXEC)
    return os.fdopen(descriptor, "w+b")


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DownloadFailed(DownloadProblem.NOT_WRITTEN, error.strerror or str(error)) from error


def _failed(failure: Failure) -> Downloaded | NotModified:
    failure.trap(CallFailed)
    error: Any = failure.value
    if isinstance(error, DownloadFailed):
        raise error
    raise DownloadFailed(DownloadProblem[error.kind.name], error.detail) from error

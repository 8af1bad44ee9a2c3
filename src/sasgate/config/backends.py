"""Backends and routes: where an admitted request goes."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from sasgate.config.values import (
    Rejected,
    is_loopback,
    path_prefix,
    urlsplit_checked,
)
from sasgate.settings import Backend, Route


_ROUTE = re.compile(
    r"(?:(?P<environment>[^\s/:=]+):)?(?P<prefix>[^\s:=][^\s=]*)\s*=\s*(?P<rest>.*)"
)


def backend_from(folder: Path, roots: Path | None, unsafe: bool) -> Callable[[str], Backend]:
    """A converter to a backend; `unsafe` allows plain HTTP to another machine."""

    def convert(text: str) -> Backend:
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path or path.startswith("//"):
                raise Rejected("names no path", "write for example unix:/run/app.sock")
            return Backend("unix", "", 0, str(folder / path))
        parts = urlsplit_checked(text)
        if parts.scheme not in {"http", "https"}:
            raise Rejected("is no backend", "write http://, https:// or unix:/path")
        if parts.path not in {"", "/"} or "?" in text:
            raise Rejected("has a path or a query", "requests keep theirs: give host and port only")
        host = parts.hostname or ""
        if parts.scheme == "http" and not unsafe and not is_loopback(host):
            raise Rejected(
                "is plain HTTP to another machine, where the gateway's headers could be forged",
                "write https://, or set unsafe_backend = yes",
            )
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        return Backend(parts.scheme, host, port, "", roots if parts.scheme == "https" else None)

    return convert


def route_from(
    backend: Callable[[str], Backend], environments: Iterable[str]
) -> Callable[[str], Route]:
    """A converter for `prefix = backend …`, `ENVIRONMENT:` before the prefix allowed."""
    known = tuple(environments)

    def convert(text: str) -> Route:
        match = _ROUTE.fullmatch(text)
        if match is None or not match["rest"]:
            raise Rejected("is no route", "write for example /fhir = http://127.0.0.1:8080")
        environment = match["environment"]
        if environment is not None and environment not in known:
            raise Rejected(
                f"{environment} is no environment of this listener",
                f"it has: {', '.join(known)}",
            )
        try:
            prefix = path_prefix(match["prefix"])
        except Rejected as error:
            raise Rejected(f"the prefix {error.reason}", error.remedy) from None
        return Route(environment, prefix, distinct(map(backend, match["rest"].split())))

    return convert


def distinct(backends: Iterable[Backend]) -> tuple[Backend, ...]:
    """The backends, none of them twice: one would be given twice its share.

    Raises:
        Rejected: a backend is named twice.
    """
    found = tuple(backends)
    if len(set(found)) < len(found):
        raise Rejected("names a backend twice")
    return found


def in_order(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Longest prefix first; at the same length, those of one environment before those of all."""
    return tuple(sorted(routes, key=lambda route: (-len(route.prefix), route.environment is None)))

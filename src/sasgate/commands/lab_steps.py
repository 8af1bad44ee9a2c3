"""What to run once a lab is made, as commands that can be pasted."""

from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

from attrs import frozen

from sasgate.lab.configuration import (
    ADMIN_SOCKET,
    BACKEND_PORT,
    FILE,
    PUBLISHER_PORT,
    SAS_PORT,
    Ports,
)
from sasgate.lab.sas_answers import APPOINTMENT


# Bodies of JSON end without a line's end.
_CURL = r"curl -siw '\n'"


@frozen
class Steps:
    """Of a lab with these options of `sasgate lab init`: what runs, then what is tried."""

    directory: Path
    ports: Ports
    backend: str
    publisher: str | None
    sas: str | None
    admin: int | None

    def lines(self) -> Iterator[str]:
        """All steps, in their order."""
        here = "" if self.directory.is_absolute() else " in this folder"
        yield f"Next, in this order, each in a terminal of its own{here}, until Ctrl-C:"
        yield from (f"  {each}" for each in self._servers())
        yield ""
        yield "and then, in another one:"
        yield from (f"  {each}" for each in self._trials())

    def _servers(self) -> Iterator[str]:
        if self.publisher is not None:
            yield f"sasgate lab serve {self._path()}{_port(self.publisher, 80, PUBLISHER_PORT)}"
        yield self._backend()
        if self.sas is not None:
            yield f"sasgate lab sas {self._path()}{_port(self.sas, 443, SAS_PORT)}"
        yield f"twistd --nodaemon --pidfile= sasgate -c {self._path(FILE)}"

    def _backend(self) -> str:
        parts = urlsplit(self.backend)
        if (parts.scheme, parts.hostname) in {("http", "127.0.0.1"), ("http", "localhost")}:
            return f"sasgate lab backend{_port(self.backend, 80, BACKEND_PORT)}"
        return f"# your own server, at {self.backend}"

    def _trials(self) -> Iterator[str]:
        known = f"--cacert {self._path('public-root.pem')}"
        client = f"--cert {self._path('clients', 'recette.pem')}"
        for path in ("/check", "/metadata"):
            yield f"{_CURL} {known} {client} https://127.0.0.1:{self._shown(self.ports.test)}{path}"
        if self.sas is not None:
            where = f"http://127.0.0.1:{self._shown(self.ports.outbound)}{APPOINTMENT}"
            body = (
                """-H 'Content-Type: application/fhir+json' -d '{"resourceType": "Appointment"}'"""
            )
            yield f"{_CURL} {body} {where}"
        yield f"sasgate status --config {self._path(FILE)}"
        if self.ports.test == 0:
            yield "# PORT is in what the gateway says when it starts: 0 leaves it to the system"
        if self.admin is None:
            socket, page = self._path(ADMIN_SOCKET), self._path("status.html")
            yield "# the status page; with `lab init --admin PORT` a browser shows it live"
            yield f"curl -s --unix-socket {socket} http://localhost/ > {page}"
        else:
            yield f"# the status page: http://127.0.0.1:{self.admin}/"

    def _path(self, *names: str) -> str:
        return quote(str(self.directory.joinpath(*names)))

    def _shown(self, port: int) -> str:
        return str(port) if port else "PORT"


def _port(url: str, implied: int, default: int) -> str:
    port = urlsplit(url).port or implied
    return "" if port == default else f" --port {port}"

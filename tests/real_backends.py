"""The servers that editors have, as processes: Twisted's, nginx, gunicorn.

All answer `/echo`, `/status?code=` and `/stream?bytes=`, and tell which requests they got.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import pytest
from attrs import frozen

from bench.peers import frames
from neighbours import installed
from processes import (
    CHECKOUT,
    PATIENCE,
    BackendProcess,
    LoggedProcess,
    environment,
    free_port,
)


STREAM = 8 << 20
_MARKER = "/marker"


@frozen
class Arrived:
    """A request as a server saw it; field names in lower case with `-`."""

    method: str
    uri: str
    length: int
    sha256: str
    fields: Mapping[str, str]


class RealBackend(Protocol):
    """A server, and what it got since it was last asked."""

    url: str
    chunked: str  # the target of an answer without a length

    def arrived(self) -> list[Arrived]:
        """All requests since the last call, oldest first."""


class TwistedBackend:
    """The lab's, on Twisted's own web server."""

    chunked = f"/stream?bytes={STREAM}&chunked=1"

    def __init__(self, process: BackendProcess) -> None:
        self.url = process.url
        self._process = process

    def arrived(self) -> list[Arrived]:
        recorded = self._process.recorded()
        self._process.forget()
        return [
            Arrived(
                each["method"],
                each["uri"],
                each["body_length"],
                each["body_sha256"],
                _joined(each["headers"]),
            )
            for each in recorded
        ]


class _Recorded:
    """A server that writes a line of JSON a request."""

    def __init__(self, url: str, record: Path) -> None:
        self.url = url
        self._record = record
        self._read = 0

    def arrived(self) -> list[Arrived]:
        lines = self._record.read_text("latin-1").splitlines() if self._record.exists() else []
        new, self._read = lines[self._read :], len(lines)
        return [self._arrived(json.loads(line)) for line in new]

    def _arrived(self, record: dict[str, Any]) -> Arrived:
        raise NotImplementedError


class GunicornBackend(_Recorded):
    """gunicorn, which gives fields to its application by CGI's names."""

    chunked = f"/stream?bytes={STREAM}&chunked=1"

    def _arrived(self, record: dict[str, Any]) -> Arrived:
        variables = record["environ"]
        fields = {
            name.removeprefix("HTTP_").lower().replace("_", "-"): value
            for name, value in variables.items()
            if name.startswith("HTTP_") or name in {"CONTENT_LENGTH", "CONTENT_TYPE"}
        }
        return Arrived(
            record["method"],
            record["uri"],
            record["body_length"],
            record["body_sha256"],
            fields,
        )


class NginxBackend(_Recorded):
    """nginx, whose access log also has what it refused."""

    chunked = "/chunked"

    def __init__(self, url: str, record: Path, port: int) -> None:
        super().__init__(url, record)
        self._port = port

    def arrived(self) -> list[Arrived]:
        # It logs a request after it was answered, but before it turns to another.
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)) as direct:
            direct.request("GET", _MARKER)
            assert direct.getresponse().status == 200
        return [each for each in super().arrived() if each.uri != _MARKER]

    def _arrived(self, record: dict[str, Any]) -> Arrived:
        body = record["body"].encode("latin-1")
        return Arrived(
            record["method"],
            record["uri"],
            len(body),
            hashlib.sha256(body).hexdigest(),
            {name: value for name, value in record["fields"].items() if value},
        )


def _joined(headers: list[list[str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        fields[lower] = f"{fields[lower]},{value}" if lower in fields else value
    return fields


@contextmanager
def twisted() -> Iterator[TwistedBackend]:
    with BackendProcess() as process:
        yield TwistedBackend(process)


@contextmanager
def gunicorn(folder: Path, *, unix: bool = False) -> Iterator[GunicornBackend]:
    pytest.importorskip("gunicorn", reason="gunicorn is not installed: pip install gunicorn")
    record, socket = folder / "record", folder / "gunicorn.sock"
    command = (
        *(sys.executable, "-m", "gunicorn", "--bind", f"unix:{socket}" if unix else "127.0.0.1:0"),
        # What a client could pass for the gateway's is to be refused by the gateway alone.
        *("--worker-class", "gthread", "--threads", "8", "--header-map", "dangerous"),
        *("--keep-alive", "60", "--worker-tmp-dir", folder, "--pythonpath", CHECKOUT / "tests"),
        "wsgi_app:application",
    )
    # It leaves a control socket at home.
    env = environment({"RECORD": str(record), "HOME": str(folder)})
    with LoggedProcess(command, CHECKOUT, env) as process:
        where = process.wait_for(r"Listening at: (\S+)")[1]
        process.wait_for("Booting worker")
        yield GunicornBackend(where, record)


_NGINX = """\
    log_format json escape=json '{{"method": "$request_method", "uri": "$request_uri", '
        '"line": "$request", "body": "$request_body", "fields": {{{fields}}}}}';
    access_log access.log json;
    # What a client could pass for the gateway's is to be refused by the gateway alone.
    underscores_in_headers on;
    client_max_body_size 0;
    client_body_buffer_size 16m;
    keepalive_requests 100000;
    server {{
        listen 127.0.0.1:{port};
        listen unix:{folder}/nginx.sock;
        # A body is read, and logged, only where it is passed on.
        location / {{ proxy_pass http://unix:{folder}/sink.sock:; }}
        location = /status {{
            if ($arg_code = 204) {{ return 204; }}
            if ($arg_code = 304) {{ return 304; }}
        }}
        location = /stream {{ alias {folder}/stream; }}
        location = /chunked {{ alias {folder}/stream; ssi on; ssi_types *; }}
    }}
    server {{
        listen unix:{folder}/sink.sock;
        access_log off;
        location / {{ default_type application/json; return 200 '{{"uri": "$request_uri"}}'; }}
    }}
"""

_LOGGED_FIELDS = (
    *("x-ssl-client-verify", "x-ssl-client-cn", "x-ssl-client-ou", "x-ssl-client-s-dn"),
    *("x-ssl-client-i-dn", "x-ssl-client-serial", "x-sas-environment", "client-cert"),
    *("client-cert-chain", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"),
    *("x-forwarded-port", "forwarded", "x-real-ip", "x-request-id"),
    *("host", "content-length", "transfer-encoding", "connection", "x-plain"),
)


@contextmanager
def nginx(folder: Path, *, unix: bool = False) -> Iterator[NginxBackend]:
    program, port = installed("nginx"), free_port()
    fields = ", ".join(f'"{name}": "$http_{name.replace("-", "_")}"' for name in _LOGGED_FIELDS)
    http = _NGINX.format(folder=folder, port=port, fields=fields)
    (folder / "stream").write_bytes(b"x" * STREAM)
    main = "master_process off;"
    command = frames.nginx(program, folder, http, connections=1024, main=main)
    with LoggedProcess(command, folder, environment()) as process:
        process.wait_for("using the")
        url = f"unix:{folder}/nginx.sock" if unix else f"http://127.0.0.1:{port}"
        yield NginxBackend(url, folder / "access.log", port)


THREE: Mapping[str, Callable[[Path], AbstractContextManager[RealBackend]]] = MappingProxyType(
    {"twisted": lambda folder: twisted(), "nginx": nginx, "gunicorn": gunicorn}
)

"""A WSGI application that writes down each request that it got as a whole, as a line of JSON."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs


_RECORD = Path(os.environ["RECORD"])
_CHUNK = b"x" * 65536

_Start = Callable[[str, list[tuple[str, str]]], object]


def application(environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
    """Answer by the path: `/status?code=`, `/stream?bytes=&chunked=`, else what arrived."""
    body = environ["wsgi.input"].read()
    record = {
        "method": environ["REQUEST_METHOD"],
        "uri": environ["RAW_URI"],
        "body_length": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "environ": {name: value for name, value in environ.items() if isinstance(value, str)},
    }
    with _RECORD.open("a") as file:
        file.write(json.dumps(record) + "\n")
    query = parse_qs(environ["QUERY_STRING"])
    if environ["PATH_INFO"] == "/status":
        start(f"{query['code'][0]} As asked", [])
        return []
    if environ["PATH_INFO"] == "/stream":
        return _stream(int(query["bytes"][0]), "chunked" in query, start)
    answer = json.dumps(record).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]


def _stream(size: int, chunked: bool, start: _Start) -> Iterable[bytes]:
    start("200 OK", [] if chunked else [("Content-Length", str(size))])
    for position in range(0, size, len(_CHUNK)):
        yield _CHUNK[: size - position]

"""Small servers on 127.0.0.1 for the commands' tests, each on a port of the system's choice."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


Answer = Callable[[BaseHTTPRequestHandler], None]


def answer(
    status: int, body: bytes = b"", kind: str = "application/octet-stream", **headers: str
) -> Answer:
    """An answer that is always the same."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length", "0"))
        handler.rfile.read(length)
        handler.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return send


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that leaves in the handshake: it is what many tests are about."""


@contextmanager
def web_server(send: Answer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """An HTTP server; gives its `host:port`."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            send(self)

        do_GET = do_POST = do_CONNECT = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def mute_server() -> Iterator[str]:
    """A port that takes connections and says nothing; gives its `host:port`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def closed_port() -> str:
    """The `host:port` of a port where nothing listens any more."""
    with mute_server() as place:
        return place

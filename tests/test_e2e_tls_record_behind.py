"""A TLS server whose answer is followed at once by bytes that nobody asked for (S45)."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from applications import Application, request, write_outbound
from processes import GatewayProcess
from sasgate.lab.pki import Lab


_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%b"


class RecordBehind:
    """Writes each answer and a second one as two TLS records of one TCP segment."""

    def __init__(self, lab: Lab) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(lab.directory / "server.pem", lab.directory / "server.key")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])

    @contextmanager
    def serving(self) -> Iterator["RecordBehind"]:
        threading.Thread(target=self._accept, daemon=True).start()
        with self._listening:
            yield self

    def _accept(self) -> None:
        with suppress(OSError):  # the test is over
            while True:
                connection = self._listening.accept()[0]
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(arrived, leaving, server_side=True)
        with connection, suppress(OSError):
            shaken = False
            while True:
                try:
                    if not shaken:
                        tls.do_handshake()
                        shaken = True
                    if not tls.read(65536):
                        return
                    tls.write(_ANSWER % b"first")
                    tls.write(_ANSWER % b"other")
                    connection.sendall(leaving.read())
                except ssl.SSLWantReadError:
                    connection.sendall(leaving.read())
                    data = connection.recv(65536)
                    if not data:
                        return
                    arrived.write(data)


def test_a_second_answer_in_the_same_segment_is_nobodys(lab: Lab, tmp_path: Path) -> None:
    """S45: TLS may hold it where the socket has nothing more to read."""
    with RecordBehind(lab).serving() as server:
        ini = write_outbound(lab, tmp_path, {"sas": f"https://localhost:{server.port}"})
        with GatewayProcess(ini) as gateway, Application(gateway, "sas").wire() as wire:
            wire.send(request("GET", "/a") + request("GET", "/b"))
            bodies = [wire.answer().body for _ in range(2)]
    assert bodies == [b"first", b"first"]

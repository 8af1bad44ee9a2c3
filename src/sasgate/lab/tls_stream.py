"""A blocking TLS connection that tells a TCP reset from an early end.

The standard library's `SSLSocket` reports both as the same end of file. Here TLS works on memory
and the socket stays plain, so that each speaks for itself. It has what `http.client` asks of a
socket: `sendall`, `makefile`, `close`.
"""

import io
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Self, TypeVar


_T = TypeVar("_T")


class TLSStream:
    """TLS over `plain`, a connected socket; its time limit holds for each read and write.

    `tls` answers what a test asks of the session: `version()`, `getpeercert()`, ….
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, server_name: str) -> None:
        """Finish the handshake.

        Raises:
            OSError: it failed; `ssl.SSLError` among them.
        """
        self.plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._readers = 0
        self._closed = False
        self._run(self.tls.do_handshake)

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes; none once the peer has said that it is done.

        Raises:
            ssl.SSLEOFError: the connection ended without TLS's own end.
            OSError: anything else, a reset among them.
        """
        try:
            return self._run(partial(self.tls.read, size))
        except ssl.SSLZeroReturnError:
            return b""

    def sendall(self, data: bytes) -> None:
        """Send everything."""
        left = memoryview(data)
        while left:
            left = left[self._run(partial(self.tls.write, left)) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        """A buffered reader that, like a socket's, keeps the connection until it is closed."""
        if mode != "rb":
            raise ValueError(f"{mode}: only rb is supported")
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Close the connection as soon as no reader needs it any more."""
        self._closed = True
        if not self._readers:
            self.plain.close()

    def release(self) -> None:
        """One reader less."""
        self._readers -= 1
        if self._closed:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, step: Callable[[], _T]) -> _T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            except ssl.SSLError:
                # The peer is to see the alert; whether it can is no matter any more.
                self._flush_alert()
                raise
            else:
                self._flush()
                return result

    def _fill(self) -> None:
        data = self.plain.recv(65536)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.plain.sendall(self._outgoing.read())

    def _flush_alert(self) -> None:
        try:
            self._flush()
        except OSError:
            return


class _Reader(io.RawIOBase):
    def __init__(self, stream: TLSStream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.release()
        super().close()

"""A blocking TLS connection for commands, on pyOpenSSL as the gateway's own.

TLS works on memory and the socket stays plain, so that a TCP reset, an end without TLS's own and
an alert are told apart.
"""

import socket
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TypeVar

from OpenSSL import SSL
from twisted.python.failure import Failure

from sasgate.failures import why


_T = TypeVar("_T")


class Ended(ConnectionError):
    """The server closed the connection without ending TLS first."""


class TLSDialog:
    """TLS as a client over `plain`, a connected socket; `until` are instants of `monotonic`.

    `tls` answers what is to be told of the session. `spoke` says whether anything was sent:
    where nothing was, a failure is this host's own.
    """

    def __init__(self, plain: socket.socket, tls: SSL.Connection) -> None:
        self.plain = plain
        self.tls = tls
        self.spoke = False
        self._states: set[bytes] = set()
        tls.set_info_callback(self._note)
        tls.set_connect_state()

    @property
    def asked(self) -> bool:
        """Whether the server asked for a certificate in the handshake, as far as it got."""
        return any(b"certificate request" in state for state in self._states)

    def handshake(self, until: float) -> None:
        """Finish the handshake, also one that `renegotiate` began.

        Raises:
            OSError: the connection failed (`Ended`) or was silent (`TimeoutError`).
            OpenSSL.SSL.Error: either side refused.
        """
        self._run(self.tls.do_handshake, until)

    def send(self, data: bytes, until: float) -> None:
        """Send everything; raises as `handshake` does."""
        left = memoryview(data)
        while left:
            left = left[self._run(partial(self.tls.send, left[:16384]), until) :]

    def receive(self, until: float) -> bytes:
        """What has come, at least a byte; none once the server has ended TLS.

        Raises as `handshake` does.
        """
        try:
            return self._run(partial(self.tls.recv, 65536), until)
        except SSL.ZeroReturnError:
            return b""

    def _note(self, tls: SSL.Connection, where: int, result: int) -> None:
        del where, result
        self._states.add(tls.get_state_string())

    def _run(self, step: Callable[[], _T], until: float) -> _T:
        while True:
            try:
                result = step()
            except SSL.WantReadError:
                self._flush(until)
                self._fill(until)
            except SSL.Error:
                self._flush_alert(until)
                raise
            else:
                self._flush(until)
                return result

    def _fill(self, until: float) -> None:
        self._limit(until)
        data = self.plain.recv(65536)
        if not data:
            raise Ended("the server closed the connection")
        self.tls.bio_write(data)

    def _flush(self, until: float) -> None:
        while True:
            try:
                data = self.tls.bio_read(65536)
            except SSL.WantReadError:
                return
            self._limit(until)
            self.spoke = True
            self.plain.sendall(data)

    def _flush_alert(self, until: float) -> None:
        # The server is to see the alert; whether it can is no matter any more. An alert alone is
        # no word of ours that a server could have judged.
        spoke = self.spoke
        try:
            self._flush(until)
        except OSError:
            return
        finally:
            self.spoke = spoke

    def _limit(self, until: float) -> None:
        left = until - monotonic()
        if left <= 0:
            raise TimeoutError
        self.plain.settimeout(left)


def words(error: Exception) -> str:
    """What went wrong, for people; one line of printable ASCII."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case ConnectionResetError():
            return "the connection was reset"
        case OSError():
            return error.strerror or str(error) or type(error).__name__
        case _:
            return why(Failure(error))

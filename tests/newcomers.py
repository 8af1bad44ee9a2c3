"""Clients that come without a pause, one request a connection, until nobody listens any more."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field

from raw_client import PATIENCE, Caller, Wire, connected, request
from sasgate.lab.tls_stream import TLSStream


CLIENTS = 8

GET = request("GET", "/echo")


@define
class Newcomers:
    """`dial` opens a connection, `ask` has the status of its one answer.

    A client whose connection is refused goes; `lost` is all else that fails.
    """

    dial: Callable[[], socket.socket]
    ask: Callable[[socket.socket], int]
    served: int = 0
    lost: list[str] = field(factory=list)
    refused: int = 0
    ended: threading.Event = field(factory=threading.Event)
    _changed: threading.Condition = field(factory=threading.Condition)

    def call(self) -> None:
        while not self.ended.is_set():
            try:
                plain = self.dial()
            except (ConnectionRefusedError, FileNotFoundError):
                self._note(refused=1)
                return
            except OSError as error:
                self._note(f"{error!r} while it connected")
                return
            self._call(plain)

    def _call(self, plain: socket.socket) -> None:
        try:
            with plain:
                status = self.ask(plain)
        except Exception as error:
            self._note(repr(error))
        else:
            if status == 200:
                self._note(served=1)
            else:
                self._note(str(status))

    def _note(self, *lost: str, served: int = 0, refused: int = 0) -> None:
        with self._changed:
            self.lost += lost
            self.served += served
            self.refused += refused
            self._changed.notify_all()

    def wait_for(self, served: int) -> None:
        """Until so many connections in all have had their answers."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.served >= served, PATIENCE), self.served


@contextmanager
def newcomers(
    dial: Callable[[], socket.socket], ask: Callable[[socket.socket], int]
) -> Iterator[Newcomers]:
    """Clients that come from here on; the block is to end what they call."""
    load = Newcomers(dial, ask)
    threads = [threading.Thread(target=load.call) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    except BaseException:
        load.ended.set()
        raise
    finally:
        for thread in threads:
            thread.join()


@contextmanager
def callers(caller: Caller, before: bytes = b"") -> Iterator[Newcomers]:
    """Newcomers that call over TLS; `before` is what a balancer says first."""
    platform = caller.platform
    context = platform._context()

    def ask(plain: socket.socket) -> int:
        plain.sendall(before)
        wire = Wire(TLSStream(plain, context, platform.host))
        try:
            return wire.ask(GET).status
        finally:
            wire.close()

    with newcomers(lambda: connected(caller.port), ask) as load:
        yield load

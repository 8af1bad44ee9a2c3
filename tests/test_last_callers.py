"""Those who wait in a port's queue when it is to be closed."""

import select
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from sasgate.last_callers import take_in
from sasgate.listeners import Listeners
from sasgate.ports import OpenPort, Wanted
from sasgate.settings import Listen


class Counting(Factory):
    """Counts who comes."""

    noisy = False

    def __init__(self) -> None:
        self.came: list[Protocol] = []

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        self.came.append(Protocol())
        return self.came[-1]


@contextmanager
def waiting(number: int, family: int, address: Any) -> Iterator[None]:
    """So many clients whose connections are there."""
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(socket.socket(family)).connect(address)
        yield


def is_connected(calling: socket.socket) -> bool:
    """Whether a connection that was begun is there, or has failed."""
    poll = select.poll()
    poll.register(calling, select.POLLOUT)
    return bool(poll.poll(0))


class TestTakingIn(TestCase):
    def closed(self, port: Any) -> Deferred[None]:
        """Left alone and closed, as no test must leave it."""
        return Deferred.fromCoroutine(self._closed(port))

    async def _closed(self, port: Any) -> None:
        for protocol in port.factory.came:
            protocol.transport.abortConnection()
        await port.stopListening()

    def held(self, opened: Any) -> Any:
        opened.stopReading()
        self.addCleanup(self.closed, opened)
        return opened

    def test_all_who_wait_come_in_at_once_and_nobody_after_them(self) -> None:
        port = self.held(reactor.listenTCP(0, Counting(), interface="127.0.0.1"))  # type: ignore[attr-defined]
        address = ("127.0.0.1", port.getHost().port)
        with waiting(5, socket.AF_INET, address):
            port.numberAccepts = 1  # as many as Twisted takes after a quiet time
            take_in(port)
            assert len(port.factory.came) == 5
        with socket.socket() as late:
            late.setblocking(False)
            late.connect_ex(address)
            # On the loopback a connection is there before connect() returns, or not at all.
            assert not is_connected(late)

    def test_by_ipv6_too(self) -> None:
        port = self.held(reactor.listenTCP(0, Counting(), interface="::1"))  # type: ignore[attr-defined]
        address = ("::1", port.getHost().port)
        with waiting(2, socket.AF_INET6, address):
            take_in(port)
            assert len(port.factory.came) == 2
        with socket.socket(socket.AF_INET6) as late:
            late.setblocking(False)
            late.connect_ex(address)
            assert not is_connected(late)

    def test_at_a_unix_socket_who_comes_later_is_refused(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = f"{folder}/s"
        port = self.held(reactor.listenUNIX(path, Counting()))  # type: ignore[attr-defined]
        with waiting(3, socket.AF_UNIX, path):
            take_in(port)
            assert len(port.factory.came) == 3
        with socket.socket(socket.AF_UNIX) as late:
            self.assertRaises(ConnectionRefusedError, late.connect, path)


class FakePort:
    """Says what is asked of it."""

    addressFamily = socket.AF_UNIX  # noqa: N815

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked
        self.socket = self

    def doRead(self) -> None:
        self._asked.append("take in")

    def shutdown(self, how: int) -> None:
        self._asked.append("refuse")

    def startReading(self) -> None:
        self._asked.append("release")

    def stopListening(self) -> Deferred[None]:
        self._asked.append("close")
        return succeed(None)


def closing(endpoint: str, *, released: bool) -> list[str]:
    asked: list[str] = []
    nothing: Any = None
    listeners = Listeners(nothing, nothing, nothing)
    wanted = Wanted("inbound", Listen(endpoint, False))
    listeners.ports = (OpenPort(wanted, nothing, FakePort(asked)),)
    if released:
        listeners.release()
    listeners.close()
    return asked


class TestClosing:
    def test_takes_in_who_waits_first(self) -> None:
        assert closing("unix:s", released=True) == ["release", "take in", "refuse", "close"]

    def test_before_anybody_can_be_judged_takes_nobody_in(self) -> None:
        """S15: no list is in force, and no time limit."""
        assert closing("unix:s", released=False) == ["close"]

    def test_leaves_the_queue_of_a_socket_of_systemd_to_the_next_process(self) -> None:
        asked = closing("systemd:domain=INET:name=sas", released=True)
        assert asked == ["release", "close"]

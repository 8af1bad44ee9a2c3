"""Connections to one server: made, kept, looked at before use, and closed (S45)."""

import pytest
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.python.failure import Failure

from pooled import Pooled, User
from sasgate.pool import UpstreamConnection


pytestmark = pytest.mark.usefixtures("no_failure_logged")

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def test_what_is_written_leaves_at_once() -> None:
    """Or the last piece of a body could wait for the acknowledgement of those before it."""
    pooled = Pooled()
    pooled.connect()
    assert not pooled.server.wire.delays


class TestKeeping:
    def test_a_connection_is_used_again(self) -> None:
        pooled = Pooled()
        connection = pooled.connect()
        connection.begin(User(), b"GET")
        connection.finish(reusable=True)
        assert pooled.pool.idle_connection() is connection
        assert pooled.pool.idle_connection() is None

    def test_the_one_used_last_is_taken_first(self) -> None:
        """So that those beyond need go idle and are closed."""
        pooled = Pooled()
        wires = pooled.keep(3)
        connection = pooled.pool.idle_connection()
        assert connection is not None
        assert connection.transport is wires[-1]

    def test_one_that_is_not_reusable_is_closed(self) -> None:
        pooled = Pooled()
        connection = pooled.connect()
        connection.begin(User(), b"GET")
        connection.finish(reusable=False)
        assert pooled.server.wire.closing
        assert pooled.pool.idle_connection() is None

    def test_one_that_has_bytes_left_is_closed(self) -> None:
        """S45: they would be the next client's answer."""
        pooled = Pooled()
        connection = pooled.connect()
        connection.begin(User(), b"GET")
        pooled.server.wire.send(OK + b"x")
        connection.finish(reusable=True)
        assert pooled.server.wire.closing

    def test_one_that_the_server_closed_is_forgotten(self) -> None:
        pooled = Pooled()
        pooled.keep()[0].close()
        assert pooled.pool.idle_connection() is None

    def test_one_on_which_the_server_speaks_unasked_is_dropped(self) -> None:
        """S45."""
        pooled = Pooled()
        (wire,) = pooled.keep()
        wire.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert wire.aborted
        assert pooled.pool.idle_connection() is None

    def test_one_with_something_to_read_is_dropped_before_use(self) -> None:
        """The reactor may not have looked yet."""
        pooled = Pooled()
        first, last = pooled.keep(2)
        last.send_unseen()
        connection = pooled.pool.idle_connection()
        assert connection is not None
        assert connection.transport is first
        assert last.aborted

    def test_an_idle_connection_is_closed_after_a_minute(self) -> None:
        pooled = Pooled()
        (wire,) = pooled.keep()
        pooled.pass_time(59.7)
        assert not wire.closing
        pooled.pass_time(0.3)
        assert wire.closing
        assert pooled.pool.idle_connection() is None

    def test_one_in_use_is_not(self) -> None:
        pooled = Pooled()
        pooled.keep()
        connection = pooled.pool.idle_connection()
        assert connection is not None
        connection.begin(User(), b"GET")
        pooled.pass_time(300)
        assert not pooled.server.wire.closing

    def test_no_more_than_64_are_kept(self) -> None:
        pooled = Pooled()
        wires = pooled.keep(65)
        assert [wire.closing for wire in wires] == [False] * 64 + [True]

    def test_a_pool_that_is_closed_closes_what_is_idle(self) -> None:
        pooled = Pooled()
        wires = pooled.keep(3)
        busy = pooled.connect()
        busy.begin(User(), b"GET")
        pooled.pool.close()
        assert all(wire.closing for wire in wires)
        assert not busy.transport.closing

    def test_a_close_that_the_server_does_not_return_ends_in_a_few_seconds(self) -> None:
        """With TLS a mute server would keep the socket for ever."""
        pooled = Pooled()
        (wire,) = pooled.keep()
        pooled.pool.close()
        pooled.pass_time(10)
        assert wire.lost


class TestExchanges:
    def test_a_response_is_told_step_by_step(self) -> None:
        pooled = Pooled()
        user = User()
        pooled.connect().begin(user, b"GET")
        for piece in (b"HTTP/1.1 200 OK\r\n", b"Content-Length: 2\r\n\r\n", b"h", b"i"):
            pooled.server.wire.send(piece)
        assert user.told == ["head", "read", "body", "read", "body", "complete"]

    def test_what_belongs_to_the_method_is_known(self) -> None:
        pooled = Pooled()
        user = User()
        pooled.connect().begin(user, b"HEAD")
        pooled.server.wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        assert user.told == ["head", "complete"]

    def test_who_gave_up_is_told_nothing_more(self) -> None:
        pooled = Pooled()
        user = User()
        connection = pooled.connect()
        connection.begin(user, b"GET")
        connection.abort()
        assert user.told == []
        assert pooled.server.wire.aborted

    def test_a_close_is_told_once(self) -> None:
        pooled = Pooled()
        user = User()
        pooled.connect().begin(user, b"GET")
        pooled.server.wire.close()
        assert user.told == ["failed"]

    def test_room_in_the_connection_is_told(self) -> None:
        pooled = Pooled()
        user = User()
        connection = pooled.connect()
        connection.begin(user, b"PUT")
        connection.write(b"x" * 70_000)
        pooled.server.wire.take()
        assert user.told == ["full", "drained"]

    def test_a_response_that_is_held_is_read_on_once_the_exchange_is_over(self) -> None:
        pooled = Pooled()
        connection = pooled.connect()
        connection.begin(User(), b"GET")
        connection.hold()
        assert not pooled.server.wire.reading
        connection.finish(reusable=True)
        assert pooled.server.wire.reading


class TestSecureServers:
    """A connection is ready once its server was verified."""

    def test_nothing_is_ready_before_the_handshake(self) -> None:
        pooled = Pooled(secure=True)
        ready: list[UpstreamConnection] = []
        pooled.connecting().addCallback(ready.append)
        assert ready == []
        pooled.server.wire.protocol.handshakeCompleted()
        assert len(ready) == 1

    def test_a_handshake_that_fails_is_a_failure_to_connect(self) -> None:
        pooled = Pooled(secure=True)
        failures: list[Failure] = []
        pooled.connecting().addErrback(failures.append)
        pooled.server.wire.lose(OSError("no"))
        assert len(failures) == 1
        assert not pooled.pool.available()

    def test_a_handshake_that_is_not_finished_in_time_is_given_up(self) -> None:
        """Or each request would leave one behind, for ever."""
        pooled = Pooled(secure=True)
        failures: list[Failure] = []
        pooled.connecting().addErrback(failures.append)
        pooled.pass_time(2.7)
        assert failures == []
        pooled.pass_time(0.3)
        (failure,) = failures
        assert failure.check(ConnectTimeout)
        assert pooled.server.wire.lost

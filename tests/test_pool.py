"""Connections to servers: kept, looked at before use, and the dead left out for a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.task import Clock
from twisted.logger import LogEvent
from twisted.python.failure import Failure

from sasgate.deadlines import Deadlines
from sasgate.http1 import HeadLimits, ResponseHead
from sasgate.pool import Balancer, Pool, UpstreamConnection
from wires import Server, Wire, pass_time


pytestmark = pytest.mark.usefixtures("no_failure_logged")

DEAD = ConnectionRefusedError("dead")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class User:
    """An exchange that only keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.head: ResponseHead | None = None

    def response_head(self, head: ResponseHead) -> None:
        self.head = head
        self.told.append("head")

    def response_body(self, data: bytes) -> None:
        self.told.append("body")

    def response_complete(self) -> None:
        self.told.append("complete")

    def upstream_failed(self, reason: str) -> None:
        self.told.append("failed")

    def upstream_full(self) -> None:
        self.told.append("full")

    def upstream_drained(self) -> None:
        self.told.append("drained")


class Pooled:
    """A pool of connections to one server in memory."""

    def __init__(self, *, secure: bool = False) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)
        self.deadlines.start()
        self.server = Server()
        self.pool = Pool(
            "http://a",
            "a",
            self.server,
            self.deadlines,
            HeadLimits(),
            connect_time=3.0,
            secure=secure,
        )

    def connecting(self) -> "Deferred[UpstreamConnection]":
        return Deferred.fromCoroutine(self.pool.connect())

    def connect(self) -> UpstreamConnection:
        connected: list[UpstreamConnection] = []
        self.connecting().addCallback(connected.append)
        (connection,) = connected
        return connection

    def fail(self) -> Failure:
        """Try to connect, in vain."""
        failures: list[Failure] = []
        self.connecting().addErrback(failures.append)
        (failure,) = failures
        return failure

    def keep(self, number: int = 1) -> list[Wire]:
        """So many connections that have served an exchange each."""
        connections = [self.connect() for _ in range(number)]
        for connection in connections:
            connection.begin(User(), b"GET")
            connection.finish(reusable=True)
        return self.server.wires[-number:]

    def pass_time(self, seconds: float) -> None:
        pass_time(self.clock, seconds)


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
        assert user.told == ["head", "body", "body", "complete"]

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


class TestAbsence:
    """A server that cannot be reached is left out from 1 s up to 30 s (S59)."""

    def test_a_server_is_there_until_it_is_not(self) -> None:
        assert Pooled().pool.available()

    def test_one_that_cannot_be_reached_is_left_out_for_a_second(self) -> None:
        pooled = Pooled()
        pooled.server.refuses = DEAD
        assert pooled.fail().check(ConnectionRefusedError)
        assert not pooled.pool.available()
        pooled.pass_time(0.9)
        assert not pooled.pool.available()
        pooled.pass_time(0.1)
        assert pooled.pool.available()

    def absences(self, tries: int) -> list[float]:
        """How long a dead server is left out after each try."""
        pooled = Pooled()
        pooled.server.refuses = DEAD
        found = []
        for _ in range(tries):
            pooled.fail()
            seconds = 0.0
            while not pooled.pool.available():
                pooled.pass_time(0.25)
                seconds += 0.25
            found.append(seconds)
        return found

    def test_the_absence_doubles_up_to_half_a_minute(self) -> None:
        assert self.absences(8) == [1, 2, 4, 8, 16, 30, 30, 30]

    def test_one_connection_begins_it_anew(self) -> None:
        pooled = Pooled()
        pooled.server.refuses = DEAD
        for _ in range(4):
            pooled.fail()
            pooled.pass_time(30)
        pooled.server.refuses = None
        pooled.connect()
        assert pooled.pool.available()
        pooled.server.refuses = DEAD
        pooled.fail()
        pooled.pass_time(1)
        assert pooled.pool.available()

    def test_many_requests_at_once_count_as_one_try(self) -> None:
        """Or a restart of a second would leave a busy server out for half a minute."""
        pooled = Pooled()
        pooled.server.mute = True
        failures: list[Failure] = []
        for _ in range(50):
            pooled.connecting().addErrback(failures.append)
        pooled.server.answer(DEAD)
        assert len(failures) == 50
        pooled.pass_time(1)
        assert pooled.pool.available()

    @given(st.lists(st.floats(0, 60), max_size=30))
    def test_whenever_it_is_tried_the_absence_stays_between_floor_and_cap(
        self, pauses: list[float]
    ) -> None:
        """S59."""
        pooled = Pooled()
        pooled.server.refuses = DEAD
        for pause in pauses:
            was_there = pooled.pool.available()
            pooled.fail()
            assert not pooled.pool.available()
            if was_there:
                pooled.clock.advance(0.99)
                assert not pooled.pool.available()
            pooled.clock.advance(pause)
        pooled.clock.advance(30)
        assert pooled.pool.available()

    def test_it_is_told_once_when_it_goes_and_once_when_it_comes(
        self, logged: list[LogEvent]
    ) -> None:
        pooled = Pooled()
        pooled.server.refuses = DEAD
        for _ in range(5):
            pooled.fail()
            pooled.pass_time(30)
        pooled.server.refuses = None
        pooled.connect()
        pooled.connect()
        assert [event["log_level"].name for event in logged] == ["warn", "info"]


class TestBalancer:
    def pools(self, number: int) -> list[Pooled]:
        return [Pooled() for _ in range(number)]

    def orders(self, pooled: list[Pooled], times: int) -> list[list[int]]:
        balancer = Balancer([each.pool for each in pooled])
        pools = list(balancer.pools)
        return [[pools.index(pool) for pool in balancer.order()] for _ in range(times)]

    def test_each_server_is_the_first_in_turn(self) -> None:
        orders = self.orders(self.pools(3), 6)
        assert sorted(order[0] for order in orders) == [0, 0, 1, 1, 2, 2]

    def test_every_order_holds_all_servers(self) -> None:
        assert all(sorted(order) == [0, 1, 2] for order in self.orders(self.pools(3), 6))

    def test_the_dead_come_last(self) -> None:
        pooled = self.pools(3)
        pooled[1].server.refuses = DEAD
        pooled[1].fail()
        orders = self.orders(pooled, 6)
        assert all(order[-1] == 1 for order in orders)
        assert {order[0] for order in orders} == {0, 2}

    def test_they_have_their_turn_again_after_their_absence(self) -> None:
        pooled = self.pools(2)
        pooled[1].server.refuses = DEAD
        pooled[1].fail()
        pooled[1].pass_time(1)
        assert {order[0] for order in self.orders(pooled, 2)} == {0, 1}

    def test_where_all_are_dead_all_are_tried(self) -> None:
        pooled = self.pools(2)
        for each in pooled:
            each.server.refuses = DEAD
            each.fail()
        assert all(sorted(order) == [0, 1] for order in self.orders(pooled, 2))

    def test_a_single_server_is_tried_even_if_dead(self) -> None:
        pooled = self.pools(1)
        pooled[0].server.refuses = DEAD
        pooled[0].fail()
        assert self.orders(pooled, 2) == [[0], [0]]

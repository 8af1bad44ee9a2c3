"""The end of a client's connection from without: it leaves, or the gateway stops."""

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from front import GET, OK, REFUSED, Front, answers
from sasgate.client_connection import GRACE
from sasgate.site import Plan


pytestmark = pytest.mark.usefixtures("no_failure_logged")


class TestDrain:
    def test_a_connection_between_two_requests_is_closed_at_once(self) -> None:
        front = Front()
        front.wire.send(GET)
        front.upstream.send(OK)
        front.connection.drain()
        assert front.wire.closing

    def test_one_that_was_just_opened_has_its_first_request_served(self) -> None:
        front = Front()
        front.connection.drain()
        front.pass_time(GRACE / 2)
        front.wire.send(GET + GET)
        front.upstream.send(OK)
        raw = front.wire.take()
        assert b"\r\nConnection: close\r\n" in raw
        assert answers(raw) == [(200, b"hi")]
        assert front.wire.closing

    def test_an_answer_to_it_may_come_after_the_grace(self) -> None:
        front = Front()
        front.connection.drain()
        front.wire.send(GET)
        front.pass_time(5 * GRACE)
        front.upstream.send(OK)
        assert front.answer() == (200, b"hi")

    def test_one_that_says_nothing_is_closed_after_the_grace(self) -> None:
        front = Front()
        front.connection.drain()
        assert not front.wire.closing
        front.pass_time(GRACE)
        assert front.wire.closing

    def test_one_that_says_half_a_head_is_told_so(self) -> None:
        front = Front()
        front.wire.send(GET[:10])
        front.connection.drain()
        front.pass_time(GRACE)
        assert front.answer()[0] == 408
        assert front.wire.closing

    def test_its_own_limit_comes_first(self) -> None:
        front = Front(head_time=0.5)
        front.connection.drain()
        front.pass_time(0.5)
        assert front.wire.closing

    def test_a_handshake_goes_on_and_the_first_request_is_served(self) -> None:
        front = Front(secure=True)
        front.connection.drain()
        front.shaken()
        front.wire.send(GET)
        front.upstream.send(OK)
        assert front.answer() == (200, b"hi")
        assert front.wire.closing

    def test_one_that_does_not_end_is_dropped(self) -> None:
        front = Front(secure=True)
        front.connection.drain()
        front.pass_time(GRACE)
        assert front.wire.aborted

    def test_its_end_gives_no_more_time(self) -> None:
        front = Front(secure=True)
        front.connection.drain()
        front.pass_time(GRACE / 2)
        front.shaken()
        front.pass_time(GRACE / 2)
        assert front.wire.closing

    def test_nor_does_a_second_order_to_drain(self) -> None:
        front = Front(secure=True)
        front.connection.drain()
        front.pass_time(GRACE / 2)
        front.connection.drain()
        front.pass_time(GRACE / 2)
        assert front.wire.aborted

    def test_an_exchange_under_way_ends_and_nothing_follows(self) -> None:
        front = Front()
        front.wire.send(GET)
        front.connection.drain()
        assert not front.wire.closing
        front.upstream.send(OK)
        raw = front.wire.take()
        assert b"\r\nConnection: close\r\n" in raw
        assert answers(raw) == [(200, b"hi")]
        assert front.wire.closing

    def test_one_whose_answer_has_begun_ends_too(self) -> None:
        front = Front()
        front.wire.send(GET)
        front.upstream.send(OK[:-1])
        front.connection.drain()
        front.upstream.send(OK[-1:])
        assert front.answer() == (200, b"hi")
        front.pass_time(0.25)
        assert front.wire.closing

    def test_a_request_half_arrived_is_served(self) -> None:
        front = Front()
        front.wire.send(GET[:10])
        front.connection.drain()
        front.wire.send(GET[10:])
        front.upstream.send(OK)
        assert front.answer() == (200, b"hi")
        assert front.wire.closing


class TestLeaving:
    """In each phase: no connection to a server stays in use, and nothing is raised."""

    def left(self, front: Front) -> None:
        front.wire.close()
        front.pass_time(70)
        assert all(not server.open for server in front.servers)
        assert len(front.site.endings) == 1

    def test_in_the_handshake(self) -> None:
        self.left(Front(secure=True))

    def test_after_it(self) -> None:
        self.left(Front(secure=True).shaken())

    def test_in_a_head(self) -> None:
        front = Front()
        front.wire.send(GET[:10])
        self.left(front)

    def test_during_the_decision(self) -> None:
        front = Front()
        later: Deferred[Plan] = Deferred()
        front.site.plan = lambda head: later
        front.wire.send(GET)
        front.wire.close()
        later.callback(front.site.forward(front.head()))
        assert front.server.attempts == 0
        assert front.done.status == 499

    def test_before_the_decision_fails(self, logged: list[LogEvent]) -> None:
        front = Front()
        later: Deferred[Plan] = Deferred()
        front.site.plan = lambda head: later
        front.wire.send(GET)
        front.wire.close()
        later.errback(ZeroDivisionError())
        assert len(front.site.finished_exchanges) == 1
        logged.clear()

    def test_while_connecting(self) -> None:
        front = Front()
        front.server.mute = True
        front.wire.send(GET)
        front.wire.close()
        front.server.answer()
        assert front.upstream.take() == b""
        assert front.done.status == 499

    def test_what_was_connected_for_it_serves_the_next(self) -> None:
        front = Front()
        front.server.mute = True
        front.wire.send(GET)
        front.wire.close()
        front.server.answer()
        assert front.pools[0].idle_connection() is not None

    def test_before_connecting_fails(self) -> None:
        front = Front(servers=2)
        for server in front.servers:
            server.mute = True
        front.wire.send(GET)
        front.wire.close()
        for server in front.servers:
            server.answer(ConnectionRefusedError())
        assert sum(server.attempts for server in front.servers) == 1

    def test_in_its_body(self) -> None:
        front = Front()
        front.wire.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n0123")
        self.left(front)
        assert front.upstream.aborted

    def test_before_the_answer(self) -> None:
        front = Front()
        front.wire.send(GET)
        self.left(front)
        assert front.upstream.aborted
        assert (front.done.status, front.done.error) == (499, "the client left")

    def test_in_the_answer(self) -> None:
        front = Front()
        front.wire.send(GET)
        front.upstream.send(OK[:-1])
        self.left(front)
        assert front.upstream.aborted
        assert (front.done.status, front.done.error) == (200, "the client left")

    def test_after_the_answer_the_connection_to_the_server_is_kept(self) -> None:
        front = Front()
        front.wire.send(GET)
        front.upstream.send(OK)
        front.wire.close()
        assert not front.upstream.lost
        assert front.done.error == ""

    def test_while_its_body_is_thrown_away(self) -> None:
        front = Front()
        front.site.plan = lambda head: REFUSED
        front.wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        self.left(front)

    def test_while_the_connection_closes(self) -> None:
        front = Front()
        front.wire.send(b"GET / HTTP/1.1\r\n\r\n")
        self.left(front)

    def test_with_requests_that_were_not_looked_at(self) -> None:
        front = Front()
        front.wire.send(GET * 3)
        self.left(front)
        assert len(front.site.finished_exchanges) == 1

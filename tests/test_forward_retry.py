"""Another server is tried only where nothing was sent (design, "Layout": the forwarder)."""

import pytest
from twisted.internet.error import TimeoutError as ConnectTimeout

from front import GET, OK, Front


pytestmark = pytest.mark.usefixtures("no_failure_logged")

DEAD = ConnectionRefusedError("dead")


def attempts(front: Front) -> list[int]:
    return [server.attempts for server in front.servers]


class TestNothingWasSent:
    def test_where_one_server_cannot_be_reached_the_next_is_asked(self) -> None:
        front = Front(servers=2)
        front.servers[0].refuses = front.servers[1].refuses = DEAD
        front.servers[0].refuses = None
        front.wire.send(GET)
        front.wire.send(GET)
        front.servers[0].wire.send(OK)
        assert front.answer() == (200, b"hi")

    def test_the_backend_that_answered_is_noted(self) -> None:
        front = Front(servers=2)
        front.servers[1].refuses = DEAD
        front.wire.send(GET)
        front.servers[0].wire.send(OK)
        assert front.done.backend == "http://0"

    def test_each_server_is_asked_once_and_then_it_is_a_502(self) -> None:
        front = Front(servers=3)
        for server in front.servers:
            server.refuses = DEAD
        front.wire.send(GET)
        assert attempts(front) == [1, 1, 1]
        assert front.answer()[0] == 502
        assert front.done.error.startswith("backend unreachable: ")

    def test_it_is_a_504_where_the_last_took_too_long(self) -> None:
        front = Front(servers=2)
        for server in front.servers:
            server.refuses = ConnectTimeout()
        front.wire.send(GET)
        assert front.answer()[0] == 504

    def test_the_client_may_ask_again(self) -> None:
        front = Front()
        front.server.refuses = DEAD
        front.wire.send(GET)
        front.wire.take()
        front.server.refuses = None
        front.wire.send(GET)
        front.upstream.send(OK)
        assert front.answer() == (200, b"hi")

    def test_a_kept_connection_that_the_server_has_closed_is_not_used(self) -> None:
        front = Front()
        front.wire.send(GET)
        front.upstream.send(OK)
        front.wire.take()
        front.upstream.send_unseen()
        front.wire.send(GET)
        front.server.wires[1].send(OK)
        assert front.answer() == (200, b"hi")
        assert front.server.wires[0].aborted

    def test_a_body_that_has_arrived_is_sent_to_the_next(self) -> None:
        front = Front(servers=2)
        front.servers[1].mute = True
        front.wire.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        front.servers[1].answer(DEAD)
        assert front.servers[0].wire.take().endswith(b"\r\n\r\nhello")


class TestSomethingWasSent:
    def test_a_close_is_a_502_and_nobody_else_is_asked(self) -> None:
        front = Front(servers=2)
        front.wire.send(GET)
        front.servers[1].wire.close()
        assert front.answer()[0] == 502
        assert attempts(front) == [0, 1]

    def test_also_on_a_kept_connection(self) -> None:
        """A request that changes something may have been carried out."""
        front = Front()
        front.wire.send(GET)
        front.upstream.send(OK)
        front.wire.take()
        front.wire.send(GET)
        front.upstream.close()
        assert front.answer()[0] == 502
        assert front.server.attempts == 1

    def test_a_malformed_answer_is_a_502_and_nobody_else_is_asked(self) -> None:
        front = Front(servers=2)
        front.wire.send(GET)
        front.servers[1].wire.send(b"garbage\r\n")
        assert front.answer()[0] == 502
        assert attempts(front) == [0, 1]

    def test_a_late_answer_is_a_504_and_nobody_else_is_asked(self) -> None:
        front = Front(servers=2)
        front.wire.send(GET)
        front.pass_time(6.5)
        assert front.answer()[0] == 504
        assert attempts(front) == [0, 1]

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_an_error_of_the_servers_is_its_answer(self, status: int) -> None:
        front = Front(servers=2)
        front.wire.send(GET)
        front.servers[1].wire.send(b"HTTP/1.1 %d a\r\nContent-Length: 0\r\n\r\n" % status)
        assert front.answer() == (status, b"")
        assert attempts(front) == [0, 1]


class TestTooLate:
    def test_nobody_else_is_asked_once_the_client_has_its_answer(self) -> None:
        front = Front(servers=2)
        front.servers[1].mute = True
        front.wire.send(GET)
        front.pass_time(6.5)
        assert front.answer()[0] == 504
        front.servers[1].answer(DEAD)
        assert attempts(front) == [0, 1]

    def test_a_connection_that_comes_too_late_is_kept_for_the_next(self) -> None:
        front = Front()
        front.server.mute = True
        front.wire.send(GET)
        front.pass_time(6.5)
        front.wire.take()
        front.server.answer()
        assert front.upstream.take() == b""
        front.wire.send(GET)
        front.upstream.send(OK)
        assert front.answer() == (200, b"hi")

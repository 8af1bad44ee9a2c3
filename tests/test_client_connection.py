"""A client's connection: its requests in order, and what refuses them (S3, S40, S42)."""

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from front import GET, OK, REFUSED, Front, answers
from sasgate.http1 import RequestHead
from sasgate.site import Plan, Reply


pytestmark = pytest.mark.usefixtures("no_failure_logged")


def get(path: bytes) -> bytes:
    return b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % path


def answered(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def test_what_is_written_leaves_at_once() -> None:
    """Or an answer would wait until the client has acknowledged what came before it."""
    front = Front()
    assert not front.wire.delays


class TestOrder:
    """S42."""

    def test_the_next_request_is_sent_once_the_answer_before_it_is_whole(self) -> None:
        front = Front()
        front.wire.send(get(b"1") + get(b"2"))
        assert [each.target for each in front.asked()] == [b"/1"]
        front.upstream.send(answered(b"one")[:-1])
        assert front.asked() == []
        front.upstream.send(b"e")
        assert [each.target for each in front.asked()] == [b"/2"]

    def test_answers_leave_in_the_order_of_their_requests(self) -> None:
        front = Front()
        front.wire.send(b"".join(map(get, [b"1", b"2", b"3"])))
        for body in (b"one", b"two", b"three"):
            front.upstream.send(answered(body))
        assert answers(front.wire.take()) == [(200, b"one"), (200, b"two"), (200, b"three")]

    def test_own_answers_wait_for_those_before_them(self) -> None:
        front = Front()
        front.wire.send(get(b"1"))
        front.site.plan = lambda head: Reply(404, b"none")
        front.wire.send(get(b"2"))
        assert front.wire.take() == b""
        front.upstream.send(answered(b"one"))
        assert answers(front.wire.take()) == [(200, b"one"), (404, b"none")]

    def test_hundreds_of_requests_in_one_piece_are_served(self) -> None:
        """A loop and no recursion."""
        front = Front()
        front.site.plan = lambda head: Reply(404, b"")
        front.wire.send(get(b"1") * 1500)
        assert len(answers(front.taken())) == 1500

    def test_nothing_is_served_after_an_answer_that_closes(self) -> None:
        front = Front()
        front.site.plan = lambda head: REFUSED
        front.wire.send(GET + GET)
        assert [status for status, _ in answers(front.wire.take())] == [401]
        assert front.wire.closing

    def test_the_next_request_waits_while_the_client_does_not_read(self) -> None:
        """S48: or answers would pile up."""
        front = Front()
        front.wire.send(get(b"1") + get(b"2"))
        front.upstream.take()
        front.upstream.send(answered(b"x" * 100_000))
        assert front.asked() == []
        front.wire.take()
        assert [each.target for each in front.asked()] == [b"/2"]

    def test_a_client_that_sends_ahead_is_read_no_further(self) -> None:
        front = Front()
        front.wire.send(GET)
        front.wire.send(GET * 2000)
        assert not front.wire.reading

    def test_nor_is_it_while_the_next_of_them_is_served(self) -> None:
        front = Front()
        front.wire.send(GET)
        front.wire.send(GET * 20_000)
        for _ in range(10):
            front.upstream.send(OK)
            front.wire.take()
        assert not front.wire.reading
        assert front.connection.reader.buffered <= 2 * 64 * 1024

    def test_and_is_read_again_once_it_is_its_turn(self) -> None:
        front = Front()
        front.wire.send(GET)
        front.site.plan = lambda head: Reply(404, b"")
        front.wire.send(GET * 2000)
        front.upstream.send(OK)
        assert len(answers(front.taken())) == 2001
        assert front.wire.reading


class TestRefusals:
    def test_a_malformed_request_is_answered_and_the_connection_closed(self) -> None:
        front = Front()
        front.wire.send(b"GET / HTTP/1.1\r\n\r\n")
        assert front.answer()[0] == 400
        assert front.wire.closing
        assert front.server.attempts == 0

    def test_it_is_noted_with_its_reason(self) -> None:
        front = Front()
        front.wire.send(b"GET / HTTP/1.1\r\n\r\n")
        assert (front.done.status, front.done.error) == (400, "0 Host fields")

    def test_a_request_with_bytes_after_it_that_begin_none_is_refused_unsent(self) -> None:
        """S40."""
        front = Front()
        front.wire.send(GET + b'{"a": 1}')
        assert front.answer()[0] == 400
        assert front.server.attempts == 0

    def test_what_follows_a_refusal_is_not_read(self) -> None:
        front = Front()
        front.wire.send(b"GET / HTTP/1.1\r\n\r\n")
        front.wire.take()
        front.wire.send(GET)
        assert (front.wire.take(), front.server.attempts) == (b"", 0)

    def test_a_malformed_request_after_a_good_one_waits_for_its_answer(self) -> None:
        front = Front()
        front.wire.send(GET + b"GET /\r\n")
        front.upstream.send(OK)
        assert [status for status, _ in answers(front.wire.take())] == [200, 400]


def broken(_: RequestHead) -> Plan:
    raise ZeroDivisionError


class TestFailures:
    """S3: an exception refuses, whatever raised it."""

    @pytest.fixture
    def failed(self, logged: list[LogEvent]) -> Callable[[], int]:
        """How many exceptions were logged; they are forgotten by that."""

        def count() -> int:
            failures = [event for event in logged if "log_failure" in event]
            logged.clear()
            return len(failures)

        return count

    def test_a_handshake_that_cannot_be_read_ends_the_connection(
        self, failed: Callable[[], int]
    ) -> None:
        front = Front(secure=True)
        front.site.lasts = lambda: 1 // 0
        front.connection.handshakeCompleted()
        assert front.wire.aborted
        assert failed() == 1

    def test_a_decision_that_raises_is_a_500_and_nothing_is_forwarded(
        self, failed: Callable[[], int]
    ) -> None:
        front = Front()
        front.site.plan = broken
        front.wire.send(GET)
        assert front.answer()[0] == 500
        assert front.server.attempts == 0
        assert failed() == 1

    def test_so_is_one_that_fails_later(self, failed: Callable[[], int]) -> None:
        front = Front()
        later: Deferred[Plan] = Deferred()
        front.site.plan = lambda head: later
        front.wire.send(GET)
        later.errback(ZeroDivisionError())
        assert front.answer()[0] == 500
        assert front.server.attempts == 0
        assert failed() == 1

    def test_a_decision_that_is_none_forwards_nothing(self, failed: Callable[[], int]) -> None:
        front = Front()
        later: Deferred[Plan] = Deferred()
        front.site.plan = lambda head: later
        front.wire.send(GET)
        later.callback(None)  # type: ignore[arg-type]
        assert front.answer()[0] == 500
        assert front.server.attempts == 0
        assert failed() == 1

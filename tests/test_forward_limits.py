"""How long an exchange may take, and how much of it is held (S48)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError as ConnectTimeout

from front import GET, OK, Front
from sasgate.site import Plan


pytestmark = pytest.mark.usefixtures("no_failure_logged")

UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n"
ROOM = 64 * 1024


def asked(front: Front) -> Front:
    front.wire.send(GET)
    front.upstream.take()
    return front


class TestAnswerTime:
    """6.5 s from the end of the head, all waits included: the platform leaves at 7 s."""

    def test_a_server_may_take_its_time(self) -> None:
        front = asked(Front())
        front.pass_time(6.2)
        front.upstream.send(OK)
        assert front.answer() == (200, b"hi")

    def test_but_no_more(self) -> None:
        front = asked(Front())
        front.pass_time(6.5)
        assert front.answer()[0] == 504
        assert front.upstream.aborted

    def test_the_client_may_ask_again(self) -> None:
        front = asked(Front())
        front.pass_time(6.5)
        front.wire.take()
        front.wire.send(GET)
        front.server.wires[1].send(OK)
        assert front.answer() == (200, b"hi")

    def test_the_wait_for_a_connection_counts(self) -> None:
        front = Front()
        front.server.mute = True
        front.wire.send(GET)
        front.pass_time(3)
        front.server.answer()
        front.pass_time(3.5)
        assert front.answer()[0] == 504

    def test_the_wait_for_a_decision_counts(self) -> None:
        front = Front()
        later: Deferred[Plan] = Deferred()
        front.site.plan = lambda head: later
        front.wire.send(GET)
        front.pass_time(6.5)
        assert front.answer()[0] == 504

    def test_also_once_it_is_taken(self) -> None:
        front = Front()
        later: Deferred[Plan] = Deferred()
        front.site.plan = lambda head: later
        front.wire.send(GET)
        front.pass_time(3)
        later.callback(front.site.forward(front.head()))
        front.pass_time(3.5)
        assert front.answer()[0] == 504

    def test_a_decision_that_comes_too_late_changes_nothing(self) -> None:
        front = Front()
        later: Deferred[Plan] = Deferred()
        front.site.plan = lambda head: later
        front.wire.send(GET)
        front.pass_time(6.5)
        plan = front.site.forward(front.head())
        later.callback(plan)
        assert front.server.attempts == 0

    def test_interim_answers_win_no_time(self) -> None:
        front = asked(Front())
        for _ in range(6):
            front.upstream.send(b"HTTP/1.1 103 a\r\n\r\n")
            front.pass_time(1)
        front.wire.take()
        front.pass_time(0.5)
        assert front.answer()[0] == 504

    def test_a_head_that_drips_wins_no_time(self) -> None:
        front = asked(Front())
        for byte in b"HTTP/1":
            front.upstream.send(bytes([byte]))
            front.pass_time(1)
        front.pass_time(0.5)
        assert front.answer()[0] == 504

    def test_a_server_that_cannot_be_reached_in_time_is_a_504(self) -> None:
        front = Front()
        front.server.refuses = ConnectTimeout()
        front.wire.send(GET)
        assert front.answer()[0] == 504

    def test_after_a_long_upload_the_server_has_its_time_from_the_end(self) -> None:
        front = Front()
        front.wire.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(10):
            front.pass_time(1)
            front.wire.send(b"x" * 10_000)
            front.upstream.take()
        front.pass_time(6.2)
        assert front.wire.take() == b""
        front.pass_time(0.3)
        assert front.answer()[0] == 504


class TestUploads:
    """20 s without bytes, or fewer than 500 a second in them."""

    def test_a_body_that_stops_is_refused(self) -> None:
        front = Front()
        front.wire.send(PUT)
        front.pass_time(19.7)
        assert front.wire.take() == b""
        front.pass_time(0.3)
        assert front.answer()[0] == 408
        assert front.upstream.aborted

    def test_a_body_below_the_rate_is_refused(self) -> None:
        front = Front()
        front.wire.send(PUT)
        self.drip(front, 499, 20)
        assert front.answer()[0] == 408

    def test_a_body_at_the_rate_goes_on(self) -> None:
        front = Front()
        front.wire.send(PUT)
        self.drip(front, 550, 200)
        assert front.wire.take() == b""
        assert not front.upstream.lost

    def test_the_rate_is_that_of_each_window(self) -> None:
        front = Front()
        front.wire.send(PUT)
        self.drip(front, 100_000, 20)
        self.drip(front, 100, 20)
        assert front.answer()[0] == 408

    def drip(self, front: Front, rate: int, seconds: int) -> None:
        for _ in range(seconds):
            front.wire.send(b"x" * rate)
            front.upstream.take()
            front.pass_time(1)

    def test_a_client_held_back_by_the_server_is_not_blamed(self) -> None:
        front = Front()
        front.wire.send(PUT)
        front.wire.send(b"x" * (ROOM + 1))
        front.pass_time(40)
        assert front.answer()[0] == 504

    def test_a_server_that_reads_little_by_little_gets_all(self) -> None:
        front = Front()
        front.wire.send(PUT)
        for _ in range(5):
            front.wire.send(b"x" * (ROOM + 1))
            front.pass_time(15)
            front.upstream.take()
        assert front.wire.take() == b""


class TestDownloads:
    def begun(self) -> Front:
        front = asked(Front())
        front.upstream.send(UNTIL_CLOSE)
        front.wire.take()
        return front

    def test_an_answer_may_last_longer_than_it_may_begin(self) -> None:
        front = self.begun()
        for _ in range(10):
            front.pass_time(15)
            front.upstream.send(b"x")
            front.wire.take()
        front.upstream.close()
        assert front.done.sent == 10

    def test_a_server_that_stops_is_given_up(self) -> None:
        front = self.begun()
        front.pass_time(19.7)
        assert not front.wire.lost
        front.pass_time(0.3)
        assert front.wire.aborted
        assert front.upstream.aborted
        assert front.done.error == "the server answers too slowly"

    def test_bytes_of_the_request_win_the_answer_no_time(self) -> None:
        front = Front()
        front.wire.send(PUT)
        front.upstream.send(UNTIL_CLOSE)
        for _ in range(20):
            if not front.wire.aborted:
                front.wire.send(b"x" * 1000)
                front.upstream.take()
                front.wire.take()
            front.pass_time(1)
        assert front.wire.aborted

    def test_a_client_that_stops_reading_is_given_up(self) -> None:
        front = self.begun()
        front.upstream.send(b"x" * (ROOM + 1))
        front.pass_time(19.7)
        assert not front.wire.lost
        front.pass_time(20.3)
        assert front.wire.aborted
        assert front.done.error == "the client reads too slowly"

    def test_a_client_that_reads_little_by_little_gets_all(self) -> None:
        front = self.begun()
        for _ in range(10):
            front.upstream.send(b"x" * (ROOM + 1))
            front.pass_time(15)
            front.wire.take()
        assert not front.wire.lost


class TestBackPressure:
    """S48: a slow reader stops the read from the other side."""

    def test_a_slow_client_stops_the_read_from_the_server(self) -> None:
        front = asked(Front())
        front.upstream.send(UNTIL_CLOSE)
        front.upstream.send(b"x" * (ROOM + 1))
        assert not front.upstream.reading

    def test_and_starts_it_again_by_reading(self) -> None:
        front = asked(Front())
        front.upstream.send(UNTIL_CLOSE)
        front.upstream.send(b"x" * (ROOM + 1))
        front.wire.take()
        assert front.upstream.reading

    def test_a_slow_server_stops_the_read_from_the_client(self) -> None:
        front = Front()
        front.wire.send(PUT)
        front.wire.send(b"x" * (ROOM + 1))
        assert not front.wire.reading

    def test_and_starts_it_again_by_reading_too(self) -> None:
        front = Front()
        front.wire.send(PUT)
        front.wire.send(b"x" * (ROOM + 1))
        front.upstream.take()
        assert front.wire.reading

    def test_a_body_that_comes_before_the_connection_is_held_up_to_a_limit(self) -> None:
        front = Front()
        front.server.mute = True
        front.wire.send(PUT)
        front.wire.send(b"x" * 1_000_000)
        assert not front.wire.reading
        assert front.connection.reader.buffered <= 2 * ROOM

    def test_and_is_passed_on_whole_once_it_is_there(self) -> None:
        front = Front()
        front.server.mute = True
        front.wire.send(PUT)
        front.wire.send(b"x" * 1_000_000)
        front.server.answer()
        body = b""
        while front.upstream.held:
            body += front.upstream.take().partition(b"\r\n\r\n")[2] if not body else (
                front.upstream.take()
            )  # fmt: skip
        assert body == b"x" * 1_000_000

    @given(st.lists(st.integers(1, 200_000), max_size=12), st.lists(st.booleans(), max_size=30))
    def test_whatever_the_speeds_a_download_is_whole_and_held_in_little(
        self, sizes: list[int], reads: list[bool]
    ) -> None:
        front = asked(Front())
        front.upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % sum(sizes))
        head, _, got = front.wire.take().partition(b"\r\n\r\n")
        for size, read in zip(sizes, [*reads, *[False] * 12], strict=False):
            front.upstream.send(b"x" * size)
            assert front.wire.held <= 2 * ROOM
            got += front.wire.take(size // 2) if read else b""
        while front.wire.held:
            got += front.wire.take()
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert len(got) == sum(sizes)
        assert front.upstream in front.server.open

    @given(st.lists(st.integers(1, 200_000), max_size=12), st.lists(st.booleans(), max_size=30))
    def test_whatever_the_speeds_an_upload_is_whole_and_held_in_little(
        self, sizes: list[int], reads: list[bool]
    ) -> None:
        front = Front()
        front.wire.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % sum(sizes))
        got = front.upstream.take().partition(b"\r\n\r\n")[2]
        for size, read in zip(sizes, [*reads, *[False] * 12], strict=False):
            front.wire.send(b"x" * size)
            assert front.upstream.held + front.connection.reader.buffered <= 2 * ROOM
            got += front.upstream.take(size // 2) if read else b""
        while front.upstream.held:
            got += front.upstream.take()
        assert len(got) == sum(sizes)
        front.upstream.send(OK)
        assert front.answer() == (200, b"hi")

"""How long a client's connection and each part of it may take (S15, S47, S49)."""

import pytest

from front import GET, OK, REFUSED, Front


pytestmark = pytest.mark.usefixtures("no_failure_logged")


class TestHandshake:
    """S47: 10 s from the connection, whatever the client sends."""

    def test_a_handshake_may_take_its_time(self) -> None:
        front = Front(secure=True)
        front.pass_time(9.7)
        assert not front.wire.lost

    def test_but_no_more(self) -> None:
        front = Front(secure=True)
        front.pass_time(10)
        assert front.wire.aborted

    def test_the_time_runs_from_when_the_connection_came(self) -> None:
        """A PROXY header may have come before TLS."""
        front = Front(secure=True, handshake=10.0)
        late = Front(secure=True, handshake=10.0)
        late.connection.deadline = 0.0
        late.connection._accepted = -4.0
        late.connection.connectionMade()
        assert late.connection.deadline == front.connection.deadline - 4

    def test_one_that_was_not_finished_is_told_as_such(self) -> None:
        front = Front(secure=True)
        front.pass_time(10)
        ((_, handshaken),) = front.site.endings
        assert not handshaken

    def test_so_is_one_that_the_peer_broke_off(self) -> None:
        front = Front(secure=True)
        front.wire.close()
        assert [handshaken for _, handshaken in front.site.endings] == [False]

    def test_a_finished_one_is_not(self) -> None:
        front = Front(secure=True).shaken()
        front.wire.close()
        assert [handshaken for _, handshaken in front.site.endings] == [True]


class TestHeadTime:
    """S47: 10 s for a head, from its first byte, or from the handshake for the first."""

    def test_a_client_that_says_nothing_is_left_in_silence(self) -> None:
        front = Front(secure=True).shaken()
        front.pass_time(9.7)
        assert not front.wire.closing
        front.pass_time(0.3)
        assert front.wire.closing
        assert front.wire.take() == b""

    def test_a_head_that_drips_is_refused_in_time(self) -> None:
        front = Front()
        for byte in GET[:9]:
            front.wire.send(bytes([byte]))
            front.pass_time(1)
        front.pass_time(0.7)
        assert front.wire.take() == b""
        front.pass_time(0.3)
        assert front.answer()[0] == 408
        assert front.wire.closing

    def test_the_next_head_has_its_time_from_its_first_byte(self) -> None:
        front = Front()
        front.wire.send(GET)
        front.upstream.send(OK)
        front.wire.take()
        front.pass_time(50)
        front.wire.send(b"GET")
        front.pass_time(9.7)
        assert front.wire.take() == b""
        front.pass_time(0.3)
        assert front.answer()[0] == 408

    def test_also_where_it_came_with_the_request_before_it(self) -> None:
        front = Front()
        front.wire.send(GET + b"GET")
        front.upstream.send(OK)
        front.wire.take()
        front.pass_time(10)
        assert front.answer()[0] == 408


class TestIdleTime:
    def kept(self) -> Front:
        """A connection that has just served a request."""
        front = Front()
        front.wire.send(GET)
        front.upstream.send(OK)
        assert front.answer() == (200, b"hi")
        return front

    def test_an_idle_connection_is_kept_for_a_minute(self) -> None:
        front = self.kept()
        front.pass_time(59.7)
        assert not front.wire.closing
        front.wire.send(GET)
        front.upstream.send(OK)
        assert front.answer() == (200, b"hi")

    def test_and_then_closed(self) -> None:
        front = self.kept()
        front.pass_time(60)
        assert front.wire.closing
        assert front.wire.take() == b""

    def test_an_empty_line_is_no_beginning_of_a_request(self) -> None:
        front = self.kept()
        front.pass_time(30)
        front.wire.send(b"\r\n")
        front.pass_time(30)
        assert front.wire.closing


class TestAge:
    """S15: at most an hour, and never past the end of the certificate."""

    def busy_until(self, front: Front, end: float) -> list[bytes]:
        """A request every 50 s; what the client got."""
        heads = []
        while front.clock.seconds() < end and not front.wire.closing:
            front.wire.send(GET)
            front.upstream.send(OK)
            heads.append(front.wire.take())
            front.pass_time(50)
        return heads

    def test_a_busy_connection_ends_after_an_hour(self) -> None:
        front = Front()
        self.busy_until(front, 4000)
        assert front.wire.closing
        assert front.clock.seconds() <= 3600

    def test_a_connection_ends_with_its_certificate(self) -> None:
        front = Front(secure=True)
        front.site.lasts = lambda: 130.0
        self.busy_until(front.shaken(), 4000)
        assert front.wire.closing
        assert front.clock.seconds() <= 150

    def test_the_hour_runs_from_when_the_connection_came(self) -> None:
        front = Front(secure=True, connection_age=100.0)
        front.pass_time(9)
        front.shaken()
        front.wire.send(GET)
        front.upstream.send(b"HTTP/1.1 200 OK\r\n\r\n")
        self.stream_for(front, 90)
        assert not front.wire.lost
        self.stream_for(front, 1)
        assert front.wire.aborted

    def test_an_exchange_under_way_is_cut_at_the_end(self) -> None:
        front = Front(secure=True)
        front.site.lasts = lambda: 100.0
        front.shaken()
        front.wire.send(GET)
        front.upstream.send(b"HTTP/1.1 200 OK\r\n\r\n")
        self.stream_for(front, 99)
        assert not front.wire.lost
        self.stream_for(front, 1)
        assert front.wire.aborted
        assert front.done.error == "the connection's time is over"

    def stream_for(self, front: Front, seconds: int) -> None:
        for _ in range(4 * seconds):
            if front.upstream.lost:
                return
            front.upstream.send(b"x" * 1000)
            front.wire.take()
            front.pass_time(0.25)

    def test_so_is_an_upload(self) -> None:
        front = Front(secure=True)
        front.site.lasts = lambda: 100.0
        front.shaken()
        front.wire.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n")
        for _ in range(100):
            front.wire.send(b"x" * 1000)
            front.upstream.take()
            front.pass_time(1)
        assert front.upstream.aborted
        assert front.answer()[0] == 408

    def test_a_certificate_that_has_ended_serves_nothing(self) -> None:
        front = Front(secure=True)
        front.site.lasts = lambda: 0.0
        front.shaken()
        front.pass_time(0.25)
        assert front.wire.closing

    def test_the_last_request_has_its_time_before_the_end(self) -> None:
        front = Front(connection_age=100.0)
        self.busy_until(front, 50)
        front.wire.send(GET)
        front.upstream.send(OK)
        front.pass_time(43)
        assert not front.wire.closing
        front.pass_time(0.5)
        assert front.wire.closing

    @pytest.mark.parametrize(("moment", "closes"), [(92.25, False), (92.75, True)])
    def test_a_second_before_that_answers_say_that_the_connection_closes(
        self, moment: float, closes: bool
    ) -> None:
        """Or a busy client's next request would meet the close."""
        front = Front(connection_age=100.0)
        self.busy_until(front, 50)
        front.wire.send(GET)
        front.upstream.send(OK)
        front.wire.take()
        front.pass_time(moment - front.clock.seconds())
        front.wire.send(GET)
        front.upstream.send(OK)
        assert (b"\r\nConnection: close\r\n" in front.wire.take()) is closes


class TestClosing:
    def test_a_peer_that_does_not_close_has_five_seconds_then_its_wire_a_minute(self) -> None:
        """What the kernel holds for a slow reader arrives after an orderly close (S48)."""
        front = Front()
        front.wire.send(b"GET / HTTP/1.1\r\n\r\n")
        front.pass_time(5)
        assert front.wire.closing
        assert not front.wire.aborted
        front.pass_time(59)
        assert not front.wire.aborted
        front.pass_time(1)
        assert front.wire.aborted

    def behind(self) -> Front:
        """120 000 bytes are written to a client that closes, and none of them read."""
        front = Front()
        front.wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        front.upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 120000\r\n\r\n")
        for _ in range(2):
            front.upstream.send(b"x" * 60_000)
        assert front.wire.closing
        return front

    def test_one_that_is_behind_has_time_to_read(self) -> None:
        """S48: who reads fast enough gets the whole answer, also where it is the last."""
        front = self.behind()
        got = b""
        for _ in range(19):
            got += front.wire.take(6500)
            front.pass_time(1)
        assert len(got.partition(b"\r\n\r\n")[2]) == 120_000

    def test_but_no_more_than_an_answer_may_stand_still_and_a_minute(self) -> None:
        front = self.behind()
        front.pass_time(20)
        assert not front.wire.aborted
        front.pass_time(60)
        assert front.wire.aborted

    def test_a_refused_body_is_read_to_its_end_before_the_close(self) -> None:
        """So that the answer arrives and no TCP reset does."""
        front = Front()
        front.site.plan = lambda head: REFUSED
        front.wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        front.wire.send(b"01234")
        assert front.answer()[0] == 401
        assert not front.wire.closing
        front.wire.send(b"56789")
        assert front.wire.closing

    def test_so_is_a_chunked_one(self) -> None:
        front = Front()
        front.site.plan = lambda head: REFUSED
        front.wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n")
        assert not front.wire.closing
        front.wire.send(b"abc\r\n0\r\n\r\n")
        assert front.wire.closing

    def test_a_refused_body_that_is_malformed_is_read_no_further(self) -> None:
        front = Front()
        front.site.plan = lambda head: REFUSED
        front.wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        front.wire.send(b"x\r\n")
        assert front.wire.closing

    def test_it_is_read_up_to_a_limit(self) -> None:
        front = Front()
        front.site.plan = lambda head: REFUSED
        front.wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
        front.wire.send(b"x" * 1024 * 1024)
        assert not front.wire.closing
        front.wire.send(b"x")
        assert front.wire.closing

    def test_nothing_of_it_is_held(self) -> None:
        front = Front()
        front.site.plan = lambda head: REFUSED
        front.wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
        front.wire.send(b"x" * 500_000)
        assert front.connection.reader.buffered == 0
        assert front.wire.reading

    def test_it_is_read_for_so_long_and_then_closed_in_order(self) -> None:
        front = Front()
        front.site.plan = lambda head: REFUSED
        front.wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n")
        front.pass_time(4.7)
        assert not front.wire.closing
        front.pass_time(0.3)
        assert front.wire.closing
        assert not front.wire.aborted

    def test_a_refused_body_that_was_not_sent_yet_is_not_asked_for(self) -> None:
        front = Front()
        front.site.plan = lambda head: REFUSED
        front.wire.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        )
        assert front.wire.take().startswith(b"HTTP/1.1 401 ")

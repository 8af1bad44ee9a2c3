"""One exchange, streamed both ways: what the server gets, and what the client (S40, S45)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from front import GET, OK, Front, answers
from http_messages import Message, cut, cuts, responses


pytestmark = pytest.mark.usefixtures("no_failure_logged")

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


def put(*lines: bytes, version: bytes = b"1.1") -> bytes:
    return b"PUT / HTTP/%b\r\nHost: a\r\n" % version + b"".join(
        line + b"\r\n" for line in (*lines, b"")
    )


def after_get(*pieces: bytes, request: bytes = GET) -> Front:
    """The server has sent these pieces to the client's request."""
    front = Front()
    front.wire.send(request)
    front.upstream.take()
    for piece in pieces:
        front.upstream.send(piece)
    return front


class TestRequests:
    def test_the_server_gets_what_the_site_says(self) -> None:
        front = Front()
        front.wire.send(GET)
        (read,) = front.asked()
        assert (read.method, read.target) == (b"GET", b"/Slot")
        assert (read.values(b"host"), read.values(b"x-by")) == ([b"b"], [b"us"])

    def test_a_body_is_passed_on_as_it_comes(self) -> None:
        front = Front()
        front.wire.send(put(b"Content-Length: 10"))
        assert front.upstream.take().endswith(b"Content-Length: 10\r\nX-By: us\r\n\r\n")
        front.wire.send(b"01234")
        assert front.upstream.take() == b"01234"
        front.wire.send(b"56789")
        assert front.upstream.take() == b"56789"

    def test_a_chunked_body_is_chunked_anew(self) -> None:
        """S40: extensions, leading zeros and trailers stop here."""
        front = Front()
        front.wire.send(put(b"Transfer-Encoding: chunked"))
        front.upstream.take()
        front.wire.send(b"0005;a=b\r\nhel")
        assert front.upstream.take() == b"3\r\nhel\r\n"
        front.wire.send(b"lo\r\n0;c\r\nETag: d\r\n\r\n")
        assert front.upstream.take() == b"2\r\nlo\r\n0\r\n\r\n"

    def test_pieces_of_a_chunk_size_send_no_empty_chunk(self) -> None:
        """An empty chunk would end the body."""
        front = Front()
        front.wire.send(put(b"Transfer-Encoding: chunked"))
        front.upstream.take()
        front.wire.send(b"00")
        front.wire.send(b"5\r")
        assert front.upstream.take() == b""

    def test_an_empty_chunked_body_is_one(self) -> None:
        front = Front()
        front.wire.send(put(b"Transfer-Encoding: chunked") + b"0\r\n\r\n")
        (read,) = front.asked()
        assert (read.values(b"transfer-encoding"), read.body) == ([b"chunked"], b"")

    def test_a_malformed_chunk_ends_the_request_at_the_server_too(self) -> None:
        """S40: what was sent cannot be completed by anybody."""
        front = Front()
        front.wire.send(put(b"Transfer-Encoding: chunked") + b"3\r\nabc\r\nx\r\n")
        assert front.upstream.aborted
        assert front.answer()[0] == 400
        assert front.wire.closing

    def test_what_was_received_is_counted_decoded(self) -> None:
        front = Front()
        front.wire.send(put(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n")
        front.upstream.send(OK)
        assert front.done.received == 5

    def test_each_request_has_an_id_of_its_own(self) -> None:
        front = Front()
        for _ in range(3):
            front.wire.send(GET)
            front.upstream.send(OK)
        ids = {done.request_id for done in front.site.finished_exchanges}
        assert len(ids) == 3


class TestExpectation:
    """RFC 9110, 10.1.1."""

    EXPECTING = put(b"Content-Length: 2", b"Expect: 100-continue")

    def test_the_body_is_asked_for_once_the_server_is_reached(self) -> None:
        front = Front()
        front.server.mute = True
        front.wire.send(self.EXPECTING)
        assert front.wire.take() == b""
        front.server.answer()
        assert front.wire.take() == b"HTTP/1.1 100 Continue\r\n\r\n"

    def test_it_is_not_passed_on(self) -> None:
        front = Front()
        front.wire.send(self.EXPECTING)
        assert b"xpect" not in front.upstream.take()

    def test_nothing_is_asked_for_that_is_there_already(self) -> None:
        front = Front()
        front.wire.send(self.EXPECTING + b"h")
        assert front.wire.take() == b""

    def test_nor_where_no_server_is_reached(self) -> None:
        front = Front()
        front.server.refuses = ConnectionRefusedError()
        front.wire.send(self.EXPECTING)
        assert front.answer()[0] == 502

    def test_the_servers_own_100_is_not_passed_on(self) -> None:
        front = Front()
        front.wire.send(self.EXPECTING)
        front.wire.take()
        front.upstream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert front.wire.take() == b""


class TestAnswers:
    def test_a_body_is_passed_on_as_it_comes(self) -> None:
        front = after_get(OK[:-1])
        assert front.wire.take().endswith(b"\r\n\r\nh")
        front.upstream.send(b"i")
        assert front.wire.take() == b"i"

    def test_a_chunked_body_is_chunked_anew(self) -> None:
        front = after_get(CHUNKED, b"0005;a\r\nhel", b"lo\r\n0\r\nETag: b\r\n\r\n")
        raw = front.wire.take()
        assert raw.endswith(b"\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")
        assert answers(raw) == [(200, b"hello")]

    def test_a_body_that_runs_until_the_close_is_chunked(self) -> None:
        front = after_get(UNTIL_CLOSE, b"to the ", b"end")
        front.upstream.close()
        raw = front.wire.take()
        assert b"\r\nTransfer-Encoding: chunked\r\n" in raw
        assert answers(raw, closed=False) == [(200, b"to the end")]
        assert not front.wire.closing

    @pytest.mark.parametrize("head", [CHUNKED, UNTIL_CLOSE])
    def test_a_client_of_http_1_0_gets_a_body_until_the_close(self, head: bytes) -> None:
        request = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        body = b"2\r\nhi\r\n0\r\n\r\n" if head == CHUNKED else b"hi"
        front = after_get(head + body, request=request)
        front.upstream.close()
        raw = front.wire.take()
        assert raw == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi"
        assert front.wire.closing

    def test_a_client_of_http_1_0_may_keep_its_connection_where_the_length_is_known(self) -> None:
        front = after_get(OK, request=b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"\r\nConnection: keep-alive\r\n" in front.wire.take()
        assert not front.wire.closing

    @pytest.mark.parametrize("lines", [b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n"])
    def test_an_answer_to_head_has_no_body(self, lines: bytes) -> None:
        front = after_get(
            b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n", request=GET.replace(b"GET", b"HEAD")
        )
        assert answers(front.wire.take(), "HEAD") == [(200, b"")]
        assert not front.wire.closing

    @pytest.mark.parametrize(
        ("method", "head"),
        [
            (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
            (b"GET", b"HTTP/1.1 304 a\r\n\r\n"),
        ],
    )
    def test_a_server_whose_answer_had_no_body_gets_no_other_request_there(
        self, method: bytes, head: bytes
    ) -> None:
        """S45: a body that it should not have sent may come late."""
        front = after_get(head, request=GET.replace(b"GET", method))
        assert front.upstream not in front.server.open

    @pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS"])
    def test_nor_does_one_that_may_not_have_read_a_body_that_means_nothing(
        self, method: bytes
    ) -> None:
        """S37, S40: it would take the body for the next request, identity headers and all."""
        request = method + b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        front = after_get(OK, request=request)
        assert front.upstream not in front.server.open

    @pytest.mark.parametrize("status", [204, 304])
    def test_nor_have_204_and_304(self, status: int) -> None:
        front = after_get(b"HTTP/1.1 %d a\r\n\r\n" % status)
        assert front.answer() == (status, b"")

    def test_interim_answers_are_passed_on(self) -> None:
        front = after_get(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
        assert front.wire.take() == b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
        front.upstream.send(OK)
        assert front.answer() == (200, b"hi")

    def test_but_not_to_a_client_of_http_1_0(self) -> None:
        front = after_get(b"HTTP/1.1 103 a\r\n\r\n" + OK, request=b"GET / HTTP/1.0\r\n\r\n")
        assert front.wire.take().startswith(b"HTTP/1.1 200 ")

    def test_a_client_that_wants_to_close_is_closed(self) -> None:
        front = after_get(OK, request=b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"\r\nConnection: close\r\n" in front.wire.take()
        assert front.wire.closing

    def test_what_was_done_is_noted(self) -> None:
        front = after_get()
        front.pass_time(2)
        front.upstream.send(OK[:-1])
        front.pass_time(3)
        front.upstream.send(OK[-1:])
        done = front.done
        assert (done.method, done.target, done.status) == (b"GET", b"/Slot", 200)
        assert (done.answered - done.started, done.ended - done.started) == (2, 5)
        assert (done.sent, done.backend, done.error) == (2, "http://0", "")

    @given(st.lists(responses(), min_size=1, max_size=3), cuts())
    def test_the_client_gets_what_the_server_meant_whatever_the_cut(
        self, messages: list[Message], places: list[int]
    ) -> None:
        front = Front()
        for message in messages:
            front.wire.send(GET)
            for piece in cut(message.raw, places):
                front.server.wires[-1].send(piece)
        got = answers(front.wire.take(), closed=False)
        assert got == [(int(each.line[0]), each.body) for each in messages]


class TestEarlyAnswers:
    """The server answers before it has the whole request."""

    def early(self) -> Front:
        front = Front()
        front.wire.send(put(b"Content-Length: 10") + b"01234")
        front.upstream.send(OK)
        return front

    def test_the_answer_is_passed_on_and_closes(self) -> None:
        front = self.early()
        raw = front.wire.take()
        assert answers(raw) == [(200, b"hi")]
        assert b"\r\nConnection: close\r\n" in raw

    def test_the_connection_to_the_server_is_not_used_again(self) -> None:
        assert self.early().upstream.aborted

    def test_the_rest_of_the_request_is_thrown_away(self) -> None:
        front = self.early()
        front.wire.send(b"56789")
        assert front.wire.closing
        assert front.server.attempts == 1

    def test_while_the_answer_comes_the_body_is_still_passed_on(self) -> None:
        front = Front()
        front.wire.send(put(b"Content-Length: 10") + b"01234")
        front.upstream.take()
        front.upstream.send(OK[:-1])
        front.wire.send(b"56789")
        assert front.upstream.take() == b"56789"

    def test_a_malformed_body_then_cuts_the_answer(self) -> None:
        front = Front()
        front.wire.send(put(b"Transfer-Encoding: chunked"))
        front.upstream.send(OK[:-1])
        front.wire.send(b"x\r\n")
        assert front.wire.aborted
        assert front.upstream.aborted


class TestMisbehavingServers:
    """S45: 502 or a closed connection, never another client's bytes."""

    @pytest.mark.parametrize(
        "raw",
        [
            b"garbage\r\n",
            b"HTTP/1.1 200 OK\n\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000,
            b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 101 + b"\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" * 17,
            b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17,
        ],
    )
    def test_a_malformed_answer_is_a_502(self, raw: bytes) -> None:
        front = after_get(raw)
        assert [status for status, _ in answers(front.wire.take())] == [502]
        assert front.upstream.aborted

    def test_a_malformed_body_that_comes_with_its_head_is_a_502(self) -> None:
        front = after_get(CHUNKED + b"x\r\n")
        assert [status for status, _ in answers(front.wire.take())] == [502]
        assert front.upstream.aborted

    def test_a_few_interim_answers_are_borne(self) -> None:
        front = after_get(b"HTTP/1.1 100 Continue\r\n\r\n" * 16 + OK)
        assert front.answer() == (200, b"hi")

    @pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200", b"HTTP/1.1 103 a\r\n\r\n"])
    def test_a_close_before_the_answer_is_a_502(self, raw: bytes) -> None:
        front = after_get(raw)
        front.upstream.close()
        assert front.answer()[0] == 502
        assert not front.wire.closing

    @pytest.mark.parametrize("raw", [(OK[:-1],), (CHUNKED + b"2\r\nhi\r\n",), (CHUNKED, b"x\r\n")])
    def test_a_death_in_the_answer_cuts_the_clients_connection(self, raw: tuple[bytes]) -> None:
        """No end of the body may be made up."""
        front = after_get(*raw)
        if not front.upstream.lost:
            front.upstream.close()
        assert front.wire.aborted
        assert not front.wire.take().endswith(b"0\r\n\r\n")

    def test_a_reset_does_not_end_a_body_that_runs_until_the_close(self) -> None:
        front = after_get(UNTIL_CLOSE, b"to the ")
        front.upstream.lose(ConnectionResetError())
        assert front.wire.aborted
        assert not front.wire.take().endswith(b"0\r\n\r\n")

    def test_bytes_after_the_answer_reach_nobody(self) -> None:
        front = after_get(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
        assert front.answer() == (200, b"hi")
        assert front.upstream.closing

    def test_bytes_that_come_later_neither(self) -> None:
        front = after_get(OK)
        front.wire.take()
        front.upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
        assert front.upstream.aborted
        front.wire.send(GET)
        front.server.wires[1].send(OK)
        assert front.answer() == (200, b"hi")

    def test_a_body_where_none_may_be_reaches_nobody(self) -> None:
        front = after_get(b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nstolen")
        assert front.answer() == (204, b"")
        assert front.upstream.closing

    def test_a_server_that_wants_to_close_is_not_asked_again(self) -> None:
        front = after_get(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))
        assert front.upstream.closing
        assert not front.wire.closing

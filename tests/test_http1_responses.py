"""Responses: what is read of a server, and what is refused (S45).

Numbers are sections of RFC 9112 unless another RFC stands before them.
"""

import pytest

from http_messages import EVERYWHERE, cut
from http_readings import read_responses
from sasgate.http1 import BadMessage, Framing, HeadLimits, ResponseHead, ResponseReader


def reader_of(raw: bytes) -> ResponseReader:
    reader = ResponseReader(HeadLimits())
    reader.receive(raw)
    return reader


def head_of(raw: bytes, method: bytes = b"GET") -> ResponseHead:
    head = reader_of(raw).head(method)
    assert head is not None
    return head


def status(raw: bytes) -> int | str:
    """The status that refuses `raw`, at once and byte by byte."""
    whole, cut_up = read_responses([raw]), read_responses(cut(raw, EVERYWHERE))
    assert whole.meaning == cut_up.meaning
    assert not whole.heads
    return whole.ends


def ok(*lines: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


class TestWhatIsRead:
    def test_a_head_holds_the_response_as_it_came(self) -> None:
        head = head_of(b"HTTP/1.1 404 Not Found\r\nETag: a\r\ncontent-length: 2\r\n\r\n")
        assert (head.status, head.reason, head.http11) == (404, b"Not Found", True)
        assert head.fields == [(b"ETag", b"a"), (b"content-length", b"2")]
        assert (head.framing, head.length, head.announced_length) == (Framing.LENGTH, 2, True)

    @pytest.mark.parametrize(
        ("line", "reason"),
        [(b"200", b""), (b"200 ", b""), (b"200 \xc3\xa9", b"\xc3\xa9"), (b"200 a\tb", b"a\tb")],
    )
    def test_a_reason_may_be_empty_or_anything(self, line: bytes, reason: bytes) -> None:
        """4."""
        assert head_of(b"HTTP/1.1 " + line + b"\r\n\r\n").reason == reason

    def test_a_chunked_body_is_decoded(self) -> None:
        reading = read_responses([ok(b"Transfer-Encoding: chunked") + b"2\r\nhi\r\n0\r\n\r\n"])
        assert (reading.bodies, reading.ends) == ([b"hi"], "whole")

    def test_a_body_that_nothing_frames_runs_until_the_close(self) -> None:
        reader = reader_of(ok() + b"to the")
        head = reader.head(b"GET")
        assert head is not None
        assert (head.framing, head.keep_alive) == (Framing.CLOSE, False)
        assert (reader.body(), reader.body_complete) == (b"to the", False)
        reader.receive(b" end")
        assert reader.body() == b" end"
        assert reader.closed()

    @pytest.mark.parametrize("line", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
    def test_a_close_does_not_end_a_framed_body(self, line: bytes) -> None:
        """8."""
        reader = reader_of(ok(line) + b"2\r\n")
        assert reader.head(b"GET") is not None
        reader.body()
        assert not reader.closed()

    def test_an_interim_response_is_followed_by_another(self) -> None:
        """RFC 9110, 15.2."""
        reading = read_responses([b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"Content-Length: 0")])
        statuses = [head.status for head in reading.heads if isinstance(head, ResponseHead)]
        assert (statuses, reading.ends) == ([100, 200], "whole")

    @pytest.mark.parametrize(
        ("version", "lines", "kept"),
        [
            (b"1.1", b"", True),
            (b"1.1", b"Connection: close\r\n", False),
            (b"1.0", b"", False),
            (b"1.0", b"Connection: keep-alive\r\n", True),
            (b"1.0", b"Connection: keep-alive, close\r\n", False),
        ],
    )
    def test_what_connection_says_is_kept_to(
        self, version: bytes, lines: bytes, kept: bool
    ) -> None:
        raw = b"HTTP/%b 200 OK\r\nContent-Length: 0\r\n%b\r\n" % (version, lines)
        assert head_of(raw).keep_alive is kept


class TestWithoutBody:
    @pytest.mark.parametrize("status", [204, 304])
    @pytest.mark.parametrize(
        "line", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]
    )
    def test_some_statuses_have_none(self, status: int, line: bytes) -> None:
        """6.3."""
        reader = reader_of(b"HTTP/1.1 %d a\r\n%b\r\nhello" % (status, line))
        head = reader.head(b"GET")
        assert head is not None
        assert (head.framing, reader.body_complete, reader.buffered) == (Framing.NONE, True, 5)

    @pytest.mark.parametrize("line", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"A: b"])
    def test_nor_has_an_answer_to_head(self, line: bytes) -> None:
        assert head_of(ok(line), b"HEAD").framing is Framing.NONE

    def test_the_length_that_was_announced_is_kept(self) -> None:
        head = head_of(ok(b"Content-Length: 5"), b"HEAD")
        assert (head.announced_length, head.length) == (True, 5)
        assert not head_of(ok(), b"HEAD").announced_length

    @pytest.mark.parametrize("line", [b"Content-Length: +5", b"Transfer-Encoding: gzip"])
    def test_what_frames_nothing_is_judged_all_the_same(self, line: bytes) -> None:
        with pytest.raises(BadMessage):
            head_of(ok(line), b"HEAD")


class TestRefusals:
    @pytest.mark.parametrize(
        "line",
        [b"", b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1 20", b"HTTP/1.1 2000 OK", b"HTTP/1.1 099 a",
         b"HTTP/1.1 000 a", b"HTTP/1.1 2x0 a", b"HTTP/1.1  200 a", b"HTTP/1.1\t200 a",
         b"HTTP/1.1 200\ta", b"HTTP/1.1 200 \0", b"HTTP/1.1 200 \x7f", b"HTTP/2 200 a",
         b"HTTP/0.9 200 a", b"HTTP/1.2 200 a", b"http/1.1 200 a", b" HTTP/1.1 200 a", b"ICY 200 a",
         b"220 smtp.example ESMTP", b"SSH-2.0-OpenSSH_9.2", b"<html>"],
    )  # fmt: skip
    def test_a_status_line_of_another_shape_is_refused(self, line: bytes) -> None:
        assert status(line + b"\r\nContent-Length: 0\r\n\r\n") == 400

    def test_an_empty_line_before_it_is_refused(self) -> None:
        assert status(b"\r\n" + ok(b"Content-Length: 0")) == 400

    def test_a_switch_of_protocols_is_refused(self) -> None:
        """S41: no tunnel through the gateway."""
        raw = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        assert status(raw) == 400

    @pytest.mark.parametrize(
        "lines",
        [
            [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
            [b"Content-Length: 5", b"Content-Length: 5"],
            [b"Content-Length: 5", b"Content-Length: 6"],
            [b"Content-Length: 5, 5"],
            [b"Content-Length:"],
            [b"Content-Length: -1"],
            [b"Content-Length: 0x5"],
            [b"Transfer-Encoding:"],
            [b"Transfer-Encoding: gzip, chunked"],
            [b"Transfer-Encoding: chunked, chunked"],
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: identity"],
            [b"X : a"],
            [b" X: a"],
            [b"X: a\r\n b"],
            [b": a"],
            [b"X: \0"],
            [b"X: a\nY: b"],
            [b"X: a\rY: b"],
        ],
    )
    def test_what_could_be_read_apart_is_refused(self, lines: list[bytes]) -> None:
        """S45."""
        assert status(ok(*lines)) == 400

    def test_http_1_0_knows_no_transfer_coding(self) -> None:
        assert status(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") == 400

    def test_a_head_that_is_too_large_is_refused(self) -> None:
        reading = read_responses([ok(b"X: " + b"a" * 100)], limits=HeadLimits(size=100))
        assert (reading.heads, reading.ends) == ([], 431)

    def test_too_many_fields_are_refused(self) -> None:
        reading = read_responses([ok(*[b"X: a"] * 4)], limits=HeadLimits(fields=3))
        assert (reading.heads, reading.ends) == ([], 431)

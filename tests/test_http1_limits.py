"""The size of a request's head (S49), and what may follow a request (S40)."""

import pytest

from http_readings import read_requests
from sasgate.http1 import HeadLimits, RequestReader
from test_http1 import HOST, LINE, read, status, with_fields


class TestLimits:
    """S49."""

    LIMITS = HeadLimits(size=100, fields=3)

    def sized(self, size: int) -> bytes:
        empty = LINE + HOST + b"X: \r\n\r\n"
        return LINE + HOST + b"X: " + b"a" * (size - len(empty)) + b"\r\n\r\n"

    def test_a_head_of_the_largest_size_is_read(self) -> None:
        reading = read(self.sized(100), self.LIMITS)
        assert (len(reading.heads), reading.ends) == (1, "whole")

    def test_a_larger_one_is_refused(self) -> None:
        assert status(self.sized(101), self.LIMITS) == 431

    def test_a_head_without_end_is_refused_at_the_limit(self) -> None:
        raw = self.sized(200)
        assert read_requests([raw[:99]], self.LIMITS).ends == "waiting"
        assert status(raw[:100], self.LIMITS) == 431

    def test_a_line_without_end_is_refused_at_the_limit(self) -> None:
        assert status(b"GET /" + b"a" * 95, self.LIMITS) == 431

    def test_the_limit_is_of_one_head(self) -> None:
        assert len(read(self.sized(100) * 3, self.LIMITS).heads) == 3

    def test_as_many_fields_as_allowed_are_read(self) -> None:
        assert len(read(with_fields(b"A: b", b"C: d"), self.LIMITS).heads) == 1

    def test_one_field_more_is_refused(self) -> None:
        assert status(with_fields(b"A: b", b"C: d", b"E:"), self.LIMITS) == 431


class TestWhatFollows:
    """`followed_by_request`: bytes that begin no request mean that somebody frames otherwise."""

    def followed(self, *after: bytes, fields: bytes = b"") -> bool:
        reader = RequestReader(HeadLimits())
        reader.receive(LINE + HOST + fields + b"\r\n" + b"".join(after))
        assert reader.head() is not None
        return reader.followed_by_request()

    @pytest.mark.parametrize(
        "after", [b"", b"\r", b"\r\n", b"G", b"GET", b"GET ", b"GET /", b"\r\nGET / HTTP/1.1\r\n"]
    )
    def test_the_beginning_of_a_request_may_follow(self, after: bytes) -> None:
        assert self.followed(after)

    @pytest.mark.parametrize(
        "after",
        [b"\n", b" ", b"\0", b"{", b"\r\n\r\n", b"\rG", b"GET\t", b"GET  ", b"GET\r\n", b"a=b\r\n"],
    )
    def test_nothing_else_may(self, after: bytes) -> None:
        """S40: a body that was not announced."""
        assert not self.followed(after)

    def test_a_body_of_a_length_is_passed_over(self) -> None:
        assert self.followed(b"{}", b"GET /", fields=b"Content-Length: 2\r\n")
        assert not self.followed(b"{}}", fields=b"Content-Length: 2\r\n")

    def test_of_a_body_that_is_not_there_yet_nothing_is_said(self) -> None:
        assert self.followed(b"{", fields=b"Content-Length: 2\r\n")
        assert self.followed(b"{", fields=b"Transfer-Encoding: chunked\r\n")

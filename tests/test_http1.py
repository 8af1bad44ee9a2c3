"""Requests: what is read, and what is refused because two readers could read it apart (S40, S41).

Numbers are sections of RFC 9112 unless another RFC stands before them.
"""

import pytest

from http_messages import EVERYWHERE, cut
from http_readings import Reading, read_requests
from sasgate.http1 import BadMessage, Framing, HeadLimits, RequestHead, RequestReader


LINE = b"GET /Slot HTTP/1.1\r\n"
HOST = b"Host: sas.example\r\n"


def read(raw: bytes, limits: HeadLimits | None = None) -> Reading:
    return read_requests([raw], limits)


def status(raw: bytes, limits: HeadLimits | None = None) -> int | str:
    """The status that refuses the first request in `raw`, at once and byte by byte."""
    whole, cut_up = read(raw, limits), read_requests(cut(raw, EVERYWHERE), limits)
    assert whole.meaning == cut_up.meaning
    assert not whole.heads, whole
    return whole.ends


def head_of(raw: bytes) -> RequestHead:
    (head,) = read(raw).heads
    assert isinstance(head, RequestHead)
    return head


def with_fields(*lines: bytes) -> bytes:
    return LINE + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


class TestWhatIsRead:
    def test_a_head_holds_the_request_as_it_came(self) -> None:
        head = head_of(b"GET /Slot?start=a%20b HTTP/1.1\r\nhost: A:1\r\nX-a:  b \r\nX-A:\r\n\r\n")
        assert (head.method, head.target) == (b"GET", b"/Slot?start=a%20b")
        assert (head.http11, head.host, head.framing) == (True, b"A:1", Framing.NONE)
        names = [name for name, _ in head.fields]
        assert names == [b"host", b"X-a", b"X-A"]
        assert [value.strip(b" ") for _, value in head.fields] == [b"A:1", b"b", b""]

    def test_an_empty_value_is_not_joined_to_the_next_field(self) -> None:
        head = head_of(with_fields(b"A:", b"B: 1", b"C:"))
        assert head.fields[1:] == [(b"A", b""), (b"B", b"1"), (b"C", b"")]

    def test_one_empty_line_before_a_request_is_skipped(self) -> None:
        """2.2."""
        assert head_of(b"\r\n" + with_fields()) == head_of(with_fields())

    def test_and_one_before_each_of_several(self) -> None:
        assert len(read((b"\r\n" + with_fields()) * 3).heads) == 3

    def test_a_body_of_a_length_ends_where_the_next_request_begins(self) -> None:
        raw = with_fields(b"Content-Length: 5") + b"hello" + with_fields()
        reading = read(raw)
        assert (len(reading.heads), reading.bodies, reading.ends) == (2, [b"hello", b""], "whole")

    def test_a_chunked_body_ends_where_the_next_request_begins(self) -> None:
        raw = (
            with_fields(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n" + with_fields()
        )
        reading = read(raw)
        assert (len(reading.heads), reading.bodies, reading.ends) == (2, [b"hello", b""], "whole")

    @pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"  CHUNKED "])
    def test_chunked_is_read_in_any_case(self, coding: bytes) -> None:
        assert head_of(with_fields(b"Transfer-Encoding:" + coding)).framing is Framing.CHUNKED

    @pytest.mark.parametrize("value", [b"5", b"05", b" 5", b"5 ", b"\t5"])
    def test_a_content_length_is_decimal(self, value: bytes) -> None:
        head = head_of(with_fields(b"Content-Length:" + value))
        assert (head.framing, head.length) == (Framing.LENGTH, 5)

    def test_http_1_0_needs_no_host(self) -> None:
        head = head_of(b"GET /Slot HTTP/1.0\r\n\r\n")
        assert (head.http11, head.host) == (False, None)

    @pytest.mark.parametrize(
        ("version", "lines", "kept"),
        [
            (b"1.1", [], True),
            (b"1.1", [b"Connection: close"], False),
            (b"1.1", [b"Connection: X-A", b"connection: Close"], False),
            (b"1.1", [b"Connection: keep-alive, CLOSE"], False),
            (b"1.0", [], False),
            (b"1.0", [b"Connection: Keep-Alive"], True),
            (b"1.0", [b"Connection: keep-alive", b"Connection: close"], False),
        ],
    )
    def test_what_connection_says_is_kept_to(
        self, version: bytes, lines: list[bytes], kept: bool
    ) -> None:
        """9.3."""
        fields = b"".join(line + b"\r\n" for line in lines)
        assert head_of(b"GET / HTTP/%b\r\n%b%b\r\n" % (version, HOST, fields)).keep_alive is kept

    @pytest.mark.parametrize("value", [b"100-continue", b"100-Continue"])
    def test_the_one_expectation_is_known(self, value: bytes) -> None:
        """RFC 9110, 10.1.1."""
        assert head_of(with_fields(b"Expect: " + value)).expect_continue

    def test_http_1_0_expects_nothing(self) -> None:
        raw = b"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"
        assert not head_of(raw).expect_continue

    @pytest.mark.parametrize(
        "target", [b"/", b"//", b"/a/../b", b"/%2e%2e/%2f", b"/;a", b"/\\", b"/%00", b"/a?b=c|d,e"]
    )
    def test_a_target_is_left_as_it_is(self, target: bytes) -> None:
        """S43."""
        assert head_of(b"GET %b HTTP/1.1\r\n%b\r\n" % (target, HOST)).target == target

    @pytest.mark.parametrize(
        "line",
        [b"GET http://sas.example/a HTTP/1.1", b"OPTIONS * HTTP/1.1", b"TRACE / HTTP/1.1",
         b"CONNECT sas.example:443 HTTP/1.1"],
    )  # fmt: skip
    def test_other_forms_of_target_are_left_to_the_site(self, line: bytes) -> None:
        """S41: read as requests like any other, so that the same judgement is passed on them."""
        assert head_of(line + b"\r\n" + HOST + b"\r\n").method == line.split(b" ")[0]

    def test_a_wish_to_upgrade_changes_nothing(self) -> None:
        """S41: what follows is the next request, and no other protocol."""
        upgrade = with_fields(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                              b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")  # fmt: skip
        assert len(read(upgrade + with_fields()).heads) == 2


class TestRequestLine:
    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"GET",
            b"GET /",
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b" GET / HTTP/1.1",
            b"GET\t/ HTTP/1.1",
            b"GET / a HTTP/1.1",
            b"GET /\x0bHTTP/1.1",
            b"GET /\0 HTTP/1.1",
            b"GET /\x7f HTTP/1.1",
            b"GET /\xc3\xa9 HTTP/1.1",
            b"G@T / HTTP/1.1",
            b"GET / http/1.1",
            b"GET / HTTP/0.9",
            b"GET / HTTP/1.2",
            b"GET / HTTP/2.0",
            b"GET / HTTP/01.1",
            b"GET / HTTP/1.1.1",
            b"PRI * HTTP/2.0",
            b"GET a HTTP/1.1",
            b"get / HTTP/1.1",
            b"BREW / HTTP/1.1",
            b"DESCRIBE / HTTP/1.1",
        ],
    )
    def test_a_line_of_another_shape_is_refused(self, line: bytes) -> None:
        """3, S41: no HTTP/0.9, no HTTP/2, no method or target that llhttp does not know."""
        assert status(line + b"\r\n" + HOST + b"\r\n") == 400

    def test_a_wrong_line_is_refused_before_the_head_is_whole(self) -> None:
        assert status(b"GET /\r\n") == 400

    def test_two_empty_lines_before_a_request_are_refused(self) -> None:
        assert status(b"\r\n\r\n" + with_fields()) == 400

    @pytest.mark.parametrize(
        "raw", [b"\n" + LINE, b"\r" + LINE, b"\r\r\n" + LINE, b"\r\n\n" + LINE]
    )
    def test_other_line_ends_before_a_request_are_refused(self, raw: bytes) -> None:
        assert status(raw + HOST + b"\r\n") == 400


class TestFields:
    @pytest.mark.parametrize(
        "line",
        [
            b"X : a",
            b"X\t: a",
            b" X: a",
            b"\tX: a",
            b": a",
            b"X",
            b"X a",
            b"X(: a",
            b"X;: a",
            b"\xc3\xa9: a",
            b"X: \0",
            b"X: \x01",
            b"X: a\x7f",
            b"X: a\r\n b",
            b"X: a\r\n\tb",
            b"X:\r\n b",
        ],
    )
    def test_a_field_of_another_shape_is_refused(self, line: bytes) -> None:
        """5, S40: space before the colon, an empty name, obs-fold, control characters."""
        assert status(with_fields(line)) == 400

    @pytest.mark.parametrize("line", [b" X: a", b" ", b"\t"])
    def test_nothing_stands_between_the_line_and_the_first_field(self, line: bytes) -> None:
        """2.2."""
        assert status(LINE + line + b"\r\n" + HOST + b"\r\n") == 400

    @pytest.mark.parametrize(
        "raw",
        [
            b"GET / HTTP/1.1\nHost: a\n\n",
            b"GET / HTTP/1.1\r\nHost: a\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\n",
            b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
            b"GET / HTTP/1.1\rHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n",
        ],
    )
    def test_a_bare_cr_or_lf_is_refused(self, raw: bytes) -> None:
        """2.2, S40."""
        assert status(raw) == 400

    def test_a_bare_lf_is_refused_before_the_head_is_whole(self) -> None:
        assert status(LINE + b"X: a\n") == 400

    @pytest.mark.parametrize("name", [b"Content-Type", b"authorization"])
    def test_a_field_that_may_stand_once_stands_once(self, name: bytes) -> None:
        """RFC 9110, 5.3: backends take the first, the last, or both."""
        assert status(with_fields(name + b": a", name.upper() + b": b")) == 400

    @pytest.mark.parametrize("value", [b"", b"200-ok", b"100-continue, a", b"a"])
    def test_an_unknown_expectation_is_refused(self, value: bytes) -> None:
        """RFC 9110, 10.1.1."""
        assert status(with_fields(b"Expect: " + value)) == 417

    def test_two_expectations_are_refused(self) -> None:
        assert status(with_fields(*[b"Expect: 100-continue"] * 2)) == 417


class TestHost:
    def test_http_1_1_needs_one(self) -> None:
        """3.2, S41."""
        assert status(LINE + b"\r\n") == 400

    @pytest.mark.parametrize("version", [b"1.0", b"1.1"])
    @pytest.mark.parametrize("second", [b"Host: a", b"host: b", b"Host:"])
    def test_two_are_refused(self, version: bytes, second: bytes) -> None:
        assert status(b"GET / HTTP/%b\r\nHost: a\r\n%b\r\n\r\n" % (version, second)) == 400

    @pytest.mark.parametrize(
        "value", [b"a b", b"a/b", b"me@a", b"a\\b", b"a#b", b"a?b", b"\xe9", b"<"]
    )
    def test_a_host_holds_no_other_part_of_a_url(self, value: bytes) -> None:
        """RFC 9110, 7.2."""
        assert status(LINE + b"Host: " + value + b"\r\n\r\n") == 400

    @pytest.mark.parametrize("value", [b"", b"a", b"A.b:8443", b"192.0.2.1", b"[2001:db8::1]:80"])
    def test_a_host_is_a_name_or_an_address(self, value: bytes) -> None:
        assert head_of(LINE + b"Host: " + value + b"\r\n\r\n").host == value


class TestFraming:
    @pytest.mark.parametrize(
        "value",
        [b"", b"+5", b"-5", b"0x5", b"5x", b"5.0", b"5 5", b"5,5", b"5, 5", b"five", b"5\x0b",
         b"\xef\xbc\x95", b"1" * 19, b"9" * 30, b"18446744073709551616", b"1000000000000000000"],
    )  # fmt: skip
    def test_a_content_length_of_another_shape_is_refused(self, value: bytes) -> None:
        """6.3, S40."""
        assert status(with_fields(b"Content-Length: " + value)) == 400

    @pytest.mark.parametrize("second", [b"Content-Length: 5", b"content-length: 6"])
    def test_two_content_lengths_are_refused_even_if_equal(self, second: bytes) -> None:
        assert status(with_fields(b"Content-Length: 5", second)) == 400

    @pytest.mark.parametrize(
        "value",
        [b"", b"identity", b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked",
         b"chunked,", b",chunked", b"xchunked", b"chunked;a=b", b'"chunked"', b"\x0bchunked",
         b"chunked\x0b", b"chun ked", b"cow", b"\xe2\x84\xaachunked"],
    )  # fmt: skip
    def test_a_transfer_coding_but_one_chunked_is_refused(self, value: bytes) -> None:
        """6.1, S40."""
        assert status(with_fields(b"Transfer-Encoding: " + value)) == 400

    @pytest.mark.parametrize("second", [b"chunked", b"identity", b""])
    def test_two_transfer_encodings_are_refused(self, second: bytes) -> None:
        lines = b"Transfer-Encoding: chunked", b"Transfer-encoding: " + second
        assert status(with_fields(*lines)) == 400

    @pytest.mark.parametrize("coding", [b"chunked", b"identity", b""])
    def test_both_framings_are_refused_in_either_order(self, coding: bytes) -> None:
        """6.3, S40."""
        lines = [b"Content-Length: 5", b"Transfer-Encoding: " + coding]
        assert status(with_fields(*lines)) == 400
        assert status(with_fields(*reversed(lines))) == 400

    def test_http_1_0_knows_no_transfer_coding(self) -> None:
        """6.1."""
        raw = b"POST / HTTP/1.0\r\n%bTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % HOST
        assert status(raw) == 400

    @pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH"])
    def test_http_1_0_says_how_long_its_body_is(self, method: bytes) -> None:
        """RFC 1945, 7.2.2: its body would end with the connection."""
        assert status(method + b" / HTTP/1.0\r\n\r\n") == 400

    @pytest.mark.parametrize(
        "name", [b"Content_Length", b"Content.Length", b"Transfer_Encoding", b"CONTENT LENGTH"]
    )
    def test_a_spelling_that_is_not_the_name_frames_nothing(self, name: bytes) -> None:
        """S40: such a field is not passed on either, see `test_heads`."""
        reading = read(with_fields(name + b": 5"))
        if b" " in name:
            assert reading.ends == 400
        else:
            assert (reading.bodies, reading.ends) == ([b""], "whole")

    @pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS"])
    def test_a_body_belongs_to_the_request_whatever_its_method(self, method: bytes) -> None:
        """S40: a body on GET is no second request."""
        raw = method + b" / HTTP/1.1\r\n" + HOST + b"Content-Length: 18\r\n\r\n"
        reading = read(raw + b"GET / HTTP/1.1\r\n\r\n")
        assert (len(reading.heads), reading.bodies) == (1, [b"GET / HTTP/1.1\r\n\r\n"])

    def test_a_malformed_chunk_is_refused(self) -> None:
        reading = read(with_fields(b"Transfer-Encoding: chunked") + b"5\r\nhelloX\r\n")
        assert reading.ends == 400


def test_a_refusal_says_why_and_with_which_status() -> None:
    reader = RequestReader(HeadLimits())
    reader.receive(LINE + b"\r\n")
    with pytest.raises(BadMessage, match="0 Host fields") as caught:
        reader.head()
    assert (caught.value.status, caught.value.reason) == (400, "0 Host fields")

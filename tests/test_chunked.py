"""The chunked coding, to the letter (RFC 9112, 7.1; S40)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_messages import EVERYWHERE, chunked, cut, cuts, damaged
from sasgate.chunked import LAST_CHUNK, ChunkedDecoder, InvalidChunk, chunk


def decode(pieces: list[bytes]) -> tuple[bytes, bytes, bool] | str:
    """Body, rest and whether it is complete; or `invalid`."""
    decoder, body, rest = ChunkedDecoder(), b"", b""
    try:
        for piece in pieces:
            data, rest = decoder.feed(rest + piece)
            body += data
    except InvalidChunk:
        return "invalid"
    return body, rest, decoder.complete


class TestProperties:
    @given(chunked(), st.binary(max_size=20), cuts())
    def test_a_valid_body_is_decoded_and_nothing_after_it_taken(
        self, body: tuple[bytes, bytes], after: bytes, places: list[int]
    ) -> None:
        raw, meant = body
        assert decode(cut(raw + after, places)) == (meant, after, True)

    @given(damaged(chunked().map(lambda body: body[0])), cuts())
    def test_the_cut_of_the_bytes_makes_no_difference(self, raw: bytes, places: list[int]) -> None:
        assert decode(cut(raw, places)) == decode([raw])

    @given(st.binary(max_size=60), cuts())
    def test_any_bytes_are_decoded_or_refused(self, raw: bytes, places: list[int]) -> None:
        assert decode(cut(raw, places)) == decode([raw])

    @given(st.lists(st.binary(min_size=1, max_size=50)))
    def test_what_is_written_is_read_back(self, pieces: list[bytes]) -> None:
        raw = b"".join(map(chunk, pieces)) + LAST_CHUNK
        assert decode([raw]) == (b"".join(pieces), b"", True)


class TestSizes:
    @pytest.mark.parametrize("size", [b"5", b"005", b"5;", b"5;a", b"5; a=b", b'5;a="b;c"'])
    def test_a_size_may_have_leading_zeros_and_extensions(self, size: bytes) -> None:
        assert decode([size + b"\r\nhello\r\n0\r\n\r\n"]) == (b"hello", b"", True)

    def test_hexadecimal_digits_are_of_either_case(self) -> None:
        raw = b"1a\r\n%b\r\n1A\r\n%b\r\n0\r\n\r\n" % (b"x" * 26, b"y" * 26)
        assert decode([raw]) == (b"x" * 26 + b"y" * 26, b"", True)

    @pytest.mark.parametrize(
        "line",
        [
            b"", b" 5", b"5 ", b"5 ;a", b"+5", b"-5", b"0x5", b"5x", b"5,5", b"5\t", b"five",
            b"\xef\xbc\x95", b"5;\0", b"5;a\rb", b"5;a\x7f", b"0" * 16, b"1" + b"0" * 15,
        ],
    )  # fmt: skip
    def test_a_size_of_another_shape_is_refused(self, line: bytes) -> None:
        """S40."""
        assert decode([line + b"\r\nhello\r\n0\r\n\r\n"]) == "invalid"

    @pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\r\n", b"\n\r\n"])
    def test_a_size_ends_with_cr_lf_only(self, end: bytes) -> None:
        """S40: a chunk extension that ends with a bare LF hides what follows."""
        assert decode([b"5;a" + end + b"hello\r\n0\r\n\r\n"]) == "invalid"

    @pytest.mark.parametrize("after", [b"h", b"\n", b"\rX", b"x\r\n", b"0\r\n"])
    def test_a_chunk_is_as_long_as_its_size(self, after: bytes) -> None:
        assert decode([b"5\r\nhello" + after + b"\r\n0\r\n\r\n"]) == "invalid"

    @pytest.mark.parametrize("end", [b"XX", b"\n\n", b"\r\r", b"\n\r", b"\0\0"])
    def test_and_ends_with_cr_lf_only(self, end: bytes) -> None:
        assert decode([b"5\r\nhello" + end + b"0\r\n\r\n"]) == "invalid"

    @pytest.mark.parametrize("line", [b"5\n", b"5;a\n", b"5\rx", b"0\r\nx: a\n"])
    def test_a_bare_line_end_is_refused_at_once(self, line: bytes) -> None:
        assert decode([line]) == "invalid"

    @pytest.mark.parametrize(
        "raw", [b"", b"5", b"5;a", b"5\r", b"5\r\n", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r",
                b"5\r\nhello\r\n", b"5\r\nhello\r\n0", b"5\r\nhello\r\n0\r\n",
                b"5\r\nhello\r\n0\r\n\r"],
    )  # fmt: skip
    def test_a_body_is_incomplete_until_its_last_byte(self, raw: bytes) -> None:
        outcome = decode(cut(raw, EVERYWHERE))
        assert isinstance(outcome, tuple)
        assert not outcome[2]


class TestTrailers:
    @pytest.mark.parametrize(
        "line", [b"x-sum: 1", b"x-sum:", b"ETag: \xc3\xa9", b"Content-Type: a"]
    )
    def test_trailers_are_dropped(self, line: bytes) -> None:
        assert decode([b"0\r\n" + line + b"\r\n\r\n"]) == (b"", b"", True)

    @pytest.mark.parametrize(
        "name",
        [
            b"X-SSL-Client-CN", b"x_ssl_client_cn", b"X.SSL.Client.CN", b"Client-Cert",
            b"X-Forwarded-For", b"Forwarded", b"X-Real-IP", b"Host", b"Content-Length",
            b"Transfer-Encoding", b"transfer_encoding", b"Connection", b"Expect", b"TE",
        ],
    )  # fmt: skip
    def test_a_trailer_that_would_frame_route_or_name_is_refused(self, name: bytes) -> None:
        """S37."""
        assert decode([b"0\r\n" + name + b": a\r\n\r\n"]) == "invalid"

    @pytest.mark.parametrize(
        "line", [b"x", b": a", b"x : a", b" x: a", b"x: a\rb", b"x: a\nb", b"x: \0", b"x\xe9: a"]
    )
    def test_a_malformed_trailer_is_refused(self, line: bytes) -> None:
        assert decode([b"0\r\n" + line + b"\r\n\r\n"]) == "invalid"


class TestLimits:
    """S25, S40: what is not data may not outgrow it without end."""

    def test_many_small_chunks_are_taken(self) -> None:
        assert decode([b"1\r\nx\r\n" * 20_000 + LAST_CHUNK]) == (b"x" * 20_000, b"", True)

    def test_trailers_without_end_are_refused(self) -> None:
        line = b"x-sum: %b\r\n" % (b"a" * 100)
        assert decode([b"0\r\n" + line * (16 * 1024 // len(line) + 1)]) == "invalid"

    def test_extensions_without_end_are_refused(self) -> None:
        raw = (b"1;%b\r\nx\r\n" % (b"a" * 1000)) * 20
        assert decode([raw]) == "invalid"

    @pytest.mark.parametrize("pieces", [1, 5000])
    def test_a_line_of_more_than_4094_bytes_is_refused(self, pieces: int) -> None:
        taken, refused = (b"5;%b\r\nhello\r\n0\r\n\r\n" % (b"a" * size) for size in (4092, 4093))
        places = list(range(pieces))
        assert decode(cut(taken, places)) == (b"hello", b"", True)
        assert decode(cut(refused, places)) == "invalid"

    @pytest.mark.parametrize("start", [b"5;", b"0\r\nx-sum:"])
    def test_a_line_that_does_not_end_is_refused_without_waiting_for_it(self, start: bytes) -> None:
        assert decode([start + b"a" * 4096]) == "invalid"

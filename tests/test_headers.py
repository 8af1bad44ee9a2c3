"""What a field name means to the gateway, however it is spelled (S37)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from field_names import HOP_BY_HOP, READ_BY_BACKENDS, SET_BY_THE_GATEWAY
from http_messages import TOKEN_BYTES
from sasgate import headers
from sasgate.headers import Kind, classify


FRAMING = {
    b"Host": Kind.HOST,
    b"Content-Length": Kind.CONTENT_LENGTH,
    b"Transfer-Encoding": Kind.TRANSFER_ENCODING,
    b"Connection": Kind.CONNECTION,
    b"Expect": Kind.EXPECT,
    b"Content-Type": Kind.SINGLE,
    b"Authorization": Kind.SINGLE,
}
_SEPARATORS = sorted(set(TOKEN_BYTES) - set(range(0x30, 0x3A)) - set(range(0x41, 0x5B)) -
                     set(range(0x61, 0x7B)))  # fmt: skip


def spellings(names: list[bytes]) -> st.SearchStrategy[tuple[bytes, bytes]]:
    """One of the names, and the same in another case with other separators."""
    separators = st.sampled_from(_SEPARATORS).map(lambda byte: bytes([byte]))

    @st.composite
    def spelled(draw: st.DrawFn) -> tuple[bytes, bytes]:
        name = draw(st.sampled_from(names))
        cased = b"".join(
            draw(st.sampled_from([each.lower(), each.upper()]))
            for each in (bytes([byte]) for byte in name)
        )
        return name, re.sub(rb"-", lambda _: draw(separators), cased)

    return spelled()


@pytest.mark.parametrize("name", SET_BY_THE_GATEWAY + READ_BY_BACKENDS)
def test_the_gateways_own_fields_are_known(name: bytes) -> None:
    assert classify(name) is Kind.GATEWAY


@given(spellings(SET_BY_THE_GATEWAY + READ_BY_BACKENDS))
def test_the_gateways_own_fields_are_known_in_every_spelling(spelling: tuple[bytes, bytes]) -> None:
    """S37: CGI, WSGI and FastCGI fold `_`, `.` and `-` to one variable."""
    assert classify(spelling[1]) is Kind.GATEWAY


@pytest.mark.parametrize("name", [b"x_ssl_client_cn", b"X.SSL.Client.CN", b"x-SSL_client.cn"])
def test_the_spellings_of_the_requirement(name: bytes) -> None:
    """S37."""
    assert classify(name) is Kind.GATEWAY


def test_a_strangers_long_names_do_not_stay_in_memory() -> None:
    """S49."""
    before = headers._remembered.cache_info().currsize
    for number in range(10):
        assert classify(b"x-%d" % number + b"a" * 100) is Kind.PASS
    assert headers._remembered.cache_info().currsize == before


@pytest.mark.parametrize(("name", "kind"), FRAMING.items())
def test_fields_that_frame_or_route_have_each_their_kind(name: bytes, kind: Kind) -> None:
    assert classify(name) is classify(name.lower()) is classify(name.upper()) is kind


@given(spellings([*FRAMING, *HOP_BY_HOP[:-1]]))
def test_a_spelling_that_is_nearly_theirs_goes_no_further(spelling: tuple[bytes, bytes]) -> None:
    """S40: `Content_Length` may be read as Content-Length behind the gateway."""
    name, other = spelling
    if other.lower() == name.lower():
        assert classify(other) is classify(name)
    else:
        assert classify(other) is Kind.HOP_BY_HOP


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_hop_by_hop_fields_are_known(name: bytes) -> None:
    """RFC 9110, 7.6.1; `Proxy` becomes HTTP_PROXY in a CGI."""
    assert classify(name) is classify(name.swapcase()) is Kind.HOP_BY_HOP


@pytest.mark.parametrize(
    "name",
    [
        b"Accept",
        b"Cookie",
        b"ETag",
        b"If-Match",
        b"Prefer",
        b"X-Requested-With",
        b"X-SSL",
        b"My-X-SSL-Client-CN",
        b"X-Request-ID-2",
        b"Forwarded-2",
        b"Hosts",
        b"Content-Lengths",
        b"Proxys",
    ],
)
def test_all_others_pass(name: bytes) -> None:
    assert classify(name) is Kind.PASS

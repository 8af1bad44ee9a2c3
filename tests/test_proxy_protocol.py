"""The PROXY protocol's header, versions 1 and 2 (S44)."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sasgate.addresses import fold
from sasgate.proxy_protocol import Header, Incomplete, InvalidHeader, parse


SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
IPV4_BLOCK = bytes([51, 91, 149, 173, 192, 0, 2, 1]) + b"\xd4\x31\x01\xbb"
SAS = IPv4Address("51.91.149.173")


def v2(command: int, family: int, block: bytes = b"") -> bytes:
    return SIGNATURE + bytes([command, family]) + len(block).to_bytes(2, "big") + block


def outcome(buffer: bytes) -> Header | Incomplete | str:
    try:
        return parse(buffer)
    except InvalidHeader:
        return "invalid"


def byte_by_byte(buffer: bytes) -> tuple[Header | Incomplete | str, int]:
    """What the bytes come to when they arrive one at a time, and after how many."""
    for length in range(len(buffer)):
        if (found := outcome(buffer[:length])) != Incomplete():
            return found, length
    return outcome(buffer), len(buffer)


@st.composite
def valid_headers(draw: st.DrawFn) -> tuple[bytes, Header]:
    version = draw(st.sampled_from([4, 6]))
    source, destination = (draw(st.ip_addresses(v=version)) for _ in range(2))
    ports = [draw(st.integers(0, 65535)) for _ in range(2)]
    if draw(st.booleans()):
        raw = b"PROXY TCP%d %s %s %d %d\r\n" % (
            version,
            str(source).encode(),
            str(destination).encode(),
            *ports,
        )
    else:
        block = source.packed + destination.packed + b"".join(p.to_bytes(2, "big") for p in ports)
        tlvs = draw(st.binary(max_size=200))
        raw = v2(0x21, 0x11 if version == 4 else 0x21, block + tlvs)
    return raw, Header(len(raw), fold(source))


@st.composite
def nearly_headers(draw: st.DrawFn) -> bytes:
    """Valid headers with a byte changed, taken out or put in, and with anything after them."""
    raw, _ = draw(valid_headers())
    place = draw(st.integers(0, len(raw)))
    gone = draw(st.integers(0, 1))
    changed = raw[:place] + draw(st.binary(max_size=2)) + raw[place + gone :]
    return changed + draw(st.binary(max_size=20))


class TestProperties:
    @given(valid_headers(), st.binary(max_size=50))
    def test_a_valid_header_is_read_back_and_nothing_after_it_taken(
        self, header: tuple[bytes, Header], after: bytes
    ) -> None:
        raw, expected = header
        assert parse(raw + after) == expected

    @given(valid_headers())
    def test_a_valid_header_is_incomplete_until_its_last_byte(
        self, header: tuple[bytes, Header]
    ) -> None:
        raw, expected = header
        assert byte_by_byte(raw) == (expected, len(raw))

    @given(nearly_headers())
    def test_the_cut_of_the_bytes_makes_no_difference(self, raw: bytes) -> None:
        assert byte_by_byte(raw)[0] == outcome(raw)

    @given(st.binary(max_size=300))
    def test_random_bytes_raise_nothing_but_invalid_header(self, raw: bytes) -> None:
        assert outcome(raw) in (Incomplete(), "invalid")

    @pytest.mark.parametrize("raw", [b"PROXY ", b"PROXY TCP6 ", SIGNATURE, SIGNATURE + b"\x21\x21"])
    def test_the_beginning_of_a_header_is_waited_for(self, raw: bytes) -> None:
        assert byte_by_byte(raw) == (Incomplete(), len(raw))

    @given(
        st.sampled_from([b"PROXY ", b"PROXY TCP6 ", SIGNATURE, SIGNATURE + b"\x21"]),
        st.binary(max_size=5000),
    )
    def test_any_bytes_after_a_signature_come_to_the_same_end_whatever_the_cut(
        self, start: bytes, rest: bytes
    ) -> None:
        assert byte_by_byte(start + rest)[0] == outcome(start + rest)


class TestFirstBytes:
    def test_nothing_yet_is_incomplete(self) -> None:
        assert parse(b"") == Incomplete()

    @pytest.mark.parametrize(
        ("raw", "after"),
        [
            (b"\x16\x03\x01\x02\x00", 1),
            (b"GET / HTTP/1.1\r\n", 1),
            (b"\n", 1),
            (b"\x00" * 16, 1),
            (b"proxy TCP4 ", 1),
            (b"POST / HTTP/1.1\r\n", 2),
            (b"PROXY\tTCP4 ", 6),
            (b"\r\n\r\nGET ", 5),
            (b"PROXY  TCP4", 7),
            (b"PROXY SCTP4", 7),
            (b"PROXY TCP5 ", 10),
        ],
    )
    def test_what_is_no_header_is_refused_at_the_byte_that_shows_it(
        self, raw: bytes, after: int
    ) -> None:
        """A TLS ClientHello and a plain HTTP request don't wait for the handshake's deadline."""
        assert byte_by_byte(raw) == ("invalid", after)


class TestVersion1:
    def test_the_source_is_the_first_address(self) -> None:
        raw = b"PROXY TCP4 51.91.149.173 192.0.2.1 54321 443\r\n"
        assert parse(raw) == Header(len(raw), SAS)

    def test_ports_reach_from_0_to_65535(self) -> None:
        raw = b"PROXY TCP4 51.91.149.173 192.0.2.1 0 65535\r\n"
        assert parse(raw) == Header(len(raw), SAS)

    def test_a_mapped_source_is_folded(self) -> None:
        """S44."""
        raw = b"PROXY TCP6 ::ffff:51.91.149.173 ::1 54321 443\r\n"
        assert parse(raw) == Header(len(raw), SAS)

    @pytest.mark.parametrize(
        "raw",
        [
            b"PROXY UNKNOWN\r\n",
            b"PROXY UNKNOWN 51.91.149.173 192.0.2.1 54321 443\r\n",
            b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        ],
    )
    def test_unknown_names_no_source_whatever_stands_behind_it(self, raw: bytes) -> None:
        """S44."""
        assert parse(raw) == Header(len(raw), None)

    def test_the_longest_line_of_the_specification_is_taken(self) -> None:
        full = b":".join([b"ffff"] * 8)
        raw = b"PROXY UNKNOWN %s %s 65535 65535\r\n" % (full, full)
        assert len(raw) == 107
        assert parse(raw) == Header(107, None)

    @pytest.mark.parametrize("end", [b"\r\n", b""])
    def test_a_longer_line_is_refused(self, end: bytes) -> None:
        raw = (b"PROXY UNKNOWN " + b"f" * 200)[:106] + end
        assert outcome(raw + b"f") == "invalid"

    def test_a_line_one_byte_too_long_is_refused_before_its_end(self) -> None:
        raw = (b"PROXY UNKNOWN " + b"f" * 200)[:106] + b"\r\n"
        assert byte_by_byte(raw) == ("invalid", 107)

    @pytest.mark.parametrize(
        "line",
        [
            b"PROXY ",
            b"PROXY TCP4",
            b"PROXY TCP4 ",
            b"PROXY TCP4 51.91.149.173",
            b"PROXY TCP4 51.91.149.173 192.0.2.1",
            b"PROXY TCP4 51.91.149.173 192.0.2.1 54321",
            b"PROXY TCP4 51.91.149.173 192.0.2.1 54321 ",
            b"PROXY TCP4 51.91.149.173 192.0.2.1 54321 443 ",
            b"PROXY TCP4 51.91.149.173 192.0.2.1 54321 443 1",
            b"PROXY TCP4  51.91.149.173 192.0.2.1 54321 443",
            b"PROXY TCP4 51.91.149.173  192.0.2.1 54321 443",
            b"PROXY TCP4 51.91.149.173\t192.0.2.1 54321 443",
            b"PROXY tcp4 51.91.149.173 192.0.2.1 54321 443",
            b"PROXY UDP4 51.91.149.173 192.0.2.1 54321 443",
            b"PROXY TCP44 51.91.149.173 192.0.2.1 54321 443",
            b"PROXY UNKNOWNS",
            b"PROXY UNKN",
            b"PROXY UNKNOWN \x00",
            b"PROXY UNKNOWN \xe9",
            b"PROXY UNKNOWN\t",
        ],
    )
    def test_a_line_of_another_shape_is_refused(self, line: bytes) -> None:
        assert outcome(line + b"\r\n") == "invalid"

    @pytest.mark.parametrize(
        "field",
        [
            b"",
            b"localhost",
            b"051.91.149.173",
            b"51.91.149",
            b"51.91.149.256",
            b"51.91.149.173.1",
            b"0x33.91.149.173",
            b"+51.91.149.173",
            b"51.91.149.173/32",
            b"::1",
            b"::ffff:51.91.149.173",
            "51.91.149.١".encode(),
        ],
    )
    @pytest.mark.parametrize("place", [0, 1])
    def test_tcp4_takes_ipv4_addresses_only(self, field: bytes, place: int) -> None:
        fields = [SAS.compressed.encode()] * 2
        fields[place] = field
        assert outcome(b"PROXY TCP4 %s %s 54321 443\r\n" % tuple(fields)) == "invalid"

    @pytest.mark.parametrize(
        "field",
        [
            b"",
            b"51.91.149.173",
            b"[::1]",
            b":::1",
            b"1:2:3:4:5:6:7",
            b"1:2:3:4:5:6:7:8:9",
            b"fe80::1%eth0",
            b"12345::",
        ],
    )
    @pytest.mark.parametrize("place", [0, 1])
    def test_tcp6_takes_ipv6_addresses_only(self, field: bytes, place: int) -> None:
        fields = [b"2001:db8::1"] * 2
        fields[place] = field
        assert outcome(b"PROXY TCP6 %s %s 54321 443\r\n" % tuple(fields)) == "invalid"

    @pytest.mark.parametrize(
        "port",
        [b"", b"65536", b"99999", b"00", b"0443", b"+443", b"-1", b"443.", b"1e3", b"0x1", b"4 "],
    )
    @pytest.mark.parametrize("place", [0, 1])
    def test_a_port_is_decimal_without_leading_zeros(self, port: bytes, place: int) -> None:
        ports = [b"443"] * 2
        ports[place] = port
        assert outcome(b"PROXY TCP4 192.0.2.1 192.0.2.2 %s %s\r\n" % tuple(ports)) == "invalid"

    @pytest.mark.parametrize("end", [b"\n", b"\r\r\n", b"\n\r", b"\rX", b"\x00\r\n"])
    def test_a_line_ends_with_cr_lf_only(self, end: bytes) -> None:
        raw = b"PROXY TCP4 51.91.149.173 192.0.2.1 54321 443" + end
        assert outcome(raw) == "invalid"

    def test_a_wrong_field_is_refused_before_the_line_ends(self) -> None:
        raw = b"PROXY TCP4 51.91.149.300 "
        assert byte_by_byte(raw) == ("invalid", len(raw))

    def test_a_short_line_is_refused_at_its_carriage_return(self) -> None:
        raw = b"PROXY TCP4 51.91.149.173\r"
        assert byte_by_byte(raw) == ("invalid", len(raw))


class TestVersion2:
    def test_the_source_is_the_first_address(self) -> None:
        raw = v2(0x21, 0x11, IPV4_BLOCK)
        assert parse(raw + b"\x16\x03\x01") == Header(28, SAS)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("2001:db8::7", "2001:db8::7"), ("::ffff:51.91.149.173", "51.91.149.173")],
    )
    def test_an_ipv6_source_is_read_and_folded(self, text: str, expected: str) -> None:
        """S44."""
        block = IPv6Address(text).packed + IPv6Address("::1").packed + bytes(4)
        assert parse(v2(0x21, 0x21, block)) == Header(52, ip_address(expected))

    def test_tlvs_are_skipped(self) -> None:
        raw = v2(0x21, 0x11, IPV4_BLOCK + b"\x02\x00\x03sas" + b"\xff" * 100)
        assert parse(raw) == Header(len(raw), SAS)

    @pytest.mark.parametrize(
        "raw",
        [
            v2(0x20, 0x00),
            v2(0x20, 0x11, IPV4_BLOCK),
            v2(0x20, 0xFF, b"anything"),
            v2(0x21, 0x00),
            v2(0x21, 0x00, IPV4_BLOCK),
            v2(0x21, 0x31, b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")),
        ],
        ids=["local", "local-with-address", "local-any", "unspec", "unspec-with-bytes", "unix"],
    )
    def test_no_source_where_the_proxy_names_none(self, raw: bytes) -> None:
        """S44: what LOCAL and UNSPEC carry is never taken for the client's address."""
        assert parse(raw) == Header(len(raw), None)

    @pytest.mark.parametrize("command", [0x00, 0x01, 0x10, 0x11, 0x22, 0x2F, 0x30, 0x31, 0xFF])
    def test_another_version_or_command_is_refused_at_its_byte(self, command: int) -> None:
        assert byte_by_byte(v2(command, 0x11, IPV4_BLOCK)) == ("invalid", 13)

    @pytest.mark.parametrize("family", sorted(set(range(256)) - {0x00, 0x11, 0x21, 0x31}), ids=hex)
    def test_another_family_is_refused_at_its_byte(self, family: int) -> None:
        """Datagrams (0x12, 0x22, 0x32) cannot have come to a stream listener."""
        assert byte_by_byte(v2(0x21, family, bytes(216))) == ("invalid", 14)

    @pytest.mark.parametrize(("family", "length"), [(0x11, 11), (0x21, 35), (0x31, 215), (0x11, 0)])
    def test_a_block_too_short_for_its_addresses_is_refused(self, family: int, length: int) -> None:
        assert byte_by_byte(v2(0x21, family, bytes(length))) == ("invalid", 16)

    def test_a_header_of_4096_bytes_is_taken(self) -> None:
        raw = v2(0x21, 0x11, IPV4_BLOCK.ljust(4080, b"\0"))
        assert parse(raw) == Header(4096, SAS)

    @pytest.mark.parametrize("command", [0x20, 0x21])
    def test_a_longer_header_is_refused_at_its_length(self, command: int) -> None:
        raw = v2(command, 0x11, IPV4_BLOCK.ljust(4081, b"\0"))
        assert byte_by_byte(raw) == ("invalid", 16)

    def test_a_second_header_is_left_to_the_connection(self) -> None:
        raw = v2(0x21, 0x11, IPV4_BLOCK)
        assert parse(raw + raw) == Header(28, SAS)

    def test_the_addresses_are_those_a_socket_would_give(self) -> None:
        block = socket.inet_aton("51.91.149.173") + socket.inet_aton("10.0.0.1") + bytes(4)
        assert parse(v2(0x21, 0x11, block)) == Header(28, SAS)

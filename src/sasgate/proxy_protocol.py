"""The PROXY protocol header that HAProxy and others put in front of a connection.

Source: "The PROXY protocol, versions 1 & 2" (Willy Tarreau, HAProxy), sections 2.1 and 2.2. It
knows no transport: who may send a header, and for how long it is waited for, is the gate's
business. A field is judged as soon as it is complete, so that a stranger's bytes never wait for
the rest of a header.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from attrs import frozen

from sasgate.addresses import fold
from sasgate.settings import Address


class InvalidHeader(Exception):
    """What came is no PROXY header, nor the beginning of one."""


@frozen
class Incomplete:
    """Good so far; more bytes are needed."""


@frozen
class Header:
    """A whole header of `consumed` bytes; what follows belongs to the connection itself.

    `source` is None where the proxy named no client (LOCAL, UNKNOWN, UNSPEC, AF_UNIX): such a
    connection is refused by the caller, since nobody's address can be in the filter.
    """

    consumed: int
    source: Address | None


def parse(buffer: bytes) -> Header | Incomplete:
    """The header at the start of all bytes received so far.

    Raises:
        InvalidHeader: no continuation of `buffer` is a valid header.
    """
    if _agree(buffer, _V1_SIGNATURE):
        return _version1(buffer)
    if _agree(buffer, _V2_SIGNATURE):
        return _version2(buffer)
    raise InvalidHeader("neither version's signature")


def _agree(buffer: bytes, signature: bytes) -> bool:
    length = min(len(buffer), len(signature))
    return buffer[:length] == signature[:length]


_V1_SIGNATURE = b"PROXY "
_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"

# Section 2.1: the longest line, CR LF included, is an UNKNOWN one with two full IPv6 addresses.
_V1_LONGEST = 107
# The length field allows 65551 bytes; nothing that is sent today, TLVs included, comes near this.
_V2_LONGEST = 4096

_UNKNOWN = b"UNKNOWN"
_PROTOCOLS = (b"TCP4", b"TCP6", _UNKNOWN)
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")
_ADDRESS_BYTES = re.compile(rb"[0-9A-Fa-f:.]*")
_PRINTABLE = re.compile(rb"[\x20-\x7e]*")


def _version1(buffer: bytes) -> Header | Incomplete:
    line, end, rest = buffer[:_V1_LONGEST].partition(b"\r")
    if rest and not rest.startswith(b"\n"):
        raise InvalidHeader("CR without LF")
    source = _read_line(line[len(_V1_SIGNATURE) :], ended=bool(end))
    if rest:
        return Header(len(line) + 2, source)
    if len(buffer) >= _V1_LONGEST:
        raise InvalidHeader(f"no end of line within {_V1_LONGEST} bytes")
    return Incomplete()


def _read_line(text: bytes, *, ended: bool) -> Address | None:
    """The source in a line's `text` after the signature; None too where it isn't there yet."""
    protocol, space, rest = text.partition(b" ")
    if not space and not ended:
        if not any(known.startswith(protocol) for known in _PROTOCOLS):
            raise InvalidHeader("unknown protocol")
        return None
    if protocol not in _PROTOCOLS:
        raise InvalidHeader("unknown protocol")
    if protocol == _UNKNOWN:
        # Section 2.1: the receiver must ignore anything presented before the CR LF.
        if not _PRINTABLE.fullmatch(rest):
            raise InvalidHeader("unprintable byte")
        return None
    return _read_fields(rest.split(b" "), _ADDRESS[protocol], ended=ended)


def _read_fields(
    fields: list[bytes], address: Callable[[bytes], Address], *, ended: bool
) -> Address | None:
    readers: tuple[Callable[[bytes], object], ...] = (address, address, _port, _port)
    if len(fields) > len(readers) or (ended and len(fields) < len(readers)):
        raise InvalidHeader("two addresses and two ports are needed")
    complete = fields if ended else fields[:-1]
    for read, field in zip(readers, complete, strict=False):
        read(field)
    if not _ADDRESS_BYTES.fullmatch(fields[-1]):
        raise InvalidHeader("a byte that no address or port has")
    return fold(address(complete[0])) if complete else None


def _ipv4(text: bytes) -> Address:
    try:
        return IPv4Address(text.decode("ascii"))
    except ValueError as error:
        raise InvalidHeader("not an IPv4 address") from error


def _ipv6(text: bytes) -> Address:
    if not _ADDRESS_BYTES.fullmatch(text):
        raise InvalidHeader("not an IPv6 address")
    try:
        return IPv6Address(text.decode("ascii"))
    except ValueError as error:
        raise InvalidHeader("not an IPv6 address") from error


_ADDRESS: dict[bytes, Callable[[bytes], Address]] = {b"TCP4": _ipv4, b"TCP6": _ipv6}


def _port(text: bytes) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise InvalidHeader("not a port")
    return int(text)


_LOCAL, _PROXY = 0x20, 0x21
_UNSPEC, _TCP4, _TCP6, _UNIX_STREAM = 0x00, 0x11, 0x21, 0x31
# Bytes that the two addresses and ports take; datagrams never arrive on a stream listener.
_V2_FAMILIES = {_UNSPEC: 0, _TCP4: 12, _TCP6: 36, _UNIX_STREAM: 216}


def _version2(buffer: bytes) -> Header | Incomplete:
    head = buffer[:16]
    command = head[12] if len(head) > 12 else _LOCAL
    if command not in {_LOCAL, _PROXY}:
        raise InvalidHeader("unknown version or command")
    # Section 2.2: LOCAL discards the whole protocol block, the family included.
    family = head[13] if command == _PROXY and len(head) > 13 else _UNSPEC
    if family not in _V2_FAMILIES:
        raise InvalidHeader("unknown family")
    total = 16 + int.from_bytes(head[14:].ljust(2, b"\x00"), "big")
    if total > _V2_LONGEST:
        raise InvalidHeader(f"longer than {_V2_LONGEST} bytes")
    if len(head) < 16:
        return Incomplete()
    if total < 16 + _V2_FAMILIES[family]:
        raise InvalidHeader("too short for its addresses")
    if len(buffer) < total:
        return Incomplete()
    return Header(total, _binary_source(family, buffer[16:total]))


def _binary_source(family: int, block: bytes) -> Address | None:
    if family == _TCP4:
        return IPv4Address(block[:4])
    if family == _TCP6:
        return fold(IPv6Address(block[:16]))
    return None

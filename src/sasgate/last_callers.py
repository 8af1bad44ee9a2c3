"""Those who wait in the kernel's queue of a port that is about to close.

For them their connection is there, and a port that closes would reset it.
"""

import ctypes
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Any


# Of Linux on all machines of today (asm-generic/socket.h); Python doesn't name it.
_SO_ATTACH_FILTER = 26

# Classic BPF (linux/filter.h), which sees a segment from its TCP header on: what is SYN without
# ACK is dropped, all else is let through.
_NO_SYN = (
    (0x30, 0, 0, 13),  # load the octet with the flags (RFC 9293, section 3.1)
    (0x54, 0, 0, 0x12),  # keep ACK and SYN
    (0x15, 0, 1, 0x02),  # unless it is SYN alone, skip the next
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # take all of it
)

# More than any queue holds; Twisted takes in as many at once as it found last time, one mostly.
_ALL = 1 << 16


def take_in(port: Any) -> None:
    """Take in all that wait at a port of Twisted's, which is to be closed then.

    The closing comes a turn of the reactor later. By TCP, who comes before it is not answered, and
    tries again after a second: then there is no port, or that of the next process. At a UNIX socket
    they are refused at once.
    """
    tcp = port.addressFamily in (socket.AF_INET, socket.AF_INET6)
    if tcp:
        _drop_newcomers(port.socket)
    port.numberAccepts = _ALL
    port.doRead()
    if not tcp:
        # Not before: Twisted takes the end of such a queue for an error. Whoever comes in between
        # is lost.
        port.socket.shutdown(socket.SHUT_RD)


def _drop_newcomers(listening: socket.socket) -> None:
    """Let the kernel complete no more connections; without it a few are reset, no more."""
    program = ctypes.create_string_buffer(_packed(_NO_SYN))
    described = struct.pack("HP", len(_NO_SYN), ctypes.addressof(program))
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def _packed(instructions: Iterable[tuple[int, int, int, int]]) -> bytes:
    return b"".join(struct.pack("HBBI", *each) for each in instructions)

"""The serials of one list: sorted, all of one width, in one buffer, found by bisection.

Only membership is kept, not the date of revocation: nothing depends on it (an entry counts from
the moment it is listed), and it would make the index a fifth larger. No object is kept per entry,
and the buffer may be a mapped file. Measured with 1 000 000 serials of 16 octets: 21 MB, 4 µs a
look-up, 0.9 s to sort, which takes 30 MB more while it lasts.
"""

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from mmap import mmap

from attrs import field, frozen


# RFC 5280 (4.1.2.2) allows 20 octets. Some CAs fill all 20 and set the first bit, which takes a
# 21st in DER, and others issue negative serials, which users should tolerate: hence two's
# complement in 21 octets. How these are ordered does not matter, as long as it is always so.
WIDTH = 21
LOWEST, HIGHEST = -(1 << 159), (1 << 160) - 1

_RUN = 1 << 16
_PIECE = 1 << 20


@frozen
class Serials:
    """A set of serials.

    Raises:
        ValueError: the buffer's length is no multiple of `WIDTH`.
    """

    buffer: bytes | bytearray | mmap = field(default=b"", repr=False)

    def __attrs_post_init__(self) -> None:
        if len(self.buffer) % WIDTH:
            raise ValueError(f"{len(self.buffer)} bytes are no whole number of serials")

    @classmethod
    def of(cls, serials: Iterable[int]) -> "Serials":
        """The set of these; doubles are tolerated.

        Raises:
            ValueError: one is longer than 20 octets.
        """
        return cls(b"".join(sorted_pieces(serials)))

    def __len__(self) -> int:
        return len(self.buffer) // WIDTH

    def __contains__(self, serial: int) -> bool:
        if not LOWEST <= serial <= HIGHEST:
            return False
        wanted, buffer = _encoded(serial), self.buffer
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            at = middle * WIDTH
            if buffer[at : at + WIDTH] < wanted:
                low = middle + 1
            else:
                high = middle
        return buffer[low * WIDTH : (low + 1) * WIDTH] == wanted


def sorted_pieces(serials: Iterable[int]) -> Iterator[bytes]:
    """The buffer of a `Serials`, piece by piece; doubles are tolerated.

    All of `serials` are taken before the first piece comes.

    Raises:
        ValueError: one is longer than 20 octets.
    """
    # Sorting all at once would take an object of 72 bytes a serial, 70 MB for a million.
    runs = [*_runs(iter(serials))]
    piece = bytearray()
    last = b""
    for serial in heapq.merge(*map(_cut, runs)):
        if serial != last:
            piece += serial
            last = serial
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def _runs(serials: Iterator[int]) -> Iterator[bytes]:
    while run := {_checked(serial) for serial in islice(serials, _RUN)}:
        yield b"".join(sorted(run))


def _checked(serial: int) -> bytes:
    if not LOWEST <= serial <= HIGHEST:
        raise ValueError(f"a serial of {serial.bit_length()} bits; 160 are the most")
    return _encoded(serial)


def _encoded(serial: int) -> bytes:
    return serial.to_bytes(WIDTH, "big", signed=True)


def _cut(run: bytes) -> Iterator[bytes]:
    return (run[at : at + WIDTH] for at in range(0, len(run), WIDTH))

"""The chunked transfer coding (RFC 9112, 7.1), decoded to the letter and written.

httptools tells neither where a message ends nor stops there, and a pipelined request begins at
that very byte; so this decoder is our own. Extensions and trailers are checked and dropped.
"""

import re

from sasgate.headers import Kind, classify


class InvalidChunk(Exception):
    """What follows cannot be told apart from another message by every reader."""


class ChunkedDecoder:
    """Decodes one body; `complete` once its last chunk and its trailers were taken."""

    # Chunk sizes, extensions and trailers together may take no more than this beside the data.
    _MOST_OVERHEAD = 16 * 1024
    _OVERHEAD_A_BYTE = 8
    _LONGEST_LINE = 4096

    def __init__(self) -> None:
        self.complete = False
        self._in_trailers = False
        self._remaining = 0  # of the chunk's data and the CRLF after it
        self._decoded = 0
        self._overhead = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Decode what can be decoded; returns body bytes and the bytes not taken.

        The latter belong to the next call, with what arrives in between appended, or, when
        `complete`, to the next message.

        Raises:
            InvalidChunk: at the first byte that the grammar forbids.
        """
        pieces: list[bytes] = []
        position = 0
        while not self.complete:
            if self._remaining:
                taken = self._take_data(data, position, pieces)
            else:
                taken = self._take_line(data, position)
            if not taken:
                break
            position += taken
        return b"".join(pieces), data[position:]

    def _take_data(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        piece = data[position : position + self._remaining - 2]
        if self._remaining > 2:
            if piece:
                pieces.append(piece)
                self._remaining -= len(piece)
                self._decoded += len(piece)
            return len(piece)
        end = data[position : position + 2]
        if not b"\r\n".startswith(end):
            raise InvalidChunk("the chunk is longer than its size")
        if len(end) < 2:
            return 0
        self._remaining = 0
        return 2

    def _take_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\r\n", position, position + self._LONGEST_LINE)
        if end < 0:
            rest = data[position : position + self._LONGEST_LINE]
            if len(rest) == self._LONGEST_LINE or b"\n" in rest or b"\r" in rest[:-1]:
                raise InvalidChunk("a line of the chunked coding does not end")
            return 0
        line = data[position:end]
        self._count_overhead(len(line) + 2)
        if self._in_trailers:
            self._trailer(line)
        else:
            self._size(line)
        return len(line) + 2

    def _size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise InvalidChunk("the chunk size is malformed")
        size = int(match[1], 16)
        if size:
            self._remaining = size + 2
        else:
            self._in_trailers = True

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.complete = True
            return
        match = _TRAILER.fullmatch(line)
        if match is None:
            raise InvalidChunk("a trailer field is malformed")
        # Trailers go no further; one that would frame, route or name is no accident (S37).
        if classify(match[1]) not in {Kind.PASS, Kind.SINGLE}:
            raise InvalidChunk("a field that may not stand in trailers")

    def _count_overhead(self, size: int) -> None:
        self._overhead += size
        if self._overhead > self._MOST_OVERHEAD + self._OVERHEAD_A_BYTE * self._decoded:
            raise InvalidChunk("chunk extensions or trailers are too large")


_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t\x20-\x7e\x80-\xff]*")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; `data` is not empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"

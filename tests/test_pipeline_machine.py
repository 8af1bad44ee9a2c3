"""A whole connection, played at random: whoever sends, answers or reads, and in what pieces (S42).

The server must see each request once, in order and as it was meant; the client the answers to its
own requests, in their order, and after a malformed one a refusal and nothing more.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from front import Front, answers
from http_messages import chunked
from strict_http import read_strictly


_METHODS = ("GET", "HEAD", "PUT", "POST")
_GARBAGE = (b"\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"{}\r\n", b"G\0T / HTTP/1.1\r\n\r\n")


class Pipeline(RuleBasedStateMachine):
    """One client, one server, and what each has still to see."""

    def __init__(self) -> None:
        super().__init__()
        self.front = Front()
        self.unsent = b""
        self.meant: list[tuple[str, bytes, bytes]] = []
        self.answered = 0
        self.garbage = False
        self.at_server = b""
        self.at_client = b""

    def _begin(self, method: str, lines: bytes, sent: bytes, body: bytes) -> None:
        target = b"/%d" % len(self.meant)
        self.unsent += b"%b %b HTTP/1.1\r\nHost: a\r\n%b\r\n%b" % (
            method.encode(), target, lines, sent,
        )  # fmt: skip
        self.meant.append((method, target, body))

    @precondition(lambda self: not self.garbage)
    @rule(method=st.sampled_from(_METHODS))
    def compose(self, method: str) -> None:
        self._begin(method, b"", b"", b"")

    @precondition(lambda self: not self.garbage)
    @rule(method=st.sampled_from(_METHODS), body=st.binary(max_size=200))
    def compose_with_length(self, method: str, body: bytes) -> None:
        self._begin(method, b"Content-Length: %d\r\n" % len(body), body, body)

    @precondition(lambda self: not self.garbage)
    @rule(method=st.sampled_from(_METHODS), body=chunked())
    def compose_chunked(self, method: str, body: tuple[bytes, bytes]) -> None:
        self._begin(method, b"Transfer-Encoding: chunked\r\n", *body)

    @precondition(lambda self: self.meant and not self.garbage)
    @rule(garbage=st.sampled_from(_GARBAGE))
    def spoil(self, garbage: bytes) -> None:
        self.unsent += garbage
        self.garbage = True

    @precondition(lambda self: self.unsent)
    @rule(size=st.integers(1, 300))
    def send(self, size: int) -> None:
        piece, self.unsent = self.unsent[:size], self.unsent[size:]
        self.front.wire.send(piece)

    @rule(size=st.integers(1, 100))
    def read(self, size: int) -> None:
        self.at_client += self.front.wire.take(size)

    @precondition(lambda self: self.front.server.open)
    @rule(pieces=st.integers(1, 4), framed=st.booleans())
    def serve(self, pieces: int, framed: bool) -> None:
        """Answer the request under way, if it is whole; there is never more than one."""
        self.at_server += self.front.server.open[0].take()
        try:
            (read,) = read_strictly(self.at_server)
        except ValueError:
            return
        method, target, body = self.meant[self.answered]
        assert (read.method.decode(), read.target, read.body) == (method, target, body)
        self.at_server = b""
        self.answered += 1
        raw = _answer(method, b"to " + target, framed=framed)
        step = len(raw) // pieces + 1
        for start in range(0, len(raw), step):
            self.front.server.open[0].send(raw[start : start + step])

    def teardown(self) -> None:
        if self.unsent:
            self.send(len(self.unsent))
        for _ in self.meant:
            if self.front.server.open:
                self.serve(pieces=1, framed=True)
        self.at_client += self.front.taken()
        methods = [method for method, _, _ in self.meant[: self.answered]]
        got = answers(self.at_client, *methods, closed=self.garbage)
        expected = [
            (200, b"" if method == "HEAD" else b"to " + target) for method, target, _ in self.meant
        ]
        if self.garbage:
            # What came together with the garbage may be refused with it, unsent.
            assert got[-1][0] == 400
            assert got[:-1] in (expected, expected[:-1])
            assert self.front.wire.closing
        else:
            assert got == expected
            assert self.answered == len(self.meant)


def _answer(method: str, body: bytes, *, framed: bool) -> bytes:
    if framed:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        return head if method == "HEAD" else head + body
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head if method == "HEAD" else head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


TestPipeline = Pipeline.TestCase
TestPipeline.settings = settings(max_examples=100, stateful_step_count=40)

"""One exchange in all its shapes: heads, bodies, interim answers, pipelining, streaming."""

import threading
from collections.abc import Iterator

import pytest

from gateways import gateway
from raw_backend import Peer, RawBackend, Script, echo
from raw_client import PATIENCE, Caller, Wire, request
from sasgate.lab.pki import Lab


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


@pytest.fixture(scope="module")
def caller(
    lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caller]:
    with gateway(lab, tmp_path_factory.mktemp("gateway"), {"backend": backend.url}) as process:
        yield Caller(lab, process.port())


@pytest.fixture(autouse=True)
def _afresh(backend: RawBackend) -> Iterator[None]:
    backend.follows(echo)
    yield
    assert backend.faults == []


def always(raw: bytes) -> Script:
    """A script that answers every request with these bytes."""

    def script(peer: Peer) -> None:
        while peer.request() is not None:
            peer.send(raw)

    return script


def read_head(wire: Wire) -> list[bytes]:
    """The lines of the next head."""
    lines = []
    while (line := wire.line()) not in {b"\r\n", b""}:
        lines.append(line.removesuffix(b"\r\n"))
    return lines


class TestHeadsAndBodies:
    def test_the_answer_passes_with_its_fields_in_order(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        backend.follows(
            always(b"HTTP/1.1 201 So Be It\r\nb: 1\r\nSet-Cookie: x\r\nSet-Cookie: y\r\n"
                   b"X-Empty:\r\nContent-Length: 2\r\n\r\nok")
        )  # fmt: skip
        with caller.wire() as wire:
            wire.send(request("GET", "/"))
            assert read_head(wire) == [
                b"HTTP/1.1 201 So Be It",
                *(b"b: 1", b"Set-Cookie: x", b"Set-Cookie: y", b"X-Empty: ", b"Content-Length: 2"),
            ]
            assert wire.read(2) == b"ok"

    def test_hop_by_hop_fields_of_an_answer_stop_here(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        backend.follows(
            always(b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5"
                   b"\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\nTrailer: a\r\n"
                   b"Content-Length: 0\r\n\r\n")
        )  # fmt: skip
        with caller.wire() as wire:
            wire.send(request("GET", "/"))
            assert read_head(wire) == [b"HTTP/1.1 200 OK", b"Content-Length: 0"]

    def test_a_head_keeps_the_length_that_a_get_would_have(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        backend.follows(always(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
        with caller.wire() as wire:
            for _ in range(2):
                answer = wire.ask(request("HEAD", "/"), "HEAD")
                assert (answer.headers["Content-Length"], answer.body) == ("1000", b"")
        # The body that HEAD must not have may come late (S45).
        assert backend.accepted == 2

    def test_a_head_whose_get_would_be_chunked(self, caller: Caller, backend: RawBackend) -> None:
        backend.follows(always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
        with caller.wire() as wire:
            for _ in range(2):
                assert wire.ask(request("HEAD", "/"), "HEAD").body == b""

    @pytest.mark.parametrize(
        "head",
        [
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\nETag: a\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n",
        ],
    )
    def test_204_and_304_have_no_body(
        self, caller: Caller, backend: RawBackend, head: bytes
    ) -> None:
        backend.follows(always(head))
        with caller.wire() as wire:
            for _ in range(2):
                answer = wire.ask(request("GET", "/"))
                assert (answer.status, answer.body) == (int(head[9:12]), b"")
                assert "Transfer-Encoding" not in answer.headers
        assert backend.accepted == 2

    def test_a_204_says_no_length(self, caller: Caller, backend: RawBackend) -> None:
        """RFC 9110, 8.6."""
        backend.follows(always(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"))
        assert "Content-Length" not in caller.get("/").headers

    def test_a_body_that_ends_with_the_connection_comes_in_chunks(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        def until_close(peer: Peer) -> None:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello ")
            peer.send(b"world")

        backend.follows(until_close)
        with caller.wire() as wire:
            for _ in range(2):
                answer = wire.ask(request("GET", "/"))
                assert answer.headers["Transfer-Encoding"] == "chunked"
                assert answer.body == b"hello world"

    def test_trailers_of_an_answer_are_dropped(self, caller: Caller, backend: RawBackend) -> None:
        backend.follows(
            always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                   b"5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")
        )  # fmt: skip
        with caller.wire() as wire:
            wire.send(request("GET", "/"))
            assert read_head(wire) == [b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"]
            assert wire.read(15) == b"5\r\nhello\r\n0\r\n\r\n"


class TestOldClients:
    CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

    @pytest.mark.parametrize("field", [b"", b"Connection: keep-alive\r\n"])
    def test_chunks_are_not_for_http_1_0(
        self, caller: Caller, backend: RawBackend, field: bytes
    ) -> None:
        backend.follows(always(self.CHUNKED))
        with caller.wire() as wire:
            wire.send(b"GET / HTTP/1.0\r\n" + field + b"\r\n")
            assert read_head(wire) == [b"HTTP/1.1 200 OK", b"Connection: close"]
            assert wire.rest() == b"hello"

    def test_it_is_closed_unless_asked_otherwise(self, caller: Caller) -> None:
        with caller.wire() as wire:
            assert wire.ask(b"GET /a HTTP/1.0\r\n\r\n").headers["Connection"] == "close"
            assert wire.rest() == b""

    def test_it_is_kept_where_asked(self, caller: Caller) -> None:
        with caller.wire() as wire:
            for _ in range(2):
                answer = wire.ask(b"GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
                assert answer.headers["Connection"] == "keep-alive"

    def test_interim_answers_are_not_for_http_1_0(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        backend.follows(
            always(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        )
        with caller.wire() as wire:
            wire.send(b"GET / HTTP/1.0\r\n\r\n")
            assert read_head(wire)[0] == b"HTTP/1.1 200 OK"

    def test_close_is_close(self, caller: Caller) -> None:
        with caller.wire() as wire:
            answer = wire.ask(request("GET", "/a", "Connection: close"))
            assert answer.headers["Connection"] == "close"
            assert wire.rest() == b""


class TestInterim:
    def test_early_hints_pass(self, caller: Caller, backend: RawBackend) -> None:
        backend.follows(
            always(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                   b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        )  # fmt: skip
        with caller.wire() as wire:
            wire.send(request("GET", "/"))
            assert read_head(wire) == [b"HTTP/1.1 103 Early Hints", b"Link: </a>"]
            assert read_head(wire)[0] == b"HTTP/1.1 200 OK"

    def test_the_backends_100_is_not_passed_since_the_gateway_gave_its_own(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        def script(peer: Peer) -> None:
            peer.head()
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert peer.read(5) == b"hello"
            peer.answer()

        backend.follows(script)
        with caller.wire() as wire:
            wire.send(request("POST", "/", "Expect: 100-continue", "Content-Length: 5"))
            assert read_head(wire) == [b"HTTP/1.1 100 Continue"]
            wire.send(b"hello")
            assert read_head(wire)[0] == b"HTTP/1.1 200 OK"

    def test_the_expectation_is_the_gateways_to_fulfil(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        with caller.wire() as wire:
            wire.send(request("POST", "/", "Expect: 100-Continue", "Content-Length: 5"))
            assert read_head(wire) == [b"HTTP/1.1 100 Continue"]
            assert wire.ask(b"hello").status == 200
        (seen,) = backend.requests
        assert (seen.body, seen.values("Expect")) == (b"hello", [])

    def test_no_100_where_the_body_came_unasked(self, caller: Caller) -> None:
        with caller.wire() as wire:
            wire.send(request("POST", "/", "Expect: 100-continue", body=b"hello"))
            assert read_head(wire)[0] == b"HTTP/1.1 200 OK"

    def test_no_100_for_http_1_0(self, caller: Caller) -> None:
        with caller.wire() as wire:
            wire.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            wire.send(b"hello")
            assert read_head(wire)[0] == b"HTTP/1.1 200 OK"

    def test_another_expectation_is_417(self, caller: Caller, backend: RawBackend) -> None:
        answer = caller.ask(request("POST", "/", "Expect: miracles", body=b"hello"))
        assert answer.status == 417
        assert backend.accepted == 0


class TestPipelining:
    def test_s42_the_second_waits_for_the_first(self, caller: Caller, backend: RawBackend) -> None:
        answer_first = threading.Event()

        def script(peer: Peer) -> None:
            while (seen := peer.request()) is not None:
                if seen.target == "/first":
                    assert answer_first.wait(PATIENCE)
                peer.answer(seen.target.encode())

        backend.follows(script)
        with caller.wire() as wire:
            wire.send(request("GET", "/first") + request("GET", "/second"))
            backend.wait_until(lambda: len(backend.requests) == 1)
            answer_first.set()
            assert [wire.answer().body for _ in range(2)] == [b"/first", b"/second"]
        assert [seen.target for seen in backend.requests] == ["/first", "/second"]

    def test_s42_a_slow_client_does_not_hold_another_or_get_its_answer(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        answer_first = threading.Event()

        def script(peer: Peer) -> None:
            while (seen := peer.request()) is not None:
                if seen.target == "/a/0":
                    assert answer_first.wait(PATIENCE)
                peer.answer(seen.target.encode())

        backend.follows(script)
        with caller.wire() as slow, caller.wire() as quick:
            slow.send(b"".join(request("GET", f"/a/{number}") for number in range(5)))
            backend.wait_until(lambda: len(backend.requests) == 1)
            for number in range(5):
                assert quick.ask(request("GET", f"/b/{number}")).body == b"/b/%d" % number
            answer_first.set()
            assert [slow.answer().body for _ in range(5)] == [b"/a/%d" % each for each in range(5)]

    def test_s42_many_in_one_piece(self, caller: Caller) -> None:
        targets = [f"/{number}" for number in range(300)]
        with caller.wire() as wire:
            wire.send(b"".join(request("GET", target) for target in targets))
            assert [wire.answer().body.decode() for _ in targets] == targets

    def test_s42_with_bodies_between(self, caller: Caller, backend: RawBackend) -> None:
        chunked = request("PUT", "/c", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n"
        with caller.wire() as wire:
            wire.send(
                request("POST", "/a", body=b"GET /x HTTP/1.1\r\n\r\n")
                + request("GET", "/b")
                + chunked
                + request("GET", "/d")
            )
            assert [wire.answer().body for _ in range(4)] == [b"/a", b"/b", b"/c", b"/d"]
        bodies = [seen.body for seen in backend.requests]
        assert bodies == [b"GET /x HTTP/1.1\r\n\r\n", b"", b"abc", b""]

    def test_s42_byte_by_byte(self, caller: Caller) -> None:
        raw = request("POST", "/a", body=b"hello") + request("GET", "/b")
        with caller.wire() as wire:
            for place in range(len(raw)):
                wire.send(raw[place : place + 1])
            assert [wire.answer().body for _ in range(2)] == [b"/a", b"/b"]

    def test_s42_nothing_is_answered_after_one_that_closes(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        with caller.wire() as wire:
            wire.send(request("GET", "/a", "Connection: close") + request("GET", "/b"))
            assert wire.answer().body == b"/a"
            assert wire.rest() == b""
        assert [seen.target for seen in backend.requests] == ["/a"]


class TestStreaming:
    def test_an_answer_is_passed_on_as_it_comes(self, caller: Caller, backend: RawBackend) -> None:
        go_on = threading.Event()

        def script(peer: Peer) -> None:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            assert go_on.wait(PATIENCE)
            peer.send(b"world")

        backend.follows(script)
        with caller.wire() as wire:
            wire.send(request("GET", "/"))
            read_head(wire)
            assert wire.read(5) == b"hello"
            go_on.set()
            assert wire.read(5) == b"world"

    @pytest.mark.parametrize(
        ("field", "first", "second"),
        [
            ("Content-Length: 10", b"hello", b"world"),
            ("Transfer-Encoding: chunked", b"5\r\nhello\r\n", b"5\r\nworld\r\n0\r\n\r\n"),
        ],
    )
    def test_a_request_is_passed_on_as_it_comes(
        self, caller: Caller, backend: RawBackend, field: str, first: bytes, second: bytes
    ) -> None:
        arrived = threading.Event()

        def script(peer: Peer) -> None:
            peer.head()
            assert b"hello" in peer.some()
            arrived.set()
            assert b"world" in peer.some()
            peer.answer()

        backend.follows(script)
        with caller.wire() as wire:
            wire.send(request("PUT", "/", field) + first)
            assert arrived.wait(PATIENCE)
            assert wire.ask(second).status == 200

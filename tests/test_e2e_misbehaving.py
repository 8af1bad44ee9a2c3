"""Backends that misbehave: 502 or a closed connection, never another client's bytes (S45)."""

import threading
from collections.abc import Iterator
from http.client import IncompleteRead

import pytest

from gateways import gateway
from raw_backend import Peer, RawBackend, Script, echo
from raw_client import PATIENCE, Caller, request
from sasgate.lab.pki import Lab


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


@pytest.fixture(scope="module")
def caller(
    lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caller]:
    limits = {"answer": "1 s", "body_idle": "1 s"}
    folder = tmp_path_factory.mktemp("gateway")
    with gateway(lab, folder, {"backend": backend.url}, limits=limits) as process:
        yield Caller(lab, process.port())


@pytest.fixture(autouse=True)
def _next_client_is_served(caller: Caller, backend: RawBackend) -> Iterator[None]:
    """Whatever happened to one client, the next gets its own answer and nothing else."""
    backend.follows(echo)
    yield
    assert backend.faults == []
    with caller.wire() as wire:
        for number in range(3):
            target = f"/next/{number}"
            assert wire.ask(request("GET", target)).body == target.encode()


def first_then_echo(first: Script) -> Script:
    """Do this to the first request that comes, and serve all others properly."""
    lock = threading.Lock()
    done: list[Peer] = []

    def script(peer: Peer) -> None:
        with lock:
            is_first = not done
            done.append(peer)
        (first if is_first else echo)(peer)

    return script


def saying(raw: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(raw)
        peer.ended()

    return first_then_echo(script)


def saying_and_closing(raw: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(raw)

    return first_then_echo(script)


NOT_HTTP = {
    "nothing": b"",
    "garbage": b"\x00\xff" * 100,
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "http-0.9": b"<html>hello</html>",
    "http-2": b"HTTP/2 200\r\nContent-Length: 2\r\n\r\nok",
    "icy": b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "status-of-two-digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "status-099": b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
    "space-before-status": b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
    "empty-line-first": b"\r\n" + OK,
    "half-a-head": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
    "only-interim": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "switching-protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
}

AMBIGUOUS = {
    "length-and-chunked": b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked-and-length": b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "two-lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
    "two-equal-lengths": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "plus": b"Content-Length: +2\r\n\r\nok",
    "minus": b"Content-Length: -2\r\n\r\nok",
    "hexadecimal": b"Content-Length: 0x2\r\n\r\nok",
    "empty-length": b"Content-Length:\r\n\r\nok",
    "another-coding": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "unknown-coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "bare-lf": b"X-Plain: a\nContent-Length: 2\r\n\r\nok",
    "bare-cr": b"X-Plain: a\rContent-Length: 3\r\nContent-Length: 2\r\n\r\nok",
    "fold": b"X-Plain: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "space-before-colon": b"Content-Length : 2\r\n\r\nok",
    "no-name": b": 2\r\nContent-Length: 2\r\n\r\nok",
    "no-colon": b"Content-Length 2\r\n\r\nok",
    "nul": b"X-Plain: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    "too-large": b"X-Large: " + b"x" * 70_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "too-many": b"X-Many: x\r\n" * 300 + b"Content-Length: 2\r\n\r\nok",
}


class TestHead:
    @pytest.mark.parametrize("name", NOT_HTTP)
    def test_s45_what_is_not_http_is_502(
        self, caller: Caller, backend: RawBackend, name: str
    ) -> None:
        backend.follows(saying_and_closing(NOT_HTTP[name]))
        with caller.wire() as wire:
            wire.send(request("GET", "/"))
            while (answer := wire.answer()).status < 200:
                pass
        assert (answer.status, answer.json) == (502, {"status": "KO: backend failed"})
        assert len(backend.requests) == 1

    @pytest.mark.parametrize("name", AMBIGUOUS)
    def test_s45_what_is_ambiguous_is_502(
        self, caller: Caller, backend: RawBackend, name: str
    ) -> None:
        backend.follows(saying(b"HTTP/1.1 200 OK\r\n" + AMBIGUOUS[name]))
        answer = caller.get("/")
        assert (answer.status, answer.json) == (502, {"status": "KO: backend failed"})

    def test_s45_chunks_in_http_1_0_are_502(self, caller: Caller, backend: RawBackend) -> None:
        backend.follows(saying(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
        assert caller.get("/").status == 502

    def test_s45_a_flood_of_interim_answers_is_502(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        def flood(peer: Peer) -> None:
            peer.request()
            while True:  # until the gateway leaves
                peer.send(b"HTTP/1.1 103 Early Hints\r\nX-Pad: %b\r\n\r\n" % (b"x" * 1000))

        backend.follows(first_then_echo(flood))
        with caller.wire() as wire:
            wire.send(request("GET", "/"))
            interim = 0
            while (answer := wire.answer()).status == 103:
                interim += 1
        assert answer.status == 502
        assert interim <= 16

    def test_s45_an_endless_head_is_502(self, caller: Caller, backend: RawBackend) -> None:
        def endless(peer: Peer) -> None:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\n")
            while True:  # until the gateway leaves
                peer.send(b"X-Pad: %b\r\n" % (b"x" * 1000))

        backend.follows(first_then_echo(endless))
        assert caller.get("/").status == 502

    def test_s45_a_reset_is_502(self, caller: Caller, backend: RawBackend) -> None:
        def script(peer: Peer) -> None:
            peer.request()
            peer.reset()

        backend.follows(first_then_echo(script))
        assert caller.get("/").status == 502

    def test_a_head_that_stops_half_way_is_504(self, caller: Caller, backend: RawBackend) -> None:
        backend.follows(saying(b"HTTP/1.1 200 OK\r\nContent-Le"))
        answer = caller.get("/")
        assert (answer.status, answer.json) == (504, {"status": "KO: backend too late"})


class TestBytesNobodyAskedFor:
    """The first client gets its answer; what follows it goes to nobody."""

    @pytest.mark.parametrize(
        ("raw", "method", "body"),
        [
            (OK + EVIL, "GET", b"ok"),
            (OK + b"evil", "GET", b"ok"),
            (OK + b"\r\n", "GET", b"ok"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "HEAD", b""),
            (b"HTTP/1.1 204 No Content\r\n\r\nevil", "GET", b""),
            (b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil", "GET", b""),
            (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil", "GET", b""),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + EVIL,
             "GET", b"ok"),
        ],
    )  # fmt: skip
    def test_s45_with_the_answer(
        self, caller: Caller, backend: RawBackend, raw: bytes, method: str, body: bytes
    ) -> None:
        backend.follows(saying(raw))
        with caller.wire() as wire:
            assert wire.ask(request(method, "/"), method).body == body
            assert wire.ask(request("GET", "/same-client")).body == b"/same-client"
        assert backend.accepted == 2

    @pytest.mark.parametrize("method", ["HEAD", "GET"])
    def test_s45_as_a_late_body_where_none_may_be(
        self, caller: Caller, backend: RawBackend, method: str
    ) -> None:
        """Nothing tells such a body from an answer to the next request: so there is none."""
        answered = threading.Event()
        head = b"HTTP/1.1 200 OK" if method == "HEAD" else b"HTTP/1.1 304 Not Modified"

        def script(peer: Peer) -> None:
            peer.request()
            peer.send(head + b"\r\nContent-Length: %d\r\n\r\n" % len(EVIL))
            assert answered.wait(PATIENCE)
            peer.send(EVIL)
            peer.ended()

        backend.follows(first_then_echo(script))
        with caller.wire() as wire:
            assert wire.ask(request(method, "/"), method).body == b""
            wire.send(request("GET", "/same-client"))
            answered.set()
            assert wire.answer().body == b"/same-client"
        assert backend.accepted == 2

    def test_s45_later_on_a_kept_connection(self, caller: Caller, backend: RawBackend) -> None:
        answered = threading.Event()
        left = threading.Event()

        def script(peer: Peer) -> None:
            peer.request()
            peer.send(OK)
            assert answered.wait(PATIENCE)
            peer.send(EVIL)
            assert peer.ended()
            left.set()

        backend.follows(first_then_echo(script))
        assert caller.get("/").body == b"ok"
        answered.set()
        assert left.wait(PATIENCE)
        assert caller.get("/other").body == b"/other"

    def test_s45_after_the_time_limit(self, caller: Caller, backend: RawBackend) -> None:
        given_up = threading.Event()

        def script(peer: Peer) -> None:
            peer.request()
            assert given_up.wait(PATIENCE)
            peer.send(EVIL)

        backend.follows(first_then_echo(script))
        with caller.wire() as wire:
            assert wire.ask(request("GET", "/")).status == 504
            given_up.set()
            assert wire.ask(request("GET", "/same-client")).body == b"/same-client"


CUT_SHORT = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "within-a-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhello",
    "before-the-last-line": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
}
BAD_CHUNKS = {
    "size": b"zz\r\n",
    "lf": b"5\nhello\n",
    "extension-lf": b"5;\nhello\r\n0\r\n\r\n",
    "longer-than-its-size": b"5\r\nhello!\r\n",
    "size-over-64-bits": b"ffffffffffffffffff\r\n",
    "trailer": b"0\r\nno colon\r\n\r\n",
}


class TestBody:
    def assert_cut(self, caller: Caller) -> None:
        """The client can tell that its answer is not whole."""
        with caller.wire() as wire:
            wire.send(request("GET", "/"))
            with pytest.raises((IncompleteRead, OSError)):
                wire.answer()
            assert wire.ended()

    @pytest.mark.parametrize("name", CUT_SHORT)
    def test_s45_death_mid_body(self, caller: Caller, backend: RawBackend, name: str) -> None:
        backend.follows(saying_and_closing(CUT_SHORT[name]))
        self.assert_cut(caller)

    @pytest.mark.parametrize("name", CUT_SHORT)
    def test_s45_silence_mid_body(self, caller: Caller, backend: RawBackend, name: str) -> None:
        backend.follows(saying(CUT_SHORT[name]))
        self.assert_cut(caller)

    @pytest.mark.parametrize("name", BAD_CHUNKS)
    def test_s45_a_chunk_that_is_none(self, caller: Caller, backend: RawBackend, name: str) -> None:
        """Where it comes with the head, nothing has left yet, and a 502 can still be said."""
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
        backend.follows(saying(head + BAD_CHUNKS[name]))
        with caller.wire() as wire:
            wire.send(request("GET", "/"))
            try:
                answer = wire.answer()
            except (IncompleteRead, OSError):
                assert wire.ended()
            else:
                assert answer.status == 502
                assert b"ok" not in answer.body

    def test_s45_a_reset_is_no_end_of_a_body_until_close(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        passed_on = threading.Event()

        def script(peer: Peer) -> None:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
            assert passed_on.wait(PATIENCE)
            peer.reset()

        backend.follows(first_then_echo(script))
        with caller.wire() as wire:
            wire.send(request("GET", "/"))
            while wire.line() != b"hello\r\n":
                pass
            passed_on.set()
            assert wire.ended()


class TestEarlyAnswer:
    """The backend answers before it has read the request."""

    @pytest.mark.parametrize("closes", [True, False])
    def test_s45_the_client_gets_it_and_no_reset(
        self, caller: Caller, backend: RawBackend, closes: bool
    ) -> None:
        def script(peer: Peer) -> None:
            peer.head()
            peer.answer(b"no", status="413 Content Too Large")
            if not closes:
                peer.ended()

        backend.follows(first_then_echo(script))
        with caller.wire() as wire:
            wire.send(request("PUT", "/", "Content-Length: 900000") + b"x" * 1000)
            answer = wire.answer()
            assert (answer.status, answer.body) == (413, b"no")
            wire.send(b"x" * 899_000)
            assert wire.rest() == b""
        assert backend.accepted == 1

    def test_s45_what_is_left_of_the_request_reaches_no_other_connection(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        smuggled = request("GET", "/smuggled")

        def script(peer: Peer) -> None:
            peer.head()
            peer.answer(b"no", status="413 Content Too Large")
            while peer.request() is not None:
                pass

        backend.follows(first_then_echo(script))
        with caller.wire() as wire:
            wire.send(request("PUT", "/", f"Content-Length: {len(smuggled)}"))
            assert wire.answer().status == 413
            wire.send(smuggled)
            assert wire.rest() == b""
        assert caller.get("/other").body == b"/other"
        assert [seen.target for seen in backend.requests] == ["/other"]

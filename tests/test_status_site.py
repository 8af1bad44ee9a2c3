"""Who may look at the status, and how often (S58)."""

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sasgate.admin.pages import KEPT, Pages
from sasgate.admin.site import BURST, RATE, AdminSite, Turnstile
from sasgate.admin.status import Status
from sasgate.browsers import Way
from sasgate.http1 import HeadLimits, RequestHead, RequestReader
from sasgate.site import Reply
from statuses import judged


class NoMetrics:
    content_type = b"text/plain"

    def text(self, status: Status) -> bytes:
        return b""


class Looked:
    """A site in memory; `looks` counts how often the gateway was looked at."""

    def __init__(self, look: Callable[[], Status] = judged, way: Way = Way.LOOPBACK) -> None:
        self.clock = Clock()
        self.looks = 0
        self._look = look
        self.pages = Pages(self._looked, NoMetrics(), self.clock.seconds)  # type: ignore[arg-type]
        self.site = AdminSite(self.pages, way, Turnstile(), self.clock)

    def _looked(self) -> Status:
        self.looks += 1
        return self._look()

    def ask(self, text: str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") -> Any:
        return self.site.direct(head(text), "id")


def head(text: str) -> RequestHead:
    reader = RequestReader(HeadLimits())
    reader.receive(text.encode("latin-1"))
    found = reader.head()
    assert found is not None
    return found


def get(path: str, *lines: str, host: str = "localhost") -> str:
    return "\r\n".join((f"GET {path} HTTP/1.1", f"Host: {host}", *lines, "", ""))


@pytest.fixture
def looked() -> Looked:
    return Looked()


class TestHost:
    def test_s58_the_answer_to_such_a_name_tells_nothing(self, looked: Looked) -> None:
        reply = looked.ask(get("/status.json", host="evil.example"))
        assert (reply.status, reply.body) == (403, b"Forbidden\n")
        assert looked.looks == 0

    def test_by_a_socket_where_no_browser_comes_it_may_be_any(self) -> None:
        assert Looked(way=Way.SOCKET).ask(get("/status.json", host="status")).status == 200


class TestMethods:
    @pytest.mark.parametrize(
        "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "CONNECT"]
    )
    @pytest.mark.parametrize("path", ["/", "/status.json", "/metrics", "/reload"])
    def test_s58_nothing_but_get_and_head(self, looked: Looked, method: str, path: str) -> None:
        target = "localhost:1" if method == "CONNECT" else path
        reply = looked.ask(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (reply.status, reply.allow, reply.close) == (405, b"GET, HEAD", True)
        assert looked.looks == 0

    def test_head_is_answered(self, looked: Looked) -> None:
        assert looked.ask("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 200


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "content_type"),
        [
            ("/", b"text/html; charset=utf-8"),
            ("/?x=1", b"text/html; charset=utf-8"),
            ("/status.json", b"application/json"),
            ("/metrics", b"text/plain"),
            ("/icon-ok.svg", b"image/svg+xml"),
        ],
    )
    def test_what_there_is(self, looked: Looked, path: str, content_type: bytes) -> None:
        reply = looked.ask(get(path))
        assert (reply.status, reply.content_type) == (200, content_type)
        assert b"Content-Security-Policy: default-src 'none'" in reply.extra
        assert b"X-Content-Type-Options: nosniff" in reply.extra
        assert b"Access-Control" not in reply.extra

    @pytest.mark.parametrize("path", ["/x", "//", "/status.json/", "/../etc/passwd", "/control"])
    def test_s46_what_there_is_not(self, looked: Looked, path: str) -> None:
        reply = looked.ask(get(path))
        assert (reply.status, reply.body) == (404, b"Not Found\n")

    def test_the_page_is_in_the_language_of_the_browser(self, looked: Looked) -> None:
        assert b"Tout va bien" in looked.ask(get("/", "Accept-Language: fr-FR,fr;q=0.9")).body
        assert b"All is well" in looked.ask(get("/")).body


class TestLoad:
    def test_one_look_a_second_serves_all_who_ask(self, looked: Looked) -> None:
        first = looked.ask()
        assert [looked.ask() for _ in range(9)] == [first] * 9
        assert looked.looks == 1
        looked.clock.advance(KEPT)
        looked.ask()
        assert looked.looks == 2

    def test_what_was_looked_at_before_an_order_is_not_kept(self, looked: Looked) -> None:
        looked.ask()
        looked.pages.look_anew()
        looked.ask()
        assert looked.looks == 2

    def test_who_asks_too_much_waits(self, looked: Looked) -> None:
        for _ in range(BURST):
            assert isinstance(looked.ask(), Reply)
        looked.ask()
        waiting = looked.ask()
        assert isinstance(waiting, Deferred)
        assert not waiting.called
        looked.clock.advance(2 / RATE)
        assert waiting.result.status == 200

    def test_who_asks_far_too_much_is_sent_away(self, looked: Looked) -> None:
        answers = [looked.ask() for _ in range(1000)]
        statuses = [each.status for each in answers if isinstance(each, Reply)]
        assert statuses[-1] == 429
        assert sum(isinstance(each, Deferred) for each in answers) < 100
        looked.clock.advance(60)
        assert looked.ask().status == 200


def test_s46_a_malformed_question_is_told_nothing(looked: Looked) -> None:
    reply = looked.site.failure(400, "two Hosts in /etc/sasgate")
    assert (reply.status, reply.body) == (400, b"Bad Request\n")
    assert evolve(reply, reason="").reason == ""

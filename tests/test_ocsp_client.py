"""One OCSP question over a real connection, to responders that behave in every way (S32)."""

import gzip
from collections.abc import Awaitable

import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred

from loopback import closed_port
from sasgate.lab.pki import Lab
from sasgate.revocation.ocsp_client import OCSPClient
from sasgate.revocation.ocsp_words import AnswerRefused, Problem
from sasgate.settings import Limits
from web_talk import Server, Talk, TalkCase, chunked, http, saying


SIZE = 64 * 1024
BODY = b"0\x03\n\x01\x03"


class ClientCase(TalkCase):
    def setUp(self) -> None:
        super().setUp()
        self.client = self.make()

    def make(self, proxy: str | None = None) -> OCSPClient:
        return OCSPClient(self.time, Limits(), proxy)

    def ask(self, server: Server, path: str = "/ocsp") -> Deferred[bytes]:
        return self.client.ask(f"http://ocsp.lab.invalid:{server.port}{path}", b"question")

    async def refusal(self, asking: Awaitable[bytes]) -> AnswerRefused:
        try:
            body = await asking
        except AnswerRefused as error:
            return error
        raise AssertionError(f"answered: {body[:100]!r}")

    async def refused(self, talk: Talk, kind: Problem) -> AnswerRefused:
        """The refusal of what a responder says; the connection is closed by our side."""
        server = self.serve(talk)
        error = await self.refusal(self.ask(server))
        assert error.kind is kind, error
        assert len(server.requests) == 1
        await server.all_lost()
        assert self.time.getDelayedCalls() == []
        return error


class QuestionTests(ClientCase):
    async def test_it_is_posted_as_rfc_6960_has_it(self) -> None:
        server = self.serve(saying(http(BODY)))
        await self.ask(server, "/a/b?c=d")
        (request,) = server.requests
        head, _, body = request.partition(b"\r\n\r\n")
        first, *fields = head.split(b"\r\n")
        assert first == b"POST /a/b?c=d HTTP/1.1"
        assert body == b"question"
        assert b"Content-Type: application/ocsp-request" in fields
        assert b"Accept: application/ocsp-response" in fields
        assert b"Content-Length: 8" in fields
        assert b"Host: ocsp.lab.invalid:%d" % server.port in fields

    async def test_it_asks_for_no_coding_and_no_further_use_of_the_connection(self) -> None:
        server = self.serve(saying(http(BODY)))
        await self.ask(server)
        assert b"\r\nConnection: close\r\n" in server.requests[0]
        assert b"\r\nAccept-Encoding: identity\r\n" in server.requests[0]

    async def test_the_answer_is_its_body(self) -> None:
        for answer in (http(BODY), chunked(BODY)):
            assert await self.ask(self.serve(saying(answer))) == BODY

    async def test_an_answer_may_end_with_the_connection(self) -> None:
        answer = b"HTTP/1.0 200 OK\r\n\r\n" + BODY
        assert await self.ask(self.serve(saying(answer, close=True))) == BODY

    async def test_the_connection_is_closed_by_our_side(self) -> None:
        server = self.serve(saying(http(BODY)))
        await self.ask(server)
        await server.all_lost()
        assert self.time.getDelayedCalls() == []

    async def test_every_question_has_a_connection_of_its_own(self) -> None:
        server = self.serve(saying(http(BODY, "200 OK", "Set-Cookie: a=b")))
        for _ in range(2):
            await self.ask(server)
        await server.all_lost()
        assert len(server.talkers) == 2
        assert b"Cookie" not in server.requests[1]

    async def test_what_is_said_is_not_judged_here(self) -> None:
        """A web page or nothing is for `verify_answer` to refuse."""
        for body in (b"<html></html>", b""):
            assert await self.ask(self.serve(saying(http(body)))) == body


class FailureTests(ClientCase):
    """S32."""

    async def test_s32_refused(self) -> None:
        # Between two addresses of a name, Twisted waits: so a refusal takes real time.
        client = OCSPClient(reactor, Limits())
        error = await self.refusal(client.ask(f"http://{closed_port()}/", b"question"))
        assert error.kind is Problem.UNREACHABLE

    async def test_s32_a_name_that_does_not_exist(self) -> None:
        error = await self.refusal(self.client.ask("http://nowhere.invalid/", b"question"))
        assert error.kind is Problem.NAME_NOT_FOUND
        assert "nowhere.invalid" in error.detail

    async def test_s32_other_statuses(self) -> None:
        for status in ("404 Not Found", "500 Oops", "204 No Content", "206 Part", "403 No"):
            body = b"" if status.startswith("204") else BODY
            error = await self.refused(saying(http(body, status)), Problem.HTTP_STATUS)
            assert error.detail == f"HTTP {status[:3]}"

    async def test_s32_no_redirect_is_followed(self) -> None:
        target = self.serve(saying(http(BODY)))
        location = f"Location: http://127.0.0.1:{target.port}/"
        for status in ("301 Moved", "302 Found", "303 See", "307 There", "308 There"):
            error = await self.refused(saying(http(b"", status, location)), Problem.HTTP_STATUS)
            assert f"redirects to http://127.0.0.1:{target.port}/" in error.detail
        assert target.talkers == []

    async def test_s32_closed_without_a_word(self) -> None:
        await self.refused(saying(close=True), Problem.CUT_SHORT)

    async def test_s32_cut_short(self) -> None:
        for length in (5, 40, -1):
            await self.refused(saying(http(BODY)[:length], close=True), Problem.CUT_SHORT)

    async def test_s32_chunks_that_do_not_end(self) -> None:
        await self.refused(saying(chunked(BODY)[:-5], close=True), Problem.CUT_SHORT)

    async def test_s32_reset(self) -> None:
        await self.refused(lambda talker: talker.transport.abortConnection(), Problem.CUT_SHORT)

    async def test_s32_something_that_is_not_http(self) -> None:
        for said in (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n"):
            await self.refused(saying(said), Problem.NOT_AN_ANSWER)

    async def test_s32_chunks_that_are_none(self) -> None:
        said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"
        await self.refused(saying(said), Problem.NOT_AN_ANSWER)

    async def test_s25_no_coding_is_taken_off(self) -> None:
        bomb = gzip.compress(b"\0" * 1024 * 1024)
        said = http(bomb, "200 OK", "Content-Encoding: gzip")
        error = await self.refused(saying(said), Problem.NOT_AN_ANSWER)
        assert "gzip" in error.detail

    async def test_a_coding_that_is_none_is_harmless(self) -> None:
        said = http(BODY, "200 OK", "Content-Encoding: identity")
        assert await self.ask(self.serve(saying(said))) == BODY


class SizeTests(ClientCase):
    """S32: 64 KiB and no more."""

    async def test_s32_the_largest_answer(self) -> None:
        body = b"x" * SIZE
        for answer in (http(body), chunked(body)):
            assert await self.ask(self.serve(saying(answer))) == body

    async def test_s32_one_byte_more(self) -> None:
        body = b"x" * (SIZE + 1)
        for answer in (http(body), chunked(body)):
            await self.refused(saying(answer), Problem.TOO_LARGE)

    async def test_s32_without_end(self) -> None:
        pieces = [b"x" * 8192] * 100
        said = b"HTTP/1.1 200 OK\r\n\r\n"
        await self.refused(saying(said, *pieces), Problem.TOO_LARGE)

    async def test_s32_a_head_without_end(self) -> None:
        fields = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(200))
        await self.refused(saying(b"HTTP/1.1 200 OK\r\n", fields), Problem.TOO_LARGE)

    async def test_s32_interim_answers_without_end(self) -> None:
        interim = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5000
        await self.refused(saying(interim), Problem.TOO_LARGE)

    async def test_the_limit_is_a_setting(self) -> None:
        self.client = OCSPClient(self.time, Limits(ocsp_size=4))
        await self.refused(saying(http(BODY)), Problem.TOO_LARGE)


class TimeTests(ClientCase):
    """S32: 3 s for all of it."""

    async def late(self, said: bytes, drip: bytes = b"") -> None:
        """Say something, then a little each second; refused and hung up on after three."""
        server = self.serve(saying(said))
        asking = self.ask(server)
        await server.until(lambda: bool(server.requests))
        for _ in range(2):
            self.time.clock.advance(1)
            server.talkers[0].send(drip)
        self.assertNoResult(asking)
        self.time.clock.advance(1)
        error = await self.refusal(asking)
        assert error.kind is Problem.TOO_LATE
        await server.all_lost()
        assert self.time.getDelayedCalls() == []

    async def test_s32_mute(self) -> None:
        await self.late(b"")

    async def test_s32_a_slow_head(self) -> None:
        await self.late(b"HTTP/1.1 200 OK\r\nX-A: ", b"a")

    async def test_s32_a_slow_body(self) -> None:
        await self.late(http(BODY)[:-3], b"x")

    async def test_s32_a_slow_end_of_connection(self) -> None:
        await self.late(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)

    async def test_the_limit_is_a_setting(self) -> None:
        self.client = OCSPClient(self.time, Limits(ocsp_time=0.5))
        server = self.serve(saying())
        asking = self.ask(server)
        await server.until(lambda: bool(server.requests))
        self.time.clock.advance(0.5)
        assert (await self.refusal(asking)).kind is Problem.TOO_LATE

    async def test_a_name_that_never_resolves(self) -> None:
        self.time.nameResolver.silent = True
        asking = self.client.ask("http://ocsp.lab.invalid/", b"question")
        self.time.clock.advance(3)
        assert (await self.refusal(asking)).kind is Problem.TOO_LATE
        assert self.time.getDelayedCalls() == []

    async def test_who_does_not_want_to_know_any_more_ends_it(self) -> None:
        for said in (b"", http(BODY)[:-1]):
            server = self.serve(saying(said))
            asking = self.ask(server)
            await server.until(lambda server=server: bool(server.requests))  # type: ignore[misc]
            asking.cancel()
            await self.assertFailure(asking, CancelledError, AnswerRefused)
            await server.all_lost()


class ProxyTests(ClientCase):
    async def test_it_is_asked_for_the_whole_url(self) -> None:
        proxy = self.serve(saying(http(BODY)))
        self.client = self.make(f"127.0.0.1:{proxy.port}")
        assert await self.client.ask("http://nowhere.invalid:8888/ocsp", b"question") == BODY
        (request,) = proxy.requests
        assert request.startswith(b"POST http://nowhere.invalid:8888/ocsp HTTP/1.1\r\n")
        assert b"\r\nHost: nowhere.invalid:8888\r\n" in request
        assert request.endswith(b"question")
        await proxy.all_lost()

    async def test_s32_what_it_refuses_is_no_answer(self) -> None:
        proxy = self.serve(saying(http(b"", "407 Proxy Authentication Required")))
        self.client = self.make(f"127.0.0.1:{proxy.port}")
        error = await self.refusal(self.client.ask("http://ocsp.lab.invalid/", b"question"))
        assert error.kind is Problem.HTTP_STATUS
        await proxy.all_lost()

    async def test_s32_it_is_dead(self) -> None:
        client = OCSPClient(reactor, Limits(), closed_port())
        error = await self.refusal(client.ask("http://ocsp.lab.invalid/", b"question"))
        assert error.kind is Problem.UNREACHABLE

    async def test_nothing_is_sent_to_it_for_a_responder_by_tls(self) -> None:
        proxy = self.serve(saying(http(BODY)))
        self.client = self.make(f"127.0.0.1:{proxy.port}")
        error = await self.refusal(self.client.ask("https://ocsp.lab.invalid/", b"question"))
        assert error.kind is Problem.UNREACHABLE
        assert proxy.talkers == []


class TLSTests(ClientCase):
    """A responder by https:// is verified as any server is."""

    @pytest.fixture(autouse=True)
    def _given(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        monkeypatch.setenv("SSL_CERT_FILE", str(lab.public_root))

    async def test_the_right_server(self) -> None:
        server = self.secure(self.lab, saying(http(BODY)))
        assert await self.client.ask(f"https://localhost:{server.port}/", b"question") == BODY
        await server.all_lost()

    async def test_s32_a_server_of_another_name(self) -> None:
        server = self.secure(self.lab, saying(http(BODY)))
        url = f"https://ocsp.lab.invalid:{server.port}/"
        error = await self.refusal(self.client.ask(url, b"question"))
        assert error.kind is Problem.UNREACHABLE
        assert server.requests == []
        await server.all_lost()

    async def test_s32_a_server_without_tls(self) -> None:
        server = self.serve(saying(http(BODY)))
        asking = self.client.ask(f"https://localhost:{server.port}/", b"question")
        await server.until(lambda: bool(server.talkers))
        server.talkers[0].send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        error = await self.refusal(asking)
        assert error.kind is Problem.UNREACHABLE

"""S25: one list by HTTP, from servers that misbehave: bounded time, memory, disk and redirects."""

import gzip
import tracemalloc
from typing import cast

import pytest
from twisted.internet import reactor
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from downloads import LIST, DownloadCase, Endless
from loopback import closed_port
from sasgate.revocation.download import (
    Downloader,
    DownloadFailed,
    DownloadProblem,
    Validators,
)
from sasgate.settings import Limits
from web_talk import chunked, http, saying


MIB = 1024 * 1024
PIECE = b"x" * 65536
CHUNK = b"10000\r\n" + PIECE + b"\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
WITHOUT_LENGTH = b"HTTP/1.1 200 OK\r\n\r\n"
# What the two ends of a connection on this machine may hold.
IN_BUFFERS = 16 * MIB


class SizeTests(DownloadCase):
    async def test_the_largest_list(self) -> None:
        self.downloader = self.make(Limits(crl_size=8 * MIB))
        body = b"x" * 8 * MIB
        small = CHUNKED + b"200\r\n%b\r\n" % body[:512] * (8 * MIB // 512) + b"0\r\n\r\n"
        for answer in (http(body), chunked(body), small):
            assert await self.content(self.get(self.serve(saying(answer)))) == body

    async def test_s25_one_byte_more(self) -> None:
        self.downloader = self.make(Limits(crl_size=300_000))
        body = b"x" * 300_001
        for answer in (http(body), chunked(body)):
            await self.refused(saying(answer), DownloadProblem.TOO_LARGE)

    async def test_s25_500_mb_that_are_announced_are_not_taken(self) -> None:
        endless = Endless(b"HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n", PIECE)
        error = await self.refused(endless, DownloadProblem.TOO_LARGE)
        assert error.detail == "500000000 bytes, 67108864 at most"
        assert endless.sent < IN_BUFFERS

    async def test_s25_bodies_without_end_are_cut_at_the_limit(self) -> None:
        self.downloader = self.make(Limits(crl_size=20 * MIB))
        for head, piece in ((CHUNKED, CHUNK), (WITHOUT_LENGTH, PIECE)):
            endless = Endless(head, piece)
            await self.refused(endless, DownloadProblem.TOO_LARGE)
            assert 20 * MIB <= endless.sent < 20 * MIB + IN_BUFFERS

    async def test_s25_memory_stays_small(self) -> None:
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        endless = Endless(CHUNKED, CHUNK)
        await self.refused(endless, DownloadProblem.TOO_LARGE)
        assert endless.sent >= 64 * MIB
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB

    async def test_s25_chunks_of_one_byte_count_with_their_framing(self) -> None:
        self.downloader = self.make(Limits(crl_size=MIB))
        endless = Endless(CHUNKED, b"1\r\nx\r\n" * 10_000)
        error = await self.refused(endless, DownloadProblem.TOO_LARGE)
        assert "on the wire" in error.detail

    async def test_s25_a_head_without_end_is_not_given_the_room_of_a_list(self) -> None:
        endless = Endless(b"HTTP/1.1 200 OK\r\n", b"X-A: yyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 1000)
        await self.refused(endless, DownloadProblem.TOO_LARGE)
        assert endless.sent < IN_BUFFERS

    async def test_s25_a_line_without_end(self) -> None:
        endless = Endless(b"HTTP/1.1 200 OK\r\nX-A: ", b"y" * 8000)
        await self.refused(endless, DownloadProblem.CUT_SHORT)
        assert endless.sent < IN_BUFFERS

    async def test_s25_interim_answers_without_end(self) -> None:
        endless = Endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)
        await self.refused(endless, DownloadProblem.TOO_LARGE)

    async def test_s25_interim_answers_do_not_fill_the_log(self) -> None:
        """Twisted tells each of them in a line of its own."""
        lines: list[LogEvent] = []
        watch = cast("ILogObserver", lines.append)
        globalLogPublisher.addObserver(watch)
        self.addCleanup(globalLogPublisher.removeObserver, watch)
        # Pieces that cut each beginning in two.
        endless = Endless(b"HTT", b"P/1.1 103 Early Hints\r\n\r\nHTT")
        error = await self.refused(endless, DownloadProblem.TOO_LARGE)
        assert error.detail == "more than 16 interim answers"
        assert len([each for each in lines if each.get("code") == 103]) <= 17

    async def test_some_interim_answers_are_passed_over(self) -> None:
        hints = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 15
        assert await self.content(self.get(self.serve(saying(hints + http(LIST))))) == LIST

    async def test_a_body_may_hold_what_begins_heads(self) -> None:
        body = b"HTTP/1.1 200 OK " * 100_000
        assert await self.content(self.get(self.serve(saying(http(body))))) == body

    async def test_s25_no_coding_is_taken_off(self) -> None:
        bomb = gzip.compress(b"\0" * 10 * MIB)
        for coding in ("gzip", "deflate", "br", "identity, gzip"):
            said = saying(http(bomb, "200 OK", f"Content-Encoding: {coding}"))
            error = await self.refused(said, DownloadProblem.NOT_AN_ANSWER)
            assert coding in error.detail

    async def test_s25_no_coding_of_the_transfer_but_chunks(self) -> None:
        bomb = gzip.compress(b"\0" * MIB)
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n"
        await self.refused(saying(head + bomb, close=True), DownloadProblem.NOT_AN_ANSWER)


class LengthTests(DownloadCase):
    async def test_s25_less_than_announced(self) -> None:
        for length in (5, 40, -1):
            said = saying(http(LIST)[:length], close=True)
            await self.refused(said, DownloadProblem.CUT_SHORT)

    async def test_s25_less_than_announced_on_a_connection_that_stays_open(self) -> None:
        server = self.serve(saying(http(LIST)[:-1]))
        getting = self.get(server)
        await server.until(lambda: bool(server.requests))
        self.time.clock.advance(30)
        assert (await self.failure(getting)).kind is DownloadProblem.TOO_LATE
        await server.all_lost()

    async def test_s25_more_than_announced_is_cut_there(self) -> None:
        """Half a list has no good signature, and nothing of the rest is taken."""
        server = self.serve(saying(http(LIST) + LIST))
        assert await self.content(self.get(server)) == LIST
        await server.all_lost()

    async def test_s25_lengths_that_are_none(self) -> None:
        for length in (b"-1", b"abc", b"1\r\nContent-Length: 2"):
            head = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n"
            await self.refused(saying(head + LIST), DownloadProblem.NOT_AN_ANSWER)

    async def test_s25_chunks_that_do_not_end(self) -> None:
        await self.refused(saying(chunked(LIST)[:-5], close=True), DownloadProblem.CUT_SHORT)

    async def test_s25_chunks_that_are_none(self) -> None:
        await self.refused(saying(CHUNKED + b"xyz\r\n"), DownloadProblem.NOT_AN_ANSWER)


class ConnectionTests(DownloadCase):
    async def test_s25_closed_without_a_word(self) -> None:
        await self.refused(saying(close=True), DownloadProblem.CUT_SHORT)

    async def test_s25_reset(self) -> None:
        await self.refused(
            lambda talker: talker.transport.abortConnection(), DownloadProblem.CUT_SHORT
        )

    async def test_s25_something_that_is_not_http(self) -> None:
        for said in (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n"):
            await self.refused(saying(said), DownloadProblem.NOT_AN_ANSWER)

    async def test_refused(self) -> None:
        # Between two addresses of a name, Twisted waits: so a refusal takes real time.
        downloader = Downloader(reactor, Limits(), None)
        with pytest.raises(DownloadFailed) as caught:
            await downloader.get(f"http://{closed_port()}/", Validators())
        assert caught.value.kind is DownloadProblem.UNREACHABLE

    async def test_a_name_that_does_not_exist(self) -> None:
        getting = self.downloader.get("http://nowhere.invalid/", Validators())
        error = await self.failure(getting)
        assert error.kind is DownloadProblem.NAME_NOT_FOUND
        assert "nowhere.invalid" in error.detail

    async def test_s25_other_statuses(self) -> None:
        for status in ("206 Partial Content", "201 Created", "404 No", "500 Oops", "300 Many"):
            fields = ("Content-Range: bytes 0-259/260",) if status[:3] == "206" else ()
            said = saying(http(LIST, status, *fields))
            error = await self.refused(said, DownloadProblem.HTTP_STATUS)
            assert error.detail == f"HTTP {status[:3]}"

    async def test_urls_that_are_none_of_ours(self) -> None:
        for url in (
            "ldap://crl.lab.invalid/",
            "file:///etc/passwd",
            "a.crl",
            "http://",
            "http://[",
        ):
            error = await self.failure(self.downloader.get(url, Validators()))
            assert error.kind is DownloadProblem.BAD_URL


class TimeTests(DownloadCase):
    """S25: 30 s for all of it."""

    async def late(self, said: bytes, drip: bytes = b"") -> None:
        """Say something, then a little each ten seconds; hung up on after thirty."""
        server = self.serve(saying(said))
        getting = self.get(server)
        await server.until(lambda: bool(server.requests))
        for _ in range(2):
            self.time.clock.advance(10)
            server.talkers[0].send(drip)
        self.assertNoResult(getting)
        self.time.clock.advance(10)
        assert (await self.failure(getting)).kind is DownloadProblem.TOO_LATE
        await server.all_lost()

    async def test_s25_mute(self) -> None:
        await self.late(b"")

    async def test_s25_a_slow_head(self) -> None:
        await self.late(b"HTTP/1.1 200 OK\r\nX-A: ", b"a")

    async def test_s25_a_slow_body(self) -> None:
        await self.late(http(LIST)[:-3], b"x")

    async def test_s25_slow_chunks(self) -> None:
        await self.late(CHUNKED, b"1\r\nx\r\n")

    async def test_s25_a_slow_end_of_connection(self) -> None:
        await self.late(b"HTTP/1.0 200 OK\r\n\r\n" + LIST)

    async def test_s25_redirects_have_no_time_of_their_own(self) -> None:
        server = self.serve(saying())
        getting = self.get(server)
        await server.until(lambda: bool(server.requests))
        self.time.clock.advance(20)
        server.talkers[0].send(http(b"", "302 Found", "Location: /b.crl"))
        await server.until(lambda: len(server.requests) == 2)
        self.time.clock.advance(10)
        assert (await self.failure(getting)).kind is DownloadProblem.TOO_LATE
        await server.all_lost()

    async def test_a_name_that_never_resolves(self) -> None:
        self.time.nameResolver.silent = True
        getting = self.downloader.get("http://crl.lab.invalid/", Validators())
        self.time.clock.advance(30)
        assert (await self.failure(getting)).kind is DownloadProblem.TOO_LATE

    async def test_the_limit_is_a_setting(self) -> None:
        self.downloader = self.make(Limits(crl_time=0.5))
        server = self.serve(saying())
        getting = self.get(server)
        await server.until(lambda: bool(server.requests))
        self.time.clock.advance(0.5)
        assert (await self.failure(getting)).kind is DownloadProblem.TOO_LATE


class RedirectTests(DownloadCase):
    def chain(self, *answers: bytes) -> None:
        """A server that gives these answers one after another."""
        left = list(answers)
        self.server = self.serve(lambda talker: talker.send(left.pop(0)))

    def to(self, location: str, status: str = "302 Found") -> bytes:
        return http(b"moved", status, f"Location: {location}")

    async def test_three_are_followed(self) -> None:
        self.chain(*(self.to(f"/{each}") for each in "bcd"), http(LIST))
        validators = Validators(etag='"1"')
        assert await self.content(self.get(self.server, validators)) == LIST
        firsts = [request.partition(b" HTTP/")[0] for request in self.server.requests]
        assert firsts == [b"GET /a.crl", b"GET /b", b"GET /c", b"GET /d"]
        assert all(b'If-None-Match: "1"' in request for request in self.server.requests)
        await self.server.all_lost()
        assert len(self.server.talkers) == 4

    async def test_each_way_of_saying_it(self) -> None:
        for status in ("301 Moved", "302 Found", "303 See", "307 There", "308 There"):
            self.chain(self.to("b.crl", status), http(LIST))
            assert await self.content(self.get(self.server)) == LIST
            assert self.server.requests[1].startswith(b"GET /b.crl HTTP/1.1\r\n")

    async def test_s25_a_loop(self) -> None:
        server = self.serve(saying(self.to("/a.crl")))
        error = await self.failure(self.get(server))
        assert error.kind is DownloadProblem.REDIRECTED
        assert len(server.requests) == 4
        await server.all_lost()

    async def test_s25_to_where_no_list_is_fetched_from(self) -> None:
        for place in (
            "ldap://x/",
            "file:///etc/passwd",
            "ftp://x/",
            "http://x:99999/",
            "https:///a",
        ):
            self.chain(self.to(place))
            error = await self.failure(self.get(self.server))
            assert error.kind is DownloadProblem.BAD_URL, place
            await self.server.all_lost()

    async def test_s25_not_to_what_listens_on_this_host_or_behind_it(self) -> None:
        """Anybody on the way may redirect, and an outbound listener asks nobody who they are."""
        inside = self.serve(saying(http(LIST)))
        for place in (
            f"http://127.0.0.1:{inside.port}/",
            f"http://localhost:{inside.port}/",
            f"http://crl.lab.invalid:{inside.port}/",
            f"http://elsewhere.lab.invalid:{inside.port}/",
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://0.0.0.0/",
            "http://localhost/",
            "http://LocalHost./",
            "http://127.0.0.1./",
            "http://169.254.169.254/latest/meta-data/",
            "https://10.0.0.1/",
        ):
            self.chain(self.to(place))
            error = await self.failure(self.get(self.server))
            assert error.kind is DownloadProblem.BAD_URL, place
            await self.server.all_lost()
        assert inside.talkers == []

    async def test_a_server_of_this_host_may_name_another(self) -> None:
        there = self.serve(saying(http(LIST)))
        here = self.serve(saying(self.to(f"http://localhost:{there.port}/b.crl")))
        getting = self.downloader.get(f"http://127.0.0.1:{here.port}/a.crl", Validators())
        assert await self.content(getting) == LIST

    async def test_s25_to_nowhere(self) -> None:
        await self.refused(saying(http(LIST, "302 Found")), DownloadProblem.HTTP_STATUS)

    async def test_s25_a_very_long_place_is_not_repeated(self) -> None:
        server = self.serve(saying(self.to("/" + "x" * 8000)))
        error = await self.failure(self.get(server))
        assert error.kind is DownloadProblem.REDIRECTED
        assert len(str(error)) < 1000

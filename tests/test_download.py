"""One list by HTTP, from servers that behave."""

from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError

from downloads import LIST, DownloadCase
from loopback import closed_port
from sasgate.lab.pki import Lab
from sasgate.revocation import download
from sasgate.revocation.download import (
    Downloaded,
    Downloader,
    DownloadFailed,
    DownloadProblem,
    NotModified,
    Validators,
)
from sasgate.settings import Limits
from web_talk import chunked, http, saying


HELD = Validators('"12-ab"', "Mon, 01 Jun 2026 05:00:00 GMT")


class ListTests(DownloadCase):
    async def test_it_is_asked_for_once_and_plainly(self) -> None:
        server = self.serve(saying(http(LIST)))
        await self.get(server)
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        first, *fields = head.split(b"\r\n")
        assert first == b"GET /a.crl HTTP/1.1"
        assert body == b""
        assert b"Host: crl.lab.invalid:%d" % server.port in fields
        assert b"Connection: close" in fields
        assert b"Accept-Encoding: identity" in fields
        assert not any(field.startswith((b"If-", b"Range", b"Content-")) for field in fields)

    async def test_a_path_is_asked_for_as_it_is_written(self) -> None:
        server = self.serve(saying(http(LIST)))
        url = f"http://crl.lab.invalid:{server.port}/CRL/AC%20TEST.crl?a=%2Fb"
        await self.downloader.get(url, Validators())
        assert server.requests[0].startswith(b"GET /CRL/AC%20TEST.crl?a=%2Fb HTTP/1.1\r\n")

    async def test_the_body_is_all_there(self) -> None:
        for body in (LIST, b"x" * 300_000):
            for answer in (http(body), chunked(body)):
                assert await self.content(self.get(self.serve(saying(answer)))) == body

    async def test_a_body_may_end_with_the_connection(self) -> None:
        server = self.serve(saying(b"HTTP/1.0 200 OK\r\n\r\n" + LIST, close=True))
        assert await self.content(self.get(server)) == LIST

    async def test_what_it_is_is_not_judged_here(self) -> None:
        """S25: a web page is for the store to refuse, as bytes that nobody signed."""
        for body in (b"<html>Please log in</html>", b""):
            assert await self.content(self.get(self.serve(saying(http(body))))) == body

    async def test_the_connection_is_closed_by_our_side(self) -> None:
        server = self.serve(saying(http(LIST)))
        await self.get(server)
        await server.all_lost()
        assert self.time.getDelayedCalls() == []

    async def test_each_download_has_a_connection_of_its_own(self) -> None:
        server = self.serve(saying(http(LIST, "200 OK", "Set-Cookie: a=b")))
        for _ in range(2):
            await self.get(server)
        await server.all_lost()
        assert len(server.talkers) == 2
        assert b"Cookie" not in server.requests[1]


class ConditionalTests(DownloadCase):
    async def test_what_is_held_is_named(self) -> None:
        server = self.serve(saying(http(LIST)))
        await self.get(server, HELD)
        assert b'\r\nIf-None-Match: "12-ab"\r\n' in server.requests[0]
        assert b"\r\nIf-Modified-Since: Mon, 01 Jun 2026 05:00:00 GMT\r\n" in server.requests[0]

    async def test_one_validator_is_enough(self) -> None:
        server = self.serve(saying(http(LIST)))
        await self.get(server, Validators(etag='W/"1"'))
        assert b'\r\nIf-None-Match: W/"1"\r\n' in server.requests[0]
        assert b"If-Modified-Since" not in server.requests[0]

    async def test_nothing_new(self) -> None:
        for fields in ((), ('ETag: "12-ab"',)):
            server = self.serve(saying(http(b"", "304 Not Modified", *fields)))
            assert await self.get(server, HELD) == NotModified()
            await server.all_lost()
        assert self.files == []

    async def test_s25_nothing_new_though_nothing_was_held(self) -> None:
        said = saying(http(b"", "304 Not Modified"))
        error = await self.refused(said, DownloadProblem.HTTP_STATUS)
        assert error.detail == "HTTP 304"

    async def test_validators_come_back(self) -> None:
        fields = ('ETag: "34-cd"', "Last-Modified: Tue, 02 Jun 2026 05:00:00 GMT")
        got = await self.get(self.serve(saying(http(LIST, "200 OK", *fields))), HELD)
        assert isinstance(got, Downloaded)
        assert got.validators == Validators('"34-cd"', "Tue, 02 Jun 2026 05:00:00 GMT")

    async def test_without_any_there_are_none(self) -> None:
        """Those of the list before are not kept for this one."""
        got = await self.get(self.serve(saying(http(LIST))), HELD)
        assert isinstance(got, Downloaded)
        assert got.validators == Validators()

    async def test_a_validator_that_cannot_be_sent_back_is_none(self) -> None:
        for etag in ("", '"\u00e9"', '"\x01"', f'"{"x" * 500}"'):
            got = await self.get(self.serve(saying(http(LIST, "200 OK", f"ETag: {etag}"))))
            assert isinstance(got, Downloaded)
            assert got.validators.etag is None


class ProxyTests(DownloadCase):
    async def test_it_is_asked_for_the_whole_url(self) -> None:
        proxy = self.serve(saying(http(LIST)))
        self.downloader = self.make(proxy=f"127.0.0.1:{proxy.port}")
        getting = self.downloader.get("http://nowhere.invalid:8888/a.crl", HELD)
        assert await self.content(getting) == LIST
        (request,) = proxy.requests
        assert request.startswith(b"GET http://nowhere.invalid:8888/a.crl HTTP/1.1\r\n")
        assert b"\r\nHost: nowhere.invalid:8888\r\n" in request
        assert b'\r\nIf-None-Match: "12-ab"\r\n' in request
        await proxy.all_lost()

    async def test_what_it_refuses_is_no_list(self) -> None:
        proxy = self.serve(saying(http(b"Log in", "407 Proxy Authentication Required")))
        self.downloader = self.make(proxy=f"127.0.0.1:{proxy.port}")
        getting = self.downloader.get("http://crl.lab.invalid/", Validators())
        assert (await self.failure(getting)).kind is DownloadProblem.HTTP_STATUS

    async def test_it_is_dead(self) -> None:
        # Between two addresses of a name, Twisted waits: so a refusal takes real time.
        downloader = Downloader(reactor, Limits(), closed_port())
        getting = downloader.get("http://crl.lab.invalid/", Validators())
        with pytest.raises(DownloadFailed) as caught:
            await getting
        assert caught.value.kind is DownloadProblem.UNREACHABLE

    async def test_nothing_is_sent_to_it_for_a_server_by_tls(self) -> None:
        proxy = self.serve(saying(http(LIST)))
        self.downloader = self.make(proxy=f"127.0.0.1:{proxy.port}")
        getting = self.downloader.get("https://crl.lab.invalid/", Validators())
        assert (await self.failure(getting)).kind is DownloadProblem.UNREACHABLE
        assert proxy.talkers == []

    async def test_redirects_go_through_it_too(self) -> None:
        there = "Location: http://elsewhere.invalid/b.crl"
        answers = [http(b"", "302 Found", there), http(LIST)]
        proxy = self.serve(lambda talker: talker.send(answers.pop(0)))
        self.downloader = self.make(proxy=f"127.0.0.1:{proxy.port}")
        getting = self.downloader.get("http://crl.lab.invalid/a.crl", Validators())
        assert await self.content(getting) == LIST
        assert proxy.requests[1].startswith(b"GET http://elsewhere.invalid/b.crl HTTP/1.1\r\n")


class TLSTests(DownloadCase):
    @pytest.fixture(autouse=True)
    def _given(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        monkeypatch.setenv("SSL_CERT_FILE", str(lab.public_root))

    async def test_the_right_server(self) -> None:
        server = self.secure(self.lab, saying(http(LIST)))
        getting = self.downloader.get(f"https://localhost:{server.port}/", Validators())
        assert await self.content(getting) == LIST
        await server.all_lost()

    async def test_a_server_of_another_name(self) -> None:
        server = self.secure(self.lab, saying(http(LIST)))
        getting = self.downloader.get(f"https://crl.lab.invalid:{server.port}/", Validators())
        assert (await self.failure(getting)).kind is DownloadProblem.UNREACHABLE
        assert server.requests == []

    async def test_a_redirect_may_lead_into_tls(self) -> None:
        target = self.secure(self.lab, saying(http(LIST)))
        there = f"Location: https://localhost:{target.port}/b.crl"
        server = self.serve(saying(http(b"", "301 Moved", there)))
        getting = self.downloader.get(f"http://localhost:{server.port}/a.crl", Validators())
        assert await self.content(getting) == LIST

    async def test_s25_a_redirect_may_not_lead_out_of_tls(self) -> None:
        target = self.serve(saying(http(LIST)))
        there = f"Location: http://crl.lab.invalid:{target.port}/b.crl"
        server = self.secure(self.lab, saying(http(b"", "301 Moved", there)))
        for scheme in ("https", "HTTPS"):
            getting = self.downloader.get(f"{scheme}://localhost:{server.port}/", Validators())
            error = await self.failure(getting)
            assert error.kind is DownloadProblem.BAD_URL
            assert f"http://crl.lab.invalid:{target.port}/b.crl" in error.detail
        assert target.talkers == []


class RoomTests(DownloadCase):
    def test_no_disk_is_needed(self) -> None:
        """Or a full one would let a revoked client in."""
        with download.in_memory() as file:
            place = Path(f"/proc/self/fd/{file.fileno()}").readlink()
            assert str(place).startswith("/memfd:")

    async def test_no_room(self) -> None:
        def full() -> object:
            self.files.append(Path("/dev/full").open("w+b", buffering=4096))  # noqa: SIM115
            return self.files[-1]

        for size in (100, 1_000_000):
            self.patch(download, "in_memory", full)
            error = await self.refused(saying(http(b"x" * size)), DownloadProblem.NOT_WRITTEN)
            assert "No space left on device" in error.detail


class CancelTests(DownloadCase):
    async def test_who_does_not_want_it_any_more_ends_it(self) -> None:
        for said in (b"", http(LIST)[:-1]):
            server = self.serve(saying(said))
            getting = self.get(server)
            await server.until(lambda server=server: bool(server.requests))  # type: ignore[misc]
            getting.cancel()
            await self.assertFailure(getting, CancelledError, DownloadFailed)
            await server.all_lost()
            self.nothing_left()

"""Ordinary traffic through the gateway to the servers that editors have."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from gateways import gateway
from processes import PATIENCE, environment
from raw_client import Caller, request
from real_backends import STREAM, THREE, Arrived, RealBackend, gunicorn, nginx
from sasgate.lab.pki import Lab


START = {
    **THREE,
    "nginx-unix": lambda folder: nginx(folder, unix=True),
    "gunicorn-unix": lambda folder: gunicorn(folder, unix=True),
}


@pytest.fixture(scope="module", params=START)
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealBackend]:
    with START[request.param](tmp_path_factory.mktemp("backend")) as server:
        yield server


@pytest.fixture(scope="module")
def caller(
    lab: Lab, backend: RealBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caller]:
    with gateway(lab, tmp_path_factory.mktemp("gateway"), {"backend": backend.url}) as process:
        yield Caller(lab, process.port())


@pytest.fixture
def arrived(backend: RealBackend) -> Callable[[], Arrived]:
    """The one request that the backend got in this test."""
    backend.arrived()

    def only() -> Arrived:
        (request,) = backend.arrived()
        return request

    return only


Only = Callable[[], Arrived]


def test_a_get_arrives_as_it_was_sent(caller: Caller, arrived: Only) -> None:
    target = "/echo?a=%7C&b=|,:&b=%C3%A9&_include:iterate=x"
    assert caller.get(target).status == 200
    got = arrived()
    assert (got.method, got.uri, got.length) == ("GET", target, 0)


def test_the_host_is_the_clients(caller: Caller, arrived: Only) -> None:
    assert caller.get("/echo").status == 200
    assert arrived().fields["host"] == "gateway.example"


def test_a_head_has_no_body_and_leaves_the_connection_in_step(caller: Caller) -> None:
    with caller.wire() as wire:
        head = wire.ask(request("HEAD", f"/stream?bytes={STREAM}"), "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert wire.ask(request("GET", "/echo")).status == 200


def test_a_post_arrives_with_its_body(caller: Caller, arrived: Only) -> None:
    body = b'{"resourceType": "Practitioner"}'
    assert caller.ask(request("POST", "/echo", body=body)).status == 200
    got = arrived()
    assert (got.method, got.length) == ("POST", len(body))
    assert got.sha256 == hashlib.sha256(body).hexdigest()


def test_a_chunked_upload_arrives_whole(caller: Caller, arrived: Only) -> None:
    head = request("PUT", "/echo", "Transfer-Encoding: chunked")
    with caller.wire() as wire:
        wire.send(head)
        for piece in (b"5\r\nhello\r\n", b"1;x=y\r\n \r\n", b"5\r\nworld\r\n0\r\n\r\n"):
            wire.send(piece)
        assert wire.answer().status == 200
    got = arrived()
    assert got.length == 11
    assert got.sha256 == hashlib.sha256(b"hello world").hexdigest()


def test_a_large_upload_arrives_whole(caller: Caller, arrived: Only) -> None:
    body = b"0123456789abcdef" * (STREAM // 16)
    assert caller.ask(request("PUT", "/echo", body=body)).status == 200
    got = arrived()
    assert got.length == len(body)
    assert got.sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_leaves_the_connection_in_step(
    caller: Caller, status: int
) -> None:
    with caller.wire() as wire:
        answer = wire.ask(request("GET", f"/status?code={status}"))
        assert (answer.status, answer.body) == (status, b"")
        assert wire.ask(request("GET", "/echo")).status == 200


def test_a_large_answer_comes_whole(caller: Caller) -> None:
    answer = caller.get(f"/stream?bytes={STREAM}")
    assert answer.body == b"x" * STREAM
    assert answer.headers["Content-Length"] == str(STREAM)


def test_an_answer_of_unknown_length_comes_whole(caller: Caller, backend: RealBackend) -> None:
    with caller.wire() as wire:
        answer = wire.ask(request("GET", backend.chunked))
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert answer.body == b"x" * STREAM
        assert wire.ask(request("GET", "/echo")).status == 200


def test_one_connection_carries_many_requests(caller: Caller, backend: RealBackend) -> None:
    backend.arrived()
    with caller.wire() as wire:
        for number in range(20):
            assert wire.ask(request("GET", f"/echo?{number}")).status == 200
    assert [each.uri for each in backend.arrived()] == [f"/echo?{number}" for number in range(20)]


class TestCurl:
    """A client whose HTTP is nobody's here."""

    @pytest.fixture
    def curl(self, caller: Caller) -> Callable[..., str]:
        program = shutil.which("curl")
        if program is None:
            pytest.skip("curl is not installed: apt-get install curl")
        lab = caller.lab

        def run(*arguments: object, content: bytes = b"") -> str:
            command = (
                *(program, "--silent", "--show-error", "--noproxy", "*", "--verbose"),
                *("--cacert", lab.public_root, "--cert", lab.path_of("recette")),
                *("--write-out", "status=%{http_code} upload=%{size_upload}\n"),
                *arguments,
            )
            done = subprocess.run(
                [str(part) for part in command],
                env=environment({"PATH": os.environ["PATH"]}),
                input=content,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
            output = (done.stderr + done.stdout).decode("latin-1")
            assert done.returncode == 0, output
            return output

        return run

    @pytest.fixture
    def url(self, caller: Caller) -> str:
        return f"https://127.0.0.1:{caller.port}/echo"

    def test_it_gets(self, curl: Callable[..., str], url: str, arrived: Only) -> None:
        assert "status=200" in curl(url)
        assert arrived().method == "GET"

    def test_it_waits_for_100_continue_and_is_told_to_go_on(
        self, curl: Callable[..., str], url: str, arrived: Only
    ) -> None:
        body = b"x" * 100_000
        # It would send unasked after this many seconds, and then say so.
        output = curl(
            *("--expect100-timeout", PATIENCE, "--header", "Expect: 100-continue"),
            *("--data-binary", "@-", url),
            content=body,
        )
        assert "< HTTP/1.1 100 Continue" in output
        assert "status=200" in output
        assert arrived().length == len(body)

    def test_it_uploads_what_it_does_not_know_the_length_of(
        self, curl: Callable[..., str], url: str, arrived: Only
    ) -> None:
        body = b"0123456789abcdef" * 60_000
        output = curl("--upload-file", "-", url, content=body)
        assert "Transfer-Encoding: chunked" in output
        assert "status=200" in output
        got = arrived()
        assert got.length == len(body)
        assert got.sha256 == hashlib.sha256(body).hexdigest()

"""A refused request's answer arrives, whatever its body is and however it is sent (S46)."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from gateways import gateway, resident
from processes import PATIENCE, GatewayProcess, environment
from raw_backend import RawBackend
from raw_client import Caller, request
from sasgate import __version__
from sasgate.lab.pki import Lab
from sasgate.lab.platform import Call, Response


MIB = 1 << 20
STRANGERS = {
    None: (401, "KO:Unauthorized", "NONE"),
    "self-signed": (401, "KO:Unauthorized", "FAILED:untrusted issuer"),
    "expired": (401, "KO:Unauthorized", "FAILED:expired"),
    "wrong-cn": (403, "KO:Forbidden", "SUCCESS"),
}


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


@pytest.fixture(scope="module")
def process(
    lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    with gateway(lab, tmp_path_factory.mktemp("gateway"), {"backend": backend.url}) as running:
        yield running


@pytest.fixture(params=STRANGERS)
def stranger(request: pytest.FixtureRequest, lab: Lab, process: GatewayProcess) -> Caller:
    return Caller(lab, process.port(), request.param)


@pytest.fixture(autouse=True)
def _nothing_arrives(backend: RawBackend) -> Iterator[None]:
    yield
    assert backend.accepted == 0


def wanted(stranger: Caller) -> int:
    return STRANGERS[stranger.client][0]


def test_it_says_what_is_to_be_known_and_no_more(stranger: Caller) -> None:
    """S46."""
    status, word, verify = STRANGERS[stranger.client]
    with stranger.wire() as wire:
        answer = wire.ask(request("GET", "/secret/path?query"))
        assert wire.rest() == b""
    assert answer.status == status
    assert (answer.json["status"], answer.json["verify"]) == (word, verify)
    assert set(answer.json) == {"status", "verify", "CN"}
    assert set(answer.headers) == {"Content-Type", "Content-Length", "Connection"}
    assert answer.headers["Content-Type"] == "application/json"
    whole = answer.body.decode() + str(answer.headers)
    for leak in ("secret", "query", __version__, "wisted", "sasgate", "Traceback", "/"):
        assert leak not in whole.replace("application/json", "")


@pytest.mark.parametrize("size", [1, 100_000, MIB, 10 * MIB])
def test_a_body_of_any_size_causes_no_reset(stranger: Caller, size: int) -> None:
    """The client sends all of it before it reads anything."""
    result = stranger.platform.send(Call("POST", "/Slot", body=bytes(size)))
    assert isinstance(result, Response), result
    assert result.status == wanted(stranger)


def test_a_chunked_body_causes_no_reset(stranger: Caller) -> None:
    with stranger.wire() as wire:
        wire.send(request("POST", "/Slot", "Transfer-Encoding: chunked"))
        for _ in range(MIB // 65536):
            wire.send(b"10000\r\n" + bytes(65536) + b"\r\n")
        wire.send(b"0\r\n\r\n")
        assert wire.answer().status == wanted(stranger)
        assert wire.rest() == b""


def test_the_body_is_not_asked_for(stranger: Caller) -> None:
    with stranger.wire() as wire:
        wire.send(request("POST", "/Slot", "Expect: 100-continue", "Content-Length: 5"))
        assert wire.line().startswith(b"HTTP/1.1 %d " % wanted(stranger))


def test_one_that_is_sent_all_the_same_causes_no_reset(stranger: Caller) -> None:
    head = request("POST", "/Slot", "Expect: 100-continue", f"Content-Length: {MIB // 2}")
    with stranger.wire() as wire:
        assert wire.ask(head).status == wanted(stranger)
        wire.send(bytes(MIB // 2))
        assert wire.rest() == b""


def test_nothing_after_it_is_looked_at(stranger: Caller) -> None:
    with stranger.wire() as wire:
        wire.send(request("POST", "/a", body=b"x") + request("GET", "/check") * 10)
        assert wire.answer().status == wanted(stranger)
        assert wire.rest() == b""


def test_a_body_without_end_is_not_held(stranger: Caller, process: GatewayProcess) -> None:
    stranger.get("/")
    before = resident(process)
    result = stranger.platform.send(Call("POST", "/Slot", body=bytes(64 * MIB)))
    assert isinstance(result, Response), result
    assert resident(process) - before < 20 * MIB


def test_a_malformed_request_with_a_body_gets_its_400(lab: Lab, process: GatewayProcess) -> None:
    raw = request("POST", "/", "Content-Length: +5", "X-Plain: x")
    with Caller(lab, process.port()).wire() as wire:
        wire.send(raw + bytes(MIB))
        assert wire.answer().status == 400
        assert wire.rest() == b""


@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"])
def test_curl_gets_the_answer_too(stranger: Caller, expect: str) -> None:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed: apt-get install curl")
    lab = stranger.lab
    presented = [] if stranger.client is None else ["--cert", lab.path_of(stranger.client)]
    command = [
        *(program, "--silent", "--show-error", "--noproxy", "*", "--cacert", lab.public_root),
        *(*presented, "--header", expect, "--upload-file", "-", "--write-out", "%{http_code}"),
        *("--output", os.devnull, f"https://127.0.0.1:{stranger.port}/Slot"),
    ]
    done = subprocess.run(
        [str(part) for part in command],
        env=environment(),
        input=bytes(4 * MIB),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, str(wanted(stranger)).encode()), done.stderr

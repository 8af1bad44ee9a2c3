"""Payloads that other projects use against HTTP parsers, through a real gateway (S40).

The tools beside the corpus send them and judge; this says which refusals are a choice.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateways import gateway
from processes import PATIENCE, environment, free_port
from sasgate.lab.pki import Lab


Result = dict[str, Any]

_NOT_CHUNKED_ALONE = "a transfer coding other than one `chunked`: two readers may frame it apart"
_OTHER_AUTHORITY = "the target's authority is not the Host's: two readers may route it apart"

# What an `accept` of the corpus may be refused for: a platform that speaks plain HTTP/1.1 sends
# none of it.
REFUSED = {
    "gunicorn/valid/009": "Transfer-Encoding beside Content-Length, though it says `identity`",
    "gunicorn/valid/027": "bytes outside ASCII in the target, which RFC 3986 forbids",
    "gunicorn/valid/029": _NOT_CHUNKED_ALONE,
    "gunicorn/valid/030": _NOT_CHUNKED_ALONE,
    "llhttp/method/M-SEARCH-request": "`*` is a target of OPTIONS alone (RFC 9112, 3.2.4)",
    "llhttp/transfer-encoding/POST-with-chunked-as-last-transfer-encoding": _NOT_CHUNKED_ALONE,
    "llhttp/transfer-encoding/POST-with-chunked-as-last-transfer-encoding-multiple-headers": (
        _NOT_CHUNKED_ALONE
    ),
    "llhttp/uri/Host-terminated-by-a-query-string": _OTHER_AUTHORITY,
    "llhttp/uri/-host-port-terminated-by-a-query-string": _OTHER_AUTHORITY,
    "llhttp/uri/-host-port-terminated-by-a-space": _OTHER_AUTHORITY,
    "llhttp/uri/-host-port-and-basic-auth": "a user and a password in the target",
}


def connected(port: int, process: subprocess.Popen[str]) -> None:
    """Come back once something listens there."""
    while process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError(f"ended with {process.returncode}: {process.communicate()[0]}")


@pytest.fixture(scope="module")
def recorder(shared: Path) -> Iterator[tuple[int, int]]:
    """A strict backend that records; its port and that of its control."""
    port, control = free_port(), free_port()
    script = shared / "tools" / "recorder.py"
    process = subprocess.Popen(
        [sys.executable, script, "--port", str(port), "--ctl", str(control)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        connected(control, process)
        connected(port, process)
        yield port, control
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def results(
    lab: Lab, shared: Path, recorder: tuple[int, int], tmp_path_factory: pytest.TempPathFactory
) -> list[Result]:
    port, control = recorder
    folder = tmp_path_factory.mktemp("corpus")
    backend = {"backend": f"http://127.0.0.1:{port}"}
    with gateway(lab, folder, backend) as process:
        command = [
            *(sys.executable, shared / "tools" / "run_rawhttp.py"),
            *(shared / "http-corpus" / "cases.json", "--port", process.port()),
            *("--ctl", control, "--cert", lab.path_of("recette"), "--json", folder / "results"),
        ]
        done = subprocess.run(
            [str(part) for part in command],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=10 * PATIENCE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    judged: list[Result] = json.loads((folder / "results").read_text())
    assert len(judged) == len(json.loads((shared / "http-corpus" / "cases.json").read_text()))
    return judged


def wrong(results: list[Result], expected: str) -> list[Result]:
    of_this_kind = [result for result in results if result["expect"] == expected]
    assert of_this_kind
    return [result for result in of_this_kind if not result["ok"]]


def test_s40_nothing_ambiguous_is_forwarded(results: list[Result]) -> None:
    assert [result for result in results if result["cls"]] == []


def test_s40_what_must_be_refused_is(results: list[Result]) -> None:
    assert wrong(results, "reject") == []


def test_s40_what_must_be_safe_is(results: list[Result]) -> None:
    assert wrong(results, "safe") == []


def test_s40_what_may_be_accepted_is_but_for_named_choices(results: list[Result]) -> None:
    assert {result["id"] for result in wrong(results, "accept")} == set(REFUSED)


def test_a_choice_is_answered_as_a_malformed_request(results: list[Result]) -> None:
    answers = {result["id"]: result["status"] for result in results if result["id"] in REFUSED}
    assert answers == {name: [400] for name in REFUSED}

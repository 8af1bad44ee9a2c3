"""What two readers may frame apart is refused, or is one request to every backend (S40).

After each case another client asks: were a remnant left in a connection to the backend, it would
get the wrong answer, and the backend would have seen more than the two requests.
"""

import hashlib
from collections.abc import Iterator
from operator import attrgetter

import pytest

from ambiguous_requests import CASES, Case
from gateways import gateway
from raw_client import Caller, request
from real_backends import THREE, RealBackend
from sasgate.lab.pki import Lab


AFTER = "/echo?after"
VICTIM = "/echo?victim"
NAME = attrgetter("name")


@pytest.fixture(scope="module", params=THREE)
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealBackend]:
    with THREE[request.param](tmp_path_factory.mktemp("backend")) as server:
        yield server


@pytest.fixture(scope="module")
def caller(
    lab: Lab, backend: RealBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caller]:
    with gateway(lab, tmp_path_factory.mktemp("gateway"), {"backend": backend.url}) as process:
        yield Caller(lab, process.port())


@pytest.mark.parametrize("case", [each for each in CASES if each.sees is None], ids=NAME)
def test_s40_is_refused(caller: Caller, backend: RealBackend, case: Case) -> None:
    backend.arrived()
    with caller.wire() as wire:
        answer = wire.ask(case.raw)
        assert (answer.status, answer.json) == (400, {"status": "KO:Bad Request"})
        assert wire.rest() == b""
    assert caller.get(VICTIM).status == 200
    assert [each.uri for each in backend.arrived()] == [VICTIM]


@pytest.mark.parametrize("case", [each for each in CASES if each.sees is not None], ids=NAME)
def test_s40_is_one_request(caller: Caller, backend: RealBackend, case: Case) -> None:
    assert case.sees is not None
    method, body = case.sees
    closes = b"Connection: close" in case.raw
    backend.arrived()
    with caller.wire() as wire:
        assert wire.ask(case.raw, method).status == 200
        if closes:
            assert wire.rest() == b""
        else:
            assert wire.ask(request("GET", AFTER)).json["uri"] == AFTER
    assert caller.get(VICTIM).status == 200
    first, *others = backend.arrived()
    assert (first.method, first.uri, first.length) == (method, "/echo", len(body))
    assert first.sha256 == hashlib.sha256(body).hexdigest()
    assert [each.uri for each in others] == ([] if closes else [AFTER]) + [VICTIM]

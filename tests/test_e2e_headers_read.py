"""Fields that only a gateway may set, as real servers read them (S37, S38)."""

from collections.abc import Iterator

import pytest

from gateways import gateway
from raw_client import Caller
from real_backends import THREE, Arrived, RealBackend
from sasgate.lab.pki import Lab
from spoofed_headers import NEVER_SET, SET, folded, spellings


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


def read_as(name: str, arrived: Arrived) -> list[str]:
    """Every value that a server may give out under this name."""
    return [value for each, value in arrived.fields.items() if folded(each) == folded(name)]


@pytest.mark.parametrize("name", [name for name in SET if name != "X-Request-ID"])
def test_s37_a_server_reads_only_what_the_gateway_says(
    caller: Caller, backend: RealBackend, name: str
) -> None:
    backend.arrived()
    caller.get("/echo")
    assert caller.get("/echo", *(f"{each}: spoofed" for each in spellings(name))).status == 200
    plain, attacked = backend.arrived()
    assert len(read_as(name, plain)) == 1
    assert read_as(name, attacked) == read_as(name, plain)


@pytest.mark.parametrize("name", [*NEVER_SET, "X-Request-ID"])
def test_s37_a_server_reads_nothing_that_another_gateway_would_say(
    caller: Caller, backend: RealBackend, name: str
) -> None:
    backend.arrived()
    assert caller.get("/echo", *(f"{each}: spoofed" for each in spellings(name))).status == 200
    (attacked,) = backend.arrived()
    assert "spoofed" not in "".join(read_as(name, attacked))


def test_s38_a_server_reads_all_that_the_gateway_says_though_connection_names_it(
    caller: Caller, backend: RealBackend
) -> None:
    backend.arrived()
    assert caller.get("/echo", f"Connection: {', '.join(SET)}").status == 200
    (attacked,) = backend.arrived()
    assert [name for name in SET if not read_as(name, attacked)] == []

"""Paths: what is judged is, byte for byte, what is forwarded (S43)."""

from collections.abc import Iterator, Mapping

import pytest

from gateways import gateway
from raw_backend import RawBackend
from raw_client import Caller, request
from sasgate.lab.pki import Lab


# Targets that servers read in several ways, and whose route each must be.
ROUTED = {
    "/": "all",
    "/fhir": "fhir",
    "/fhir/": "fhir",
    "/fhir?a=b": "fhir",
    "/fhir/Slot?start=ge2026&_include:iterate=a|b,c": "fhir",
    "/fhir/../admin": "fhir",
    "/fhir/%2e%2e/admin": "fhir",
    "/fhir/..%2fadmin": "fhir",
    "/fhir//admin": "fhir",
    "/fhir/;x/admin": "fhir",
    "/fhir/\\admin": "fhir",
    "/fhir/%00": "fhir",
    "/fhir/admin": "admin",
    "/fhir/admin/": "admin",
    "/fhir/admin?": "admin",
    "/fhir/admin/../Slot": "admin",
    "/fhir/adminx": "fhir",
    "/fhir/admin%2f": "fhir",
    "/fhir/admin;x": "fhir",
    "/fhir/%61dmin": "fhir",
    "/fhir/ADMIN": "fhir",
    "/fhir/admin#x": "fhir",
    "/fhir?x#y": "fhir",
    "/fhir#x": "all",
    "/fhirx": "all",
    "/fhir;x": "all",
    "/fhir%2fadmin": "all",
    "/fhir%3Fx": "all",
    "/fhir\\admin": "all",
    "/FHIR": "all",
    "/%66hir": "all",
    "//fhir": "all",
    "//fhir/admin": "all",
    "/./fhir": "all",
    "/x/../fhir/admin": "all",
    "/%2e%2e/fhir": "all",
    "/;/fhir": "all",
    "/?/fhir": "all",
    "/check/": "all",
    "/check/../fhir": "all",
    "/check%2f..%2ffhir": "all",
    "/check;x": "all",
    "/CHECK": "all",
    "/%63heck": "all",
    "//check": "all",
    "/x/../check": "all",
    "/a%20b": "all",
    "/a+b~c!$&'()*,=:@": "all",
    '/[x]{y}^`|<>"': "all",
    "http://gateway.example/fhir/admin": "admin",
    "http://gateway.example//fhir": "all",
    "http://gateway.example?/fhir": "all",
}

REFUSED = ("/fhir\x00", "/fhir\x01", "/fhir\x7f", "/fhir\xe9", "/fhir\t", "/fhir#x y", "/fh ir")

ROUTES = """
/fhir = {fhir}
/fhir/admin = {admin}
/ = {all}
lab-preproduction:/fhir = {preproduction}
"""
NAMES = ("fhir", "admin", "all", "preproduction")

Backends = Mapping[str, RawBackend]


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    found = {name: RawBackend() for name in NAMES}
    yield found
    for backend in found.values():
        backend.goes_deaf()


@pytest.fixture(scope="module")
def port(lab: Lab, backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    routes = ROUTES.format(**{name: backend.url for name, backend in backends.items()})
    with gateway(lab, tmp_path_factory.mktemp("gateway"), {"routes": routes}) as process:
        yield process.port()


@pytest.fixture(autouse=True)
def _afresh(backends: Backends) -> Iterator[None]:
    for backend in backends.values():
        backend.requests.clear()
    yield
    assert [fault for backend in backends.values() for fault in backend.faults] == []


def arrived(backends: Backends) -> list[tuple[str, str]]:
    """Which backend got which target."""
    return [(name, seen.target) for name in backends for seen in backends[name].requests]


def origin(target: str) -> str:
    rest = target.removeprefix("http://gateway.example")
    return rest if rest.startswith("/") else "/" + rest


@pytest.mark.parametrize("target", ROUTED)
def test_s43_the_route_is_chosen_by_what_arrives(
    lab: Lab, port: int, backends: Backends, target: str
) -> None:
    assert Caller(lab, port).get(target).status == 200
    assert arrived(backends) == [(ROUTED[target], origin(target))]


@pytest.mark.parametrize("target", ROUTED)
def test_s43_a_stranger_gets_nowhere(lab: Lab, port: int, backends: Backends, target: str) -> None:
    assert Caller(lab, port, None).get(target).status == 401
    assert arrived(backends) == []


@pytest.mark.parametrize("target", REFUSED)
def test_s43_what_is_no_target_is_refused(
    lab: Lab, port: int, backends: Backends, target: str
) -> None:
    assert Caller(lab, port).get(target).status == 400
    assert arrived(backends) == []


@pytest.mark.parametrize(
    ("target", "name"),
    [("/fhir/Slot", "preproduction"), ("/fhir/admin/x", "admin"), ("/x", "all")],
)
def test_an_environment_has_routes_of_its_own(
    lab: Lab, port: int, backends: Backends, target: str, name: str
) -> None:
    assert Caller(lab, port, "preproduction").get(target).status == 200
    assert arrived(backends) == [(name, target)]


def test_one_connection_takes_several_routes(lab: Lab, port: int, backends: Backends) -> None:
    with Caller(lab, port).wire() as wire:
        for target in ("/fhir", "/x", "/fhir/admin"):
            assert wire.ask(request("GET", target)).body.decode() == target
    assert arrived(backends) == [("fhir", "/fhir"), ("admin", "/fhir/admin"), ("all", "/x")]


def test_a_path_without_a_route_is_404(
    lab: Lab, backends: Backends, tmp_path_factory: pytest.TempPathFactory
) -> None:
    routes = f"/fhir = {backends['fhir'].url}"
    with gateway(lab, tmp_path_factory.mktemp("gateway"), {"routes": routes}) as process:
        caller = Caller(lab, process.port())
        with caller.wire() as wire:
            answer = wire.ask(request("GET", "/other"))
            assert (answer.status, answer.json) == (404, {"status": "KO:Not Found"})
            assert wire.ask(request("GET", "/fhir")).status == 200
    assert arrived(backends) == [("fhir", "/fhir")]

"""What a backend is told of a client: by the gateway alone, whatever the client sends."""

import base64
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateways import gateway
from processes import GatewayProcess
from raw_backend import RawBackend, Seen
from raw_client import Caller, request
from sasgate.environments import PREPRODUCTION, RECETTE
from sasgate.lab.pki import Lab
from spoofed_headers import NEVER_SET, SET, folded, spellings


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


@pytest.fixture
def caller(lab: Lab, process: GatewayProcess) -> Caller:
    return Caller(lab, process.port())


@pytest.fixture(autouse=True)
def _no_faults(backend: RawBackend) -> Iterator[None]:
    backend.requests.clear()
    backend.trailers.clear()
    yield
    assert backend.faults == []


def only(backend: RawBackend) -> Seen:
    (seen,) = backend.requests
    return seen


class TestTruth:
    def test_the_backend_learns_who_calls(
        self, caller: Caller, backend: RawBackend, lab: Lab
    ) -> None:
        assert caller.get("/a").status == 200
        leaf = lab.clients["recette"].certificate
        der = base64.b64encode(leaf.public_bytes(Encoding.DER)).decode()
        seen = only(backend)
        assert {name: seen.values(name) for name in SET if name != "X-Request-ID"} == {
            "X-SSL-Client-Verify": ["SUCCESS"],
            "X-SSL-Client-CN": [RECETTE.client_cn],
            "X-SSL-Client-OU": [RECETTE.client_ou],
            "X-SSL-Client-S-DN": [leaf.subject.rfc4514_string()],
            "X-SSL-Client-I-DN": [leaf.issuer.rfc4514_string()],
            "X-SSL-Client-Serial": [f"{leaf.serial_number:X}"],
            "X-SAS-Environment": ["lab-recette"],
            "Client-Cert": [f":{der}:"],
            "X-Forwarded-For": ["127.0.0.1"],
            "X-Forwarded-Proto": ["https"],
            "X-Forwarded-Host": ["gateway.example"],
        }

    def test_a_name_outside_ascii_is_escaped(
        self, lab: Lab, process: GatewayProcess, backend: RawBackend
    ) -> None:
        """S39."""
        assert Caller(lab, process.port(), "other-organization").get("/a").status == 200
        assert r"ST=Rh\C3\B4ne (69)" in only(backend).values("X-SSL-Client-S-DN")[0]

    def test_each_request_has_an_id_of_its_own_which_the_journal_has_too(
        self, caller: Caller, backend: RawBackend, process: GatewayProcess
    ) -> None:
        with caller.wire() as wire:
            wire.ask(request("GET", "/a", "X-Request-ID: mine"))
            wire.ask(request("GET", "/b", "X-Request-ID: mine"))
        first, second = (seen.values("X-Request-ID") for seen in backend.requests)
        assert len(first) == len(second) == 1
        assert first != second
        assert "mine" not in first + second
        process.wait_for(second[0])

    def test_two_clients_in_turn_on_one_connection_to_the_backend(
        self, lab: Lab, process: GatewayProcess, backend: RawBackend
    ) -> None:
        names = ("recette", "other-organization")
        with ExitStack() as wires:
            opened = [
                wires.enter_context(Caller(lab, process.port(), each).wire()) for each in names
            ]
            for _ in range(3):
                for wire in opened:
                    wire.ask(request("GET", "/a"))
        serials = [f"{lab.clients[name].certificate.serial_number:X}" for name in names]
        told = [seen.values("X-SSL-Client-Serial") for seen in backend.requests]
        assert told == [[serial] for serial in serials] * 3
        assert len({seen.connection for seen in backend.requests}) == 1

    def test_two_environments_share_no_connection(
        self, lab: Lab, process: GatewayProcess, backend: RawBackend
    ) -> None:
        used: dict[str, set[int]] = {}
        for preset in (RECETTE, PREPRODUCTION) * 3:
            assert Caller(lab, process.port(), preset.name).get("/a").status == 200
            seen = backend.requests[-1]
            assert seen.values("X-SSL-Client-CN") == [preset.client_cn]
            assert seen.values("X-SAS-Environment") == [f"lab-{preset.name}"]
            used.setdefault(preset.name, set()).add(seen.connection)
        assert [len(each) for each in used.values()] == [1, 1]
        assert not set.intersection(*used.values())


class TestSpoofed:
    @pytest.mark.parametrize("name", SET)
    def test_s37_only_the_gateways_own_arrives(
        self, caller: Caller, backend: RawBackend, name: str
    ) -> None:
        caller.get("/plain")
        spoofed = [f"{spelling}: spoofed-{name}" for spelling in spellings(name)]
        assert caller.get("/spoofed", *spoofed).status == 200
        plain, attacked = backend.requests
        named = [field for field in attacked.fields if folded(field[0]) == folded(name)]
        assert [each for each, _ in named] == [name]
        assert not any("spoofed" in value for _, value in attacked.fields)
        if name != "X-Request-ID":
            assert [value for _, value in named] == plain.values(name)

    @pytest.mark.parametrize("name", NEVER_SET)
    def test_s37_what_another_gateway_would_set_does_not_arrive(
        self, caller: Caller, backend: RawBackend, name: str
    ) -> None:
        spoofed = [f"{spelling}: spoofed" for spelling in spellings(name)]
        assert caller.get("/spoofed", *spoofed).status == 200
        names = {folded(each) for each, _ in only(backend).fields}
        assert folded(name) not in names

    @pytest.mark.parametrize("name", SET + NEVER_SET)
    def test_s37_not_in_trailers_either(
        self, caller: Caller, backend: RawBackend, name: str
    ) -> None:
        for spelling in dict.fromkeys(spellings(name)):
            head = request("POST", "/spoofed", "Transfer-Encoding: chunked", f"Trailer: {spelling}")
            answer = caller.ask(head + f"1\r\nx\r\n0\r\n{spelling}: spoofed\r\n\r\n".encode())
            assert answer.status == 400, spelling
        assert backend.trailers == []
        assert backend.requests == []

    def test_an_ordinary_trailer_is_dropped(self, caller: Caller, backend: RawBackend) -> None:
        head = request("POST", "/a", "Transfer-Encoding: chunked", "Trailer: X-Sum")
        assert caller.ask(head + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n").status == 200
        assert only(backend).body == b"hello"
        assert backend.trailers == []
        assert only(backend).values("Trailer") == only(backend).values("X-Sum") == []


class TestConnection:
    @pytest.mark.parametrize("name", [*SET, "Host"])
    def test_s38_ours_arrive_though_connection_names_them(
        self, caller: Caller, backend: RawBackend, name: str
    ) -> None:
        tokens = ", ".join(dict.fromkeys(spellings(name)))
        for field in (f"Connection: {tokens}", f"Connection: close, {name}"):
            assert caller.get("/a", field, f"{name}x: y").status == 200
        for seen in backend.requests:
            assert len(seen.values(name)) == 1

    def test_s38_several_connection_fields_delete_nothing_of_ours(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        assert caller.get("/a", *(f"connection: {name.lower()}" for name in SET)).status == 200
        assert [len(only(backend).values(name)) for name in SET] == [1] * len(SET)

    def test_what_connection_names_goes_no_further(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        caller.get("/a", "Connection: X-Hop, keep-alive", "x-hop: 1", "X-Plain: 2")
        assert only(backend).values("X-Hop") == []
        assert only(backend).values("Connection") == []
        assert only(backend).values("X-Plain") == ["2"]

    @pytest.mark.parametrize(
        "field",
        [
            *("Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers"),
            *("Proxy-Authorization: Basic eA==", "Upgrade: websocket", "Trailer: X-Sum"),
            *("HTTP2-Settings: AAMAAABkAAQAAP__", "Proxy: http://evil.example", "Keep_Alive: 1"),
        ],
    )
    def test_hop_by_hop_fields_stop_here(
        self, caller: Caller, backend: RawBackend, field: str
    ) -> None:
        assert caller.get("/a", field).status == 200
        assert only(backend).values(field.partition(":")[0]) == []


class TestRest:
    def test_other_fields_pass_in_order_with_their_case_and_repetitions(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        sent = [
            ("accept", "application/json+fhir"),
            ("X-plain", "é".encode().decode("latin-1")),
            ("X-PLAIN", "two"),
            ("Cookie", 'a="b"'),
            ("X-Empty", ""),
            ("User_Agent", "x"),
        ]
        caller.get("/a", *(f"{name}: {value}" for name, value in sent))
        fields = only(backend).fields
        assert fields[0] == ("Host", "gateway.example")
        assert list(fields[1 : 1 + len(sent)]) == sent

    def test_a_request_without_host_gets_the_backends(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        caller.ask(b"GET /a HTTP/1.0\r\n\r\n")
        seen = only(backend)
        assert seen.line == "GET /a HTTP/1.1"
        assert seen.values("Host") == [f"127.0.0.1:{backend.port}"]
        assert seen.values("X-Forwarded-Host") == []

"""The deny list of a real twistd, and a subject that tries to write more than its name."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from calling import CHECK, SLOT, answered, platform, raw, refusal_in
from processes import BackendProcess, GatewayProcess, write_ini
from sasgate.environments import RECETTE
from sasgate.identity import Identity
from sasgate.lab import trees
from sasgate.lab.client import platform as platform_template
from sasgate.lab.names import CN, OU, C, O, name
from sasgate.lab.pki import Lab


PAIR = f"CN={RECETTE.client_cn},OU={RECETTE.client_ou}"


@pytest.fixture(scope="module")
def denying(
    lab: Lab, backend: BackendProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """Recette denies one certificate by its fingerprint, and one by issuer and serial."""
    one, other = (
        Identity.read(lab.clients[each].certificate) for each in ("revoked", "multi-valued-rdn")
    )
    deny = f"deny =\n    {one.sha256}\n    {other.issuer_cn}:{other.serial}\n"
    changes = {f"clients = {PAIR}\n": f"clients = {PAIR}\n{deny}"}
    ini = write_ini(lab, tmp_path_factory.mktemp("denying"), backend.url, changes=changes)
    with GatewayProcess(ini) as process:
        yield process


class TestDenied:
    @pytest.mark.parametrize("client", ["revoked", "multi-valued-rdn"])
    def test_it_is_answered_as_revoked(
        self, lab: Lab, denying: GatewayProcess, backend: BackendProcess, client: str
    ) -> None:
        backend.forget()
        response = answered(platform(lab, denying.port(), client).send(SLOT))
        assert response.status == 401
        assert refusal_in(response)["verify"] == "FAILED:revoked"
        assert backend.recorded() == []

    def test_its_check_is_a_403(self, lab: Lab, denying: GatewayProcess) -> None:
        response = answered(platform(lab, denying.port(), "revoked").send(CHECK))
        assert response.status == 403
        assert refusal_in(response)["verify"] == "FAILED:revoked"

    @pytest.mark.parametrize("client", ["recette", "reversed-name", "preproduction"])
    def test_others_are_served(self, lab: Lab, denying: GatewayProcess, client: str) -> None:
        assert answered(platform(lab, denying.port(), client).send(SLOT)).status == 200

    def test_the_same_serial_of_another_issuer_is_served(
        self, lab: Lab, denying: GatewayProcess
    ) -> None:
        """S21."""
        caller = platform(lab, denying.port("inbound:production"), "same-serial")
        assert answered(caller.send(SLOT)).status == 200

    def test_who_is_refused_for_something_else_is_told_that(
        self, lab: Lab, denying: GatewayProcess
    ) -> None:
        """The deny list is asked last: it says nothing of strangers."""
        said = refusal_in(answered(platform(lab, denying.port(), "expired").send(SLOT)))
        assert said["verify"] == "FAILED:expired"


class TestSubject:
    """S39: an admitted client whose name holds more than a name."""

    EVIL = "x\r\nX-SSL-Client-CN: evil\r\n\r\nGET /evil HTTP/1.1\r\n\0\"',;=+\\\u2028\U0001f3e5"

    @pytest.fixture
    def pem(self, lab: Lab, tmp_path: Path) -> Path:
        template = evolve(
            platform_template(RECETTE),
            subject=name(
                (C, "FR"), (O, self.EVIL), (OU, RECETTE.client_ou), (CN, RECETTE.client_cn)
            ),
        )
        leaf = lab.authorities[trees.ORG_TEST].issue(template, lab.clients["recette"].key)
        path = tmp_path / "evil.pem"
        path.write_bytes(leaf.pem())
        return path

    def test_it_makes_no_header_and_no_request_of_its_own(
        self, lab: Lab, gateway: GatewayProcess, backend: BackendProcess, pem: Path
    ) -> None:
        backend.forget()
        assert answered(platform(lab, gateway.port(), pem).send(SLOT)).status == 200
        (arrived,) = backend.recorded()
        names = [each for each, _ in arrived["headers"]]
        assert names.count("X-SSL-Client-CN") == 1
        said = dict(arrived["headers"])
        assert said["X-SSL-Client-CN"] == RECETTE.client_cn
        assert "O=x\\0D\\0AX-SSL-Client-CN: evil" in said["X-SSL-Client-S-DN"]
        assert all(value.isascii() and value.isprintable() for value in said.values())


class TestErrors:
    """S46: what the gateway says of its own to an admitted client is a kind of fault, no more."""

    @pytest.fixture(scope="class")
    @classmethod
    def alone(cls, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
        """A gateway whose backend does not answer."""
        with GatewayProcess(write_ini(lab, tmp_path_factory.mktemp("alone"))) as process:
            yield process

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"GET /Slot HTTP/1.1\r\nHost: x\r\n\r\n", 502),
            (b"GET /check HTTP/1.1\r\nHost: x\r\n\r\n", 503),
            (b"POST /check HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
            (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
            (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET /\r\n\r\n", 400),
            (b"\x16\x03\x01 nonsense\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20000 + b"\r\n\r\n", 431),
            (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: cake\r\n\r\n", 417),
        ],
    )
    def test_no_version_path_or_stack(
        self, lab: Lab, alone: GatewayProcess, request_: bytes, status: int
    ) -> None:
        with platform(lab, alone.port()).dial() as stream:
            got, received = raw(
                stream, request_.replace(b"Host: x", b"Host: x\r\nConnection: close")
            )
        assert got == status
        head, _, body = received.partition(b"\r\n\r\n")
        fields = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
        expected = {b"content-type", b"content-length", b"connection"}
        assert fields == expected | ({b"allow"} if status == 405 else set())
        said = json.loads(body)
        assert list(said) == ["status"]
        assert said["status"].startswith("KO:")
        for leak in ("sasgate", "twisted", "127.0.0.1", "/slot", "/check", "traceback", "recette"):
            assert leak not in received.decode().lower()

"""SAS in the lab judges as the specification says it does (4.3.4), and misbehaves as told."""

import http.client
import json
import signal
import ssl
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen
from click.testing import CliRunner
from cryptography.x509.oid import ExtendedKeyUsageOID

from processes import CHECKOUT, LoggedProcess, environment
from sasgate import config
from sasgate.commands.lab import lab as command
from sasgate.lab import trees
from sasgate.lab.authority import tampered
from sasgate.lab.configuration import SAS_PORT, Ports, configuration
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Template
from sasgate.lab.sas_answers import APPOINTMENT, Clients, refusal, served
from sasgate.lab.sas_server import Behaviour, SASServer, editors
from sasgate.lab.trees import platform_name


BODY = b'{"resourceType": "Appointment"}'
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@frozen
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@frozen
class Editor:
    """Calls SAS directly, by Python's own TLS; `pem` None is without a certificate."""

    lab: Lab
    port: int
    pem: Path | None
    version: ssl.TLSVersion | None = None

    def connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=self.lab.public_root)
        if self.version is not None:
            context.minimum_version = context.maximum_version = self.version
        if self.pem is not None:
            context.load_cert_chain(self.pem)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)

    def ask(self, method: str = "POST", target: str = APPOINTMENT, body: bytes = BODY) -> Reply:
        with closing(self.connect()) as connection:
            connection.request(method, target, body)
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())


@pytest.fixture
def sas(lab: Lab) -> Iterator[SASServer]:
    with SASServer(lab) as server:
        yield server


@pytest.fixture
def editor(lab: Lab, sas: SASServer) -> Editor:
    return Editor(lab, sas.port, lab.editor_path("ACME_TEST"))


class TestJudgement:
    """Pure: who is refused, with which status."""

    @pytest.fixture
    def clients(self, lab: Lab) -> Clients:
        issuer = lab.authorities[trees.ORG_TEST].certificate
        root = lab.authorities[trees.ROOT_TEST].certificate
        return Clients(root, issuer, frozenset(editors(lab, issuer)))

    def status(self, lab: Lab, clients: Clients, **changes: Any) -> int:
        own = changes.pop("own", lab.editors["ACME_TEST"])
        now = changes.pop("now", lab.created)
        answer = refusal(own.certificate, own.chain, clients, now)
        return 0 if answer is None else answer.status

    def test_the_editors_own_certificate_is_taken(self, lab: Lab, clients: Clients) -> None:
        assert self.status(lab, clients) == 0

    def test_without_one_the_guides_own_refusal_is_answered(self, clients: Clients) -> None:
        """Specification, 5.6: 57 bytes of application/octet-stream."""
        answer = refusal(None, (), clients, clients.issuer.not_valid_before_utc)
        assert answer is not None
        assert (answer.status, len(answer.body)) == (401, 57)
        assert answer.headers == (("Content-Type", "application/octet-stream"),)

    @pytest.mark.parametrize(
        "issuer", [trees.PERS_TEST, trees.PUBLIC, trees.OTHER_ORG, trees.SAME_NAME]
    )
    def test_another_issuer_is_a_401(self, lab: Lab, clients: Clients, issuer: str) -> None:
        template = Template(platform_name("sas-agregateur-test-ACME", "300000000000017", "ACME"))
        own = lab.authorities[issuer].issue(template, now=lab.created)
        assert self.status(lab, clients, own=own) == 401

    def test_productions_certificate_is_a_401(self, lab: Lab, clients: Clients) -> None:
        assert self.status(lab, clients, own=lab.editors["ACME_PROD"]) == 401

    def test_a_tampered_one_is_a_401(self, lab: Lab, clients: Clients) -> None:
        assert self.status(lab, clients, own=tampered(lab.editors["ACME_TEST"])) == 401

    def test_one_that_comes_without_its_intermediate_is_a_401(
        self, lab: Lab, clients: Clients
    ) -> None:
        own = evolve(lab.editors["ACME_TEST"], chain=())
        assert self.status(lab, clients, own=own) == 401

    @pytest.mark.parametrize("days", [-2, 1200])
    def test_one_outside_its_time_is_a_401(self, lab: Lab, clients: Clients, days: int) -> None:
        assert self.status(lab, clients, now=lab.created + timedelta(days=days)) == 401

    def test_one_that_is_not_auth_cli_is_a_401(self, lab: Lab, clients: Clients) -> None:
        template = Template(
            platform_name("sas-agregateur-test-ACME", "300000000000017", "ACME"),
            usages=(ExtendedKeyUsageOID.SERVER_AUTH,),
        )
        own = lab.authorities[trees.ORG_TEST].issue(template, now=lab.created)
        assert self.status(lab, clients, own=own) == 401

    def test_a_revoked_one_is_a_401(self, lab: Lab, clients: Clients) -> None:
        serial = lab.editors["ACME_TEST"].certificate.serial_number
        assert self.status(lab, evolve(clients, revoked=frozenset({serial}))) == 401

    @pytest.mark.parametrize(
        ("cn", "ou"),
        [
            ("sas-agregateur-test-OTHER", "300000000000017"),
            ("sas-agregateur-test-ACME", "300000000000018"),
        ],
    )
    def test_another_cn_or_ou_is_a_403(self, lab: Lab, clients: Clients, cn: str, ou: str) -> None:
        template = Template(platform_name(cn, ou, "ACME"))
        own = lab.authorities[trees.ORG_TEST].issue(template, now=lab.created)
        assert self.status(lab, clients, own=own) == 403


class TestFHIR:
    """Pure: what an admitted call is answered."""

    def test_a_new_appointment_is_somewhere(self) -> None:
        answer = served("POST", APPOINTMENT, BODY, "https://sas", 7)
        assert answer.status == 201
        assert ("Location", f"https://sas{APPOINTMENT}/lab-7/_history/1") in answer.headers
        assert json.loads(answer.body) == {"resourceType": "Appointment", "id": "lab-7"}

    def test_a_changed_one_is_too(self) -> None:
        answer = served("PUT", f"{APPOINTMENT}?Identifier=a|b", BODY, "https://sas", 7)
        assert (answer.status, answer.headers[1][0]) == (200, "Location")

    @pytest.mark.parametrize(
        ("method", "target", "body", "status"),
        [
            ("POST", APPOINTMENT, b"", 400),
            ("POST", APPOINTMENT, b"{", 400),
            ("POST", APPOINTMENT, b"\xff", 400),
            ("POST", APPOINTMENT, b"[]", 422),
            ("POST", APPOINTMENT, b'{"resourceType": "Slot"}', 422),
            ("PUT", APPOINTMENT, BODY, 400),
            ("PUT", f"{APPOINTMENT}?Identifier=a&Identifier=b", BODY, 400),
            ("GET", APPOINTMENT, b"", 404),
            ("DELETE", APPOINTMENT, b"", 404),
            ("POST", "/fhir/v1/Slot", BODY, 404),
            ("POST", f"{APPOINTMENT}/", BODY, 404),
        ],
    )
    def test_all_else_is_an_outcome(
        self, method: str, target: str, body: bytes, status: int
    ) -> None:
        answer = served(method, target, body, "", 1)
        assert answer.status == status
        assert json.loads(answer.body)["resourceType"] == "OperationOutcome"


class TestServer:
    @pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
    @pytest.mark.parametrize(
        ("name", "status"), [(None, 401), ("ACME_TEST", 201), ("ACME_PROD", 401)]
    )
    def test_every_handshake_ends_in_an_answer(
        self, lab: Lab, sas: SASServer, version: ssl.TLSVersion, name: str | None, status: int
    ) -> None:
        """ANS's own server asks for a certificate and answers who has none."""
        pem = None if name is None else lab.editor_path(name)
        assert Editor(lab, sas.port, pem, version).ask().status == status

    def test_what_came_is_kept(self, editor: Editor, sas: SASServer) -> None:
        editor.ask("PUT", f"{APPOINTMENT}?Identifier=a%7Cb")
        (call,) = sas.calls
        assert (call.method, call.target) == ("PUT", f"{APPOINTMENT}?Identifier=a%7Cb")
        assert (call.body, call.status, call.connection) == (BODY, 200, 1)
        assert (call.cn, call.ou) == ("sas-agregateur-test-ACME", "300000000000017")
        assert call.certificates == 2
        assert call.values("HOST") == [f"127.0.0.1:{sas.port}"]

    def test_a_connection_serves_many_calls(self, editor: Editor, sas: SASServer) -> None:
        with closing(editor.connect()) as connection:
            for _ in range(3):
                connection.request("POST", APPOINTMENT, BODY)
                assert connection.getresponse().read()
        assert (len(sas.calls), sas.connections, sas.handshakes) == (3, 1, 1)

    def test_production_takes_productions_editor(self, lab: Lab) -> None:
        with SASServer(lab, production=True) as sas:
            assert Editor(lab, sas.port, lab.editor_path("ACME_PROD")).ask().status == 201
            assert Editor(lab, sas.port, lab.editor_path("ACME_TEST")).ask().status == 401


class TestBehaviour:
    def test_a_late_answer_comes(self, editor: Editor, sas: SASServer) -> None:
        sas.behaviour, sas.seconds = Behaviour.SLOW, 0.01
        assert editor.ask().status == 201

    def test_an_answer_that_is_cut(self, editor: Editor, sas: SASServer) -> None:
        sas.behaviour = Behaviour.CUT
        with pytest.raises(http.client.IncompleteRead):
            editor.ask()

    def test_a_reset_instead_of_one(self, editor: Editor, sas: SASServer) -> None:
        sas.behaviour = Behaviour.RESET
        with pytest.raises(OSError, match=r"(reset|closed)"):
            editor.ask()

    def test_a_close_without_notice(self, editor: Editor, sas: SASServer) -> None:
        sas.behaviour = Behaviour.CLOSE
        with closing(editor.connect()) as connection:
            connection.request("POST", APPOINTMENT, BODY)
            answer = connection.getresponse()
            assert answer.read()
            assert answer.headers["Connection"] is None
            assert connection.sock.recv(1) == b""

    def test_none_until_it_is_released(self, editor: Editor, sas: SASServer) -> None:
        sas.hold()
        with closing(editor.connect()) as connection:
            connection.request("POST", APPOINTMENT, BODY)
            sas.wait_until(lambda: len(sas.calls) == 1)
            sas.release()
            assert connection.getresponse().status == 201

    def test_a_refusal_comes_all_the_same(self, lab: Lab, sas: SASServer) -> None:
        sas.hold()
        assert Editor(lab, sas.port, None).ask().status == 401

    def test_down_and_up_again_on_the_same_port(self, editor: Editor, sas: SASServer) -> None:
        sas.stop()
        with pytest.raises(ConnectionRefusedError):
            editor.ask()
        sas.start()
        assert editor.ask().status == 201


class TestCommand:
    def run(self, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(command, ["sas", *arguments])
        return result.exit_code, result.output

    def test_it_serves_until_it_is_told_to_end(self, lab: Lab) -> None:
        line = (sys.executable, "-m", "sasgate", "lab", "sas", lab.directory, "--port", "0")
        with LoggedProcess([*line, "--unregister", "ACME_TEST"], CHECKOUT, environment()) as sas:
            port = int(sas.wait_for(r"has SAS at https://127\.0\.0\.1:(\d+)$")[1])
            assert Editor(lab, port, lab.editor_path("ACME_TEST")).ask().status == 403
            told = (
                "403 POST /fhir/v1/Appointment by CN=sas-agregateur-test-ACME, OU=300000000000017"
            )
            sas.wait_for(told)
            sas.send_signal(signal.SIGINT)
            assert sas.wait() == 0
        assert "Traceback" not in sas.log

    def test_a_folder_without_a_lab(self, tmp_path: Path) -> None:
        code, output = self.run(str(tmp_path))
        assert code == 1
        assert "sasgate lab init" in output

    def test_an_editor_that_the_lab_has_not(self, lab: Lab) -> None:
        code, output = self.run(str(lab.directory), "--port", "0", "--revoke", "ACME")
        assert code == 1
        assert "it has ACME_TEST, ACME_PROD" in output

    def test_a_port_that_another_has(self, lab: Lab, sas: SASServer) -> None:
        code, output = self.run(str(lab.directory), "--port", str(sas.port))
        assert code == 1
        assert f"127.0.0.1:{sas.port} cannot be opened" in output


class TestConfiguration:
    def test_with_sas_applications_have_a_listener(self, lab: Lab, tmp_path: Path) -> None:
        text = configuration(
            Ports(), "http://127.0.0.1:8080", None, f"https://127.0.0.1:{SAS_PORT}"
        )
        (tmp_path / "sasgate.ini").write_text(text)
        settings = config.load(tmp_path / "sasgate.ini")
        (outbound,) = settings.outbounds
        assert [str(each) for each in outbound.listen] == ["tcp:8081:interface=127.0.0.1"]
        used = settings.environments[outbound.environment]
        assert used.url == f"https://127.0.0.1:{SAS_PORT}"
        assert used.sas_roots == tmp_path / "public-root.pem"

    def test_without_it_there_is_none(self) -> None:
        assert "outbound" not in configuration(Ports(), "http://127.0.0.1:8080")

    @pytest.mark.parametrize("url", ["", "8445", "http://127.0.0.1:8445", "https://"])
    def test_what_is_no_https_url_is_refused_at_once(self, url: str, tmp_path: Path) -> None:
        result = CliRunner().invoke(command, ["init", str(tmp_path / "new"), "--sas", url])
        assert result.exit_code == 2
        assert "--sas" in result.output
        assert not (tmp_path / "new").exists()

    def test_the_command_to_be_sas_is_among_the_next_steps(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Lab
    ) -> None:
        made = evolve(lab, directory=tmp_path)
        monkeypatch.setattr(Lab, "create", lambda *_, **__: made)
        url = "https://127.0.0.1:7445"
        result = CliRunner().invoke(command, ["init", str(tmp_path), "--sas", url])
        assert result.exit_code == 0, result.output
        assert f"\n  sasgate lab sas {tmp_path} --port 7445\n  twistd" in result.output

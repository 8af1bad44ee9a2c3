"""Outbound calls while the gateway is reloaded, stopped, or has too much to do (S53 to S57)."""

import grp
import http.client
import os
import pwd
import shutil
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import define

from applications import (
    POST,
    Application,
    local_url,
    outcome,
    own_file,
    request,
    write_outbound,
)
from processes import GatewayProcess, twistd_result
from raw_client import PATIENCE, Answer, Wire
from sasgate.identity import NamePair
from sasgate.lab import trees
from sasgate.lab.authority import Credential
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Template
from sasgate.lab.sas_answers import Answer as SASAnswer
from sasgate.lab.sas_server import Behaviour, SASServer
from sasgate.lab.trees import platform_name


NOT_SENT = "Nothing of the request was sent: it may be sent again."
MAYBE_SENT = "The request may have arrived: look before you send it again."
OLD, NEW = "sas-agregateur-test-ACME", "sas-agregateur-test-ACME2"


def certificate(lab: Lab, cn: str) -> Credential:
    return lab.authorities[trees.ORG_TEST].issue(Template(platform_name(cn, "3", "ACME")))


@define
class Editor:
    """A gateway of its own, whose certificate may change."""

    sas: SASServer
    gateway: GatewayProcess
    pem: Path

    @property
    def app(self) -> Application:
        return Application(self.gateway, "a")

    def reload(self) -> str:
        """Send SIGHUP; the line that says what became of it."""
        seen = len(self.gateway.lines)
        self.gateway.send_signal(signal.SIGHUP)
        return self.gateway.wait_for(r"reload(ed|\srefused).*", after=seen)[0]


@pytest.fixture
def editor(lab: Lab, tmp_path: Path) -> Iterator[Editor]:
    pem = tmp_path / "ACME_TEST.key.crt.ca.pem"
    shutil.copy(lab.editor_path("ACME_TEST"), pem)
    with ExitStack() as stack:
        sas = stack.enter_context(SASServer(lab))
        sas.registered.add(NamePair(NEW, "3"))
        ini = write_outbound(
            lab,
            tmp_path,
            {"a": local_url(sas)},
            listeners={"a": {"certificate": pem}},
            limits={"outbound_answer": 60},
        )
        yield Editor(sas, stack.enter_context(GatewayProcess(ini)), pem)


def held(editor: Editor) -> socket.socket:
    """A call that SAS has and does not answer yet."""
    editor.sas.hold()
    before = len(editor.sas.calls)
    calling = editor.app.connected()
    calling.sendall(POST)
    editor.sas.wait_until(lambda: len(editor.sas.calls) > before)
    return calling


def answer_to(calling: socket.socket) -> Answer:
    with calling:
        return Wire(calling).answer()  # type: ignore[arg-type]


class TestReload:
    def test_the_next_call_shows_the_new_certificate_and_those_in_flight_end_on_the_old(
        self, editor: Editor, lab: Lab
    ) -> None:
        """S54."""
        assert editor.app.ask().status == 201
        calling = held(editor)
        own_file(certificate(lab, NEW), editor.pem)
        assert editor.reload().startswith("reloaded")
        editor.sas.behaviour = Behaviour.ANSWER
        assert editor.app.ask().status == 201
        editor.sas.release()
        assert answer_to(calling).status == 201
        assert [call.cn for call in editor.sas.calls] == [OLD, OLD, NEW]
        assert editor.app.ask().status == 201
        assert editor.sas.calls[-1].cn == NEW
        assert f"presents CN={NEW} OU=3 " in editor.gateway.log

    def test_a_connection_of_an_application_that_lives_on_shows_it_too(
        self, editor: Editor, lab: Lab
    ) -> None:
        """S54."""
        with editor.app.wire() as wire:
            wire.ask(POST)
            own_file(certificate(lab, NEW), editor.pem)
            editor.reload()
            wire.ask(POST)
        assert [call.cn for call in editor.sas.calls] == [OLD, NEW]

    def test_a_refusal_is_told_with_the_certificate_that_was_presented(
        self, editor: Editor, lab: Lab
    ) -> None:
        """S54: a call in flight is on the old certificate, whatever is in force by now."""
        editor.sas.answer = SASAnswer(403)
        calling = held(editor)
        own_file(certificate(lab, NEW), editor.pem)
        editor.reload()
        editor.sas.release()
        assert answer_to(calling).status == 403
        line = editor.gateway.wait_for(r"SAS answered 403 .*presented was (\S+)")
        assert line[1] == f"CN={OLD}"

    def test_an_unusable_certificate_leaves_the_old_in_force(self, editor: Editor) -> None:
        """S55."""
        text = editor.pem.read_bytes()
        editor.pem.write_bytes(text[: text.index(b"-----BEGIN CERT")])
        line = editor.reload()
        assert line.startswith("reload refused")
        assert str(editor.pem) in line
        assert editor.app.ask().status == 201

    def test_a_key_that_others_can_read_leaves_the_old_in_force(self, editor: Editor) -> None:
        """S57."""
        editor.pem.chmod(0o644)
        line = editor.reload()
        assert f"chmod o-rwx {editor.pem}" in line
        assert editor.app.ask().status == 201

    def test_no_key_is_ever_logged(self, editor: Editor) -> None:
        """S57."""
        body = editor.pem.read_text().split("-----")[2].split()
        editor.pem.write_text(editor.pem.read_text().replace("BEGIN CERT", "BEGIN CRAP"))
        editor.reload()
        editor.app.ask()
        assert not any(line in editor.gateway.log for line in body)


class TestStart:
    def test_a_key_that_others_can_read_ends_the_start(self, lab: Lab, tmp_path: Path) -> None:
        """S57."""
        pem = tmp_path / "own.pem"
        shutil.copy(lab.editor_path("ACME_TEST"), pem)
        pem.chmod(0o604)
        ini = write_outbound(
            lab, tmp_path, {"a": "https://localhost"}, listeners={"a": {"certificate": pem}}
        )
        code, log = twistd_result(ini)
        assert code == 1
        assert f"chmod o-rwx {pem}" in log
        assert "Traceback" not in log

    def test_a_listener_that_others_reach_ends_the_start(self, lab: Lab, tmp_path: Path) -> None:
        """S53."""
        ini = write_outbound(
            lab, tmp_path, {"a": "https://localhost"}, listeners={"a": {"listen": "tcp:0"}}
        )
        code, log = twistd_result(ini)
        assert code == 1
        assert "could be reached from other machines" in log


class TestStop:
    def test_a_call_in_flight_gets_its_answer(self, editor: Editor) -> None:
        with editor.app.wire() as idle:
            idle.ask(POST)
            calling = held(editor)
            editor.gateway.send_signal(signal.SIGTERM)
            assert idle.rest() == b""
        with pytest.raises(ConnectionError):
            editor.app.connected()
        editor.sas.release()
        answer = answer_to(calling)
        assert answer.status == 201
        assert answer.headers["Connection"] == "close"
        assert editor.gateway.wait() == -signal.SIGTERM


class TestTooMuch:
    def test_beyond_the_queue_a_call_is_told_so_at_once(self, editor: Editor) -> None:
        editor.sas.hold()
        calling = [editor.app.connected() for _ in range(32)]
        for each in calling:
            each.sendall(POST)
        editor.sas.wait_until(lambda: len(editor.sas.calls) == 32)
        waiting = [editor.app.connected() for _ in range(128)]
        for each in waiting:
            each.sendall(POST)
        # They were sent before it, and the gateway reads from all of them in one turn.
        text = ""
        for _ in range(100):
            with editor.app.connected() as last:
                last.sendall(POST)
                last.settimeout(0.2)
                try:
                    text = outcome(Wire(last).answer(), 503)  # type: ignore[arg-type]
                    break
                except TimeoutError:
                    continue
        assert "wait a moment" in text
        assert text.endswith(NOT_SENT)
        editor.sas.release()
        answers = [answer_to(each).status for each in (*calling, *waiting)]
        assert answers == [201] * 160

    def test_an_application_that_leaves_the_queue_makes_room(self, editor: Editor) -> None:
        editor.sas.hold()
        calling = [editor.app.connected() for _ in range(32)]
        for each in calling:
            each.sendall(POST)
        editor.sas.wait_until(lambda: len(editor.sas.calls) == 32)
        leaving, staying = editor.app.connected(), editor.app.connected()
        leaving.sendall(request("POST", "/leaves", body=b"x"))
        leaving.close()
        editor.gateway.wait_for(r"\b499 POST ")
        staying.sendall(request("POST", "/stays", body=b"x"))
        editor.sas.release()
        assert answer_to(staying).status == 404
        for each in calling:
            assert answer_to(each).status == 201
        assert [call.target for call in editor.sas.calls[32:] if call.target == "/leaves"] == []


class TestTooLate:
    @pytest.fixture
    def hasty(self, lab: Lab, tmp_path: Path) -> Iterator[tuple[SASServer, Application]]:
        with ExitStack() as stack:
            sas = stack.enter_context(SASServer(lab))
            mute = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            ini = write_outbound(
                lab,
                tmp_path,
                {"a": local_url(sas), "mute": f"https://127.0.0.1:{mute.getsockname()[1]}"},
                limits={"outbound_answer": 2, "connect": 1},
            )
            yield sas, Application(stack.enter_context(GatewayProcess(ini)), "a")

    def test_sas_that_does_not_answer(self, hasty: tuple[SASServer, Application]) -> None:
        sas, app = hasty
        sas.hold()
        text = outcome(app.ask(), 504)
        assert text.startswith("sasgate, 504 Gateway Timeout: no answer from SAS (localhost:")
        assert text.endswith(MAYBE_SENT)

    def test_sas_that_does_not_finish_the_handshake(
        self, hasty: tuple[SASServer, Application]
    ) -> None:
        text = outcome(Application(hasty[1].gateway, "mute").ask(), 504)
        assert text.endswith(NOT_SENT)

    def test_no_turn_came_in_time(self, hasty: tuple[SASServer, Application]) -> None:
        sas, app = hasty
        sas.hold()
        calling = [app.connected() for _ in range(33)]
        for each in calling:
            each.sendall(POST)
        texts = [outcome(answer_to(each), 504) for each in calling]
        assert len(sas.calls) == 32
        assert sorted(text.endswith(NOT_SENT) for text in texts) == [False] * 32 + [True]


class TestSocket:
    """S53: a UNIX socket is for whom the configuration says."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "sas.sock"

    def status(self, path: Path) -> int:
        connection = http.client.HTTPConnection("sas")
        connection.sock = socket.socket(socket.AF_UNIX)
        with connection.sock:
            connection.sock.settimeout(PATIENCE)
            connection.sock.connect(str(path))
            connection.request("POST", "/fhir/v1/Appointment", b'{"resourceType": "Appointment"}')
            return connection.getresponse().status

    @pytest.mark.parametrize(("given", "mode"), [({}, 0o660), ({"socket_mode": "600"}, 0o600)])
    def test_its_mode_is_the_configurations_and_calls_pass(
        self, lab: Lab, tmp_path: Path, path: Path, given: dict[str, str], mode: int
    ) -> None:
        with SASServer(lab) as sas:
            ini = write_outbound(
                lab,
                tmp_path,
                {"a": local_url(sas)},
                listeners={"a": {"listen": f"unix:{path}", **given}},
            )
            with GatewayProcess(ini):
                assert stat.S_IMODE(path.stat().st_mode) == mode
                assert self.status(path) == 201

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_it_belongs_to_whom_the_configuration_says(
        self, lab: Lab, tmp_path: Path, path: Path
    ) -> None:
        ini = write_outbound(
            lab,
            tmp_path,
            {"a": "https://localhost"},
            listeners={"a": {"listen": f"unix:{path}", "socket_owner": "nobody:daemon"}},
        )
        with GatewayProcess(ini):
            found = path.stat()
        owner = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name
        assert owner == ("nobody", "daemon")

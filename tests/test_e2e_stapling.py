"""Stapling by a real gateway, as OpenSSL's own client and curl see it (specification, 5.4)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Protocol

import pytest
from attrs import define, field
from cryptography import x509

from loopback import closed_port, mute_server, web_server
from openssl import curl, program, s_client
from processes import BackendProcess, GatewayProcess, LoggedProcess, environment, write_ini
from sasgate.lab.authority import Credential, pem_of
from sasgate.lab.ocsp_answers import REVOKED, UNKNOWN, Saying
from sasgate.lab.pki import Lab
from sasgate.stapling import Question
from stapled import OwnWorld


NOTHING = "OCSP response: no response sent"
STALE = Saying(this_update=timedelta(hours=-9), next_update=timedelta(hours=-8))
Say = Callable[[Credential], bytes]


@define
class Responder:
    """A responder on the loopback; `say` is what it answers about the certificate that names it."""

    world: OwnWorld
    say: Say
    asked: int = 0
    own: Credential = field(init=False)

    @contextmanager
    def serve(self) -> Iterator[None]:
        with web_server(self._answer) as place:
            self.own = self.world.naming(f"http://{place}/ocsp")
            yield

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        self.asked += 1
        body = self.say(self.own)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture
def world(lab: Lab) -> OwnWorld:
    return OwnWorld(lab)


class Start(Protocol):
    """Starts a gateway that presents a certificate of its own."""

    def __call__(self, own: Credential, limits: str = "") -> GatewayProcess: ...


# What never answers must be seen to hold nobody up, however slow the machine.
PATIENT = "[limits]\nocsp_time = 60\n"


@pytest.fixture
def start(lab: Lab, backend: BackendProcess, tmp_path: Path) -> Start:
    def start(own: Credential, limits: str = "") -> GatewayProcess:
        ini = write_ini(lab, tmp_path / "gateway", backend.url, append=limits)
        (ini.parent / "server.pem").write_bytes(pem_of((own.certificate, *own.chain)))
        (ini.parent / "server.key").write_bytes(own.key_pem())
        return GatewayProcess(ini)

    return start


def saying(world: OwnWorld, saying: Saying | None = None) -> Say:
    return lambda own: world.answer(saying, now=datetime.now(UTC), leaf=own.certificate)


class TestGood:
    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_openssl_is_given_it(
        self, lab: Lab, world: OwnWorld, start: Start, version: str
    ) -> None:
        responder = Responder(world, saying(world))
        with responder.serve(), start(responder.own) as gateway:
            gateway.wait_for("which is stapled")
            said = s_client(lab, gateway.port(), "-status", version)
        assert "OCSP Response Status: successful" in said
        assert "Cert Status: good" in said
        assert "HTTP/1.1 200" in said

    def test_of_a_delegate_curl_is_content_with_it(
        self, lab: Lab, world: OwnWorld, start: Start
    ) -> None:
        """curl verifies it: who signed, what it says, its dates."""
        delegate = world.delegate()
        responder = Responder(
            world,
            lambda own: world.answer(
                signatory=delegate, now=datetime.now(UTC), leaf=own.certificate
            ),
        )
        with responder.serve(), start(responder.own) as gateway:
            gateway.wait_for("which is stapled")
            url = f"https://localhost:{gateway.port()}/check"
            answer = curl(lab, url, "--cert-status")
        assert answer.startswith("HTTP/1.1 200")

    def test_of_openssls_own_responder(
        self, lab: Lab, world: OwnWorld, start: Start, tmp_path: Path
    ) -> None:
        with openssl_responder(world, tmp_path) as own, start(own) as gateway:
            gateway.wait_for("which is stapled")
            assert "Cert Status: good" in s_client(lab, gateway.port(), "-status")

    def test_handshakes_ask_nobody(self, lab: Lab, world: OwnWorld, start: Start) -> None:
        responder = Responder(world, saying(world))
        with responder.serve(), start(responder.own) as gateway:
            gateway.wait_for("which is stapled")
            for _ in range(5):
                s_client(lab, gateway.port(), "-status")
        assert responder.asked == 1

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_the_largest_that_is_stapled_arrives(
        self, lab: Lab, world: OwnWorld, start: Start, version: str
    ) -> None:
        """OpenSSL takes no longer one in 1.2, and Twisted forgets what it did not send at once."""

        def largest(own: Credential) -> bytes:
            question = Question.of((own.certificate, *own.chain))
            assert question is not None
            return world.padded(question.room, datetime.now(UTC), own.certificate)

        responder = Responder(world, largest)
        with responder.serve(), start(responder.own) as gateway:
            gateway.wait_for("which is stapled")
            assert "Cert Status: good" in s_client(lab, gateway.port(), "-status", version)


class TestNothing:
    """Whatever the responder does, the gateway serves, and staples nothing but what is good."""

    @pytest.mark.parametrize("said", [Saying(REVOKED), Saying(UNKNOWN), STALE], ids=str)
    def test_not_good_or_stale(self, lab: Lab, world: OwnWorld, start: Start, said: Saying) -> None:
        self.nothing(lab, start, Responder(world, saying(world, said)))

    def test_s29_wrongly_signed(self, lab: Lab, world: OwnWorld, start: Start) -> None:
        def forged(own: Credential) -> bytes:
            now = datetime.now(UTC)
            return world.answer(signatory=world.stranger, now=now, leaf=own.certificate)

        self.nothing(lab, start, Responder(world, forged))

    def test_s32_a_dead_responder(self, lab: Lab, world: OwnWorld, start: Start) -> None:
        with start(world.naming(f"http://{closed_port()}/")) as gateway:
            gateway.wait_for("cannot be reached.*nothing is stapled")
            self.served_without(lab, gateway)

    def test_a_handshake_does_not_wait_for_one_that_is_mute(
        self, lab: Lab, world: OwnWorld, start: Start
    ) -> None:
        with mute_server() as place, start(world.naming(f"http://{place}/"), PATIENT) as gateway:
            self.served_without(lab, gateway)
            assert "no usable OCSP answer" not in gateway.log

    def test_a_mute_one_does_not_keep_the_gateway_from_stopping(
        self, world: OwnWorld, start: Start
    ) -> None:
        with mute_server() as place, start(world.naming(f"http://{place}/"), PATIENT) as gateway:
            gateway.stop()
            assert "Traceback" not in gateway.log
            assert "no usable OCSP answer" not in gateway.log

    def test_a_certificate_without_a_responder(self, lab: Lab, gateway: GatewayProcess) -> None:
        self.served_without(lab, gateway)
        assert "OCSP" not in gateway.log

    def nothing(self, lab: Lab, start: Start, responder: Responder) -> None:
        with responder.serve(), start(responder.own) as gateway:
            gateway.wait_for("nothing is stapled")
            self.served_without(lab, gateway)

    def served_without(self, lab: Lab, gateway: GatewayProcess) -> None:
        said = s_client(lab, gateway.port(), "-status")
        assert NOTHING in said
        assert "HTTP/1.1 200" in said


@contextmanager
def openssl_responder(world: OwnWorld, folder: Path) -> Iterator[Credential]:
    """`openssl ocsp` for a certificate that it is told of; gives that certificate."""
    (folder / "ca.pem").write_bytes(world.authority.credential.pem())
    command = [
        program("openssl"), "ocsp", "-index", "index", "-CA", "ca.pem", "-rsigner", "ca.pem",
        "-nmin", "60", "-port", "0", "-nrequest", "1",
    ]  # fmt: skip
    # Its index is read before its port is known, which the certificate then names.
    serial = x509.random_serial_number()
    (folder / "index").write_text(
        f"V\t300101000000Z\t\t{_hexadecimal(serial)}\tunknown\t/CN=localhost\n"
    )
    with LoggedProcess(command, folder, environment()) as process:
        port = process.wait_for(r"ACCEPT \S*:(\d+) PID")[1]
        yield world.naming(f"http://127.0.0.1:{port}/", serial=serial)


def _hexadecimal(serial: int) -> str:
    text = f"{serial:X}"
    return text if len(text) % 2 == 0 else f"0{text}"

"""Applications call SAS through a real twistd, with the editor's certificate (S52 to S54)."""

import re
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.client import IncompleteRead
from pathlib import Path

import pytest

from applications import (
    BODY,
    GET,
    POST,
    Application,
    local_url,
    outcome,
    request,
    write_outbound,
)
from processes import GatewayProcess
from raw_client import Answer, Wire
from sasgate.lab.pki import Lab
from sasgate.lab.sas_answers import APPOINTMENT
from sasgate.lab.sas_answers import Answer as SASAnswer
from sasgate.lab.sas_server import Behaviour, SASServer, editors


NOT_SENT = "Nothing of the request was sent: it may be sent again."
MAYBE_SENT = "The request may have arrived: look before you send it again."
CN, OU = "sas-agregateur-test-ACME", "300000000000017"


@pytest.fixture(scope="module")
def running(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SASServer, Application]]:
    folder = tmp_path_factory.mktemp("outbound")
    with SASServer(lab) as sas:
        ini = write_outbound(lab, folder, {"a": local_url(sas)})
        with GatewayProcess(ini) as gateway:
            yield sas, Application(gateway, "a")


@pytest.fixture
def sas(running: tuple[SASServer, Application], lab: Lab) -> Iterator[SASServer]:
    server, _ = running
    server.start()
    server.calls.clear()
    server.names.clear()
    server.connections = server.handshakes = 0
    server.behaviour, server.answer = Behaviour.ANSWER, None
    yield server
    server.release()
    server.behaviour, server.answer = Behaviour.ANSWER, None
    server.revoked.clear()
    server.registered |= set(editors(lab, lab.authorities["ACI-EL-ORG-TEST"].certificate))
    server.drop()


@pytest.fixture
def app(running: tuple[SASServer, Application], sas: SASServer) -> Application:
    assert sas is running[0]
    return running[1]


class TestCalls:
    def test_the_guides_own_example_is_created(
        self, app: Application, sas: SASServer, shared: Path
    ) -> None:
        """Specification, 5.7, as it stands."""
        text = (shared / "spec" / "sas-mtls-v3.2.txt").read_text("utf-8")
        found = re.search(r"--data-raw '(.*?)\n```", text, re.DOTALL)
        assert found is not None
        body = found[1].encode()
        answer = app.ask(request("POST", APPOINTMENT, "Content-Type: application/json", body=body))
        assert answer.status == 201
        assert answer.headers["Location"].startswith(f"{sas.url}{APPOINTMENT}/")
        (call,) = sas.calls
        assert (call.body, call.values("content-type")) == (body, ["application/json"])

    def test_sas_sees_the_editors_certificate_with_its_intermediate(
        self, app: Application, sas: SASServer
    ) -> None:
        app.ask()
        (call,) = sas.calls
        assert (call.cn, call.ou, call.certificates) == (CN, OU, 2)

    def test_an_update_is_answered_200_and_where(self, app: Application, sas: SASServer) -> None:
        target = f"{APPOINTMENT}?Identifier=urn:oid:1.2.3%7C4"
        answer = app.ask(request("PUT", target, body=BODY))
        assert answer.status == 200
        assert APPOINTMENT in answer.headers["Location"]

    @pytest.mark.parametrize(
        "target",
        [
            f"{APPOINTMENT}?Identifier=urn:oid:1.2|3&a=b%2Fc&&=",
            "/fhir//v1/../Appointment/./%2e%2E/;x=1",
            "/%7e?a=%00+%2B;'(!)*@$,:",
            "/?",
        ],
    )
    def test_path_and_query_pass_byte_for_byte(
        self, app: Application, sas: SASServer, target: str
    ) -> None:
        app.ask(request("GET", target), "GET")
        assert [call.target for call in sas.calls] == [target]

    def test_identity_headers_of_the_application_pass(
        self, app: Application, sas: SASServer
    ) -> None:
        ours = {
            "X-Request-ID": "0815",
            "X-SSL-Client-CN": "somebody",
            "X-Forwarded-For": "192.0.2.1",
            "Client-Cert": ":MII=:",
            "Authorization": "Bearer x",
        }
        app.ask(request("GET", "/", *(f"{name}: {value}" for name, value in ours.items())), "GET")
        (call,) = sas.calls
        assert {name: value for name, value in call.headers if name in ours} == ours

    def test_hop_by_hop_headers_do_not(self, app: Application, sas: SASServer) -> None:
        fields = "Connection: X-Mine", "X-Mine: 1", "TE: trailers", "Proxy-Authorization: Basic x"
        app.ask(request("GET", "/", *fields, "Keep-Alive: 1", "Upgrade: h2c"), "GET")
        (call,) = sas.calls
        assert [name for name, _ in call.headers] == ["Host"]

    def test_sni_and_host_are_those_of_sas(self, app: Application, sas: SASServer) -> None:
        sas.drop()
        app.ask()
        (call,) = sas.calls
        assert call.values("host") == [f"localhost:{sas.port}"]
        assert sas.names == ["localhost"]

    @pytest.mark.parametrize("chunked", [False, True])
    def test_ten_megabytes_stream_both_ways(
        self, app: Application, sas: SASServer, chunked: bool
    ) -> None:
        body = bytes(range(256)) * 40960
        sas.answer = SASAnswer(200, (), body[::-1])
        data = request("POST", "/big", body=body)
        if chunked:
            head = request("POST", "/big", "Transfer-Encoding: chunked")
            data = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        with app.wire() as wire:
            sender = threading.Thread(target=wire.send, args=(data,))
            sender.start()
            answer = wire.answer()
            sender.join()
        assert answer.body == body[::-1]
        assert sas.calls[0].body == body


class TestAnswersOfSAS:
    """They pass untouched, and what a refusal means is told to the administrator."""

    def since(self, app: Application, *words: str) -> str:
        pattern = r"sasgate\.outbound\S*#warn\].*" + ".*".join((*words, "until .*"))
        return app.gateway.wait_for(pattern, after=self.seen)[0]

    @pytest.fixture(autouse=True)
    def _from_here(self, app: Application) -> None:
        self.seen = len(app.gateway.lines)

    @pytest.mark.parametrize(("body", "status"), [(b"no JSON", 400), (b"{}", 422)])
    def test_what_is_no_appointment_is_refused_in_the_words_of_sas(
        self, app: Application, sas: SASServer, body: bytes, status: int
    ) -> None:
        answer = app.ask(request("POST", APPOINTMENT, body=body))
        assert answer.status == status
        assert "sasgate" not in answer.body.decode()
        assert answer.json["resourceType"] == "OperationOutcome"

    def test_a_certificate_that_sas_revoked(
        self, app: Application, sas: SASServer, lab: Lab
    ) -> None:
        sas.revoked.add(lab.editors["ACME_TEST"].certificate.serial_number)
        answer = app.ask()
        assert (answer.status, answer.json["verify"]) == (401, "FAILED:certificate revoked")
        ends = lab.editors["ACME_TEST"].certificate.not_valid_after_utc
        line = self.since(app, "SAS answered 401", "TEST certificate on production")
        assert f"CN={CN} OU={OU} " in line
        assert f"until {ends:%Y-%m-%d}" in line

    def test_a_cn_that_is_not_registered(self, app: Application, sas: SASServer) -> None:
        sas.registered.clear()
        answer = app.ask()
        assert (answer.status, answer.json["status"]) == (403, "KO:Forbidden")
        assert f"CN={CN}" in self.since(app, "SAS answered 403", "send them to ANS")

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_the_applications_to_follow(
        self, app: Application, sas: SASServer, lab: Lab, status: int
    ) -> None:
        """S52: our certificate goes nowhere else."""
        with SASServer(lab) as elsewhere:
            where = f"{elsewhere.url}/there"
            sas.answer = SASAnswer(status, (("Location", where),), b"over there")
            answer = app.ask()
            assert (answer.status, answer.headers["Location"]) == (status, where)
            assert answer.body == b"over there"
            assert elsewhere.connections == 0
        assert len(sas.calls) == 1

    def test_a_web_page_of_a_500_passes(self, app: Application, sas: SASServer) -> None:
        sas.answer = SASAnswer(500, (("Content-Type", "text/html"), ("X-A", "1")), b"<h1>oh</h1>")
        answer = app.ask()
        assert (answer.status, answer.body) == (500, b"<h1>oh</h1>")
        assert (answer.headers["Content-Type"], answer.headers["X-A"]) == ("text/html", "1")


class TestNoOpenRelay:
    """S53: one server alone is reached, whatever the application asks for."""

    @pytest.mark.parametrize(
        ("target", "arrives"),
        [
            ("http://evil.example/fhir?x=1", "/fhir?x=1"),
            ("https://evil.example:444", "/"),
            ("HTTP://evil.example?x", "/?x"),
            ("http://me:secret@evil.example/a", "/a"),
        ],
    )
    def test_absolute_form_changes_nothing(
        self, app: Application, sas: SASServer, target: str, arrives: str
    ) -> None:
        app.ask(request("GET", target), "GET")
        (call,) = sas.calls
        assert (call.target, call.values("host")) == (arrives, [f"localhost:{sas.port}"])

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::1]:8081", "app.localhost"])
    def test_another_host_changes_nothing(
        self, app: Application, sas: SASServer, host: str
    ) -> None:
        app.ask(f"GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), "GET")
        (call,) = sas.calls
        assert call.values("host") == [f"localhost:{sas.port}"]

    @pytest.mark.parametrize(
        "lines",
        [
            "Host: evil.example:25",
            "Host: localhost\r\nOrigin: https://evil.example",
            "Host: localhost\r\nSec-Fetch-Site: cross-site",
        ],
    )
    def test_no_web_page_of_this_host_calls_sas(
        self, app: Application, sas: SASServer, lines: str
    ) -> None:
        text = outcome(app.ask(f"GET /a HTTP/1.1\r\n{lines}\r\n\r\n".encode(), "GET"), 403)
        assert text.endswith(NOT_SENT)
        assert sas.calls == []

    @pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
    def test_there_is_no_tunnel(self, app: Application, sas: SASServer, method: str) -> None:
        target = "evil.example:443" if method == "CONNECT" else "/"
        answer = app.ask(request(method, target), "GET")
        outcome(answer, 405)
        assert "GET" in answer.headers["Allow"]
        assert sas.calls == []

    @pytest.mark.parametrize(
        "data",
        [
            b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
            b"GET / HTTP/1.1\nHost: a\n\n",
            b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: b\n c\r\n\r\n",
            b"GET ftp://evil.example/ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    )
    def test_what_could_be_read_in_two_ways_is_refused(
        self, app: Application, sas: SASServer, data: bytes
    ) -> None:
        outcome(app.ask(data, "GET"), 400)
        assert sas.calls == []


class TestFaults:
    """What the gateway itself has to say is FHIR, and true about what was sent."""

    def test_sas_is_down(self, app: Application, sas: SASServer) -> None:
        sas.stop()
        text = outcome(app.ask(), 502)
        assert text.startswith("sasgate, 502 Bad Gateway: ")
        assert "Connection refused" in text
        assert f"localhost:{sas.port}" in text
        assert text.endswith(NOT_SENT)

    def test_it_comes_back(self, app: Application, sas: SASServer) -> None:
        sas.stop()
        app.ask()
        sas.start()
        assert app.ask().status == 201

    def test_sas_dies_over_a_call(self, app: Application, sas: SASServer) -> None:
        sas.behaviour = Behaviour.RESET
        text = outcome(app.ask(), 502)
        assert text.endswith(MAYBE_SENT)
        assert len(sas.calls) == 1

    def test_an_answer_that_is_cut_is_not_whole(self, app: Application, sas: SASServer) -> None:
        sas.answer = SASAnswer(200, (), b"x" * 1000)
        sas.behaviour = Behaviour.CUT
        with app.wire() as wire, pytest.raises((IncompleteRead, ConnectionResetError)):
            wire.ask(POST)

    def test_an_answer_that_is_no_http(self, app: Application, sas: SASServer) -> None:
        sas.answer = SASAnswer(200, (("Bad Name", "x"),), b"")
        assert outcome(app.ask(), 502).endswith(MAYBE_SENT)

    def test_every_fault_says_its_status(self, app: Application, sas: SASServer) -> None:
        sas.stop()
        phrase = HTTPStatus(502).phrase
        assert f"502 {phrase}" in outcome(app.ask(GET, "GET"), 502)


class TestPool:
    def test_calls_share_a_connection(self, app: Application, sas: SASServer) -> None:
        for _ in range(20):
            assert app.ask().status == 201
        assert {call.connection for call in sas.calls} == {sas.calls[0].connection}

    def test_many_calls_open_no_more_connections_than_there_are_callers(
        self, app: Application, sas: SASServer
    ) -> None:
        statuses: list[int] = []

        def call() -> None:
            with app.wire() as wire:
                statuses.extend(wire.ask(POST).status for _ in range(250))

        callers = [threading.Thread(target=call) for _ in range(4)]
        for each in callers:
            each.start()
        for each in callers:
            each.join()
        assert statuses == [201] * 1000
        assert len({call.connection for call in sas.calls}) <= 4

    @pytest.mark.parametrize("behaviour", [Behaviour.ANSWER, Behaviour.CLOSE])
    def test_a_kept_connection_that_sas_closed_is_not_used(
        self, app: Application, sas: SASServer, behaviour: Behaviour
    ) -> None:
        sas.behaviour = behaviour
        for _ in range(5):
            assert app.ask().status == 201
            sas.drop()
        assert len(sas.calls) == 5

    def test_the_33rd_call_waits_and_gets_its_turn(self, app: Application, sas: SASServer) -> None:
        sas.hold()
        answers: list[Answer] = []
        sockets = [app.connected() for _ in range(33)]
        for each in sockets:
            each.sendall(POST)
        sas.wait_until(lambda: len(sas.calls) == 32)
        # One more connection, which the gateway takes after the others': what was to come, came.
        assert app.ask(request("TRACE", "/"), "GET").status == 405
        assert len(sas.calls) == 32
        sas.release()
        for each in sockets:
            with each:
                answers.append(Wire(each).answer())  # type: ignore[arg-type]
        assert [each.status for each in answers] == [201] * 33

"""The admin endpoint of a real twistd: read only, for this host alone, and no harm to SAS (S58)."""

import http.client
import json
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from applications import Application, write_outbound
from calling import SLOT, answered, platform
from processes import PATIENCE, BackendProcess, GatewayProcess, write_ini
from sasgate.admin.listener import MOST_CONNECTIONS
from sasgate.commands import main
from sasgate.lab.pki import Lab


TCP = "admin = tcp:0:interface=127.0.0.1\n"


def with_admin(lab: Lab, folder: Path, backend: str, admin: str = TCP) -> Path:
    return write_ini(lab, folder, backend, changes={"ca = ca\n": f"ca = ca\n{admin}"})


@pytest.fixture(scope="module")
def gateway(
    lab: Lab, backend: BackendProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway to look at, which nobody may leave changed."""
    ini = with_admin(lab, tmp_path_factory.mktemp("admin"), backend.url)
    with GatewayProcess(ini) as process:
        yield process


@pytest.fixture
def own(lab: Lab, backend: BackendProcess, tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway of the test's own."""
    with GatewayProcess(with_admin(lab, tmp_path, backend.url)) as process:
        yield process


def ask(
    gateway: GatewayProcess, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port("admin"), timeout=PATIENCE)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def status(gateway: GatewayProcess) -> dict[str, Any]:
    """A fresh one: an answer is kept for a second."""
    seen = None
    while True:
        found: dict[str, Any] = json.loads(ask(gateway, "/status.json")[1])
        if seen not in {None, found["at"]}:
            return found
        seen = found["at"]


def call(lab: Lab, gateway: GatewayProcess, client: str = "recette") -> int:
    return answered(platform(lab, gateway.port(), client=client).send(SLOT)).status


def reload(gateway: GatewayProcess, said: str) -> None:
    before = len(gateway.lines)
    gateway.send_signal(signal.SIGHUP)
    gateway.wait_for(said, after=before)


class TestWhatItSays:
    def test_who_was_admitted_and_refused_with_the_reason(
        self, lab: Lab, gateway: GatewayProcess
    ) -> None:
        assert call(lab, gateway) == 200
        assert call(lab, gateway, "wrong-ou") == 403
        found = status(gateway)
        decisions = {
            each["decision"]["outcome"]: each["decision"]["detail"] for each in found["decisions"]
        }
        assert decisions["admitted"] == "admitted"
        assert decisions["forbidden"]
        minutes = found["minutes"]
        assert sum(each["requests"] for each in minutes) >= 2
        assert sum(each["refusals"] for each in minutes) >= 1
        assert found["process"]["pid"] == gateway.process.pid

    def test_prometheus_reads_the_same(self, lab: Lab, gateway: GatewayProcess) -> None:
        assert call(lab, gateway) == 200
        status(gateway)
        response, body = ask(gateway, "/metrics")
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        samples = {
            (sample.name, sample.labels.get("code"), sample.labels.get("direction")): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }
        assert samples["sasgate_requests_total", "200", None] >= 1
        assert samples["sasgate_answer_seconds_count", None, "inbound"] >= 1
        assert samples["sasgate_handshake_seconds_count", None, None] >= 1

    @pytest.mark.parametrize(("language", "word"), [("fr", "Certificats"), ("en", "Certificates")])
    def test_the_page_is_for_people(
        self, gateway: GatewayProcess, language: str, word: str
    ) -> None:
        response, body = ask(gateway, "/", **{"Accept-Language": language})
        assert response.status == 200
        assert word in body.decode()
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert response.headers["Cache-Control"] == "no-store"

    def test_head_says_as_much_without_the_body(self, gateway: GatewayProcess) -> None:
        response, body = ask(gateway, "/status.json", "HEAD")
        assert (response.status, body) == (200, b"")
        assert int(response.headers["Content-Length"]) > 100


class TestReadOnly:
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
    def test_s58_nothing_can_be_changed(self, gateway: GatewayProcess, method: str) -> None:
        response, body = ask(gateway, "/status.json", method)
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
        assert body == b"Method Not Allowed\n"

    def test_s58_a_rebound_name_is_refused(self, gateway: GatewayProcess) -> None:
        response, body = ask(gateway, "/", Host="evil.example")
        assert (response.status, body) == (403, b"Forbidden\n")

    def test_s46_its_errors_tell_nothing(self, gateway: GatewayProcess) -> None:
        response, body = ask(gateway, "/%2e%2e/etc/sasgate")
        assert (response.status, body) == (404, b"Not Found\n")
        assert response.headers["Server"] is None

    @pytest.mark.parametrize(
        "admin",
        ["tcp:9180", "tcp:9180:interface=0.0.0.0", "haproxy:tcp:9180:interface=127.0.0.1"],
    )
    def test_s58_it_is_never_open_to_other_hosts(
        self, lab: Lab, tmp_path: Path, admin: str
    ) -> None:
        process = GatewayProcess(
            with_admin(lab, tmp_path, "http://127.0.0.1:9", f"admin = {admin}\n")
        )
        assert process.wait() == 1
        assert "could be reached from other machines" in process.log


class TestItHurtsNobody:
    def test_more_connections_than_it_takes_leave_it_usable(
        self, lab: Lab, gateway: GatewayProcess
    ) -> None:
        port = gateway.port("admin")
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(3 * MOST_CONNECTIONS)]
        try:
            found = status(gateway)
            listener = next(each for each in found["listeners"] if each["name"] == "admin")
            assert listener["connections"] <= MOST_CONNECTIONS
            assert call(lab, gateway) == 200
        finally:
            for each in held:
                each.close()

    def test_they_take_none_of_sas_places(self, gateway: GatewayProcess) -> None:
        with socket.create_connection(("127.0.0.1", gateway.port("admin"))):
            assert status(gateway)["connections"]["inbound"] == 0

    def test_calls_to_sas_take_none_either_and_are_counted_apart(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        ini = write_outbound(lab, tmp_path, {"a": "https://127.0.0.1:1"})
        ini.write_text(ini.read_text("utf-8").replace("[sasgate]\n", f"[sasgate]\n{TCP}"), "utf-8")
        with GatewayProcess(ini) as process, Application(process, "a").connected():
            connections = status(process)["connections"]
        assert (connections["inbound"], connections["outbound"]) == (0, 1)

    def test_a_head_without_end_is_refused(self, gateway: GatewayProcess) -> None:
        with socket.create_connection(("127.0.0.1", gateway.port("admin"))) as line:
            line.settimeout(PATIENCE)
            line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000)
            assert line.recv(64).startswith(b"HTTP/1.1 431 ")

    def test_asking_without_pause_is_slowed_down_and_does_not_stop_sas(
        self, lab: Lab, own: GatewayProcess
    ) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", own.port("admin"), timeout=PATIENCE)
        for _ in range(60):
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            response.read()
            assert response.status == 200
        connection.close()
        assert call(lab, own) == 200


class TestOutages:
    def test_cas_without_a_list_and_servers_out_of_reach_are_critical(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            nobody = f"http://127.0.0.1:{gone.getsockname()[1]}"
        sources = {"addresses =": f"crl = {nobody}/list.crl\naddresses ="}
        changes = {"ca = ca\n": f"ca = ca\n{TCP}", "mode = off": "mode = crl", **sources}
        with GatewayProcess(write_ini(lab, tmp_path, nobody, changes=changes)) as process:
            assert call(lab, process) == 401
            process.wait_for(r"#(warn|error|critical)\].*/list\.crl")
            found = status(process)
        assert found["level"] == "critical"
        cas = ["ACI-EL-ORG", "ACI-EL-ORG-TEST", "ACR-EL", "ACR-EL-TEST"]
        assert found["revocation"]["lacking"] == cas
        keys = {each["key"] for each in found["findings"]}
        assert {"no_list", "source_failed"} <= keys

    def test_a_backend_out_of_reach_is_critical_and_told_with_its_reason(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            nobody = f"http://127.0.0.1:{gone.getsockname()[1]}"
        with GatewayProcess(with_admin(lab, tmp_path, nobody)) as process:
            assert call(lab, process) == 502
            found = status(process)
        keys = [each["key"] for each in found["findings"]]
        assert keys == ["route_dead", "server_unreachable"]
        assert "refused" in found["findings"][1]["text"]


class TestOrders:
    def test_once_one_is_answered_the_status_is_of_after_it(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> None:
        sources = {"addresses =": f"crl = {backend.url}/none.crl\naddresses ="}
        changes = {"ca = ca\n": f"ca = ca\n{TCP}", "mode = off": "mode = crl", **sources}
        ini = write_ini(lab, tmp_path, backend.url, changes=changes)

        def seen_after(*order: str) -> dict[str, Any]:
            ask(process, "/status.json")
            result = CliRunner().invoke(main, [*order, "--config", str(ini)])
            assert result.exit_code == 0, result.output
            found: dict[str, Any] = json.loads(ask(process, "/status.json")[1])
            return found

        with GatewayProcess(ini) as process:
            found = seen_after("disengage", "--for", "1h", "--reason", "IGC is down")
            assert [each["why"] for each in found["revocation"]["disengaged"]] == ["IGC is down"]
            assert seen_after("engage")["revocation"]["disengaged"] == []
            assert seen_after("reload")["configuration"]["generation"] == 2


class TestReload:
    def test_its_outcome_is_seen(self, own: GatewayProcess, tmp_path: Path) -> None:
        ini = tmp_path / "sasgate.ini"
        before = ini.read_text()
        ini.write_text(before.replace("backend =", "bakend =", 1))
        reload(own, "reload refused: ")
        refused = status(own)
        assert refused["level"] == "warning"
        assert "bakend" in " ".join(refused["configuration"]["last_reload"]["faults"])
        assert refused["configuration"]["generation"] == 1
        ini.write_text(before)
        reload(own, "reloaded ")
        assert status(own)["configuration"]["generation"] == 2
        assert status(own)["level"] == "ok"

    def test_it_comes_changes_and_goes(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> None:
        without = write_ini(lab, tmp_path, backend.url)
        before = without.read_text()
        socket_path = tmp_path / "admin.sock"
        with GatewayProcess(without) as process:
            without.write_text(before.replace("ca = ca\n", f"ca = ca\n{TCP}", 1))
            reload(process, "reloaded ")
            assert status(process)["level"] == "ok"
            port = process.port("admin")
            without.write_text(before.replace("ca = ca\n", "ca = ca\nadmin = unix:admin.sock\n", 1))
            reload(process, "reloaded ")
            assert stat.S_IMODE(socket_path.stat().st_mode) == 0o660
            result = CliRunner().invoke(main, ["status", "--config", str(without)])
            assert result.exit_code == 0, result.output
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            without.write_text(before)
            reload(process, "reloaded ")
            reload(process, "reloaded ")  # by then the old port is gone for certain
            assert not socket_path.exists()

    def test_one_that_cannot_be_opened_is_told_by_its_key(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            admin = f"admin = tcp:{taken.getsockname()[1]}:interface=127.0.0.1\n"
            process = GatewayProcess(with_admin(lab, tmp_path, backend.url, admin))
            assert process.wait() == 1
        assert "[sasgate] admin = " in process.log
        assert "another server has it" in process.log


def test_the_socket_of_an_own_mode_keeps_it(
    lab: Lab, backend: BackendProcess, tmp_path: Path
) -> None:
    admin = "admin = unix:admin.sock:mode=600\n"
    with GatewayProcess(with_admin(lab, tmp_path, backend.url, admin)):
        assert stat.S_IMODE((tmp_path / "admin.sock").stat().st_mode) == 0o600


def test_sasgate_status_of_a_gateway_that_has_gone(
    lab: Lab, backend: BackendProcess, tmp_path: Path
) -> None:
    ini = with_admin(lab, tmp_path, backend.url, "admin = unix:admin.sock\n")
    with GatewayProcess(ini):
        assert CliRunner().invoke(main, ["status", "--config", str(ini)]).exit_code == 0
    result = CliRunner().invoke(main, ["status", "--config", str(ini)])
    assert result.exit_code == 2
    assert result.output.startswith("SASGATE CRITICAL: no daemon answers")

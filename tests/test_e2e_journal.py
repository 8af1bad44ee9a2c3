"""What a real twistd writes: one event a line, whatever a certificate or a request holds (S39)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from calling import CHECK, SLOT, answered, connected, platform, raw
from processes import BackendProcess, GatewayProcess, write_ini
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.client import Client
from sasgate.lab.deceivers import DECEIVERS
from sasgate.lab.pki import Lab
from sasgate.lab.platform import Call


# Everybody on the test listener, without those whose refusals are counted as one of a kind.
CALLERS = [client for client in CATALOGUE.values() if client.listener.value == "inbound"]
TEXT_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000 \[[^\]]*\] ")
MALFORMED = "FAILED:malformed"
OUTCOMES = {200: "admitted", 401: "unauthorized", 403: "forbidden"}


def wrote(lab: Lab, backend: BackendProcess, folder: Path, log: str) -> str:
    """All that a gateway writes in its life, called once by everybody."""
    ini = write_ini(lab, folder, backend.url, append=f"[log]\n{log}\n")
    with GatewayProcess(ini) as process:
        for client in CALLERS:
            answered(platform(lab, process.port(), client.name).send(SLOT))
        answered(platform(lab, process.port(), None).send(CHECK))
        with connected(process.port()) as plain:
            plain.sendall(b"no TLS\r\n\r\n\n\x1b[2J")
            plain.recv(100)
        path = "/Patient/1234567890123?name=Secret%0d%0aX&identifier=987654321"
        answered(platform(lab, process.port()).send(Call("GET", path)))
        with platform(lab, process.port()).dial() as stream:
            raw(stream, b"GET /x\x01\x1b[31m HTTP/1.1\r\nHost: x\r\n\r\n")
        process.stop()
        return process.log


@pytest.fixture(scope="module")
def events(
    lab: Lab, backend: BackendProcess, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """All lines of the JSON journal."""
    text = wrote(lab, backend, tmp_path_factory.mktemp("json"), "format = json")
    return [json.loads(line) for line in text.split("\n") if line]


@pytest.fixture(scope="module")
def text(lab: Lab, backend: BackendProcess, tmp_path_factory: pytest.TempPathFactory) -> str:
    return wrote(lab, backend, tmp_path_factory.mktemp("text"), "format = text")


def kind(events: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [each for each in events if each["event"] == event]


class TestJSON:
    def test_every_line_is_an_object_with_time_and_level(
        self, events: list[dict[str, Any]]
    ) -> None:
        for event in events:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
            assert event["level"] in {"info", "warn"}

    @pytest.mark.parametrize("client", CALLERS, ids=lambda client: client.name)
    def test_each_client_has_its_decision(
        self, lab: Lab, events: list[dict[str, Any]], client: Client
    ) -> None:
        serial = f"{lab.clients[client.name].certificate.serial_number:X}"
        found = [
            each
            for each in kind(events, "decision")
            if each["serial"] == serial or client.answer.verify == each["verify"] == MALFORMED
        ]
        assert found, client
        decision = found[0]
        assert decision["outcome"] == OUTCOMES[client.answer.status]
        assert decision["verify"] == client.answer.verify
        assert (decision["listener"], decision["peer"]) == ("inbound", "127.0.0.1")
        assert decision["detail"]

    @pytest.mark.parametrize("client", DECEIVERS, ids=lambda client: client.name)
    def test_names_are_what_they_are_or_their_beginning(
        self, lab: Lab, events: list[dict[str, Any]], client: Client
    ) -> None:
        serial = f"{lab.clients[client.name].certificate.serial_number:X}"
        (decision,) = [each for each in kind(events, "decision") if each["serial"] == serial]
        pair = client.template.subject
        values = [str(each.value) for each in pair if each.oid.dotted_string == "2.5.4.3"]
        whole = ", ".join(values)
        assert decision["cn"] == (whole if len(whole) <= 256 else whole[:256] + "…")

    def test_each_exchange_of_an_admitted_client_is_an_access(
        self, events: list[dict[str, Any]]
    ) -> None:
        """A refused one is told by its decision alone."""
        admitted = [client for client in CALLERS if client.answer.status == 200]
        access = kind(events, "access")
        assert [each["status"] for each in access] == [200] * len(admitted) + [404, 400]
        assert len({each["request_id"] for each in access}) == len(access)

    def test_a_handshake_that_was_none_is_a_decision_too(
        self, events: list[dict[str, Any]]
    ) -> None:
        (closed,) = [each for each in kind(events, "decision") if each["outcome"] == "closed"]
        assert closed["detail"].startswith("no handshake: ")

    def test_identifiers_are_masked(self, events: list[dict[str, Any]]) -> None:
        assert "/Patient/***" in {each["path"] for each in kind(events, "access")}

    def test_start_and_stop_are_lines_like_all_others(self, events: list[dict[str, Any]]) -> None:
        messages = [each.get("message", "") for each in events]
        assert any(" serves " in each for each in messages)
        assert any("Shut Down" in each for each in messages)


class TestText:
    def test_every_line_begins_an_event(self, text: str) -> None:
        """No CR, LF, U+2028 or escape sequence of a subject or a path begins one of its own."""
        lines = text.splitlines()
        assert len(lines) > len(CALLERS)
        assert [line for line in lines if not TEXT_LINE.match(line)] == []

    def test_every_character_is_printable_ascii(self, text: str) -> None:
        shown = text.replace("…", "")
        assert shown.isascii()
        assert [line for line in shown.splitlines() if not line.isprintable()] == []

    def test_nobody_forges_an_admission(self, lab: Lab, text: str) -> None:
        admitted = re.findall(r"\] admitted SUCCESS .* serial=([0-9A-F]+)", text)
        good = [client for client in CALLERS if client.answer.status == 200]
        serials = {f"{lab.clients[each.name].certificate.serial_number:X}" for each in good}
        assert set(admitted) == serials

    def test_lines_are_short_whatever_the_subject(self, text: str) -> None:
        assert max(map(len, text.splitlines())) < 4096


class TestSecrets:
    """No query, no body, no key, in either format."""

    @pytest.mark.parametrize(
        "secret", ["Secret", "987654321", "1234567890123", "start=", "PRIVATE KEY", "Traceback"]
    )
    def test_it_is_nowhere(self, text: str, events: list[dict[str, Any]], secret: str) -> None:
        assert secret not in text
        assert secret not in json.dumps(events)


def test_paths_in_full_are_by_choice(lab: Lab, backend: BackendProcess, tmp_path: Path) -> None:
    """And never their query."""
    ini = write_ini(lab, tmp_path, backend.url, append="[log]\npaths = full\n")
    with GatewayProcess(ini) as process:
        answered(platform(lab, process.port()).send(Call("GET", "/Patient/123?name=Secret")))
        process.wait_for(r" 404 GET /Patient/123 ")
        assert "Secret" not in process.log


def test_identical_refusals_are_counted(lab: Lab, backend: BackendProcess, tmp_path: Path) -> None:
    """Scanners on :443 fill no disk; what was counted is said at the stop."""
    with GatewayProcess(write_ini(lab, tmp_path, backend.url)) as process:
        for _ in range(20):
            answered(platform(lab, process.port(), "self-signed").send(SLOT))
        process.stop()
        refused = [line for line in process.lines if "FAILED:untrusted issuer" in line]
    assert len(refused) == 2
    assert "repeated 19 times" in refused[1]

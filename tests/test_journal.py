"""The journal: a line a decision and an exchange, refusals aggregated by the minute (S39, S46)."""

import io
import json
import re

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, LogLevel, formatEvent

from sasgate.journal import Access, Decision, Journal
from sasgate.log_format import Lazy, observer
from sasgate.settings import Log, LogFormat


EXPIRED = Decision(
    listener="inbound",
    environment=None,
    peer="51.91.149.173",
    outcome="unauthorized",
    verify="FAILED:expired",
    detail="certificate expired on 2026-01-02",
    cn="sas-agregateur-recette",
    ou="499700234190004",
    serial="1A2B",
    issuer="CN=AC IGC-SANTE ELEMENTAIRE ORGANISATIONS,O=ASIP-SANTE,C=FR",
    sha256="ab" * 32,
)
ADMITTED = evolve(
    EXPIRED, environment="recette", outcome="admitted", verify="SUCCESS", detail="admitted"
)
STRANGER = Decision("inbound", None, "203.0.113.9", "unauthorized", "NONE", "no certificate")
SLOT = Access(
    listener="inbound",
    environment="recette",
    peer="51.91.149.173",
    request_id="7f3a",
    method="GET",
    target=b"/fhir/Slot?identifier=810001",
    status=200,
    received=0,
    sent=512,
    seconds=0.0421,
    answer_seconds=0.04,
    backend="http://127.0.0.1:8080",
)
HOSTILE = st.text(st.characters(codec=None, exclude_categories=())) | st.sampled_from(
    [
        "\r\nrefused 401",
        "\x00",
        "\u2028",
        "\x1b[31m",
        "\ud800",
        '" admitted "',
        "{cn}",
        "{",
        "x" * 70000,
    ]
)


class Desk:
    """A journal on a clock of its own, and what it has written."""

    def __init__(self, log: Log | None = None) -> None:
        self.clock = Clock()
        self.events: list[LogEvent] = []
        settings = log or Log()
        self.stream = io.StringIO()
        written = observer(settings, self.stream)

        def both(event: LogEvent) -> None:
            self.events.append(event)
            written(event)

        self.journal = Journal(settings, self.clock, Logger(observer=both))

    @property
    def lines(self) -> list[str]:
        return [formatEvent(event) for event in self.events]

    @property
    def objects(self) -> list[dict]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def json_desk() -> Desk:
    return Desk(Log(LogFormat.JSON))


class TestDecisionText:
    def test_a_refusal_says_the_key_facts_first_and_the_exact_reason(self, desk: Desk) -> None:
        desk.journal.decision(EXPIRED)
        (line,) = desk.lines
        assert line == (
            "refused 401 FAILED:expired listener=inbound peer=51.91.149.173"
            " CN=sas-agregateur-recette OU=499700234190004 serial=1A2B"
            ' issuer="CN=AC IGC-SANTE ELEMENTAIRE ORGANISATIONS,O=ASIP-SANTE,C=FR"'
            f" sha256={'ab' * 32} (certificate expired on 2026-01-02)"
        )

    @pytest.mark.parametrize(
        ("outcome", "start"),
        [
            ("admitted", "admitted SUCCESS"),
            ("unauthorized", "refused 401 SUCCESS"),
            ("forbidden", "refused 403 SUCCESS"),
            ("closed", "closed SUCCESS"),
        ],
    )
    def test_the_outcome_stands_at_the_start(self, desk: Desk, outcome: str, start: str) -> None:
        desk.journal.decision(evolve(ADMITTED, outcome=outcome))
        assert desk.lines[0].startswith(start + " listener=inbound environment=recette ")

    def test_what_no_certificate_says_is_left_out(self, desk: Desk) -> None:
        desk.journal.decision(STRANGER)
        assert desk.lines == ["refused 401 NONE listener=inbound peer=203.0.113.9 (no certificate)"]

    def test_a_name_cannot_pretend_to_be_another_field(self, desk: Desk) -> None:
        """S39."""
        desk.journal.decision(evolve(EXPIRED, cn='x" peer=10.0.0.1 "', ou="y peer=10.0.0.2"))
        assert r'CN="x\" peer=10.0.0.1 \"" OU="y peer=10.0.0.2" serial' in desk.lines[0]

    @pytest.mark.parametrize(("outcome", "level"), [("admitted", "info"), ("forbidden", "warn")])
    def test_a_refusal_is_a_warning(self, desk: Desk, outcome: str, level: str) -> None:
        desk.journal.decision(evolve(ADMITTED, outcome=outcome))
        assert desk.events[0]["log_level"] is LogLevel.lookupByName(level)

    def test_the_fields_are_keys_of_the_event(self, desk: Desk) -> None:
        desk.journal.decision(EXPIRED)
        event = desk.events[0]
        assert event["log_namespace"] == "sasgate.audit"
        assert {name.name: event[name.name] for name in fields(Decision)} == {
            name.name: getattr(EXPIRED, name.name) for name in fields(Decision)
        }


class TestOneLine:
    @given(st.builds(Decision, *[HOSTILE] * 11))
    def test_a_decision_is_one_line_of_text(self, decision: Decision) -> None:
        """S39."""
        desk = Desk()
        desk.journal.decision(decision)
        text = desk.stream.getvalue()
        assert text.splitlines(keepends=True) == [text]
        assert text[:-1].replace("…", "").isprintable()

    @given(st.builds(Decision, *[HOSTILE] * 11))
    def test_a_decision_is_one_line_of_json_with_every_field(self, decision: Decision) -> None:
        """S39."""
        desk = Desk(Log(LogFormat.JSON))
        desk.journal.decision(decision)
        (event,) = desk.objects
        assert event["event"] == "decision"
        assert set(event) >= {field.name for field in fields(Decision)}
        assert desk.stream.getvalue().isascii()

    @given(
        st.builds(
            Access,
            *[HOSTILE] * 5,
            st.binary(),
            *[st.integers()] * 3,
            *[st.floats()] * 2,
            *[HOSTILE] * 2,
        )
    )
    @pytest.mark.parametrize("form", LogFormat)
    @pytest.mark.parametrize("full", [False, True])
    def test_an_exchange_is_one_line(self, form: LogFormat, full: bool, access: Access) -> None:
        """S39."""
        desk = Desk(Log(form, full))
        desk.journal.access(access)
        text = desk.stream.getvalue()
        assert text.splitlines(keepends=True) == [text]
        if form is LogFormat.JSON:
            assert desk.objects[0]["event"] == "access"

    def test_a_name_of_64_kib_is_cut_in_both_formats(self, desk: Desk, json_desk: Desk) -> None:
        """S39."""
        for each in (desk, json_desk):
            each.journal.decision(evolve(EXPIRED, cn="x" * 65536))
        assert 'CN="' + "x" * 256 + '…" OU=' in desk.lines[0]
        assert json_desk.objects[0]["cn"] == "x" * 256 + "…"


class TestAccess:
    def test_an_exchange_says_status_method_and_path_first(self, desk: Desk) -> None:
        desk.journal.access(SLOT)
        (line,) = desk.lines
        assert line == (
            "200 GET /fhir/Slot listener=inbound environment=recette peer=51.91.149.173"
            " backend=http://127.0.0.1:8080 received=0 sent=512 seconds=0.042 answer=0.040"
            " request=7f3a"
        )

    def test_what_went_wrong_stands_at_the_end(self, desk: Desk) -> None:
        desk.journal.access(evolve(SLOT, status=502, backend="", error="connection refused"))
        assert desk.lines[0].startswith("502 GET")
        assert " backend=- " in desk.lines[0]
        assert desk.lines[0].endswith("(connection refused)")

    def test_the_json_object_has_every_field_and_a_path_for_the_target(
        self, json_desk: Desk
    ) -> None:
        json_desk.journal.access(SLOT)
        (event,) = json_desk.objects
        time = event.pop("time")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
        assert event == {
            "level": "info",
            "namespace": "sasgate.access",
            "event": "access",
            "listener": "inbound",
            "environment": "recette",
            "peer": "51.91.149.173",
            "request_id": "7f3a",
            "method": "GET",
            "path": "/fhir/Slot",
            "status": 200,
            "received": 0,
            "sent": 512,
            "seconds": 0.0421,
            "answer_seconds": 0.04,
            "backend": "http://127.0.0.1:8080",
            "error": "",
        }

    @pytest.mark.parametrize("form", LogFormat)
    def test_neither_query_nor_identifier_is_anywhere_in_the_event(self, form: LogFormat) -> None:
        """S46: not in the text, and not in a key that another observer might write."""
        desk = Desk(Log(form))
        desk.journal.access(evolve(SLOT, target=b"/fhir/Practitioner/810001?name=Dupont"))
        everything = desk.stream.getvalue() + repr(desk.events)
        assert "/fhir/Practitioner/***" in everything
        assert "810001" not in everything
        assert "Dupont" not in everything

    def test_full_paths_are_shown_where_asked_for_but_no_query(self) -> None:
        desk = Desk(Log(full_paths=True))
        desk.journal.access(evolve(SLOT, target=b"/fhir/Practitioner/810001?name=Dupont"))
        assert desk.lines[0].startswith("200 GET /fhir/Practitioner/810001 ")

    def test_no_text_is_made_where_nobody_reads_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unread(_: Lazy) -> str:
            raise AssertionError

        monkeypatch.setattr(Lazy, "__str__", unread)
        Journal(Log(), Clock(), Logger(observer=lambda _: None)).access(SLOT)

    def test_exchanges_are_never_counted_together(self, desk: Desk) -> None:
        for _ in range(5):
            desk.journal.access(SLOT)
        assert len(desk.lines) == 5


class TestAggregation:
    def test_the_first_of_a_kind_is_written_at_once_and_the_next_are_not(self, desk: Desk) -> None:
        for _ in range(58):
            desk.journal.decision(STRANGER)
        assert len(desk.lines) == 1

    def test_one_line_with_the_count_ends_the_minute(self, desk: Desk) -> None:
        for _ in range(58):
            desk.journal.decision(STRANGER)
        desk.clock.advance(59.9)
        assert len(desk.lines) == 1
        desk.clock.advance(0.1)
        assert desk.lines[1:] == [desk.lines[0] + " repeated 57 times in the last minute"]

    def test_the_count_is_a_field(self, json_desk: Desk) -> None:
        for _ in range(3):
            json_desk.journal.decision(STRANGER)
        json_desk.clock.advance(60)
        first, last = json_desk.objects
        assert "repeated" not in first
        assert (last["event"], last["repeated"], last["peer"]) == ("decision", 2, STRANGER.peer)

    def test_a_refusal_that_came_once_is_not_written_again(self, desk: Desk) -> None:
        desk.journal.decision(STRANGER)
        desk.clock.advance(120)
        assert len(desk.lines) == 1

    def test_after_the_minute_the_next_is_written_at_once(self, desk: Desk) -> None:
        desk.journal.decision(STRANGER)
        desk.clock.advance(60)
        desk.journal.decision(STRANGER)
        assert len(desk.lines) == 2

    @pytest.mark.parametrize(
        "name",
        ["listener", "peer", "outcome", "verify", "detail", "cn", "ou", "serial", "issuer"],
    )
    def test_another_value_is_another_kind(self, desk: Desk, name: str) -> None:
        desk.journal.decision(EXPIRED)
        desk.journal.decision(evolve(EXPIRED, **{name: "forbidden"}))
        assert len(desk.lines) == 2

    @pytest.mark.parametrize("name", ["sha256", "environment"])
    def test_what_follows_from_the_rest_makes_no_kind(self, desk: Desk, name: str) -> None:
        desk.journal.decision(EXPIRED)
        desk.journal.decision(evolve(EXPIRED, **{name: "other"}))
        assert len(desk.lines) == 1

    def test_admissions_are_never_counted_together(self, desk: Desk) -> None:
        for _ in range(5):
            desk.journal.decision(ADMITTED)
        assert len(desk.lines) == 5
        assert desk.clock.getDelayedCalls() == []

    def test_beyond_1000_kinds_the_rest_is_counted_together(self, json_desk: Desk) -> None:
        for number in range(1500):
            json_desk.journal.decision(evolve(STRANGER, peer=f"peer-{number}"))
        assert len(json_desk.objects) == 1000
        json_desk.clock.advance(60)
        assert len(json_desk.objects) == 1001
        assert json_desk.objects[-1]["event"] == "refusals"
        assert json_desk.objects[-1]["repeated"] == 500

    def test_the_line_of_the_rest_says_what_it_is(self, desk: Desk) -> None:
        for number in range(1003):
            desk.journal.decision(evolve(STRANGER, peer=f"peer-{number}"))
        desk.clock.advance(60)
        assert desk.lines[-1] == (
            "3 refusals of more than 1000 kinds in the last minute, not told apart"
        )

    def test_a_kind_that_is_known_is_still_counted_apart_beyond_1000(self, desk: Desk) -> None:
        for number in range(1500):
            desk.journal.decision(evolve(STRANGER, peer=f"peer-{number}"))
        desk.journal.decision(evolve(STRANGER, peer="peer-7"))
        desk.clock.advance(60)
        assert (
            sum("peer=peer-7 " in line and "repeated 1 times" in line for line in desk.lines) == 1
        )

    def test_what_is_kept_is_bounded_in_number_and_size(self, desk: Desk) -> None:
        """A stranger with 64 KiB names must not fill the memory."""
        for number in range(1500):
            desk.journal.decision(evolve(STRANGER, cn=f"{number}" + "x" * 65536))
        kinds = desk.journal._kinds
        assert len(kinds) == 1001
        assert max(len(kind.cn) for kind in kinds if kind is not None) == 257
        assert len(desk.clock.getDelayedCalls()) == 1001

    def test_after_the_minute_nothing_is_kept(self, desk: Desk) -> None:
        for number in range(1500):
            desk.journal.decision(evolve(STRANGER, peer=f"peer-{number}"))
        desk.clock.advance(60)
        assert desk.journal._kinds == {}
        assert desk.clock.getDelayedCalls() == []


class TestClose:
    def test_what_was_counted_is_written(self, desk: Desk) -> None:
        for _ in range(3):
            desk.journal.decision(STRANGER)
        desk.clock.advance(12)
        desk.journal.close()
        assert desk.lines[1:] == [desk.lines[0] + " repeated 2 times in the last 12 s"]

    def test_nothing_stays_on_the_clock(self, desk: Desk) -> None:
        desk.journal.decision(STRANGER)
        desk.journal.close()
        assert desk.clock.getDelayedCalls() == []

    def test_a_refusal_after_it_is_written_at_once(self, desk: Desk) -> None:
        desk.journal.close()
        desk.journal.decision(STRANGER)
        desk.journal.decision(STRANGER)
        assert len(desk.lines) == 2
        assert desk.clock.getDelayedCalls() == []

    def test_closing_twice_is_closing_once(self, desk: Desk) -> None:
        desk.journal.decision(STRANGER)
        desk.journal.decision(STRANGER)
        desk.journal.close()
        desk.journal.close()
        assert len(desk.lines) == 2

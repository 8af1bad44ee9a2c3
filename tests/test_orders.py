"""What the daemon makes of orders, whoever wrote them: commands are not the only possible hand."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred

from control_desk import BEGINNING
from disengaged import HOUR, Bench
from ordered import Lists, plan_of
from sasgate.control import Answer, Request
from sasgate.lab.pki import Lab
from sasgate.revocation.orders import Orders
from sasgate.revocation.policy import Disengagement
from sasgate.revocation.source import SourceState


GOOD = {"seconds": 3600, "reason": "IGC Santé is down", "authority": None, "without_list": False}


class Office:
    def __init__(self, folder: Path, lab: Lab) -> None:
        self.bench = Bench(folder, admit_for=None)
        self.plan = plan_of(lab)
        self.lists = Lists()
        self.orders = Orders(self.bench.held, self.lists, lambda: self.plan, self.bench.wall)

    def order(self, command: str, **arguments: Any) -> Answer:
        answer = self.orders.handlers[command](Request(command, arguments, "bob", BEGINNING))
        if isinstance(answer, Deferred):
            found: list[Answer] = []
            answer.addCallback(found.append)
            (answer,) = found
        return answer

    def disengage(self, **changes: Any) -> Answer:
        return self.order("disengage", **(GOOD | changes))

    def sha256(self, stem: str) -> str:
        return next(sha256 for sha256, each in self.plan.stems.items() if each == stem)


@pytest.fixture
def office(tmp_path: Path, lab: Lab) -> Office:
    return Office(tmp_path, lab)


def test_disengage_is_in_force_at_once_and_on_the_record(office: Office) -> None:
    answer = office.disengage()
    assert answer.ok
    assert answer.data == {"until": "2026-08-07T13:00:00+00:00", "authorities": []}
    (held,) = office.bench.held.state
    assert held.by_hand is not None
    assert (held.by_hand.who, held.by_hand.why) == ("bob", "IGC Santé is down")
    assert (held.rests_on, held.until) == (Disengagement.ON_LAST_LIST, office.bench.after(HOUR))


def test_its_answer_says_what_it_rests_on_and_what_stays_refused(office: Office) -> None:
    text = office.disengage().text
    until = office.bench.after(HOUR).astimezone().isoformat(sep=" ")
    assert f"until {until} for all CAs" in text
    assert "rest on the last verified list, even expired" in text
    assert "revoked" in text
    assert "everybody where no verified list was ever held" in text
    assert "sasgate engage" in text


def test_without_list_says_what_it_means(office: Office) -> None:
    text = office.disengage(without_list=True).text
    assert "on nothing where there is none" in text
    assert "everybody" not in text
    assert office.bench.word("any")[0] is Disengagement.WITHOUT_LIST


def test_the_time_is_the_daemons(office: Office) -> None:
    office.bench.clock.advance(10)
    office.disengage()
    assert office.bench.held.state[0].since == office.bench.wall()


def test_one_ca_by_file_name_cn_or_sha256(office: Office) -> None:
    sha256 = office.sha256("ACI-EL-ORG")
    (ca,) = office.plan.named(sha256)
    cn = str(ca.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    for name in ("ACI-EL-ORG", sha256, cn):
        answer = office.disengage(authority=name)
        assert answer.data["authorities"] == [sha256], name
    assert office.bench.on(sha256)
    assert not office.bench.on(office.sha256("ACI-EL-ORG-TEST"))


@pytest.mark.parametrize("name", ["ACI-EL", "aci-el-org", "", "*"])
def test_an_unknown_ca_is_refused_by_name(office: Office, name: str) -> None:
    answer = office.disengage(authority=name)
    assert not answer.ok
    assert "ACI-EL-ORG" in answer.text
    assert office.bench.held.state == ()


def test_a_root_issues_no_clients(office: Office) -> None:
    answer = office.disengage(authority="ACR-EL")
    assert (answer.ok, "root" in answer.text) == (False, True)
    assert office.bench.held.state == ()


@pytest.mark.parametrize(
    "changes",
    [{"seconds": seconds} for seconds in (59, 604801, 0, -1, 60.5, True, "60", None, 10**30)]
    + [{"reason": reason} for reason in ("", " ", "x" * 501, "a\nb", "a\x1b[2J", "\u2028", 1, None)]
    + [{"authority": 1}, {"authority": ["ACI-EL-ORG"]}]
    + [{"without_list": each} for each in (1, 0, "no", None)]
    + [{"more": 1}],
)
def test_an_order_that_no_command_writes_is_refused(
    office: Office, changes: dict[str, Any]
) -> None:
    answer = office.disengage(**changes)
    assert (answer.ok, bool(answer.text)) == (False, True)
    assert office.bench.held.state == ()


@pytest.mark.parametrize("missing", list(GOOD))
def test_every_argument_is_needed(office: Office, missing: str) -> None:
    arguments = {name: value for name, value in GOOD.items() if name != missing}
    assert not office.order("disengage", **arguments).ok


@pytest.mark.parametrize("seconds", [60, 604800])
def test_the_bounds_are_allowed(office: Office, seconds: int) -> None:
    assert office.disengage(seconds=seconds, reason="é" * 500).ok


def test_a_second_order_says_what_it_replaces(office: Office) -> None:
    office.disengage(seconds=7200)
    until = office.bench.after(2 * HOUR).astimezone().isoformat(sep=" ")
    assert f"replaces what bob had disengaged until {until}" in office.disengage().text


def test_a_state_that_cannot_be_written_is_a_refusal(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office.bench.held, "_save", lambda: False)
    answer = office.disengage()
    assert (answer.ok, "cannot be written" in answer.text) == (False, True)


def test_engage(office: Office) -> None:
    office.disengage()
    answer = office.order("engage")
    assert (answer.ok, "bob" in answer.text) == (True, True)
    assert office.bench.held.state == ()


def test_engage_where_nothing_is_disengaged(office: Office) -> None:
    answer = office.order("engage")
    assert (answer.ok, answer.text) == (True, "Nothing is disengaged by hand.")


def test_engage_tells_of_what_is_disengaged_by_itself(office: Office) -> None:
    office.bench.held.follow(HOUR)
    office.bench.unknown()
    assert "when_unknown = refuse" in office.order("engage").text


def test_engage_takes_no_arguments(office: Office) -> None:
    office.disengage()
    assert not office.order("engage", reason="x").ok
    assert office.bench.held.state


STATE = SourceState(
    "http://l.example/a.crl", issuer_name="CN=A", number=7, next_update=BEGINNING, entries=3
)


def test_refresh_says_what_each_source_gave(office: Office) -> None:
    office.lists.states = (STATE, SourceState("http://l.example/b.crl"))
    answer = office.order("refresh")
    assert answer.ok
    assert answer.text.splitlines()[0].startswith("http://l.example/a.crl: CN=A, number 7, until ")
    assert answer.text.splitlines()[1] == "http://l.example/b.crl: no list yet"
    assert answer.data["sources"][0]["next_update"] == BEGINNING.isoformat()


def test_refresh_names_a_list_that_came_expired(office: Office) -> None:
    office.lists.states = (evolve(STATE, next_update=BEGINNING - timedelta(hours=1)), STATE)
    expired, current = office.order("refresh").text.splitlines()
    assert expired.endswith(", EXPIRED")
    assert "EXPIRED" not in current


def test_refresh_with_one_failure_is_no_success(office: Office) -> None:
    office.lists.states = (STATE, evolve(STATE, error="timed out", error_at=BEGINNING))
    answer = office.order("refresh")
    assert (answer.ok, "timed out" in answer.text) == (False, True)


def test_refresh_without_sources(office: Office) -> None:
    assert office.order("refresh") == Answer(
        ok=True, text="No source of lists is configured.", data={"sources": []}
    )


def test_forget_passes_on_who_and_why(office: Office) -> None:
    answer = office.order("forget", issuer="ACI-EL-ORG", reason=" new numbering ")
    assert (answer.ok, "ORGANISATIONS" in answer.text) == (True, True)
    assert office.lists.forgotten == [("ACI-EL-ORG", "bob", "new numbering")]


@pytest.mark.parametrize(
    "arguments",
    [{"issuer": "X", "reason": "y"}, {"issuer": "ACI-EL-ORG", "reason": ""},
     {"issuer": 1, "reason": "y"}, {"issuer": "ACI-EL-ORG"}, {}],
)  # fmt: skip
def test_forget_refuses(office: Office, arguments: dict[str, Any]) -> None:
    answer = office.order("forget", **arguments)
    assert not answer.ok
    assert not answer.text.startswith("'")
    assert office.lists.forgotten == []

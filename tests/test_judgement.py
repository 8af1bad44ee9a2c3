"""What becomes of a client in each mode: the words of lists and OCSP as statuses over HTTP."""

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from twisted.logger import LogEvent

from front import GET, OK
from memory_gateway import Caller
from revoking_gateway import RevokingGateway, Seated
from sasgate.lab import trees
from sasgate.lab.ocsp_answers import GOOD, REVOKED, UNKNOWN, Saying
from sasgate.lab.pki import Lab
from sasgate.revocation.chain import Chain
from sasgate.revocation.crl import LoadedList
from sasgate.revocation.ocsp_words import Problem
from sasgate.settings import RevocationMode
from test_inbound_memory import CHECK


pytestmark = pytest.mark.usefixtures("no_failure_logged")

CRL, OCSP, EITHER, BOTH, OFF = (
    RevocationMode.CRL,
    RevocationMode.OCSP,
    RevocationMode.CRL_OR_OCSP,
    RevocationMode.CRL_AND_OCSP,
    RevocationMode.OFF,
)
CHECKED = (CRL, OCSP, EITHER, BOTH)
# Of one CA: what its list says, as `RevokingGateway.list_of` is told; None is no list at all.
LISTS: dict[str, dict[str, Any] | None] = {
    "good": {},
    "expired": {"lasts": timedelta(minutes=-1)},
    "absent": None,
}
ANSWERS = {"good": Saying(GOOD), "revoked": Saying(REVOKED), "unknown": Saying(UNKNOWN)}
_GATEWAYS: dict[RevocationMode, RevokingGateway] = {}
_LISTS: dict[tuple[str, str, tuple[int, ...]], LoadedList] = {}
World = Callable[..., RevokingGateway]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def world(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A gateway for a mode, made once, with nothing left of what was before."""

    def begin(mode: RevocationMode, admit_for: float | None = None) -> RevokingGateway:
        if mode not in _GATEWAYS:
            _GATEWAYS[mode] = RevokingGateway(lab, tmp_path_factory.mktemp(mode.value), mode)
        return _GATEWAYS[mode].begin_anew(admit_for)

    return begin


def verdict_of(caller: Caller | Seated) -> tuple[int, str]:
    """Status and `verify` of the answer that came."""
    ((status, body),) = caller.answers() if isinstance(caller, Seated) else (caller.answer(),)
    return status, json.loads(body)["verify"]


def served(gateway: RevokingGateway, caller: Seated) -> bool:
    """Whether a backend was asked, and its answer arrived."""
    for wire in gateway.server.wires:
        if wire.take():
            wire.send(OK)
    return caller.answers() == [(200, b"hi")]


def put(gateway: RevokingGateway, leaf: str, ca: str, revoked: tuple[int, ...] = ()) -> None:
    """Lists in these states; `revoked` are leaves."""
    found = []
    for name, state, serials in (
        (trees.ORG_TEST, leaf, revoked),
        (trees.ROOT_TEST, ca, ()),
    ):
        made = LISTS[state]
        if made is not None and (name, state, serials) not in _LISTS:
            _LISTS[name, state, serials] = gateway.list_of(name, *serials, **made)
        if made is not None:
            found.append(_LISTS[name, state, serials])
    gateway.put_in_force(*found)


class TestARevokedClient:
    """S2, S14: 401 over HTTP, and nothing reaches a backend."""

    @pytest.mark.parametrize("mode", CHECKED)
    def test_by_list_is_told_so_over_tls(
        self, lab: Lab, folder: Path, mode: RevocationMode
    ) -> None:
        gateway = RevokingGateway(lab, folder, mode)
        gateway.publish(gateway.serial())
        caller = gateway.call("recette").ask(GET)
        if gateway.questions:
            gateway.reply()
        assert verdict_of(caller) == (401, "FAILED:revoked")
        assert caller.closed
        assert gateway.server.attempts == 0

    @pytest.mark.parametrize("mode", [OCSP, BOTH])
    def test_by_ocsp_is_told_so_and_not_cut(
        self, lab: Lab, folder: Path, mode: RevocationMode
    ) -> None:
        gateway = RevokingGateway(lab, folder, mode)
        gateway.publish()
        caller = gateway.call("recette").ask(GET)
        gateway.reply(Saying(REVOKED))
        assert verdict_of(caller) == (401, "FAILED:revoked")
        assert caller.closed
        assert not caller.wire.aborted
        assert gateway.server.attempts == 0
        assert [each.outcome for each in gateway.journal.decisions] == ["unauthorized"]

    def test_that_asked_nothing_yet_is_in_the_journal(self, lab: Lab, folder: Path) -> None:
        gateway = RevokingGateway(lab, folder, OCSP)
        gateway.publish()
        gateway.seat()
        gateway.reply(Saying(REVOKED))
        (told,) = gateway.journal.decisions
        assert (told.outcome, told.verify) == ("unauthorized", "FAILED:revoked")

    def test_the_check_is_a_403(self, lab: Lab, folder: Path) -> None:
        gateway = RevokingGateway(lab, folder)
        gateway.publish(gateway.serial())
        assert verdict_of(gateway.seat().ask(CHECK)) == (403, "FAILED:revoked")

    def test_the_check_is_one_where_ocsp_says_so_later(self, lab: Lab, folder: Path) -> None:
        gateway = RevokingGateway(lab, folder, OCSP)
        gateway.publish()
        caller = gateway.seat().ask(CHECK)
        assert caller.answers() == []
        gateway.reply(Saying(REVOKED))
        assert verdict_of(caller) == (403, "FAILED:revoked")

    @pytest.mark.parametrize("mode", [OCSP, EITHER, BOTH])
    def test_stays_so_for_its_next_connection_without_a_question(
        self, lab: Lab, folder: Path, mode: RevocationMode
    ) -> None:
        gateway = RevokingGateway(lab, folder, mode)
        put(gateway, "expired", "good")
        gateway.seat().ask(GET)
        gateway.reply(Saying(REVOKED))
        gateway.publish()
        assert verdict_of(gateway.seat().ask(GET)) == (401, "FAILED:revoked")
        assert len(gateway.questions) == 1

    def test_of_a_revoked_ca_too(self, lab: Lab, folder: Path) -> None:
        gateway = RevokingGateway(lab, folder)
        ca = lab.authorities[trees.ORG_TEST].certificate.serial_number
        gateway.publish(cas=(ca,))
        assert verdict_of(gateway.seat().ask(GET)) == (401, "FAILED:revoked")

    @pytest.mark.parametrize("mode", [OCSP, EITHER, BOTH])
    def test_by_list_is_so_whatever_ocsp_has_said(
        self, lab: Lab, folder: Path, mode: RevocationMode
    ) -> None:
        """S35: a list's "revoked" beats a cached "good"."""
        gateway = RevokingGateway(lab, folder, mode)
        put(gateway, "expired", "good")
        gateway.seat().ask(GET)
        gateway.reply()
        gateway.publish(gateway.serial())
        assert verdict_of(gateway.seat().ask(GET)) == (401, "FAILED:revoked")
        assert len(gateway.questions) == 1

    def test_its_list_may_have_expired(self, lab: Lab, folder: Path) -> None:
        """S22."""
        gateway = RevokingGateway(lab, folder)
        put(gateway, "expired", "expired", (gateway.serial(),))
        assert verdict_of(gateway.seat().ask(GET)) == (401, "FAILED:revoked")

    def test_another_ones_serial_on_another_list_is_no_matter(self, lab: Lab, folder: Path) -> None:
        """S21: the same serial, revoked by the issuer of the CAs and by the production CA."""
        gateway = RevokingGateway(lab, folder)
        serial = gateway.serial()
        gateway.put_in_force(
            gateway.list_of(trees.ORG_TEST),
            gateway.list_of(trees.ROOT_TEST, serial),
            gateway.list_of(trees.ORG, serial),
        )
        assert served(gateway, gateway.seat().ask(GET))


@frozen
class Cause:
    """A state of the world in which a client's status may be unknown."""

    leaf: str
    ca: str
    ocsp: str | Problem

    def __str__(self) -> str:
        ocsp = self.ocsp if isinstance(self.ocsp, str) else self.ocsp.name
        return f"{self.leaf}-{self.ca}-{ocsp}"


CAUSES = [
    Cause(leaf, ca, ocsp)
    for leaf, ca, ocsp in product(
        LISTS, LISTS, ["good", "unknown", Problem.TOO_LATE, Problem.BAD_SIGNATURE]
    )
]


def expected(mode: RevocationMode, cause: Cause) -> bool:
    """docs/revocation.md, rows of a client that nobody revokes, said the other way round."""
    if cause.ca != "good":
        return False
    by_list, by_ocsp = cause.leaf == "good", cause.ocsp == "good"
    return {
        CRL: by_list,
        OCSP: by_ocsp,
        EITHER: by_list or by_ocsp,
        BOTH: by_list and by_ocsp,
    }[mode]


def expected_disengaged(mode: RevocationMode, cause: Cause) -> bool:
    """The same where débrayage that rests on the last verified list begins by itself."""
    needed = {cause.ca} if mode is OCSP else {cause.ca, cause.leaf}
    if needed == {"good"} and cause.ocsp == "unknown":
        return expected(mode, cause)  # said of one certificate, so no outage
    return expected(mode, cause) or "absent" not in needed


def ask(gateway: RevokingGateway, cause: Cause) -> Seated:
    """One client in that world, its question answered."""
    caller = gateway.seat().ask(GET)
    if gateway.questions:
        if isinstance(cause.ocsp, Problem):
            gateway.refuse(cause.ocsp)
        else:
            gateway.reply(ANSWERS[cause.ocsp])
    return caller


@pytest.mark.parametrize("cause", CAUSES, ids=str)
@pytest.mark.parametrize("mode", CHECKED)
class TestTheTable:
    """S23, S32: cause × mode, as docs/revocation.md says; an error never admits."""

    def test_engaged(self, world: World, mode: RevocationMode, cause: Cause) -> None:
        gateway = world(mode)
        put(gateway, cause.leaf, cause.ca)
        caller = ask(gateway, cause)
        if expected(mode, cause):
            assert served(gateway, caller)
        else:
            assert verdict_of(caller) == (401, "FAILED:status unknown")
            assert gateway.server.attempts == 0

    def test_disengaged_by_itself(self, world: World, mode: RevocationMode, cause: Cause) -> None:
        gateway = world(mode, 3600.0)
        put(gateway, cause.leaf, cause.ca)
        caller = ask(gateway, cause)
        if not expected_disengaged(mode, cause):
            assert verdict_of(caller) == (401, "FAILED:status unknown")
            return
        assert served(gateway, caller)
        by_debrayage = not expected(mode, cause)
        # The first one begins it, and is judged again because it began.
        (detail,) = {each.detail for each in gateway.journal.decisions}
        assert detail.startswith("disengaged on the last") is by_debrayage
        assert bool(gateway.outages.admissions) is by_debrayage

    def test_disengaged_even_without_a_list(
        self, world: World, mode: RevocationMode, cause: Cause
    ) -> None:
        gateway = world(mode)
        gateway.disengage(without_list=True)
        put(gateway, cause.leaf, cause.ca)
        assert served(gateway, ask(gateway, cause))
        (admission,) = gateway.journal.decisions
        assert admission.detail.startswith("disengaged") is not expected(mode, cause)


@pytest.mark.parametrize("cause", [each for each in CAUSES if each.leaf != "absent"], ids=str)
@pytest.mark.parametrize("mode", CHECKED)
class TestTheTableForWhomAListRevokes:
    """S22: whatever else is said, and débrayage by itself and by hand included."""

    def test_refused(self, world: World, mode: RevocationMode, cause: Cause) -> None:
        gateway = world(mode, 3600.0)
        gateway.disengage(without_list=True)
        put(gateway, cause.leaf, cause.ca, (gateway.serial(),))
        assert verdict_of(ask(gateway, cause)) == (401, "FAILED:revoked")
        assert gateway.server.attempts == 0


@pytest.mark.parametrize("problem", [each for each in Problem if each is not Problem.GIVEN_UP])
class TestEveryFailureOfOCSP:
    """S32."""

    def test_refuses_where_only_ocsp_could_tell(self, world: World, problem: Problem) -> None:
        for mode in (OCSP, EITHER, BOTH):
            gateway = world(mode)
            put(gateway, "absent" if mode is EITHER else "good", "good")
            caller = gateway.seat().ask(GET)
            gateway.refuse(problem)
            assert verdict_of(caller) == (401, "FAILED:status unknown")
            assert gateway.server.attempts == 0

    def test_is_no_matter_where_the_list_tells(self, world: World, problem: Problem) -> None:
        gateway = world(EITHER)
        put(gateway, "expired", "good")
        caller = gateway.seat().ask(GET)
        gateway.refuse(problem)
        assert verdict_of(caller)[0] == 401
        gateway.publish()
        assert served(gateway, gateway.seat().ask(GET))


class TestWithoutAResponder:
    def test_ocsp_refuses_everybody(self, lab: Lab, folder: Path) -> None:
        gateway = RevokingGateway(lab, folder, OCSP)
        gateway.checks._cache = None
        gateway.publish()
        assert verdict_of(gateway.seat().ask(GET)) == (401, "FAILED:status unknown")

    def test_a_cache_that_is_closed_refuses(self, lab: Lab, folder: Path) -> None:
        gateway = RevokingGateway(lab, folder, OCSP, admit_for=3600.0)
        gateway.publish()
        gateway.cache.close()
        assert verdict_of(gateway.seat().ask(GET)) == (401, "FAILED:status unknown")
        assert not gateway.outages.unknown_since


class TestStrangers:
    """Revocation is never asked about them."""

    @pytest.mark.parametrize(
        ("client", "status"),
        [("crossed-pair", 403), ("production", 401), ("ssl-serv", 401), ("expired", 401)],
    )
    def test_are_refused_without_a_question(
        self, lab: Lab, folder: Path, client: str, status: int
    ) -> None:
        gateway = RevokingGateway(lab, folder, OCSP, admit_for=3600.0)
        assert gateway.call(client).ask(GET).answer()[0] == status
        assert gateway.questions == []
        assert len(gateway.checks.live) == 0
        assert not gateway.outages.unknown_since


class TestOff:
    def test_asks_nobody(self, lab: Lab, folder: Path) -> None:
        gateway = RevokingGateway(lab, folder, OFF)
        assert served(gateway, gateway.seat().ask(GET))
        assert gateway.questions == []


class TestWhatRaises:
    """S3: whatever goes wrong in a check refuses."""

    def test_a_chain_that_cannot_be_read_is_unknown(
        self, lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gateway = RevokingGateway(lab, folder)
        gateway.publish()

        monkeypatch.setattr(Chain, "read", _raise)
        assert verdict_of(gateway.seat().ask(GET)) == (401, "FAILED:status unknown")
        assert gateway.server.attempts == 0

    def test_a_check_that_raises_ends_the_handshake(
        self, lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch, logged: list[LogEvent]
    ) -> None:
        gateway = RevokingGateway(lab, folder)
        gateway.publish()
        monkeypatch.setattr(gateway.checks, "check", _raise)
        seated = gateway.seat()
        gateway.pass_time(0)
        assert seated.wire.lost
        assert len(gateway.checks.live) == 0
        logged.clear()

    def test_one_that_raises_later_refuses_the_request_and_is_made_again(
        self, lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch, logged: list[LogEvent]
    ) -> None:
        gateway = RevokingGateway(lab, folder)
        gateway.publish()
        caller = gateway.seat()
        gateway.publish(gateway.serial("preproduction"))
        with monkeypatch.context() as patched:
            patched.setattr(gateway.checks, "check", _raise)
            assert caller.ask(GET).answers()[0][0] == 500
        assert gateway.server.attempts == 0
        assert served(gateway, caller.ask(GET))
        logged.clear()

    def test_one_that_raises_once_ocsp_has_answered_refuses(
        self, lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch, logged: list[LogEvent]
    ) -> None:
        gateway = RevokingGateway(lab, folder, OCSP)
        gateway.publish()
        caller = gateway.seat().ask(GET)
        with monkeypatch.context() as patched:
            patched.setattr(gateway.checks, "_rule", _raise)
            gateway.reply()
            assert caller.answers()[0][0] == 500
        assert gateway.server.attempts == 0
        assert gateway.journal.decisions == []
        logged.clear()

    def test_lists_that_raise_refuse(
        self, lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch, logged: list[LogEvent]
    ) -> None:
        gateway = RevokingGateway(lab, folder, admit_for=3600.0)
        gateway.publish()
        caller = gateway.seat()
        gateway.checks.lists = None  # type: ignore[assignment]
        gateway.checks.changed()
        assert caller.ask(GET).answers()[0][0] == 500
        assert gateway.server.attempts == 0
        logged.clear()


def _raise(*_: object) -> None:
    raise RuntimeError("a defect")

"""Connections that wait for OCSP: who waits, for how long, and what is left of who leaves."""

from datetime import timedelta
from pathlib import Path

import pytest

from front import GET, OK
from revoking_gateway import RevokingGateway, Seated
from sasgate.lab.ocsp_answers import REVOKED, Saying
from sasgate.lab.pki import Lab
from sasgate.revocation.ocsp_words import Problem
from sasgate.settings import Limits, RevocationMode
from test_inbound_memory import CHECK
from test_judgement import served, verdict_of


pytestmark = pytest.mark.usefixtures("no_failure_logged")

ALL_AT_ONCE = Limits().connections


@pytest.fixture
def gateway(lab: Lab, tmp_path: Path) -> RevokingGateway:
    """One whose mode is `ocsp`, where a whole crowd may come from one address."""
    gateway = RevokingGateway(
        lab, tmp_path, RevocationMode.OCSP, connections_per_address=ALL_AT_ONCE
    )
    gateway.publish()
    return gateway


class TestWhoWaits:
    def test_the_handshake_does_not(self, gateway: RevokingGateway) -> None:
        caller = gateway.call("recette")
        assert caller.tls.get_peer_certificate() is not None
        assert caller.wire.protocol.inner._handshaken
        assert not gateway.questions[0].answer.called
        assert gateway.journal.decisions == []

    def test_the_question_leaves_with_the_handshake(self, gateway: RevokingGateway) -> None:
        gateway.seat()
        (question,) = gateway.questions
        assert question.request.serial_number == gateway.serial()

    def test_the_first_request_does(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat().ask(GET)
        gateway.pass_time(2.9)
        assert caller.wire.held == 0
        assert gateway.server.attempts == 0
        gateway.reply()
        assert served(gateway, caller)

    def test_no_later_one_does(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat().ask(GET)
        gateway.reply()
        assert served(gateway, caller)
        assert served(gateway, caller.ask(GET))
        assert len(gateway.questions) == 1
        assert len(gateway.journal.decisions) == 1

    def test_no_request_does_that_comes_after_the_answer(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat()
        gateway.reply()
        assert served(gateway, caller.ask(GET))

    def test_the_next_connection_does_not(self, gateway: RevokingGateway) -> None:
        gateway.seat()
        gateway.reply()
        assert served(gateway, gateway.seat().ask(GET))
        assert len(gateway.questions) == 1

    def test_a_stranger_it_is_until_the_answer(self, gateway: RevokingGateway) -> None:
        """S49."""
        gateway.seat()
        assert gateway.strangers == 1
        gateway.reply()
        assert gateway.strangers == 0

    def test_a_stranger_it_stays_where_the_answer_refuses(self, gateway: RevokingGateway) -> None:
        gateway.seat()
        gateway.reply(Saying(REVOKED))
        assert gateway.strangers == 1


class TestTheAnswersLimit:
    def test_it_counts_the_wait_for_ocsp(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat().ask(GET)
        gateway.pass_time(6.0)
        assert caller.wire.held == 0
        gateway.pass_time(0.5)
        ((status, _),) = caller.answers()
        assert status == 504
        assert gateway.server.attempts == 0

    def test_what_the_wait_leaves_is_the_backends(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat().ask(GET)
        gateway.pass_time(4.0)
        gateway.reply()
        gateway.pass_time(2.0)
        assert caller.wire.held == 0
        gateway.pass_time(0.5)
        ((status, _),) = caller.answers()
        assert status == 504

    def test_an_answer_after_it_serves_the_next_request_and_not_the_late_one(
        self, gateway: RevokingGateway
    ) -> None:
        caller = gateway.seat().ask(GET)
        gateway.pass_time(6.5)
        assert caller.answers()[0][0] == 504
        caller.ask(GET.replace(b"/Slot", b"/Second"))
        gateway.reply()
        (wire,) = gateway.server.wires
        assert [line for line in wire.take().split(b"\r\n") if line.startswith(b"GET")] == [
            b"GET /Second HTTP/1.1"
        ]
        wire.send(OK)
        assert caller.answers() == [(200, b"hi")]


class TestPipelining:
    """S42."""

    SECOND = GET.replace(b"/Slot", b"/Second")

    def test_requests_behind_one_that_waits_keep_their_order(
        self, gateway: RevokingGateway
    ) -> None:
        caller = gateway.seat().ask(GET + self.SECOND).ask(CHECK)
        assert caller.wire.held == 0
        gateway.reply()
        for path in (b"GET /Slot ", b"GET /Second "):
            wire = gateway.server.wires[0]
            assert wire.take().startswith(path)
            wire.send(OK)
        gateway.pass_time(0)
        assert [body for _, body in caller.answers()] == [b"hi", b"hi", b'{"status": "available"}']

    def test_a_refusal_answers_the_first_and_ends_it(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat().ask(GET + self.SECOND)
        gateway.reply(Saying(REVOKED))
        assert verdict_of(caller) == (401, "FAILED:revoked")
        gateway.pass_time(0)
        assert caller.wire.lost
        assert gateway.server.attempts == 0


class TestACrowd:
    """S34."""

    def test_five_hundred_of_one_certificate_ask_one_question(
        self, gateway: RevokingGateway
    ) -> None:
        callers = [gateway.seat().ask(GET) for _ in range(500)]
        assert len(gateway.questions) == 1
        gateway.reply()
        assert all(served(gateway, caller) for caller in callers)
        assert len(gateway.questions) == 1

    def test_five_hundred_are_refused_by_one_failure_and_the_next_asks_nothing(
        self, gateway: RevokingGateway
    ) -> None:
        callers = [gateway.seat().ask(GET) for _ in range(500)]
        gateway.refuse(Problem.TOO_LATE)
        assert {verdict_of(caller) for caller in callers} == {(401, "FAILED:status unknown")}
        assert verdict_of(gateway.seat().ask(GET)) == (401, "FAILED:status unknown")
        assert len(gateway.questions) == 1

    def test_five_hundred_are_refused_by_one_revocation(self, gateway: RevokingGateway) -> None:
        callers = [gateway.seat().ask(GET) for _ in range(500)]
        gateway.reply(Saying(REVOKED))
        assert {verdict_of(caller) for caller in callers} == {(401, "FAILED:revoked")}

    def test_each_certificate_is_asked_about_and_judged_for_itself(
        self, gateway: RevokingGateway
    ) -> None:
        recette, other = gateway.seat().ask(GET), gateway.seat("preproduction").ask(GET)
        assert len(gateway.questions) == 2
        gateway.reply(Saying(REVOKED), 0)
        gateway.reply(Saying(), 1, "preproduction")
        assert verdict_of(recette) == (401, "FAILED:revoked")
        assert served(gateway, other)


class TestWhoLeaves:
    """S33."""

    def leave_nothing(self, gateway: RevokingGateway) -> None:
        """Nobody is remembered who has gone."""
        assert len(gateway.checks.live) == 0
        assert gateway.checks.live.chains == ()
        assert gateway.surroundings.connections == 0
        assert gateway.strangers == 0
        (entry,) = gateway.cache._entries.values()
        assert not entry.waiters

    @pytest.mark.parametrize("asked", [False, True])
    def test_ten_thousand_times_during_one_question(
        self, gateway: RevokingGateway, asked: bool
    ) -> None:
        for _ in range(5_000):
            caller = gateway.seat()
            if asked:
                caller.ask(GET)
            caller.leave()
        self.leave_nothing(gateway)
        timers = len(gateway.clock.getDelayedCalls())
        assert len(gateway.questions) == 1
        gateway.reply()
        assert gateway.server.attempts == 0
        assert gateway.journal.decisions == []
        assert len(gateway.clock.getDelayedCalls()) <= timers + 1

    def test_the_question_goes_on_for_those_who_come(self, gateway: RevokingGateway) -> None:
        gateway.seat().ask(GET).leave()
        gateway.reply()
        assert served(gateway, gateway.seat().ask(GET))
        assert len(gateway.questions) == 1

    def test_one_who_leaves_takes_nothing_from_those_who_stay(
        self, gateway: RevokingGateway
    ) -> None:
        first, second = gateway.seat().ask(GET), gateway.seat().ask(GET)
        first.leave()
        gateway.reply()
        assert served(gateway, second)

    def test_one_who_leaves_starts_no_clock_of_an_outage(self, lab: Lab, tmp_path: Path) -> None:
        """S23."""
        gateway = RevokingGateway(lab, tmp_path, RevocationMode.OCSP, admit_for=3600.0)
        gateway.publish()
        gateway.seat().ask(GET).leave()
        assert not gateway.outages.unknown_since
        assert not gateway.outages.admissions

    def test_one_who_leaves_after_lists_have_changed(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat().ask(GET)
        gateway.publish()
        caller.leave()
        self.leave_nothing(gateway)
        gateway.reply()
        self.leave_nothing(gateway)

    def test_one_who_leaves_while_it_is_asked_anew(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat().ask(GET)
        gateway.reply()
        assert served(gateway, caller)
        gateway.now += timedelta(hours=3)
        caller.ask(GET).leave()
        self.leave_nothing(gateway)
        gateway.refuse()
        self.leave_nothing(gateway)

    def test_one_who_leaves_gets_no_backend_looked_at(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat().ask(GET)
        gateway.reply()
        assert served(gateway, caller)
        gateway.now += timedelta(hours=3)
        attempts = gateway.server.attempts
        caller.ask(CHECK).leave()
        assert gateway.server.attempts == attempts

    def test_the_gateway_that_closes_its_cache_leaves_nobody_waiting(
        self, gateway: RevokingGateway
    ) -> None:
        callers: list[Seated] = [gateway.seat().ask(GET) for _ in range(3)]
        gateway.cache.close()
        assert {verdict_of(caller) for caller in callers} == {(401, "FAILED:status unknown")}

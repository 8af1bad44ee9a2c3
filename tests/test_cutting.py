"""Live connections of what turns revoked: cut at once, and none but those (S14, S15)."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.logger import LogEvent

from front import GET, OK
from memory_gateway import Caller
from revoking_gateway import RevokingGateway, Seated
from sasgate.admission import Outcome
from sasgate.client_connection import GRACE
from sasgate.lab import trees
from sasgate.lab.ocsp_answers import REVOKED, UNKNOWN, Saying
from sasgate.lab.pki import Lab
from sasgate.settings import RevocationMode
from test_judgement import served, verdict_of


pytestmark = pytest.mark.usefixtures("no_failure_logged")

CRL, OCSP, EITHER = RevocationMode.CRL, RevocationMode.OCSP, RevocationMode.CRL_OR_OCSP
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi"


@pytest.fixture
def gateway(lab: Lab, tmp_path: Path) -> RevokingGateway:
    """One whose mode is `crl`, with lists that revoke nobody."""
    gateway = RevokingGateway(lab, tmp_path)
    gateway.publish()
    return gateway


@pytest.fixture
def asking(lab: Lab, tmp_path: Path) -> RevokingGateway:
    """One whose mode is `ocsp`."""
    gateway = RevokingGateway(lab, tmp_path, OCSP)
    gateway.publish()
    return gateway


def used(gateway: RevokingGateway, client: str = "recette") -> Seated:
    """A connection that was served and waits for its next request."""
    caller = gateway.seat(client).ask(GET)
    if gateway.questions and not gateway.questions[-1].answer.called:
        gateway.reply(client=client)
    assert served(gateway, caller)
    return caller


def cuts(gateway: RevokingGateway) -> list[str]:
    """The reasons of all cuts, as the journal has them."""
    return [each.detail for each in gateway.journal.decisions if each.outcome == "cut"]


def sent_to_backends(gateway: RevokingGateway) -> bytes:
    """What they got since the last time."""
    return b"".join(wire.take() for wire in gateway.server.wires)


class TestAListThatRevokes:
    def test_cuts_an_idle_connection_over_tls_and_refuses_its_next_handshake(
        self, gateway: RevokingGateway
    ) -> None:
        """S14."""
        caller = gateway.call("recette").ask(GET)
        gateway.server.wire.send(OK)
        assert caller.answer() == (200, b"hi")
        gateway.publish(gateway.serial())
        assert caller.wire.aborted
        assert verdict_of(gateway.call("recette").ask(GET)) == (401, "FAILED:revoked")

    def test_cuts_before_any_time_passes(self, gateway: RevokingGateway) -> None:
        caller = used(gateway)
        gateway.publish(gateway.serial())
        assert caller.wire.aborted
        assert cuts(gateway) == ["a list that has come revokes it"]

    def test_cuts_one_that_has_asked_for_nothing_yet(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat()
        gateway.publish(gateway.serial())
        assert caller.wire.aborted

    def test_cuts_an_exchange_before_its_answer_began(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat().ask(GET)
        gateway.publish(gateway.serial())
        gateway.pass_time(0)
        assert caller.wire.lost
        assert gateway.server.open == []
        assert gateway.journal.accesses[-1].error == "a list that has come revokes it"

    def test_cuts_an_exchange_whose_answers_head_has_left(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat().ask(GET)
        gateway.server.wire.send(HEAD)
        assert caller.wire.take().endswith(b"hi")
        gateway.publish(gateway.serial())
        gateway.pass_time(0)
        assert caller.wire.lost
        assert gateway.server.open == []

    def test_cuts_a_request_that_waits_for_its_backend(self, gateway: RevokingGateway) -> None:
        gateway.server.mute = True
        caller = gateway.seat().ask(GET)
        gateway.publish(gateway.serial())
        gateway.pass_time(0)
        gateway.server.answer()
        assert caller.wire.lost
        assert sent_to_backends(gateway) == b""

    def test_cuts_a_request_whose_body_still_comes(self, gateway: RevokingGateway) -> None:
        caller = gateway.seat().ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        gateway.publish(gateway.serial())
        gateway.pass_time(0)
        assert caller.wire.lost
        assert gateway.server.open == []

    def test_lets_nothing_pass_between_the_cut_and_its_end(self, gateway: RevokingGateway) -> None:
        """The next request is there already, and the answer to the first comes in between."""
        caller = gateway.seat().ask(GET * 2)
        sent_to_backends(gateway)
        gateway.publish(gateway.serial())
        gateway.server.wire.send(OK)
        assert sent_to_backends(gateway) == b""
        gateway.pass_time(0)
        assert caller.wire.lost
        assert sent_to_backends(gateway) == b""

    def test_cuts_all_of_the_certificate_and_no_other(self, gateway: RevokingGateway) -> None:
        mine = [used(gateway) for _ in range(3)]
        other = used(gateway, "preproduction")
        gateway.publish(gateway.serial())
        assert [each.wire.aborted for each in mine] == [True] * 3
        assert not other.wire.aborted
        assert served(gateway, other.ask(GET))

    def test_cuts_both_where_both_are_on_it(self, gateway: RevokingGateway) -> None:
        callers = used(gateway), used(gateway, "preproduction")
        gateway.publish(gateway.serial(), gateway.serial("preproduction"))
        assert all(each.wire.aborted for each in callers)

    def test_cuts_nothing_twice(self, gateway: RevokingGateway) -> None:
        used(gateway)
        for _ in range(3):
            gateway.publish(gateway.serial())
        assert len(cuts(gateway)) == 1

    def test_cuts_nobody_for_a_serial_of_another_issuer(self, gateway: RevokingGateway) -> None:
        """S21."""
        caller = used(gateway)
        gateway.publish(cas=(gateway.serial(),))
        assert not caller.wire.aborted
        assert served(gateway, caller.ask(GET))

    def test_counts_even_where_it_has_expired(self, gateway: RevokingGateway) -> None:
        """S22."""
        caller = used(gateway)
        gateway.publish(gateway.serial(), lasts=timedelta(minutes=-1))
        assert caller.wire.aborted

    def test_counts_under_debrayage(self, lab: Lab, tmp_path: Path) -> None:
        """S22."""
        gateway = RevokingGateway(lab, tmp_path)
        gateway.disengage(without_list=True)
        caller = used(gateway)
        gateway.publish(gateway.serial())
        assert caller.wire.aborted

    def test_of_cas_cuts_what_they_issued(self, gateway: RevokingGateway) -> None:
        callers = used(gateway), used(gateway, "preproduction")
        issuer = gateway.lab.authorities[trees.ORG_TEST].certificate
        gateway.publish(cas=(issuer.serial_number,))
        assert all(each.wire.aborted for each in callers)

    def test_cuts_in_every_mode(self, lab: Lab, tmp_path: Path) -> None:
        for mode in (CRL, OCSP, EITHER, RevocationMode.CRL_AND_OCSP):
            gateway = RevokingGateway(lab, tmp_path / mode.value, mode)
            gateway.publish()
            caller = used(gateway)
            gateway.publish(gateway.serial())
            assert caller.wire.aborted, mode

    def test_cuts_nobody_of_whom_it_tells_nothing(self, lab: Lab, tmp_path: Path) -> None:
        """Lists that have expired, or are there no longer, revoke nobody."""
        gateway = RevokingGateway(lab, tmp_path)
        gateway.disengage(without_list=True)
        caller = used(gateway)
        gateway.publish(lasts=timedelta(minutes=-1))
        gateway.put_in_force()
        assert not caller.wire.aborted
        assert served(gateway, caller.ask(GET))

    def test_once_taken_back_admits_again(self, gateway: RevokingGateway) -> None:
        used(gateway)
        gateway.publish(gateway.serial())
        gateway.publish()
        assert served(gateway, gateway.seat().ask(GET))


class TestAListThatComesMeanwhile:
    """S15: whoever is on the way while lists change is judged by the new one."""

    def test_while_the_handshake_goes_on(self, gateway: RevokingGateway) -> None:
        wire = gateway.connect()
        assert wire is not None
        caller = Caller(gateway, wire, "recette")
        with pytest.raises(SSL.WantReadError):
            caller.tls.do_handshake()
        wire.send(caller.tls.bio_read(65536))
        gateway.publish(gateway.serial())
        assert verdict_of(caller.shaken().ask(GET)) == (401, "FAILED:revoked")
        assert gateway.server.attempts == 0

    def test_between_the_handshake_and_the_first_request(self, gateway: RevokingGateway) -> None:
        """Also where the cut itself was missed."""
        caller = gateway.seat()
        gateway.checks.live.leave(*_only_entry(gateway))
        gateway.publish(gateway.serial())
        assert verdict_of(caller.ask(GET)) == (401, "FAILED:revoked")
        assert gateway.server.attempts == 0

    @pytest.mark.parametrize("asked", [False, True])
    def test_while_ocsp_is_asked(self, asking: RevokingGateway, asked: bool) -> None:
        caller = asking.seat()
        if asked:
            caller.ask(GET)
        asking.publish(asking.serial())
        asking.reply()
        if not asked:
            caller.ask(GET)
        assert verdict_of(caller) == (401, "FAILED:revoked")
        assert asking.server.attempts == 0

    def test_while_ocsp_is_asked_anew(self, asking: RevokingGateway) -> None:
        """The connection was admitted once, so it is cut."""
        caller = used(asking)
        asking.now += timedelta(hours=3)
        caller.ask(GET)
        assert len(asking.questions) == 2
        asking.publish(asking.serial())
        assert caller.wire.aborted
        asking.reply()
        asking.pass_time(0)
        assert sent_to_backends(asking) == b""
        assert [each.outcome for each in asking.journal.decisions] == ["admitted", "cut"]

    def test_a_list_that_says_nothing_new_admits_after_the_wait(
        self, asking: RevokingGateway
    ) -> None:
        caller = asking.seat().ask(GET)
        asking.publish(asking.serial("preproduction"))
        asking.reply()
        assert served(asking, caller)
        assert [each.outcome for each in asking.journal.decisions] == ["admitted"]

    def test_a_list_on_which_nothing_rests_is_looked_at_again(
        self, gateway: RevokingGateway
    ) -> None:
        """What is unknown at the handshake is known by the time of the request."""
        gateway.put_in_force()
        caller = gateway.seat()
        gateway.publish()
        assert served(gateway, caller.ask(GET))


def _only_entry(gateway: RevokingGateway) -> tuple[Any, Any]:
    (chain,) = gateway.checks.live.chains
    (connection,) = gateway.checks.live
    return chain, connection


class TestOCSPThatRevokes:
    def test_when_it_is_refreshed_cuts_all_of_it_and_no_other(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        gateway = RevokingGateway(lab, tmp_path, OCSP, keep_alive=3600.0)
        gateway.publish()
        idle, other = used(gateway), used(gateway, "preproduction")
        gateway.pass_time(44 * 60)
        busy = gateway.seat().ask(GET)
        gateway.pass_time(61)
        asked_anew = gateway.questions[2:]
        assert {each.request.serial_number for each in asked_anew} == {
            gateway.serial(),
            gateway.serial("preproduction"),
        }
        for index, each in enumerate(asked_anew, 2):
            if each.request.serial_number == gateway.serial():
                gateway.reply(Saying(REVOKED), index)
            else:
                gateway.reply(Saying(), index, "preproduction")
        gateway.pass_time(0)
        assert idle.wire.lost
        assert busy.wire.lost
        assert served(gateway, other.ask(GET))
        assert cuts(gateway) == ["revoked by OCSP"] * 2

    def test_for_one_that_waits_cuts_those_that_rest_on_an_older_answer(
        self, asking: RevokingGateway
    ) -> None:
        before = used(asking)
        asking.now += timedelta(hours=3)
        caller = asking.seat().ask(GET)
        asking.reply(Saying(REVOKED))
        assert before.wire.aborted
        assert verdict_of(caller) == (401, "FAILED:revoked")
        assert len(cuts(asking)) == 1

    def test_not_but_unknown_cuts_nobody(self, asking: RevokingGateway) -> None:
        before = used(asking)
        asking.now += timedelta(hours=3)
        caller = asking.seat().ask(GET)
        asking.reply(Saying(UNKNOWN))
        assert not before.wire.aborted
        assert verdict_of(caller) == (401, "FAILED:status unknown")


class TestWhatHasToBeLookedAtAgain:
    """A word of good holds while what it rests on does."""

    def test_a_list_that_expires(self, gateway: RevokingGateway) -> None:
        gateway.publish(lasts=timedelta(minutes=5))
        caller = used(gateway)
        gateway.now += timedelta(minutes=5, seconds=2)
        assert verdict_of(caller.ask(GET)) == (401, "FAILED:status unknown")

    def test_a_list_that_has_not_expired_costs_no_judgement(self, gateway: RevokingGateway) -> None:
        gateway.publish(lasts=timedelta(minutes=5))
        caller = used(gateway)
        gateway.now += timedelta(minutes=4)
        assert served(gateway, caller.ask(GET))
        assert len(gateway.journal.decisions) == 1

    def test_a_list_of_cas_that_expires(self, gateway: RevokingGateway) -> None:
        gateway.put_in_force(
            gateway.list_of(trees.ORG_TEST),
            gateway.list_of(trees.ROOT_TEST, lasts=timedelta(minutes=5)),
        )
        caller = used(gateway)
        gateway.now += timedelta(minutes=5, seconds=2)
        assert verdict_of(caller.ask(GET)) == (401, "FAILED:status unknown")

    def test_an_answer_that_is_out_of_date(self, asking: RevokingGateway) -> None:
        caller = used(asking)
        asking.now += timedelta(hours=1, minutes=6)
        caller.ask(GET)
        assert caller.answers() == []
        asking.refuse()
        assert verdict_of(caller) == (401, "FAILED:status unknown")

    def test_debrayage_that_is_over(self, lab: Lab, tmp_path: Path) -> None:
        """S23: the next request is refused."""
        gateway = RevokingGateway(lab, tmp_path, keep_alive=3600.0)
        gateway.publish(lasts=timedelta(minutes=-1))
        gateway.disengage(lasts=timedelta(minutes=10))
        caller = used(gateway)
        gateway.pass_time(599)
        assert served(gateway, caller.ask(GET))
        gateway.pass_time(2)
        assert verdict_of(caller.ask(GET)) == (401, "FAILED:status unknown")

    def test_debrayage_that_a_jump_of_the_clock_ends(self, lab: Lab, tmp_path: Path) -> None:
        """S60: no timer has struck."""
        gateway = RevokingGateway(lab, tmp_path)
        gateway.publish(lasts=timedelta(minutes=-1))
        gateway.disengage(lasts=timedelta(minutes=10))
        caller = used(gateway)
        gateway.now += timedelta(minutes=11)
        assert verdict_of(caller.ask(GET)) == (401, "FAILED:status unknown")

    def test_debrayage_that_somebody_ends(self, lab: Lab, tmp_path: Path) -> None:
        gateway = RevokingGateway(lab, tmp_path)
        gateway.disengage(without_list=True)
        caller = used(gateway)
        gateway.outages.engage("root")
        assert verdict_of(caller.ask(GET)) == (401, "FAILED:status unknown")

    def test_automatic_debrayage_is_counted_from_the_lists_end(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        """S23: nobody asked meanwhile."""
        gateway = RevokingGateway(lab, tmp_path, admit_for=3600.0)
        gateway.publish(lasts=timedelta(minutes=5))
        gateway.now += timedelta(minutes=64)
        assert served(gateway, gateway.seat().ask(GET))
        gateway.now += timedelta(minutes=2)
        assert verdict_of(gateway.seat().ask(GET)) == (401, "FAILED:status unknown")

    def test_automatic_debrayage_ends_with_a_current_list(self, lab: Lab, tmp_path: Path) -> None:
        gateway = RevokingGateway(lab, tmp_path, admit_for=3600.0)
        gateway.publish(lasts=timedelta(minutes=-5))
        caller = used(gateway)
        assert gateway.outages.state
        gateway.publish()
        assert served(gateway, caller.ask(GET))
        assert gateway.outages.state == ()
        assert gateway.journal.decisions[-1].detail == "admitted"


class TestDenial:
    """The deny list cuts at a reload as revocation does."""

    def deny(self, gateway: RevokingGateway) -> None:
        ca = gateway.lab.authorities[trees.ORG_TEST].certificate.subject
        (name,) = ca.get_attributes_for_oid(NameOID.COMMON_NAME)
        clients = "clients = CN=sas-agregateur-recette"
        more = {clients: f"deny = {name.value!s}:{gateway.serial():X}\n{clients}"}
        gateway.listener.rules = gateway.rules(gateway.changes | more)
        gateway.checks.rules_changed()

    def test_cuts_whom_it_names(self, gateway: RevokingGateway) -> None:
        caller, other = used(gateway), used(gateway, "preproduction")
        self.deny(gateway)
        assert caller.wire.aborted
        assert not other.wire.aborted
        assert cuts(gateway) == ["on the deny list"]

    def test_tells_whom_it_names_while_ocsp_is_asked(self, asking: RevokingGateway) -> None:
        """The older rules would admit once the answer comes."""
        caller = asking.seat().ask(GET)
        self.deny(asking)
        asking.reply()
        assert verdict_of(caller) == (401, "FAILED:revoked")
        assert asking.server.attempts == 0

    def test_goes_on_where_one_cannot_be_judged(
        self, gateway: RevokingGateway, logged: list[LogEvent], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        used(gateway)
        (first,) = gateway.checks.live
        caller = used(gateway)
        monkeypatch.setattr(first, "review", _full)
        self.deny(gateway)
        assert caller.wire.aborted
        logged.clear()


class TestRulesThatChangeWhileOCSPIsAsked:
    def test_the_older_ones_do_not_admit(self, asking: RevokingGateway) -> None:
        """Whoever is listed no longer is refused, though the answer is good."""
        caller = asking.seat()
        ou = "OU=499700234190004"
        asking.listener.rules = asking.rules(asking.changes | {ou: "OU=1"})
        caller.ask(GET)
        asking.reply()
        assert verdict_of(caller) == (403, "SUCCESS")
        assert [each.outcome for each in asking.journal.decisions] == ["forbidden"]

    def test_who_has_asked_for_nothing_yet_is_served_out(self, asking: RevokingGateway) -> None:
        """S56: there is nothing to answer, and its next connection is told.

        It may have asked already, with its request on the way: for so long it is waited for.
        """
        caller = asking.seat()
        asking.listener.rules = asking.rules(asking.changes | {"OU=499700234190004": "OU=1"})
        asking.checks.rules_changed()
        asking.reply()
        assert not caller.wire.lost
        asking.pass_time(GRACE)
        assert caller.wire.lost
        assert asking.server.attempts == 0
        assert cuts(asking) == []


class TestAJournalThatFails:
    """Nobody passes, and nobody stays, because a line could not be written."""

    def test_a_cut_is_made_all_the_same_and_those_after_it(
        self, gateway: RevokingGateway, logged: list[LogEvent]
    ) -> None:
        callers = [used(gateway) for _ in range(3)]
        gateway.journal.broken = True
        gateway.publish(gateway.serial())
        assert all(each.wire.aborted for each in callers)
        assert len(cuts(gateway)) == 2
        logged.clear()

    def test_an_answer_of_ocsp_admits_nobody(
        self, asking: RevokingGateway, logged: list[LogEvent], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        caller = asking.seat().ask(GET)
        with monkeypatch.context() as patched:
            patched.setattr(asking.journal, "decision", _full)
            asking.reply()
            assert caller.answers()[0][0] == 500
            assert asking.strangers == 1
            site: Any = caller.connection.site
            assert site._judgement.verdict.outcome is Outcome.UNAUTHORIZED
        assert asking.server.attempts == 0
        logged.clear()

    def test_one_failure_is_made_good_by_the_judgement_anew(
        self, asking: RevokingGateway, logged: list[LogEvent]
    ) -> None:
        caller = asking.seat().ask(GET)
        asking.journal.broken = True
        asking.reply()
        assert served(asking, caller)
        assert [each.outcome for each in asking.journal.decisions] == ["admitted"]
        logged.clear()

    def test_a_judgement_anew_admits_nobody(
        self, gateway: RevokingGateway, logged: list[LogEvent], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        caller = used(gateway)
        gateway.publish()
        monkeypatch.setattr(gateway.journal, "decision", _full)
        sent_to_backends(gateway)
        assert caller.ask(GET).answers()[0][0] == 500
        assert sent_to_backends(gateway) == b""
        logged.clear()


def _full(*_: object) -> None:
    raise OSError("no space left on device")


class TestTheRegistry:
    def test_is_empty_once_all_have_gone(self, gateway: RevokingGateway) -> None:
        for _ in range(10):
            callers = [gateway.seat() for _ in range(100)]
            assert len(gateway.checks.live) == 100
            for caller in callers:
                caller.leave()
        assert len(gateway.checks.live) == 0
        assert gateway.checks.live.chains == ()

    def test_is_empty_once_all_were_cut(self, gateway: RevokingGateway) -> None:
        for _ in range(100):
            used(gateway)
        gateway.publish(gateway.serial())
        gateway.pass_time(0)
        assert gateway.checks.live.chains == ()
        assert gateway.surroundings.connections == 0

    def test_knows_a_certificate_while_one_of_its_connections_lives(
        self, gateway: RevokingGateway
    ) -> None:
        first, second = used(gateway), used(gateway)
        first.leave()
        gateway.publish(gateway.serial())
        assert second.wire.aborted

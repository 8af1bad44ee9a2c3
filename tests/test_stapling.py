"""What is kept for stapling, and when it is asked for, on simulated time (specification, 5.4)."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from ocsp_desk import Question as Asked
from sasgate.lab.authority import Credential
from sasgate.lab.ocsp_answers import REVOKED, STRANGE, UNKNOWN, Saying, Signatory, declined
from sasgate.lab.own import SERVERS
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Template
from sasgate.revocation.ocsp_words import AnswerRefused, Problem
from sasgate.stapling import CAP, FLOOR, PERIOD, Question, Staple, Stapler
from sasgate.trust import LARGEST_CHAIN
from stapled import OwnWorld


HOUR = 3600.0
WEEK = Saying(next_update=timedelta(days=7))


class StaplingCase(SynchronousTestCase):
    """A stapler on simulated time, and a desk where its questions pile up."""

    world: OwnWorld
    logged: list[LogEvent]

    @pytest.fixture(autouse=True)
    def _given(self, lab: Lab, logged: list[LogEvent]) -> None:
        self.world, self.logged = OwnWorld(lab), logged

    def setUp(self) -> None:
        self.clock = Clock()
        self.jump = timedelta()
        self.questions: list[Asked] = []
        self.stapler = Stapler(self.clock, self.wall, self.ask)
        self.staple = Staple(self.world.question)

    def wall(self) -> datetime:
        return self.world.now + timedelta(seconds=self.clock.seconds()) + self.jump

    def ask(self, url: str, body: bytes) -> Deferred[bytes]:
        self.questions.append(Asked(url, body))
        return self.questions[-1].answer

    def follow(self, *staples: Staple) -> None:
        self.stapler.follow(staples or (self.staple,))
        self.clock.advance(0)

    def reply(self, saying: Saying | None = None, signatory: Signatory | None = None) -> bytes:
        """Answer the last question; gives the answer."""
        body = self.world.answer(saying, signatory, self.wall())
        self.questions[-1].answer.callback(body)
        return body

    def stapled(self, saying: Saying = WEEK) -> bytes:
        """The first answer, asked for and stapled."""
        self.follow()
        body = self.reply(saying)
        assert self.staple.answer == body
        return body

    def pass_time(self, seconds: float, step: float = PERIOD) -> None:
        self.clock.pump([step] * round(seconds / step))

    def until_asked(self) -> float:
        """Let time pass until there is another question; gives the seconds."""
        began, asked = self.clock.seconds(), len(self.questions)
        while len(self.questions) == asked:
            self.clock.advance(PERIOD)
            assert self.clock.seconds() < began + 30 * 24 * HOUR, "nobody asks any more"
        return self.clock.seconds() - began

    def said(self, level: LogLevel) -> list[str]:
        """What was logged at this level."""
        events = [event for event in self.logged if event["log_level"] is level]
        return [str(formatEvent(event)) for event in events]


class AskingTests(StaplingCase):
    def test_the_responder_of_the_certificate_is_asked_at_once(self) -> None:
        self.follow()
        (question,) = self.questions
        assert question.url == "http://igc-sante.lab.invalid/ocsp"

    def test_the_question_is_about_the_own_certificate(self) -> None:
        self.follow()
        leaf = self.world.credential.certificate
        assert self.questions[0].request.serial_number == leaf.serial_number

    def test_the_question_can_be_answered_from_a_cache(self) -> None:
        """RFC 5019: SHA-1 and no nonce."""
        self.follow()
        request = self.questions[0].request
        assert (request.hash_algorithm.name, list(request.extensions)) == ("sha1", [])

    def test_nothing_is_asked_before_the_reactor_runs(self) -> None:
        self.stapler.follow([self.staple])
        assert self.questions == []

    def test_a_question_under_way_is_not_repeated(self) -> None:
        self.follow()
        self.pass_time(HOUR)
        assert len(self.questions) == 1

    def test_two_listeners_with_one_certificate_share_a_question(self) -> None:
        other = Staple(self.world.question)
        self.follow(self.staple, other)
        body = self.reply()
        assert (len(self.questions), other.answer, self.staple.answer) == (1, body, body)


class GoodTests(StaplingCase):
    def test_nothing_is_stapled_before_the_answer_came(self) -> None:
        self.follow()
        assert self.staple.answer == b""

    def test_a_good_answer_is_stapled_as_it_came(self) -> None:
        self.follow()
        body = self.reply()
        assert self.staple.answer == body

    def test_an_answer_of_a_delegate_is_too(self) -> None:
        self.follow()
        body = self.reply(signatory=self.world.delegate())
        assert self.staple.answer == body

    def test_it_is_said(self) -> None:
        self.stapled()
        assert "is good until" in self.said(LogLevel.info)[-1]

    def test_it_is_refreshed_at_half_of_its_life(self) -> None:
        self.stapled(Saying(this_update=timedelta(), next_update=timedelta(hours=10)))
        assert 5 * HOUR <= self.until_asked() <= 5 * HOUR + PERIOD

    def test_the_new_one_takes_its_place(self) -> None:
        old = self.stapled()
        self.until_asked()
        assert self.staple.answer == old
        new = self.reply(WEEK)
        assert self.staple.answer == new != old

    def test_one_that_is_no_newer_does_not_and_is_not_asked_for_in_a_hurry(self) -> None:
        old = self.stapled()
        self.until_asked()
        self.questions[-1].answer.callback(old)
        assert self.staple.answer == old
        assert self.until_asked() >= FLOOR

    def test_one_that_ends_sooner_does_not_take_its_place(self) -> None:
        """A replay would shorten what is stapled."""
        old = self.stapled()
        self.until_asked()
        self.reply(Saying(next_update=timedelta(hours=1)))
        assert self.staple.answer == old

    def test_over_sixty_days_there_is_always_one(self) -> None:
        """S59."""
        self.stapled(WEEK)
        for _ in range(60 * 24 * 6):
            self.clock.advance(600)
            if not self.questions[-1].answer.called:
                self.reply(WEEK)
            assert self.staple.answer
        assert 60 / 7 <= len(self.questions) <= 60 / 3


class LapsedTests(StaplingCase):
    """An answer that clients would not take is never sent."""

    def test_after_its_next_update(self) -> None:
        self.stapled(Saying(next_update=timedelta(minutes=30)))
        self.clock.advance(1799)
        assert self.staple.answer
        self.clock.advance(1)
        assert self.staple.answer == b""

    def test_an_hour_after_its_making_without_one(self) -> None:
        self.stapled(Saying(this_update=timedelta(), next_update=None))
        self.clock.advance(3599)
        assert self.staple.answer
        self.clock.advance(1)
        assert self.staple.answer == b""

    def test_after_the_end_of_the_delegate_that_signed_it(self) -> None:
        self.follow()
        self.reply(WEEK, self.world.delegate(not_after=timedelta(hours=3)))
        self.clock.advance(3 * HOUR - 1)
        assert self.staple.answer
        self.clock.advance(1)
        assert self.staple.answer == b""

    def test_s60_when_the_wall_clock_was_set_forward(self) -> None:
        self.stapled()
        self.jump = timedelta(days=8)
        assert self.staple.answer == b""

    def test_s60_and_another_is_asked_for_within_seconds(self) -> None:
        self.stapled()
        self.jump = timedelta(days=8)
        assert self.until_asked() <= PERIOD
        body = self.reply()
        assert self.staple.answer == body

    def test_s60_when_the_wall_clock_was_set_back(self) -> None:
        self.stapled()
        self.jump = timedelta(days=-1)
        assert self.staple.answer == b""

    def test_one_that_lapsed_within_our_own_tolerance_is_not_stapled(self) -> None:
        self.follow()
        self.reply(Saying(this_update=timedelta(hours=-1), next_update=timedelta(seconds=-1)))
        assert self.staple.answer == b""
        assert "out of date" in self.said(LogLevel.warn)[-1]


class NotGoodTests(StaplingCase):
    def not_good(self, saying: Saying) -> None:
        self.stapled()
        self.until_asked()
        self.reply(saying)
        assert self.staple.answer == b""
        (loud,) = self.said(LogLevel.critical)
        assert "nothing is stapled" in loud
        assert self.world.question.url in loud

    def test_revoked_ends_the_stapling_and_is_said_loudly(self) -> None:
        self.not_good(Saying(REVOKED))

    def test_what_is_revoked_is_named_until_a_good_answer_comes(self) -> None:
        self.stapled()
        assert self.stapler.revoked == ()
        self.until_asked()
        self.reply(Saying(REVOKED))
        assert self.stapler.revoked == (self.world.question.subject,)
        self.until_asked()
        self.reply(WEEK)
        assert self.stapler.revoked == ()

    def test_unknown_does_too(self) -> None:
        self.not_good(Saying(UNKNOWN))

    def test_it_is_asked_again_with_patience(self) -> None:
        self.not_good(Saying(REVOKED))
        assert self.until_asked() >= FLOOR

    def test_a_later_good_answer_is_stapled_again(self) -> None:
        self.not_good(Saying(REVOKED))
        self.until_asked()
        body = self.reply(Saying(this_update=timedelta()))
        assert self.staple.answer == body

    def test_s31_an_earlier_good_answer_is_not(self) -> None:
        good = self.stapled()
        self.until_asked()
        self.reply(Saying(REVOKED))
        self.until_asked()
        self.questions[-1].answer.callback(good)
        assert self.staple.answer == b""
        assert "older" in self.said(LogLevel.warn)[-1]

    def test_s31_nor_one_of_the_same_instant(self) -> None:
        self.follow()
        self.reply(Saying(REVOKED, this_update=timedelta()))
        wait = timedelta(seconds=self.until_asked())
        self.reply(Saying(this_update=-wait))
        assert self.staple.answer == b""


class FailureTests(StaplingCase):
    """Nothing of it may be stapled, what is stapled stays, and it is asked again."""

    def refused(self, body: bytes) -> None:
        self.follow()
        self.questions[-1].answer.callback(body)
        assert self.staple.answer == b""
        assert "nothing is stapled" in self.said(LogLevel.warn)[-1]
        assert FLOOR <= self.until_asked() <= FLOOR + 2 * PERIOD

    def test_s29_signed_by_another_ca(self) -> None:
        self.refused(self.world.answer(signatory=self.world.stranger))

    def test_s29_signed_by_itself(self) -> None:
        self.refused(self.world.answer(signatory=self.world.itself))

    def test_s29_signed_by_a_delegate_without_ocsp_signing(self) -> None:
        self.refused(self.world.answer(signatory=self.world.delegate(usages=None)))

    def test_s29_a_spoilt_signature(self) -> None:
        body = bytearray(self.world.answer())
        body[-1] ^= 1
        self.refused(bytes(body))

    def test_s30_about_another_certificate(self) -> None:
        other = self.world.lab.servers["server"].certificate
        self.refused(self.world.answer(leaf=other))

    def test_s31_stale(self) -> None:
        then = Saying(this_update=timedelta(hours=-9), next_update=timedelta(hours=-8))
        self.refused(self.world.answer(then))

    def test_s31_from_the_future(self) -> None:
        then = Saying(this_update=timedelta(hours=8), next_update=timedelta(hours=9))
        self.refused(self.world.answer(then))

    def test_s32_a_web_page(self) -> None:
        self.refused(b"<html>It works!</html>")

    def test_s32_nothing(self) -> None:
        self.refused(b"")

    def test_s32_try_later(self) -> None:
        self.refused(declined(ocsp.OCSPResponseStatus.TRY_LATER))

    def test_an_extension_that_nobody_understands(self) -> None:
        self.refused(self.world.answer(Saying(extensions=(STRANGE,))))

    def test_one_that_is_too_large_for_a_handshake(self) -> None:
        """It would end it, or have both sides wait for ever."""
        self.refused(self.world.padded(self.world.question.room + 1))

    def test_one_that_just_fits_is_stapled(self) -> None:
        self.follow()
        body = self.world.padded(self.world.question.room)
        self.questions[-1].answer.callback(body)
        assert self.staple.answer == body

    def test_a_dead_responder(self) -> None:
        self.follow()
        self.questions[-1].answer.errback(AnswerRefused(Problem.UNREACHABLE, "nobody\nthere"))
        assert self.staple.answer == b""
        said = self.said(LogLevel.warn)[-1]
        assert "cannot be reached: nobody\\nthere; nothing is stapled" in said
        assert FLOOR <= self.until_asked() <= FLOOR + 2 * PERIOD

    def test_s59_it_is_asked_less_and_less_often_but_never_given_up(self) -> None:
        self.follow()
        waits = []
        for _ in range(200):
            self.questions[-1].answer.errback(AnswerRefused(Problem.UNREACHABLE))
            waits.append(self.until_asked())
        assert FLOOR <= min(waits) <= max(waits) <= CAP + PERIOD
        assert min(waits[10:]) > 2 * FLOOR

    def test_the_one_that_is_stapled_stays_until_it_lapses(self) -> None:
        self.stapled()
        self.until_asked()
        self.questions[-1].answer.errback(AnswerRefused(Problem.UNREACHABLE))
        assert "the one that is stapled holds until" in self.said(LogLevel.warn)[-1]
        assert self.staple.answer
        self.clock.advance(5 * 24 * HOUR)
        assert self.staple.answer == b""

    def test_s29_a_forged_answer_does_not_take_its_place(self) -> None:
        old = self.stapled()
        self.until_asked()
        self.reply(WEEK, self.world.stranger)
        assert self.staple.answer == old

    def test_s29_a_forged_revocation_does_not_end_it(self) -> None:
        old = self.stapled()
        self.until_asked()
        self.reply(Saying(REVOKED), self.world.stranger)
        assert self.staple.answer == old

    def test_a_defect_of_ours_does_not_end_the_asking(self) -> None:
        self.follow()
        self.questions[-1].answer.errback(ZeroDivisionError())
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        self.until_asked()
        body = self.reply()
        assert self.staple.answer == body


class FollowingTests(StaplingCase):
    """A reload: contexts are new, what is known stays where the question is the same."""

    def test_the_same_certificate_keeps_its_answer(self) -> None:
        body = self.stapled()
        new = Staple(_again(self.world.question))
        self.follow(new)
        assert (new.answer, len(self.questions)) == (body, 1)

    def test_the_contexts_of_before_go_on_with_it(self) -> None:
        self.stapled()
        self.follow(Staple(self.world.question))
        self.until_asked()
        new = self.reply(WEEK)
        assert self.staple.answer == new

    def test_another_certificate_is_asked_about(self) -> None:
        self.stapled()
        other = Staple(_question(self.world.naming("http://other.lab.invalid/")))
        self.follow(other)
        assert (other.answer, self.questions[-1].url) == (b"", "http://other.lab.invalid/")

    def test_the_old_one_is_not_any_more(self) -> None:
        self.follow()
        self.stapler.follow([])
        assert (self.questions[0].cancelled, self.clock.getDelayedCalls()) == (True, [])

    def test_the_end_is_silent_and_leaves_no_timer(self) -> None:
        self.follow()
        self.logged.clear()
        self.stapler.stop()
        assert (self.questions[0].cancelled, self.clock.getDelayedCalls()) == (True, [])
        assert self.logged == []

    def test_an_answer_after_the_end_starts_nothing(self) -> None:
        self.stapled()
        self.until_asked()
        self.stapler.stop()
        self.pass_time(HOUR)
        assert (len(self.questions), self.clock.getDelayedCalls()) == (2, [])


class TestWhoIsAsked:
    def test_nobody_for_a_certificate_without_a_responder(self, lab: Lab) -> None:
        assert _asked(lab.servers["server"]) is None

    def test_nobody_without_the_issuer_in_the_chain(self, lab: Lab) -> None:
        assert Question.of([lab.servers["stapling"].certificate]) is None

    @pytest.mark.parametrize(
        "url",
        [
            "ldap://ocsp.lab.invalid/",
            "http:///ocsp",
            "ocsp.lab.invalid",
            "",
            "http://[::1/",
            "http://ocsp.lab.invalid:99999/",
        ],
    )
    def test_nobody_where_the_address_is_none(self, lab: Lab, url: str) -> None:
        assert _asked(OwnWorld(lab).naming(url)) is None

    @pytest.mark.parametrize("url", ["http://ocsp.lab.invalid", "https://ocsp.lab.invalid:8443/a"])
    def test_the_address_of_the_certificate(self, lab: Lab, url: str) -> None:
        asked = _asked(OwnWorld(lab).naming(url))
        assert asked is not None
        assert asked.url == url

    def test_the_first_that_speaks_http(self, lab: Lab) -> None:
        places: list[x509.GeneralName] = [
            x509.DNSName("ocsp.lab.invalid"),
            x509.UniformResourceIdentifier("ldap://ocsp.lab.invalid/"),
            x509.UniformResourceIdentifier("http://one.lab.invalid/"),
            x509.UniformResourceIdentifier("http://two.lab.invalid/"),
        ]
        method = x509.oid.AuthorityInformationAccessOID.OCSP
        asked = _asked(_with_access(lab, [x509.AccessDescription(method, at) for at in places]))
        assert asked is not None
        assert asked.url == "http://one.lab.invalid/"

    def test_not_where_the_issuer_can_be_fetched(self, lab: Lab) -> None:
        method = x509.oid.AuthorityInformationAccessOID.CA_ISSUERS
        where = x509.UniformResourceIdentifier("http://ca.lab.invalid/ca.cer")
        assert _asked(_with_access(lab, [x509.AccessDescription(method, where)])) is None

    def test_nobody_where_the_extension_is_no_such_thing(self, lab: Lab) -> None:
        oid = x509.AuthorityInformationAccess.oid
        broken = x509.Extension(oid, False, x509.UnrecognizedExtension(oid, b"\x05\x00"))
        assert _asked(_issued(lab, evolve(SERVERS["server"].template, extra=(broken,)))) is None

    def test_an_answer_is_bounded(self, lab: Lab) -> None:
        assert OwnWorld(lab).question.room == 16 * 1024 - 4

    def test_a_long_chain_leaves_it_less(self, lab: Lab) -> None:
        chain = OwnWorld(lab).chain * 10
        sizes = [len(each.public_bytes(serialization.Encoding.DER)) for each in chain]
        question = Question.of(chain)
        assert question is not None
        assert question.room + sum(sizes) == LARGEST_CHAIN


def _question(credential: Credential) -> Question:
    question = _asked(credential)
    assert question is not None
    return question


def _asked(credential: Credential) -> Question | None:
    return Question.of((credential.certificate, *credential.chain))


def _again(question: Question) -> Question:
    """The same, as it is read from its files anew."""
    return evolve(question, leaf=_reread(question.leaf), issuer=_reread(question.issuer))


def _reread(certificate: x509.Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.public_bytes(serialization.Encoding.PEM))


def _with_access(lab: Lab, access: Iterable[x509.AccessDescription]) -> Credential:
    value = x509.AuthorityInformationAccess(access)
    extension = x509.Extension(value.oid, False, value)
    return _issued(lab, evolve(SERVERS["server"].template, extra=(extension,)))


def _issued(lab: Lab, template: Template) -> Credential:
    world = OwnWorld(lab)
    return world.authority.issue(template, world.credential.key, now=lab.created)

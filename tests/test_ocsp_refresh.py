"""What the OCSP cache does by itself: asking ahead of time, waiting after failures, telling."""

from datetime import timedelta
from itertools import pairwise

from ocsp_desk import BRIEF, HOUR, LONG, OTHER_RESPONDER, CacheCase
from sasgate.lab.ocsp_answers import REVOKED, UNKNOWN, Saying
from sasgate.revocation.ocsp_cache import OCSPCache
from sasgate.revocation.ocsp_entry import REFRESHED_AFTER, SHORTEST
from sasgate.revocation.ocsp_responder import CAP, FLOOR, OCSPOptions
from sasgate.revocation.ocsp_words import (
    OF_THE_RESPONDER,
    Answer,
    AnswerRefused,
    CertStatus,
    NoAnswer,
    Problem,
)


DUE = HOUR * REFRESHED_AFTER


class RefreshTests(CacheCase):
    def test_what_is_in_use_is_asked_again_before_it_lapses(self) -> None:
        first = self.known()
        self.clock.advance(DUE - 1)
        assert len(self.questions) == 1
        self.clock.advance(1)
        assert len(self.questions) == 2
        assert self.at_once() is first
        self.reply(LONG)
        assert self.at_once().this_update > first.this_update
        self.clock.advance(HOUR - 1)
        assert self.at_once()

    def test_nobody_waits_while_it_is_used(self) -> None:
        self.known()
        for _ in range(100):
            self.clock.advance(DUE / 2)
            assert self.at_once()
            if not self.questions[-1].answer.called:
                self.reply(LONG)
        assert len(self.questions) > 40

    def test_what_is_not_used_any_more_is_forgotten(self) -> None:
        self.known()
        self.clock.advance(DUE)
        self.reply(LONG)
        self.clock.advance(2 * HOUR)
        assert len(self.questions) == 2
        assert len(self.cache) == 0
        assert self.timers() == 0

    def test_what_is_not_used_any_more_is_kept_until_it_lapses(self) -> None:
        self.known()
        self.clock.advance(DUE)
        self.reply(LONG)
        self.clock.advance(HOUR - 1)
        assert self.at_once()
        assert len(self.questions) == 2

    def test_what_a_live_connection_may_rest_on_is_in_use(self) -> None:
        self.cache = self.make(OCSPOptions(recent=6 * HOUR))
        self.known()
        for _ in range(7):
            self.clock.advance(DUE)
            self.reply(LONG)
        self.clock.advance(DUE)
        assert len(self.questions) == 8

    def test_short_lives_are_not_asked_about_all_the_time(self) -> None:
        brief = Saying(next_update=timedelta(seconds=2))
        self.known(brief)
        for _ in range(60):
            self.clock.advance(1)
            if not self.questions[-1].answer.called:
                self.reply(brief)
        assert len(self.questions) == 1 + 60 // SHORTEST

    def test_what_is_refused_is_not_asked_about_unasked(self) -> None:
        for status in (REVOKED, UNKNOWN):
            leaf = self.another(len(self.questions))
            self.waiting(leaf)
            self.reply(Saying(status))
        self.clock.pump([60] * 120)
        assert len(self.questions) == 2

    def test_what_is_unknown_and_unused_is_forgotten(self) -> None:
        self.known(Saying(UNKNOWN))
        self.clock.pump([60] * 61)
        assert len(self.cache) == 0
        assert self.timers() == 0

    def test_s31_what_is_revoked_is_remembered(self) -> None:
        old = self.body(Saying(next_update=timedelta(days=7)))
        self.known(Saying(REVOKED))
        self.clock.pump([HOUR] * 24)
        assert self.timers() == 0
        word = self.waiting()
        self.questions[-1].answer.callback(old)
        assert self.no_answer(word).kind is Problem.OLDER

    def test_a_refresh_that_fails_takes_nothing_away(self) -> None:
        first = self.known()
        self.clock.advance(DUE)
        self.refuse(Problem.TOO_LATE)
        assert self.at_once() is first
        self.clock.advance(HOUR - DUE - 1)
        assert self.at_once() is first

    def test_a_refresh_that_fails_is_tried_again_and_again(self) -> None:
        self.known()
        self.clock.advance(DUE)
        times = []
        while self.clock.seconds() < HOUR + 600:
            if not self.questions[-1].answer.called:
                times.append(self.clock.seconds())
                self.refuse(Problem.UNREACHABLE)
            self.clock.advance(0.5)
        waits = [after - before for before, after in pairwise(times)]
        assert FLOOR <= waits[0] <= FLOOR + 0.5
        assert all(FLOOR <= wait <= CAP + 0.5 for wait in waits)
        assert waits[-1] > CAP / 2

    def test_an_answer_comes_back_by_itself(self) -> None:
        word = self.waiting()
        self.refuse(Problem.UNREACHABLE)
        assert isinstance(self.said(word), NoAnswer)
        self.clock.advance(CAP)
        self.reply()
        assert self.at_once()

    def test_a_failure_of_what_is_not_used_any_more_is_forgotten(self) -> None:
        self.waiting()
        for _ in range(200):
            if not self.questions[-1].answer.called:
                self.refuse(Problem.UNREACHABLE)
            self.clock.advance(CAP)
        assert len(self.cache) == 0
        assert self.timers() == 0

    def test_a_question_by_one_who_waits_is_refresh_enough(self) -> None:
        """Here the clock on the wall was set forward, so that what is held has lapsed (S60)."""
        self.known(BRIEF)
        self.jump = timedelta(hours=3)
        word = self.waiting()
        self.clock.advance(DUE)
        assert len(self.questions) == 2
        self.reply()
        assert isinstance(self.said(word), Answer)
        assert self.timers() == 1

    def test_a_question_by_one_who_waits_puts_the_refresh_off(self) -> None:
        self.known(BRIEF)
        self.jump = timedelta(hours=3)
        self.waiting()
        self.reply()
        assert self.timers() == 1

    def test_a_refresh_waits_until_a_dead_responder_may_be_asked(self) -> None:
        self.known()
        self.clock.advance(DUE - FLOOR / 2)
        self.waiting(self.another())
        self.refuse(Problem.UNREACHABLE)
        self.clock.advance(FLOOR / 2)
        assert len(self.questions) == 2
        self.clock.advance(FLOOR / 2)
        assert len(self.questions) == 4

    def test_an_older_answer_replaces_what_is_not_revoked(self) -> None:
        """Of several responders behind one name, one may lag behind the other."""
        self.known()
        self.clock.advance(DUE)
        self.reply(Saying(this_update=timedelta(hours=-2), next_update=timedelta(hours=2)))
        assert self.at_once().this_update == self.wall() - timedelta(hours=2)

    def test_one_who_asks_during_a_refresh_of_what_has_lapsed_joins_it(self) -> None:
        self.known()
        self.clock.advance(DUE)
        self.clock.advance(HOUR - DUE)
        word = self.waiting()
        assert len(self.questions) == 2
        self.reply()
        assert isinstance(self.said(word), Answer)


class AnnouncingTests(CacheCase):
    """S15: live connections must hear of it."""

    def test_s15_revoked_by_a_refresh_is_announced(self) -> None:
        self.known()
        self.clock.advance(DUE)
        self.reply(Saying(REVOKED))
        (leaf,) = self.announced
        assert leaf is self.leaf
        assert self.at_once().status is CertStatus.REVOKED

    def test_s15_revoked_as_found_by_one_who_asks_is_announced(self) -> None:
        self.known(Saying(REVOKED))
        assert len(self.announced) == 1

    def test_s15_once_is_enough(self) -> None:
        self.known(Saying(REVOKED))
        for _ in range(3):
            self.clock.advance(HOUR)
            self.waiting()
            self.reply(Saying(REVOKED))
        assert len(self.announced) == 1

    def test_s15_again_where_it_was_good_meanwhile(self) -> None:
        self.known(Saying(REVOKED))
        for saying in (BRIEF, Saying(REVOKED)):
            self.clock.advance(HOUR)
            if self.questions[-1].answer.called:
                self.waiting()
            self.reply(saying)
        assert len(self.announced) == 2

    def test_what_is_not_revoked_is_not_announced(self) -> None:
        self.known()
        self.clock.advance(DUE)
        self.reply(Saying(UNKNOWN))
        assert self.announced == []

    def test_s32_a_failure_is_not_announced(self) -> None:
        self.known()
        self.clock.advance(DUE)
        self.questions[-1].answer.callback(b"<html>")
        assert self.announced == []

    def test_who_hears_of_it_and_breaks_changes_nothing(self) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError

        self.cache = OCSPCache(self.clock, self.wall, self.ask, OCSPOptions(), announce=broken)
        answer = self.known(Saying(REVOKED))
        assert answer.status is CertStatus.REVOKED
        assert self.at_once() is answer
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1


class QuietTests(CacheCase):
    """S34: what is dead is remembered for a while."""

    def test_s34_a_dead_responder_is_not_asked_again_at_once(self) -> None:
        self.waiting()
        self.refuse(Problem.UNREACHABLE)
        word = self.no_answer(self.status())
        assert word.kind is Problem.UNREACHABLE
        assert "not asked again for 1 s" in word.detail
        assert len(self.questions) == 1

    def test_s34_it_is_dead_for_all_certificates(self) -> None:
        other = self.another()
        for number, kind in enumerate(sorted(OF_THE_RESPONDER, key=lambda each: each.name)):
            self.cache = self.make(OCSPOptions())
            self.waiting()
            self.refuse(kind)
            assert self.no_answer(self.status(other)).kind is kind
            assert len(self.questions) == number + 1

    def test_s34_another_responder_is_not(self) -> None:
        self.waiting()
        self.refuse(Problem.UNREACHABLE)
        self.waiting(responder=OTHER_RESPONDER)

    def test_what_is_wrong_with_one_certificate_is_wrong_with_it_alone(self) -> None:
        self.waiting()
        self.refuse(Problem.UNAUTHORIZED)
        assert self.no_answer(self.status()).kind is Problem.UNAUTHORIZED
        self.waiting(self.another())

    def test_it_is_asked_again_after_a_second(self) -> None:
        self.waiting()
        self.refuse(Problem.UNREACHABLE)
        self.clock.advance(FLOOR)
        assert len(self.questions) == 2

    def test_one_who_was_put_off_is_asked_about_later_without_coming_again(self) -> None:
        self.waiting()
        self.refuse(Problem.UNREACHABLE)
        other = self.another()
        self.no_answer(self.status(other))
        self.clock.advance(FLOOR)
        assert f"{self.questions[-1].request.serial_number:X}" == other.serial

    def test_one_outage_is_one_failure_however_many_were_asking(self) -> None:
        for number in range(10):
            self.waiting(self.another(number))
        for number in range(10):
            self.refuse(Problem.TOO_LATE, number)
        (state,) = self.cache.responders
        assert state.failures == 1
        assert state.retry_in == FLOOR

    def test_an_answer_ends_the_quiet(self) -> None:
        self.known()
        self.waiting(self.another())
        self.refuse(Problem.TOO_LATE)
        self.clock.advance(FLOOR)
        self.reply()
        (state,) = self.cache.responders
        assert state.failures == 0
        assert state.problem is None
        assert state.answered_at == self.wall()

    def test_the_state_of_a_dead_responder_is_told(self) -> None:
        self.waiting()
        self.refuse(Problem.NAME_NOT_FOUND)
        (state,) = self.cache.responders
        assert state.url == self.questions[0].url
        assert state.problem == NoAnswer(Problem.NAME_NOT_FOUND, "so it was")
        assert state.answered_at is None

    def test_s59_a_day_of_outage_is_a_bounded_number_of_questions(self) -> None:
        self.waiting()
        asked = 0
        while self.clock.seconds() < 86400:
            while self.questions:
                self.questions.pop().answer.errback(AnswerRefused(Problem.UNREACHABLE))
                asked += 1
            self.clock.advance(CAP / 2)
            self.status()
        assert 86400 / CAP / 1.5 <= asked <= 86400 / (CAP / 2) + 10

"""Who waits, who asks, what is kept of an OCSP answer and for how long."""

import gc
from datetime import timedelta

from cryptography.x509 import ocsp
from twisted.internet.defer import CancelledError, Deferred, succeed

from ocsp_desk import HOUR, LONG, OTHER_RESPONDER, RESPONDER, CacheCase
from sasgate.lab.ocsp_answers import REVOKED, UNKNOWN, Saying, declined
from sasgate.lab.ocsp_der import tampered
from sasgate.revocation.ocsp_entry import SHORTEST, UNKNOWN_KEPT
from sasgate.revocation.ocsp_responder import CAP, OCSPOptions, Responder
from sasgate.revocation.ocsp_words import Answer, AnswerRefused, CertStatus, NoAnswer, Problem, Word
from sasgate.settings import Limits, OCSPNonce, Revocation, RevocationMode


class AskingTests(CacheCase):
    def test_a_caller_waits_and_is_told(self) -> None:
        word = self.waiting()
        self.assertNoResult(word)
        self.reply()
        answer = self.said(word)
        assert isinstance(answer, Answer)
        assert answer.status is CertStatus.GOOD

    def test_the_question_names_the_certificate_and_goes_to_its_responder(self) -> None:
        self.status(responder=OTHER_RESPONDER)
        (question,) = self.questions
        assert question.url == OTHER_RESPONDER.url
        assert f"{question.request.serial_number:X}" == self.leaf.serial
        assert question.request.hash_algorithm.name == "sha1"
        assert question.nonce is None

    def test_the_hash_is_that_of_the_option(self) -> None:
        self.cache = self.make(OCSPOptions(hash="sha256"))
        self.status()
        assert self.questions[0].request.hash_algorithm.name == "sha256"

    def test_every_question_has_a_nonce_of_its_own(self) -> None:
        self.cache = self.make(OCSPOptions(nonce=OCSPNonce.YES))
        self.status()
        self.status(self.another())
        first, second = (question.nonce for question in self.questions)
        assert first is not None
        assert second is not None
        assert len(first) == len(second) == 32
        assert first != second

    def test_s31_a_required_nonce_is_required(self) -> None:
        self.cache = self.make(OCSPOptions(nonce=OCSPNonce.REQUIRED))
        word = self.waiting()
        self.questions[0].answer.callback(self.body())
        assert self.no_answer(word).kind is Problem.NO_NONCE

    def test_s31_the_nonce_of_another_question_is_refused(self) -> None:
        self.cache = self.make(OCSPOptions(nonce=OCSPNonce.YES))
        word = self.waiting()
        self.questions[0].answer.callback(self.body(Saying(nonce=b"x" * 32)))
        assert self.no_answer(word).kind is Problem.OTHER_NONCE

    def test_s34_five_hundred_at_once_ask_one_question(self) -> None:
        words = [self.waiting() for _ in range(500)]
        assert len(self.questions) == 1
        self.reply()
        assert len({id(self.said(word)) for word in words}) == 1

    def test_s34_five_hundred_are_refused_by_one_failure(self) -> None:
        words = [self.waiting() for _ in range(500)]
        self.refuse(Problem.TOO_LATE)
        assert {self.no_answer(word).kind for word in words} == {Problem.TOO_LATE}
        assert len(self.questions) == 1

    def test_each_certificate_is_asked_about(self) -> None:
        mine, other = self.waiting(), self.waiting(self.another())
        assert len(self.questions) == 2
        self.reply(Saying(REVOKED), 1)
        self.assertNoResult(mine)
        answer = self.said(other)
        assert isinstance(answer, Answer)
        assert answer.status is CertStatus.REVOKED

    def test_each_responder_answers_for_itself(self) -> None:
        signer = self.world.signatories["delegate-of-neighbour"].credential.certificate
        for responder in (OTHER_RESPONDER, Responder(OTHER_RESPONDER.url, (signer,))):
            self.waiting(responder=responder)
        assert len(self.questions) == 2

    def test_a_configured_signer_is_trusted_by_its_responder_alone(self) -> None:
        signatory = self.world.signatories["delegate-of-neighbour"]
        trusting = Responder(OTHER_RESPONDER.url, (signatory.credential.certificate,))
        body = signatory.answer(self.world.leaf, self.world.issuer, Saying(), self.wall())
        believed, refused = self.waiting(responder=trusting), self.waiting()
        for question in self.questions:
            question.answer.callback(body)
        assert isinstance(self.said(believed), Answer)
        assert self.no_answer(refused).kind is Problem.UNTRUSTED_SIGNER

    def test_an_answer_that_is_there_already_is_told_at_once(self) -> None:
        cache = self.make(OCSPOptions())
        cache._ask = lambda url, body: succeed(self.body())
        word = cache.status(self.leaf, self.world.issuer, OTHER_RESPONDER)
        assert isinstance(self.said(word), Answer)
        assert isinstance(cache.status(self.leaf, self.world.issuer, OTHER_RESPONDER), Answer)

    def test_who_is_told_may_ask_again(self) -> None:
        later: list[Word | Deferred[Word]] = []
        self.waiting().addCallback(lambda word: later.append(self.status()))
        self.reply()
        assert isinstance(later[0], Answer)
        assert len(self.questions) == 1

    def test_who_is_told_of_a_failure_may_ask_again(self) -> None:
        later: list[Word | Deferred[Word]] = []
        self.waiting().addCallback(lambda word: later.append(self.status()))
        self.refuse(Problem.TOO_LATE)
        assert isinstance(later[0], NoAnswer)
        assert len(self.questions) == 1


class KeepingTests(CacheCase):
    """S35."""

    def test_s35_what_is_known_is_told_without_asking(self) -> None:
        answer = self.known()
        assert self.at_once() is answer
        assert len(self.questions) == 1

    def test_s35_kept_until_next_update(self) -> None:
        self.known(Saying(next_update=timedelta(minutes=20)))
        self.clock.advance(20 * 60 - 1)
        assert self.at_once()
        self.clock.advance(1)
        self.waiting()

    def test_s35_kept_no_longer_than_the_cap(self) -> None:
        self.known(LONG)
        self.clock.advance(HOUR - 1)
        assert self.at_once()
        self.clock.advance(1)
        self.waiting()

    def test_s35_the_cap_is_an_option(self) -> None:
        self.cache = self.make(OCSPOptions(cap=30))
        self.known(LONG)
        self.clock.advance(30)
        self.waiting()

    def test_without_next_update_it_is_kept_for_what_is_left_of_an_hour(self) -> None:
        self.known(Saying(this_update=timedelta(minutes=-50), next_update=None))
        self.clock.advance(10 * 60 - 1)
        assert self.at_once()
        self.clock.advance(1)
        self.waiting()

    def test_unknown_is_asked_again_soon(self) -> None:
        answer = self.known(Saying(UNKNOWN, next_update=timedelta(days=7)))
        assert answer.status is CertStatus.UNKNOWN
        self.clock.advance(UNKNOWN_KEPT - 1)
        assert self.at_once() is answer
        self.clock.advance(1)
        self.waiting()

    def test_what_the_tolerance_lets_pass_is_kept_for_seconds(self) -> None:
        self.known(Saying(this_update=timedelta(hours=-1), next_update=timedelta(seconds=-200)))
        self.clock.advance(SHORTEST - 1)
        assert self.at_once()
        self.clock.advance(1)
        self.waiting()

    def test_nothing_is_kept_beyond_the_tolerance(self) -> None:
        self.known(Saying(this_update=timedelta(hours=-1), next_update=timedelta(seconds=-297)))
        self.clock.advance(3)
        self.waiting()

    def test_s35_what_is_refused_is_not_kept(self) -> None:
        word = self.waiting()
        self.questions[0].answer.callback(tampered(self.body()))
        assert self.no_answer(word).kind is Problem.BAD_SIGNATURE
        assert self.no_answer(self.status()).kind is Problem.BAD_SIGNATURE

    def test_s35_a_failure_does_not_prolong_good(self) -> None:
        self.known()
        self.clock.advance(HOUR)
        word = self.waiting()
        self.refuse(Problem.TOO_LATE)
        assert self.no_answer(word).kind is Problem.TOO_LATE

    def test_s60_a_clock_set_forward_past_the_end(self) -> None:
        self.known(Saying(next_update=timedelta(hours=1)))
        self.jump = timedelta(hours=2)
        self.waiting()

    def test_s60_a_clock_set_back_before_the_beginning(self) -> None:
        self.known()
        self.jump = timedelta(hours=-2)
        self.waiting()

    def test_s60_a_clock_set_back_prolongs_nothing(self) -> None:
        self.known(Saying(this_update=timedelta(hours=-3), next_update=timedelta(hours=1)))
        self.jump = timedelta(hours=-2)
        self.clock.advance(HOUR)
        self.waiting()

    def test_s31_revoked_is_not_unsaid_by_an_older_answer(self) -> None:
        """Nor by one of the same second."""
        old = self.body(LONG)
        revoked = self.known(Saying(REVOKED, this_update=timedelta(minutes=-1)))
        self.clock.advance(HOUR)
        word = self.waiting()
        self.questions[-1].answer.callback(old)
        assert self.no_answer(word).kind is Problem.OLDER
        assert revoked.status is CertStatus.REVOKED

    def test_s22_revoked_is_not_unsaid_by_a_responder_that_has_forgotten_it(self) -> None:
        """Or débrayage would admit whom a verified answer has revoked."""
        self.known(Saying(REVOKED))
        self.clock.advance(HOUR)
        word = self.waiting()
        self.reply(Saying(UNKNOWN))
        assert self.no_answer(word).kind is Problem.NOT_UNSAID
        assert self.cache.revoked(self.leaf, RESPONDER)

    def test_revoked_is_unsaid_by_a_later_answer(self) -> None:
        """A certificate that was on hold."""
        self.known(Saying(REVOKED))
        self.clock.advance(HOUR)
        word = self.waiting()
        self.reply()
        answer = self.said(word)
        assert isinstance(answer, Answer)
        assert answer.status is CertStatus.GOOD


class FailureTests(CacheCase):
    """S32: whatever goes wrong, there is no usable answer, and it is said why."""

    def test_s32_each_failure_is_told_with_its_reason(self) -> None:
        for number, kind in enumerate(Problem):
            responder = Responder(f"http://{number}.lab.invalid/")
            word = self.waiting(responder=responder)
            self.refuse(kind)
            assert self.said(word) == NoAnswer(kind, "so it was")

    def test_s32_bodies_that_are_no_answer(self) -> None:
        declining = {
            ocsp.OCSPResponseStatus.TRY_LATER: Problem.TRY_LATER,
            ocsp.OCSPResponseStatus.MALFORMED_REQUEST: Problem.MALFORMED_REQUEST,
            ocsp.OCSPResponseStatus.UNAUTHORIZED: Problem.UNAUTHORIZED,
        }
        bodies = {declined(status): kind for status, kind in declining.items()}
        bodies |= dict.fromkeys((b"", b"<html>", self.body()[:-1]), Problem.NOT_AN_ANSWER)
        for number, (body, kind) in enumerate(bodies.items()):
            word = self.waiting(responder=Responder(f"http://{number}.lab.invalid/"))
            self.questions[-1].answer.callback(body)
            assert self.no_answer(word).kind is kind

    def test_questions_are_counted_by_their_outcome_and_words_that_were_there(self) -> None:
        self.waiting()
        self.reply()
        self.status()
        self.waiting(self.another())
        self.refuse(Problem.TOO_LATE)
        (state,) = self.cache.responders
        assert (state.answers, state.without_answer) == (1, 1)
        assert self.cache.hits == 1

    def test_s32_an_error_of_our_own_refuses_and_is_logged(self) -> None:
        word = self.waiting()
        self.questions[0].answer.errback(ZeroDivisionError("oops"))
        assert self.no_answer(word) == NoAnswer(Problem.DEFECT, "ZeroDivisionError")
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    def test_s32_an_edge_that_raises_refuses(self) -> None:
        def broken(*_: object) -> Deferred[bytes]:
            raise ZeroDivisionError

        self.cache._ask = broken
        assert self.no_answer(self.status()).kind is Problem.DEFECT
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    def test_s32_a_question_cancelled_at_the_edge(self) -> None:
        word = self.waiting()
        self.questions[0].answer.errback(CancelledError())
        assert self.no_answer(word).kind is Problem.DEFECT
        self.flushLoggedErrors(CancelledError)

    def test_an_issuer_that_did_not_issue_is_never_asked_about(self) -> None:
        stranger = self.world.signatories["same-name-ca"].credential.certificate
        word = self.cache.status(self.leaf, stranger, OTHER_RESPONDER)
        assert self.no_answer(word).kind is Problem.DEFECT
        assert self.questions == []
        assert len(self.flushLoggedErrors()) == 1


class LeavingTests(CacheCase):
    """S33: the client leaves while a question is asked."""

    def test_s33_who_leaves_is_told_so_and_the_others_wait_on(self) -> None:
        gone, staying = self.waiting(), self.waiting()
        gone.cancel()
        assert self.no_answer(gone).kind is Problem.GIVEN_UP
        self.assertNoResult(staying)
        self.reply()
        assert isinstance(self.said(staying), Answer)

    def test_s33_the_answer_is_kept_though_all_have_left(self) -> None:
        self.waiting().cancel()
        assert not self.questions[0].cancelled
        self.reply()
        assert self.at_once()

    def test_s33_a_time_limit_of_the_caller_is_as_good_as_leaving(self) -> None:
        word = self.waiting().addTimeout(2, self.clock)
        self.clock.advance(2)
        assert self.no_answer(word).kind is Problem.GIVEN_UP

    def test_s33_nobody_leaks_in_ten_thousand_loops(self) -> None:
        body = self.body(Saying(next_update=timedelta(days=3650)))
        for number in range(200):
            self.leave(number, body)
        gc.collect()
        before = len(gc.get_objects())
        for number in range(10_000):
            self.leave(number, body)
        gc.collect()
        assert len(gc.get_objects()) - before < 200
        assert len(self.cache) == 1
        assert self.timers() <= 1

    def leave(self, number: int, body: bytes) -> None:
        """Ask, leave or stay, and get one or the other kind of answer."""
        word = self.waiting()
        if number % 3:
            word.cancel()
        self.settle(None if number % 10 else body)
        self.clock.advance(CAP if number % 10 else HOUR)
        # What was asked in the background meanwhile fails, so that the next one has to wait.
        self.settle(None)
        self.clock.advance(CAP)

    def settle(self, body: bytes | None) -> None:
        questions, self.questions = self.questions, []
        for question in questions:
            if body is None:
                question.answer.errback(AnswerRefused(Problem.TOO_LATE))
            else:
                question.answer.callback(body)


class BoundTests(CacheCase):
    def test_the_least_recently_used_makes_room(self) -> None:
        self.cache = self.make(OCSPOptions(capacity=2))
        self.known()
        other = self.another()
        self.waiting(other)
        self.reply()
        assert self.at_once()
        self.waiting(self.another(1))
        assert len(self.cache) == 2
        assert self.at_once()
        self.reply()
        self.waiting(other)

    def test_what_is_forgotten_leaves_no_timer(self) -> None:
        self.cache = self.make(OCSPOptions(capacity=1))
        for number in range(5):
            self.waiting(self.another(number))
            self.reply()
        assert self.timers() == 1

    def test_more_questions_than_can_be_held_are_not_asked(self) -> None:
        self.cache = self.make(OCSPOptions(capacity=1))
        self.waiting()
        assert self.no_answer(self.status(self.another())).kind is Problem.TOO_MANY
        assert len(self.questions) == 1


class ClosingTests(CacheCase):
    def test_all_who_wait_are_told(self) -> None:
        words = [self.waiting(), self.waiting(), self.waiting(self.another())]
        self.cache.close()
        assert {self.no_answer(word).kind for word in words} == {Problem.CLOSED}

    def test_questions_and_timers_end(self) -> None:
        self.known()
        self.waiting(self.another())
        self.cache.close()
        assert self.timers() == 0
        assert len(self.cache) == 0
        assert self.questions[-1].cancelled

    def test_whoever_comes_later_gets_no_answer(self) -> None:
        self.known()
        self.cache.close()
        self.cache.close()
        assert self.no_answer(self.status()).kind is Problem.CLOSED

    def test_who_is_told_so_may_not_begin_again(self) -> None:
        later: list[Word | Deferred[Word]] = []
        self.waiting().addCallback(lambda word: later.append(self.status()))
        self.cache.close()
        assert later == [NoAnswer(Problem.CLOSED)]
        assert self.timers() == 0


class OptionsTests(CacheCase):
    def test_they_come_from_the_configuration(self) -> None:
        revocation = Revocation(
            RevocationMode.OCSP, None, None, None, "sha256", OCSPNonce.YES, None, None
        )
        options = OCSPOptions.of(revocation, Limits(ocsp_cache=60, connection_age=7200))
        assert options.hash == "sha256"
        assert options.nonce is OCSPNonce.YES
        assert options.cap == 60
        assert options.recent == 7200

    def test_what_is_kept_counts_as_recent(self) -> None:
        revocation = Revocation(
            RevocationMode.OCSP, None, None, None, "sha1", OCSPNonce.NO, None, None
        )
        assert OCSPOptions.of(revocation, Limits(connection_age=1)).recent == HOUR

"""The clock of débrayage where each certificate has its own answer by OCSP (S23)."""

from datetime import timedelta

from sasgate.revocation.ocsp_words import Problem
from sasgate.revocation.policy import Status
from test_checks import BOTH, OCSP, ChecksCase


class OutageClockTests(ChecksCase):
    def known_and_unknown(self) -> None:
        """One certificate with an answer that is kept, and one whose question has just failed."""
        self.publish()
        self.good_for_the_first()
        self.check(OCSP, self.another())
        self.refuse(Problem.TOO_LATE)

    def good_for_the_first(self) -> None:
        self.check(OCSP)
        self.reply()

    def since(self) -> object:
        return self.outages.unknown_since.get(self.issuer)

    def test_the_good_answer_on_one_does_not_set_back_the_clock_of_another(self) -> None:
        self.known_and_unknown()
        began = self.since()
        assert began is not None
        for mode in (OCSP, BOTH):
            assert self.check(mode).ruling.status is Status.GOOD  # type: ignore[union-attr]
            assert self.since() == began

    def test_it_ends_once_the_other_has_its_answer_too(self) -> None:
        self.known_and_unknown()
        self.clock.advance(120)
        self.check(OCSP, self.another())
        self.reply()
        assert self.since() is None

    def test_one_that_calls_no_more_holds_it_up_for_a_week(self) -> None:
        self.known_and_unknown()
        self.clock.advance(120)
        self.jump = timedelta(days=7)
        self.publish()
        self.check(OCSP)
        self.reply()
        assert self.since() is None

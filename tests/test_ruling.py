"""What is known of one chain: since when too little, for how long enough, and what ends it."""

from datetime import datetime, timedelta
from itertools import product

import pytest

from crl_judging import NOW
from sasgate.revocation.chain import Chain
from sasgate.revocation.lists import Lists
from sasgate.revocation.lists import Word as ListsWord
from sasgate.revocation.ocsp_words import Answer, CertStatus, NoAnswer, Problem
from sasgate.revocation.policy import Disengagement, ListWord, OCSPWord, Status
from sasgate.revocation.ruling import Known
from sasgate.settings import RevocationMode
from test_lists import ISSUER, OTHER, listed, subject


CRL, OCSP, EITHER, BOTH, OFF = (
    RevocationMode.CRL,
    RevocationMode.OCSP,
    RevocationMode.CRL_OR_OCSP,
    RevocationMode.CRL_AND_OCSP,
    RevocationMode.OFF,
)
HOUR = timedelta(hours=1)
SOON, LATER = NOW + HOUR, NOW + 5 * HOUR
LATELY, LONG_AGO = NOW - HOUR, NOW - 5 * HOUR
ABSENT, REVOKED = ListsWord(ListWord.ABSENT), ListsWord(ListWord.REVOKED)


def good(until: datetime = SOON) -> ListsWord:
    return ListsWord(ListWord.GOOD, until)


def expired(since: datetime = LATELY) -> ListsWord:
    return ListsWord(ListWord.EXPIRED, since)


def answer(status: CertStatus = CertStatus.GOOD, until: datetime = SOON) -> Answer:
    return Answer(status, NOW - HOUR, until, None, until)


def known(
    mode: RevocationMode,
    leaf: ListsWord,
    *cas: ListsWord,
    ocsp: Answer | NoAnswer | None = None,
) -> Known:
    word = OCSPWord.NOT_ASKED
    if ocsp is not None:
        word = OCSPWord.GOOD if isinstance(ocsp, Answer) else OCSPWord.UNKNOWN
    return Known(mode, leaf, cas, ocsp, word)


DOWN = NoAnswer(Problem.TOO_LATE)
MODES = pytest.mark.parametrize("mode", [CRL, OCSP, EITHER, BOTH])


class TestUnknownSince:
    """S23: débrayage is counted from the first instant at which time made the status unknown."""

    @pytest.mark.parametrize("mode", [CRL, BOTH])
    def test_it_is_the_end_of_the_leafs_list(self, mode: RevocationMode) -> None:
        assert known(mode, expired(), good()).unknown_since(NOW) == LATELY

    @MODES
    def test_it_is_the_end_of_a_cas_list_in_every_mode(self, mode: RevocationMode) -> None:
        assert known(mode, good(), expired(), ocsp=answer()).unknown_since(NOW) == LATELY

    @pytest.mark.parametrize("mode", [CRL, BOTH])
    def test_of_several_ends_it_is_the_first(self, mode: RevocationMode) -> None:
        assert known(mode, expired(LONG_AGO), expired(LATELY)).unknown_since(NOW) == LONG_AGO
        assert known(mode, expired(LATELY), expired(LONG_AGO)).unknown_since(NOW) == LONG_AGO

    @pytest.mark.parametrize("mode", [OCSP, EITHER])
    def test_where_ocsp_stands_in_for_the_leafs_list_that_lists_end_is_not_it(
        self, mode: RevocationMode
    ) -> None:
        assert known(mode, expired(LONG_AGO), good(), ocsp=DOWN).unknown_since(NOW) == NOW

    @MODES
    def test_without_any_list_it_is_now(self, mode: RevocationMode) -> None:
        assert known(mode, ABSENT, ABSENT, ocsp=DOWN).unknown_since(NOW) == NOW

    @MODES
    def test_the_end_of_one_that_holds_is_not_it(self, mode: RevocationMode) -> None:
        assert known(mode, good(), good(), ocsp=DOWN).unknown_since(NOW) == NOW

    @MODES
    def test_it_never_lies_ahead(self, mode: RevocationMode) -> None:
        for leaf, ca in product((ABSENT, good(), expired(), REVOKED), repeat=2):
            assert known(mode, leaf, ca, ocsp=DOWN).unknown_since(NOW) <= NOW


class TestReliedOnUntil:
    def test_the_first_list_to_end(self) -> None:
        assert known(CRL, good(LATER), good(SOON)).relied_on_until() == SOON
        assert known(CRL, good(SOON), good(LATER)).relied_on_until() == SOON
        assert known(CRL, good(LATER), good(LATER), good(SOON)).relied_on_until() == SOON

    def test_the_answer_where_it_ends_first(self) -> None:
        found = known(BOTH, good(LATER), good(LATER), ocsp=answer(until=SOON))
        assert found.relied_on_until() == SOON

    def test_the_list_of_cas_where_the_answer_ends_later(self) -> None:
        found = known(OCSP, ABSENT, good(SOON), ocsp=answer(until=LATER))
        assert found.relied_on_until() == SOON

    def test_an_end_that_has_passed_is_none(self) -> None:
        found = known(EITHER, expired(), good(LATER), ocsp=answer(until=SOON))
        assert found.relied_on_until() == SOON

    def test_no_answer_has_no_end(self) -> None:
        assert known(EITHER, good(LATER), good(LATER), ocsp=DOWN).relied_on_until() == LATER

    def test_for_ever_where_nothing_ends(self) -> None:
        assert known(OFF, ABSENT, ABSENT).relied_on_until() is None

    @MODES
    def test_a_word_of_good_never_holds_for_ever(self, mode: RevocationMode) -> None:
        """Whatever it rests on has an end."""
        states = (ABSENT, good(), good(LATER), expired())
        for leaf, ca, ocsp in product(states, states, (None, DOWN, answer())):
            found = known(mode, leaf, ca, ocsp=ocsp)
            if found.ruling().status is Status.GOOD:
                until = found.relied_on_until()
                assert until is not None
                assert until > NOW


class TestCured:
    """What resets the clock of débrayage."""

    @pytest.mark.parametrize("mode", [CRL, EITHER, BOTH])
    def test_lists_of_leaf_and_cas(self, mode: RevocationMode) -> None:
        assert known(mode, good(), good(), good()).cured()
        assert not known(mode, expired(), good(), ocsp=answer()).cured()
        assert not known(mode, ABSENT, good(), ocsp=answer()).cured()
        assert not known(mode, good(), expired()).cured()
        assert not known(mode, good(), good(), ABSENT).cured()

    def test_the_cas_lists_where_the_leaf_is_asked_about_by_ocsp(self) -> None:
        assert known(OCSP, ABSENT, good(), ocsp=answer()).cured()
        assert known(OCSP, expired(), good(), ocsp=answer()).cured()
        assert not known(OCSP, good(), expired(), ocsp=answer()).cured()


class TestGathering:
    def test_each_certificate_by_its_own_issuer(self) -> None:

        leaf, ca = subject(serial=1), subject(serial=2, issuer=OTHER, ca=True)
        chain = Chain(leaf, (ca,), "00" * 32, None)  # type: ignore[arg-type]
        lists = Lists.of([listed(2), listed(1, issuers=(OTHER,))])
        found = Known.gather(CRL, chain, lists, None, NOW)
        assert [each.word for each in (found.leaf, *found.cas)] == [ListWord.GOOD] * 2
        lists = Lists.of([listed(1), listed(2, issuers=(OTHER,))])
        found = Known.gather(CRL, chain, lists, None, NOW)
        assert [each.word for each in (found.leaf, *found.cas)] == [ListWord.REVOKED] * 2
        assert found.ocsp_word is OCSPWord.NOT_ASKED

    @pytest.mark.parametrize(("issuer", "word"), [(ISSUER, "UNKNOWN"), (OTHER, "GOOD")])
    def test_a_delegate_on_the_leafs_issuers_list_vouches_for_nobody(
        self, issuer: str, word: str
    ) -> None:
        """RFC 6960, 4.2.2.2.1."""
        chain = Chain(subject(serial=1), (), "00" * 32, None)  # type: ignore[arg-type]
        said = Answer(CertStatus.GOOD, NOW, SOON, None, SOON, delegate="BEEF")
        found = Known.gather(OCSP, chain, Lists.of([listed(0xBEEF, issuers=(issuer,))]), said, NOW)
        assert found.ocsp_word is OCSPWord[word]


class TestRuling:
    def test_it_is_the_tables(self) -> None:
        assert known(CRL, good(), good()).ruling().status is Status.GOOD
        assert known(CRL, REVOKED, good()).ruling().status is Status.REVOKED
        assert known(CRL, good(), REVOKED).ruling().status is Status.REVOKED
        assert known(CRL, expired(), good()).ruling().status is Status.UNKNOWN
        assert known(OCSP, ABSENT, good()).ruling().status is Status.OPEN

    def test_disengagement_is_passed_on(self) -> None:
        ruling = known(CRL, expired(), good()).ruling(Disengagement.ON_LAST_LIST)
        assert (ruling.status, ruling.disengaged) == (Status.GOOD, True)
        assert (
            known(CRL, ABSENT, good()).ruling(Disengagement.ON_LAST_LIST).status is Status.UNKNOWN
        )

"""Lists, OCSP and débrayage asked together, and what each tells the others."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred

from ocsp_desk import LONG, RESPONDER, CacheCase
from revoking_gateway import loaded
from sasgate.identity import Identity
from sasgate.lab import trees
from sasgate.lab.ocsp_answers import REVOKED, UNKNOWN, Saying
from sasgate.lab.pki import Lab
from sasgate.revocation.chain import Chain
from sasgate.revocation.checks import Checks, RevocationRules
from sasgate.revocation.disengagement import ByHand, Disengagements
from sasgate.revocation.lists import Lists
from sasgate.revocation.ocsp_responder import OCSPOptions
from sasgate.revocation.ocsp_words import Problem
from sasgate.revocation.policy import Status
from sasgate.revocation.ruling import Checked
from sasgate.settings import RevocationMode


CRL, OCSP, EITHER, BOTH, OFF = (
    RevocationMode.CRL,
    RevocationMode.OCSP,
    RevocationMode.CRL_OR_OCSP,
    RevocationMode.CRL_AND_OCSP,
    RevocationMode.OFF,
)
HOUR = timedelta(hours=1)


class Connection:
    """A live connection that remembers what was done to it."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.cuts: list[str] = []
        self.reviews = 0
        self.breaks = breaks

    def cut(self, reason: str) -> None:
        self.cuts.append(reason)
        self._maybe_break()

    def review(self) -> None:
        self.reviews += 1
        self._maybe_break()

    def _maybe_break(self) -> None:
        if self.breaks:
            raise RuntimeError("a defect")


class ChecksCase(CacheCase):
    """Checks on simulated time."""

    lab: Lab
    folder: Path

    @pytest.fixture(autouse=True)
    def _placed(self, lab: Lab, tmp_path: Path) -> None:
        self.lab, self.folder = lab, tmp_path

    def setUp(self) -> None:
        super().setUp()
        self.begin()

    def begin(self, admit_for: float | None = None) -> None:
        """Nothing is known yet."""
        self.outages = Disengagements(
            self.clock, self.wall, self.folder / "state.json", admit_for, self._changed
        )
        self.checks = Checks(self.wall, self.outages, self.cache)
        self.outages.open()
        self.addCleanup(self.outages.close)

    def make(self, options: Any) -> Any:
        cache = super().make(options)
        cache._announce = self._revoked
        return cache

    def _changed(self) -> None:
        self.checks.changed()

    def _revoked(self, leaf: Any) -> None:
        self.checks.answer_revoked(leaf)

    @property
    def issuer(self) -> str:
        return self.chain().leaf.issuer

    def chain(self, identity: Identity | None = None) -> Chain:
        org, root = self.lab.authorities[trees.ORG_TEST], self.lab.authorities[trees.ROOT_TEST]
        ders = [each.certificate.public_bytes(Encoding.DER) for each in (org, root)]
        return Chain.read(((identity or self.leaf).der, *ders))

    def publish(self, *serials: int, cas: tuple[int, ...] = (), **more: Any) -> None:
        """Current lists of leaves and of CAs; `more` is of the leaves'."""
        org, root = self.lab.authorities[trees.ORG_TEST], self.lab.authorities[trees.ROOT_TEST]
        leaves = loaded(org, *serials, now=self.wall(), **more)
        self.checks.lists_changed(Lists.of([leaves, loaded(root, *cas, now=self.wall())]))

    def check(
        self, mode: RevocationMode, leaf: Identity | None = None
    ) -> Checked | Deferred[Checked]:
        rules = RevocationRules(mode, RESPONDER)
        return self.checks.check(rules, self.chain(leaf), leaf or self.leaf)

    def word(self, mode: RevocationMode, leaf: Identity | None = None) -> Status:
        """The word that is there at once."""
        checked = self.check(mode, leaf)
        assert isinstance(checked, Checked), checked
        return checked.ruling.status

    def asked(self, mode: RevocationMode, leaf: Identity | None = None) -> Deferred[Checked]:
        """The word that has to be waited for."""
        checked = self.check(mode, leaf)
        assert isinstance(checked, Deferred), checked
        return checked

    def came(self, checked: Deferred[Checked]) -> Status:
        """The word that was waited for."""
        return self.successResultOf(checked).ruling.status


class AtOnceTests(ChecksCase):
    def test_lists_answer_without_a_question(self) -> None:
        self.publish()
        assert self.word(CRL) is Status.GOOD
        assert self.word(EITHER) is Status.GOOD
        assert self.questions == []

    def test_nothing_known_is_unknown(self) -> None:
        assert self.word(CRL) is Status.UNKNOWN

    def test_off_is_good_and_asks_nobody(self) -> None:
        assert self.word(OFF) is Status.GOOD
        assert self.questions == []

    def test_without_a_responder_nothing_is_waited_for(self) -> None:
        self.publish()
        checked = self.checks.check(RevocationRules(OCSP, None), self.chain(), self.leaf)
        assert isinstance(checked, Checked)
        assert checked.ruling.status is Status.UNKNOWN

    def test_without_a_cache_neither(self) -> None:
        checks = Checks(self.wall, self.outages)
        checked = checks.check(RevocationRules(OCSP, RESPONDER), self.chain(), self.leaf)
        assert isinstance(checked, Checked)
        assert checked.ruling.status is Status.UNKNOWN

    def test_a_good_word_says_how_long(self) -> None:
        self.publish(lasts=HOUR)
        checked = self.check(CRL)
        assert isinstance(checked, Checked)
        assert checked.until is not None
        assert abs(checked.until - self.wall() - HOUR) <= timedelta(seconds=1)

    def test_nobody_is_asked_where_a_list_revokes(self) -> None:
        self.publish(int(self.leaf.serial, 16))
        for mode in (CRL, OCSP, EITHER, BOTH):
            assert self.word(mode) is Status.REVOKED
        assert self.questions == []


class AskingTests(ChecksCase):
    def test_ocsp_is_waited_for(self) -> None:
        self.publish()
        waiting = self.asked(OCSP)
        self.assertNoResult(waiting)
        self.reply()
        assert self.came(waiting) is Status.GOOD

    def test_the_list_that_comes_meanwhile_is_the_one_that_counts(self) -> None:
        """S15."""
        self.publish()
        waiting = self.asked(OCSP)
        self.publish(int(self.leaf.serial, 16))
        self.reply()
        assert self.came(waiting) is Status.REVOKED

    def test_so_is_the_time(self) -> None:
        self.publish(lasts=timedelta(seconds=5))
        waiting = self.asked(BOTH)
        self.jump += timedelta(seconds=10)
        self.reply()
        assert self.came(waiting) is Status.UNKNOWN

    def test_all_who_wait_share_one_question(self) -> None:
        """S34."""
        self.publish()
        waiting = [self.asked(OCSP) for _ in range(500)]
        assert len(self.questions) == 1
        self.reply()
        assert {self.came(each) for each in waiting} == {Status.GOOD}

    def test_one_who_gives_up_is_told_and_the_others_go_on(self) -> None:
        """S33."""
        self.publish()
        first, second = self.asked(OCSP), self.asked(OCSP)
        first.cancel()
        assert self.came(first) is Status.UNKNOWN
        self.reply()
        assert self.came(second) is Status.GOOD

    def test_a_cached_good_is_no_match_for_a_list(self) -> None:
        """S35."""
        self.publish()
        self.asked(OCSP)
        self.reply(LONG)
        assert self.word(OCSP) is Status.GOOD
        self.publish(int(self.leaf.serial, 16))
        assert self.word(OCSP) is Status.REVOKED
        self.publish(cas=(self.lab.authorities[trees.ORG_TEST].certificate.serial_number,))
        assert self.word(OCSP) is Status.REVOKED

    def test_a_cached_revoked_counts_where_the_list_is_good(self) -> None:
        self.publish()
        self.asked(OCSP)
        self.reply(Saying(REVOKED))
        for mode in (OCSP, EITHER, BOTH):
            assert self.word(mode) is Status.REVOKED
        assert self.word(CRL) is Status.GOOD

    def test_what_is_asked_for_stays_in_use(self) -> None:
        """Or nobody would learn in the background that it was revoked meanwhile."""
        self.publish()
        self.asked(OCSP)
        self.reply(LONG)
        self.clock.advance(2700)
        self.reply(LONG)
        assert self.word(OCSP) is Status.GOOD
        self.clock.advance(2700)
        assert len(self.questions) == 3

    def test_a_cached_unknown_is_unknown(self) -> None:
        self.publish()
        self.asked(OCSP)
        self.reply(Saying(UNKNOWN))
        assert self.word(OCSP) is Status.UNKNOWN

    def test_a_delegate_on_the_list_vouches_for_nobody(self) -> None:
        """RFC 6960, 4.2.2.2.1: also where its answer is cached."""
        self.publish()
        waiting = self.asked(OCSP)
        self.reply()
        assert self.came(waiting) is Status.GOOD
        delegate = self.world.signatories["delegate"].credential.certificate
        self.publish(delegate.serial_number)
        assert self.word(OCSP) is Status.UNKNOWN


class OnceRevokedTests(ChecksCase):
    """S22, S23: what OCSP has revoked stays refused when its answer has lapsed."""

    def setUp(self) -> None:
        super().setUp()
        self.begin(24 * 3600.0)

    def lapsed(self, mode: RevocationMode, **leaves: Any) -> Deferred[Checked]:
        """Revoked by OCSP, hours ago; who calls now has to wait."""
        self.publish(**leaves)
        waiting = self.asked(mode)
        self.reply(Saying(REVOKED))
        assert self.came(waiting) is Status.REVOKED
        self.clock.advance(5 * 3600)
        self.publish(**leaves)
        return self.asked(mode)

    def test_debrayage_does_not_admit_it_while_the_responder_is_silent(self) -> None:
        for mode in (OCSP, BOTH):
            waiting = self.lapsed(mode)
            self.refuse(Problem.UNREACHABLE)
            assert self.came(waiting) is Status.REVOKED
            assert self.word(mode) is Status.REVOKED
            self.cache = self.make(OCSPOptions())
            self.begin(24 * 3600.0)

    def test_nor_where_the_list_has_expired(self) -> None:
        waiting = self.lapsed(EITHER, lasts=timedelta(minutes=-1))
        self.refuse(Problem.TOO_LATE)
        assert self.came(waiting) is Status.REVOKED

    def test_nor_by_hand_and_without_a_list(self) -> None:
        now = self.wall()
        without = ByHand("root", "a test", now, now + 24 * HOUR, without_list=True)
        self.outages.disengage(without)
        waiting = self.lapsed(OCSP)
        self.refuse(Problem.UNREACHABLE)
        assert self.came(waiting) is Status.REVOKED

    def test_a_current_list_alone_does_not_unsay_it(self) -> None:
        """Lists are of midnight: one that came since may know less than the answer did."""
        self.publish(lasts=timedelta(minutes=-1))
        waiting = self.asked(EITHER)
        self.reply(Saying(REVOKED))
        assert self.came(waiting) is Status.REVOKED
        self.clock.advance(5 * 3600)
        self.publish()
        waiting = self.asked(EITHER)
        self.refuse(Problem.UNREACHABLE)
        assert self.came(waiting) is Status.REVOKED

    def test_a_later_answer_does(self) -> None:
        for mode in (OCSP, BOTH):
            waiting = self.lapsed(mode)
            self.reply()
            assert self.came(waiting) is Status.GOOD
            self.cache = self.make(OCSPOptions())
            self.begin(24 * 3600.0)

    def test_another_certificate_is_admitted_all_the_same(self) -> None:
        waiting = self.lapsed(OCSP)
        self.refuse(Problem.UNREACHABLE)
        assert self.came(waiting) is Status.REVOKED
        assert self.word(OCSP, self.another()) is Status.GOOD


class VersionTests(ChecksCase):
    """Whoever keeps a word compares the version."""

    def test_every_list_is_another(self) -> None:
        before = self.checks.version
        self.publish()
        assert self.checks.version > before

    def test_so_is_every_revocation_by_ocsp(self) -> None:
        self.publish()
        self.asked(OCSP)
        before = self.checks.version
        self.reply(Saying(REVOKED))
        assert self.checks.version > before

    def test_so_are_beginning_and_end_of_debrayage(self) -> None:
        before = self.checks.version
        self.outages.disengage(ByHand("root", "a test", self.wall(), self.wall() + HOUR))
        assert (begun := self.checks.version) > before
        self.outages.engage("root")
        assert self.checks.version > begun

    def test_an_answer_of_good_is_none(self) -> None:
        self.publish()
        self.asked(OCSP)
        before = self.checks.version
        self.reply()
        assert self.checks.version == before


class CuttingTests(ChecksCase):
    def enter(self, leaf: Identity | None = None, **more: bool) -> Connection:
        connection = Connection(**more)
        self.checks.live.enter(self.chain(leaf), connection)
        return connection

    def test_by_list_all_of_the_certificate_and_no_other(self) -> None:
        mine, again, other = self.enter(), self.enter(), self.enter(self.another())
        self.publish(int(self.leaf.serial, 16))
        assert [len(each.cuts) for each in (mine, again, other)] == [1, 1, 0]

    def test_by_the_list_of_cas_all_of_the_ca(self) -> None:
        mine, other = self.enter(), self.enter(self.another())
        self.publish(cas=(self.lab.authorities[trees.ORG_TEST].certificate.serial_number,))
        assert [len(each.cuts) for each in (mine, other)] == [1, 1]

    def test_by_ocsp_all_of_the_certificate_and_no_other(self) -> None:
        mine, other = self.enter(), self.enter(self.another())
        self.publish()
        self.asked(OCSP)
        self.reply(Saying(REVOKED))
        assert [each.cuts for each in (mine, other)] == [["revoked by OCSP"], []]

    def test_one_that_cannot_be_cut_keeps_none_of_the_others(self) -> None:
        self.enter(breaks=True)
        second, other = self.enter(), self.enter(self.another())
        self.publish(int(self.leaf.serial, 16), 1000)
        assert [len(each.cuts) for each in (second, other)] == [1, 1]
        assert len(self.flushLoggedErrors(RuntimeError)) == 1

    def test_the_lists_are_in_force_before_the_first_is_cut(self) -> None:
        found: list[Status] = []

        class Looking(Connection):
            def cut(inner, reason: str) -> None:  # noqa: N805
                found.append(self.word(CRL))

        self.checks.live.enter(self.chain(), Looking())
        self.publish(int(self.leaf.serial, 16))
        assert found == [Status.REVOKED]

    def test_who_has_left_is_not_cut(self) -> None:
        connection = self.enter()
        self.checks.live.leave(self.chain(), connection)
        self.publish(int(self.leaf.serial, 16))
        assert connection.cuts == []
        assert len(self.checks.live) == 0
        assert self.checks.live.chains == ()

    def test_who_enters_twice_leaves_once(self) -> None:
        connection = self.enter()
        self.checks.live.enter(self.chain(), connection)
        assert list(self.checks.live) == [connection]
        self.checks.live.leave(self.chain(), connection)
        assert len(self.checks.live) == 0

    def test_who_never_entered_may_leave(self) -> None:
        other = self.enter()
        self.checks.live.leave(self.chain(), Connection())
        self.checks.live.leave(self.chain(self.another()), Connection())
        assert list(self.checks.live) == [other]

    def test_changed_rules_are_looked_at_by_all(self) -> None:
        connections = [self.enter(breaks=True), self.enter(), self.enter(self.another())]
        self.checks.rules_changed()
        assert [each.reviews for each in connections] == [1, 1, 1]
        assert len(self.flushLoggedErrors(RuntimeError)) == 1


class OutageTests(ChecksCase):
    """S23: what starts the clock, and what ends it."""

    def setUp(self) -> None:
        super().setUp()
        self.begin(3600.0)

    def test_it_starts_at_the_end_of_the_list(self) -> None:
        self.publish(lasts=timedelta(minutes=-30))
        assert self.word(CRL) is Status.GOOD
        since = self.outages.unknown_since[self.issuer]
        assert since is not None
        assert abs(self.wall() - since - timedelta(minutes=30)) <= timedelta(seconds=1)

    def test_what_ended_longer_ago_than_it_lasts_disengages_nothing(self) -> None:
        self.publish(lasts=timedelta(minutes=-61), age=2 * HOUR)
        assert self.word(CRL) is Status.UNKNOWN

    def test_a_current_list_ends_it(self) -> None:
        self.publish(lasts=timedelta(minutes=-30))
        self.word(CRL)
        self.publish()
        assert self.word(CRL) is Status.GOOD
        assert not self.outages.unknown_since

    def test_ocsp_in_the_lists_place_does_not(self) -> None:
        self.publish(lasts=timedelta(minutes=-30))
        waiting = self.asked(EITHER)
        self.refuse(Problem.TOO_LATE)
        assert self.came(waiting) is Status.GOOD
        assert self.issuer in self.outages.unknown_since
        self.clock.advance(5)
        self.reply(LONG)
        assert self.word(EITHER) is Status.GOOD
        assert self.issuer in self.outages.unknown_since

    def test_a_failed_question_starts_it_and_an_answer_ends_it(self) -> None:
        self.publish()
        waiting = self.asked(OCSP)
        self.refuse(Problem.UNREACHABLE)
        assert self.came(waiting) is Status.GOOD
        assert self.issuer in self.outages.unknown_since
        self.clock.advance(5)
        self.reply()
        assert self.word(OCSP) is Status.GOOD
        assert not self.outages.unknown_since

    def test_who_gives_up_or_a_cache_that_closes_does_not_start_it(self) -> None:
        self.publish()
        first, second = self.asked(OCSP), self.asked(OCSP)
        first.cancel()
        self.cache.close()
        assert [self.came(each) for each in (first, second)] == [Status.UNKNOWN] * 2
        assert not self.outages.unknown_since

    def test_a_certificate_that_the_responder_does_not_know_does_not_either(self) -> None:
        """Others' good answers would set the clock back for ever."""
        self.publish()
        stranger = self.another()
        for mode in (OCSP, BOTH):
            for _ in range(3):
                self.clock.advance(61)
                waiting = self.asked(mode, stranger)
                self.reply(Saying(UNKNOWN))
                assert self.came(waiting) is Status.UNKNOWN
        assert not self.outages.unknown_since

    def test_it_is_admitted_by_hand_all_the_same(self) -> None:
        self.publish()
        self.outages.disengage(ByHand("root", "a test", self.wall(), self.wall() + HOUR))
        waiting = self.asked(OCSP)
        self.reply(Saying(UNKNOWN))
        assert self.came(waiting) is Status.GOOD

    def test_each_admission_is_counted(self) -> None:
        self.publish(lasts=timedelta(minutes=-1))
        for _ in range(3):
            assert self.word(CRL) is Status.GOOD
        assert self.outages.admissions == {self.issuer: 3}

    def test_a_refusal_is_not(self) -> None:
        self.publish(int(self.leaf.serial, 16), lasts=timedelta(minutes=-1))
        assert self.word(CRL) is Status.REVOKED
        assert not self.outages.admissions

    def test_an_admission_says_when_it_ends(self) -> None:
        self.publish(lasts=timedelta(minutes=-30))
        checked = self.check(CRL)
        assert isinstance(checked, Checked)
        assert checked.ruling.disengaged
        assert checked.until is not None
        assert abs(checked.until - self.wall() - timedelta(minutes=30)) <= timedelta(seconds=1)


class ListsAloneTests(ChecksCase):
    """Débrayage learns from lists what they say of everybody, whether or not anybody calls."""

    def setUp(self) -> None:
        super().setUp()
        self.begin(3600.0)

    def follow(self, mode: RevocationMode) -> None:
        org, root = self.lab.authorities[trees.ORG_TEST], self.lab.authorities[trees.ROOT_TEST]
        nobody = Chain.of_nobody(
            *(each.certificate.public_bytes(Encoding.DER) for each in (org, root))
        )
        self.checks.follow(mode, (nobody,))

    def test_one_that_has_expired_begins_it(self) -> None:
        self.follow(CRL)
        self.publish(lasts=timedelta(minutes=-30))
        since = self.outages.unknown_since[self.issuer]
        assert since is not None
        assert abs(self.wall() - since - timedelta(minutes=30)) <= timedelta(seconds=1)

    def test_a_current_one_ends_it(self) -> None:
        for mode in (CRL, EITHER):
            self.follow(mode)
            self.outages.unknown(self.issuer, self.wall())
            self.publish()
            assert not self.outages.unknown_since

    def test_neither_where_ocsp_has_a_say(self) -> None:
        for mode in (OCSP, BOTH, OFF):
            self.follow(mode)
            self.publish(lasts=timedelta(minutes=-30))
            assert not self.outages.unknown_since
        self.outages.unknown(self.issuer, self.wall())
        self.publish()
        assert self.issuer in self.outages.unknown_since

    def test_what_ocsp_may_make_good_does_not_begin_it(self) -> None:
        self.follow(EITHER)
        self.publish(lasts=timedelta(minutes=-30))
        assert not self.outages.unknown_since

    def test_revoked_cas_neither_begin_nor_end_it(self) -> None:
        self.follow(CRL)
        ca = self.lab.authorities[trees.ORG_TEST].certificate.serial_number
        self.publish(cas=(ca,))
        assert not self.outages.unknown_since

    def test_other_rules_are_another_version(self) -> None:
        before = self.checks.version
        self.follow(CRL)
        assert self.checks.version > before


class ChainTests(ChecksCase):
    def ders(self) -> tuple[bytes, ...]:
        org, root = self.lab.authorities[trees.ORG_TEST], self.lab.authorities[trees.ROOT_TEST]
        cas = [each.certificate.public_bytes(Encoding.DER) for each in (org, root)]
        return (self.leaf.der, *cas)

    def test_the_root_is_nobodys_subject(self) -> None:
        chain = Chain.read(self.ders())
        assert len(chain.cas) == 1
        assert chain.cas[0].ca
        assert not chain.leaf.ca

    def test_each_is_under_the_ca_that_signed_it(self) -> None:
        leaf, org, root = self.ders()
        chain = Chain.read((leaf, org, root))
        other = Chain.read((leaf, root, root))
        assert chain.leaf.issuer != chain.cas[0].issuer
        assert other.leaf.issuer == chain.cas[0].issuer
        assert chain.sha256 == self.leaf.sha256

    def test_points_are_the_certificates_own(self) -> None:
        chain = Chain.read(self.ders())
        assert any("ACI-EL-ORG-TEST.crl" in each for each in chain.leaf.points)
        assert any("ACR-EL-TEST.crl" in each for each in chain.cas[0].points)

    def test_a_leaf_alone_is_none(self) -> None:
        with self.assertRaises(ValueError):
            Chain.read(self.ders()[:1])
        with self.assertRaises(ValueError):
            Chain.read(())

    def test_what_is_no_certificate_is_none(self) -> None:
        leaf, org, root = self.ders()
        for broken in ((b"", org, root), (leaf, b"0", root), (leaf[:-1], org, root)):
            with self.assertRaises(ValueError):
                Chain.read(broken)

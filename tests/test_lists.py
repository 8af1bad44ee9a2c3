"""What all lists in force together say of one certificate (S20, S21, S22)."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from crl_judging import NOW, ORG, ROOT, sha256, signed, verify
from sasgate.lab.authority import Authority
from sasgate.lab.lists import partial, plain_list
from sasgate.lab.pki import Lab
from sasgate.revocation.crl import LoadedList, VerifiedList
from sasgate.revocation.lists import Lists, Subject, Word
from sasgate.revocation.policy import ListWord
from sasgate.revocation.scope import WHOLE, Scope
from sasgate.revocation.serials import Serials


SERIAL = 0x1BADC0DE
POINT, OTHER_POINT = "URI:http://a.invalid/1.crl", "URI:http://a.invalid/2.crl"
ISSUER, OTHER = "aa" * 32, "bb" * 32
LEAVES, AUTHORITIES = Scope(authorities=False), Scope(leaves=False)


def listed(
    *serials: int,
    issuers: tuple[str, ...] = (ISSUER,),
    scope: Scope = WHOLE,
    ends: datetime = NOW + timedelta(days=6),
    number: int = 1,
) -> LoadedList:
    """A list whose verification is no matter here."""
    facts = VerifiedList(
        issuers, "CN=CA", number, NOW, ends, len(serials), scope, "00" * 32, "00" * 32
    )
    return LoadedList(facts, Serials.of(serials))


def subject(*points: str, serial: int = SERIAL, issuer: str = ISSUER, ca: bool = False) -> Subject:
    return Subject(issuer, serial, ca, frozenset(points))


def word(*lists: LoadedList, of: Subject | None = None, now: datetime = NOW) -> ListWord:
    return Lists.of(lists).word(of or subject(), now).word


class TestOneList:
    def test_none_is_absent(self) -> None:
        assert Lists().word(subject(), NOW) == Word(ListWord.ABSENT)

    def test_a_current_one_without_the_serial_is_good_until_its_end(self) -> None:
        one = listed(1, 2, 3)
        good = Lists.of([one]).word(subject(), NOW)
        assert good == Word(ListWord.GOOD, one.facts.next_update)

    def test_it_is_good_at_its_end_and_not_after(self) -> None:
        end = NOW + timedelta(hours=1)
        one = listed(ends=end)
        assert word(one, now=end) is ListWord.GOOD
        assert word(one, now=end + timedelta(microseconds=1)) is ListWord.EXPIRED

    def test_an_expired_one_says_when_it_ended(self) -> None:
        end = NOW - timedelta(hours=1)
        assert Lists.of([listed(ends=end)]).word(subject(), NOW) == Word(ListWord.EXPIRED, end)

    def test_the_serial_on_it_is_revoked(self) -> None:
        assert word(listed(1, SERIAL)) is ListWord.REVOKED

    def test_it_stays_revoked_on_an_expired_one(self) -> None:
        """S22."""
        assert word(listed(SERIAL, ends=NOW - timedelta(days=400))) is ListWord.REVOKED

    @pytest.mark.parametrize("serial", [SERIAL + 1, SERIAL - 1, -SERIAL, SERIAL << 8, SERIAL >> 8])
    def test_a_serial_that_looks_like_it_is_not(self, serial: int) -> None:
        assert word(listed(SERIAL), of=subject(serial=serial)) is ListWord.GOOD


class TestIssuers:
    """S21."""

    def test_the_same_serial_on_anothers_list_is_no_matter(self) -> None:
        assert word(listed(), listed(SERIAL, issuers=(OTHER,))) is ListWord.GOOD

    def test_anothers_list_is_none(self) -> None:
        assert word(listed(issuers=(OTHER,))) is ListWord.ABSENT

    def test_a_list_speaks_for_each_certificate_of_the_ca_that_signed_it(self) -> None:
        """A CA that was certified again with the same key."""
        both = listed(SERIAL, issuers=(ISSUER, OTHER))
        assert word(both) is ListWord.REVOKED
        assert word(both, of=subject(issuer=OTHER)) is ListWord.REVOKED

    def test_whether_a_list_holds_a_serial_is_asked_by_issuer(self) -> None:
        lists = Lists.of([listed(SERIAL), listed(7, issuers=(OTHER,))])
        assert lists.revokes(ISSUER, SERIAL)
        assert not lists.revokes(OTHER, SERIAL)
        assert not lists.revokes("cc" * 32, SERIAL)


class TestScopes:
    """S20: each list for its own certificates, and no more."""

    def test_one_of_leaves_says_nothing_on_a_ca(self) -> None:
        one = listed(scope=LEAVES)
        assert word(one) is ListWord.GOOD
        assert word(one, of=subject(ca=True)) is ListWord.ABSENT

    def test_one_of_cas_says_nothing_on_a_leaf(self) -> None:
        one = listed(scope=AUTHORITIES)
        assert word(one, of=subject(ca=True)) is ListWord.GOOD
        assert word(one) is ListWord.ABSENT

    def test_one_of_a_point_speaks_of_those_that_name_it(self) -> None:
        one = listed(scope=Scope(points=(POINT,)))
        assert word(one, of=subject(POINT, OTHER_POINT)) is ListWord.GOOD
        assert word(one, of=subject(OTHER_POINT)) is ListWord.ABSENT
        assert word(one) is ListWord.ABSENT

    def test_what_one_of_another_scope_revokes_is_revoked(self) -> None:
        """Nobody lists a serial by mistake in the list of another of its parts."""
        lists = (listed(), listed(SERIAL, scope=Scope(points=(POINT,))))
        assert word(*lists) is ListWord.REVOKED
        assert word(*reversed(lists)) is ListWord.REVOKED

    def test_two_of_different_scopes_are_both_held(self) -> None:
        first, second = (listed(n, scope=Scope(points=(f"URI:{n}",))) for n in (1, 2))
        lists = Lists.of([first, second])
        assert lists.revokes(ISSUER, 1)
        assert lists.revokes(ISSUER, 2)

    @pytest.mark.parametrize("first", [True, False])
    def test_of_two_that_cover_it_the_current_one_counts(self, first: bool) -> None:
        end = NOW + timedelta(hours=1)
        lists = [listed(scope=LEAVES, ends=end), listed(ends=NOW - timedelta(hours=1))]
        found = Lists.of(lists if first else lists[::-1]).word(subject(), NOW)
        assert found == Word(ListWord.GOOD, end)

    def test_a_current_one_of_another_scope_makes_an_expired_one_no_better(self) -> None:
        expired = listed(ends=NOW - timedelta(hours=1))
        assert word(expired, listed(scope=AUTHORITIES)) is ListWord.EXPIRED


class TestSnapshots:
    def test_one_stays_what_it_was(self) -> None:
        before = [listed()]
        lists = Lists.of(before)
        before.append(listed(SERIAL, scope=LEAVES))
        before[0] = listed(SERIAL)
        assert lists.word(subject(), NOW).word is ListWord.GOOD

    def test_nothing_in_it_can_be_set(self) -> None:
        lists = Lists.of([listed()])
        with pytest.raises(TypeError):
            lists.by_issuer[OTHER] = ()  # type: ignore[index]
        with pytest.raises(AttributeError):
            lists.by_issuer = {}  # type: ignore[misc]


SCOPES = st.builds(
    Scope,
    leaves=st.booleans(),
    authorities=st.booleans(),
    points=st.sampled_from([(), (POINT,), (OTHER_POINT,)]),
)
SOME_LISTS = st.lists(
    st.builds(
        lambda serials, scope, issuer, hours: listed(
            *serials, scope=scope, issuers=(issuer,), ends=NOW + timedelta(hours=hours)
        ),
        st.sets(st.integers(0, 4)),
        SCOPES,
        st.sampled_from([ISSUER, OTHER]),
        st.sampled_from([-1, 1]),
    ),
    max_size=5,
    unique_by=lambda each: (each.facts.issuers, each.facts.scope),
)
SUBJECTS = st.builds(
    lambda serial, ca, points: subject(*points, serial=serial, ca=ca),
    st.integers(0, 4),
    st.booleans(),
    st.sets(st.sampled_from([POINT, OTHER_POINT])),
)


class TestAnyLists:
    @given(SOME_LISTS, SUBJECTS)
    def test_who_is_on_any_of_the_issuers_is_revoked_and_nobody_else(
        self, lists: list[LoadedList], of: Subject
    ) -> None:
        on_one = any(of.serial in x.serials for x in lists if of.issuer in x.facts.issuers)
        assert (word(*lists, of=of) is ListWord.REVOKED) is on_one

    @given(SOME_LISTS, SUBJECTS)
    def test_good_takes_a_current_list_that_covers(
        self, lists: list[LoadedList], of: Subject
    ) -> None:
        current = [
            each
            for each in lists
            if of.issuer in each.facts.issuers
            and each.facts.next_update > NOW
            and each.facts.scope.covers(ca=of.ca, points=of.points)
        ]
        if word(*lists, of=of) is ListWord.GOOD:
            assert current

    @given(SOME_LISTS, SUBJECTS)
    def test_their_order_is_no_matter(self, lists: list[LoadedList], of: Subject) -> None:
        assert word(*lists, of=of) is word(*reversed(lists), of=of)


class TestSignedLists:
    """The same with lists that a CA of the lab has signed."""

    @pytest.fixture
    def org(self, lab: Lab) -> Authority:
        return lab.authorities[ORG]

    def of(self, authority: Authority, serial: int = SERIAL, **more: Any) -> Subject:
        return evolve(subject(serial=serial, issuer=sha256(authority)), **more)

    def test_a_revoked_serial(self, org: Authority) -> None:
        one = verify(plain_list(org, [SERIAL], now=NOW), org)
        assert word(one, of=self.of(org)) is ListWord.REVOKED
        assert word(one, of=self.of(org, 7)) is ListWord.GOOD

    def test_the_same_serial_of_another_issuer(self, lab: Lab, org: Authority) -> None:
        """S21."""
        root = lab.authorities[ROOT]
        lists = (
            verify(signed(org), org),
            verify(plain_list(root, [SERIAL], now=NOW), root),
        )
        assert word(*lists, of=self.of(org)) is ListWord.GOOD
        assert word(*lists, of=self.of(root, ca=True)) is ListWord.REVOKED

    def test_lists_of_two_points(self, org: Authority) -> None:
        """S20."""
        lists = [
            verify(signed(org, extra=(partial(urls=[url.removeprefix("URI:")]),)), org)
            for url in (POINT, OTHER_POINT)
        ]
        assert word(*lists[:1], of=self.of(org, points=frozenset({POINT}))) is ListWord.GOOD
        assert word(*lists[1:], of=self.of(org, points=frozenset({POINT}))) is ListWord.ABSENT
        assert word(*lists, of=self.of(org, points=frozenset({OTHER_POINT}))) is ListWord.GOOD

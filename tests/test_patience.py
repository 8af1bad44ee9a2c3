"""Patience passes only while it is spent."""

from hypothesis import given
from hypothesis import strategies as st

from sasgate.patience import Patience


class TestPatience:
    def test_it_has_no_end_before_it_is_spent(self) -> None:
        assert Patience(15).ends == float("inf")

    def test_it_ends_after_its_seconds(self) -> None:
        patience = Patience(15)
        patience.spend(100)
        assert patience.ends == 115

    def test_what_is_spent_already_is_not_begun_anew(self) -> None:
        patience = Patience(15)
        patience.spend(100)
        patience.spend(110)
        assert patience.ends == 115

    def test_while_it_is_kept_it_does_not_pass(self) -> None:
        patience = Patience(15)
        patience.spend(100)
        patience.keep(110)
        assert patience.ends == float("inf")
        patience.keep(150)
        patience.spend(200)
        assert patience.ends == 205

    @given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50))))
    def test_what_is_left_is_without_what_was_spent(self, times: list[tuple[int, int]]) -> None:
        patience, now = Patience(1000), 0
        for spent, kept in times:
            patience.spend(now)
            now += spent
            patience.keep(now)
            now += kept
        patience.spend(now)
        assert patience.ends == now + 1000 - sum(spent for spent, _ in times)

"""Waits after failures stay between their floor and their cap (S59)."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sasgate.revocation.backoff import Backoff


def steady(floor: float = 1, cap: float = 60) -> Backoff:
    """Without chance."""
    return Backoff(floor, cap, lambda: 0.0)


def test_nothing_failed_nothing_waits() -> None:
    assert steady().remaining(0) == 0


def test_waits_double_up_to_the_cap() -> None:
    backoff, now, waits = steady(), 0.0, []
    for _ in range(8):
        backoff.fail(now, now)
        waits.append(backoff.remaining(now))
        now += waits[-1]
        assert backoff.remaining(now) == 0
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_success_begins_anew() -> None:
    backoff = steady()
    for now in (0, 10, 20):
        backoff.fail(now, now)
    backoff.succeed()
    assert backoff.remaining(20) == 0
    backoff.fail(21, 20)
    assert backoff.remaining(21) == 1


def test_attempts_under_way_together_are_one_failure() -> None:
    backoff = steady()
    for now in (3.0, 3.1, 3.2):
        backoff.fail(now, began=0)
    assert backoff.failures == 1
    assert backoff.until == 4


def test_the_next_attempt_is_another_failure() -> None:
    backoff = steady()
    backoff.fail(3, began=0)
    backoff.fail(7, began=4)
    assert backoff.failures == 2


def test_s59_sixty_days_of_failures_stay_between_floor_and_cap() -> None:
    backoff, now, starts = Backoff(1, 60), 0.0, [0.0]
    while now < 60 * 86400:
        backoff.fail(now, now)
        now = backoff.until
        starts.append(now)
    assert all(1 <= later - earlier <= 60.001 for earlier, later in pairwise(starts))


@given(
    failures=st.integers(1, 3000),
    draw=st.floats(0, 1, exclude_max=True),
    floor=st.floats(0.1, 10),
    times=st.floats(1, 1000),
)
def test_s59_any_wait_lies_between_floor_and_cap(
    failures: int, draw: float, floor: float, times: float
) -> None:
    backoff = Backoff(floor, floor * times, lambda: draw, failures - 1)
    backoff.fail(0, 0)
    assert floor <= backoff.remaining(0) <= floor * times

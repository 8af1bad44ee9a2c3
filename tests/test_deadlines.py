"""One timer for all time limits: never late, early by a quarter of a second at most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogEvent

from sasgate.deadlines import NEVER, PERIOD, Deadlines
from wires import pass_time


class Member:
    """Keeps when its deadline struck."""

    def __init__(self, clock: Clock, deadline: float) -> None:
        self.deadline = deadline
        self.struck: list[float] = []
        self._clock = clock

    def deadline_passed(self, now: float) -> None:
        assert now == self._clock.seconds()
        self.struck.append(now)
        self.deadline = NEVER


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def deadlines(clock: Clock) -> Deadlines:
    deadlines = Deadlines(clock)
    deadlines.start()
    return deadlines


@given(st.floats(0.5, 100), st.floats(0, 0.24))
def test_a_limit_strikes_in_the_quarter_second_before_it(limit: float, start: float) -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    clock.advance(start)
    deadlines.start()
    member = Member(clock, limit)
    deadlines.add(member)
    pass_time(clock, limit + PERIOD)
    ((struck),) = member.struck
    assert limit - PERIOD <= struck <= limit + 1e-9


def test_a_limit_that_was_moved_strikes_at_its_last_place(
    clock: Clock, deadlines: Deadlines
) -> None:
    member = Member(clock, 5)
    deadlines.add(member)
    pass_time(clock, 4)
    member.deadline = 10
    pass_time(clock, 5.5)
    assert member.struck == []
    pass_time(clock, 0.5)
    assert len(member.struck) == 1


def test_no_limit_never_strikes(clock: Clock, deadlines: Deadlines) -> None:
    member = Member(clock, NEVER)
    deadlines.add(member)
    pass_time(clock, 1000)
    assert member.struck == []


def test_a_member_that_left_is_not_struck(clock: Clock, deadlines: Deadlines) -> None:
    member = Member(clock, 5)
    deadlines.add(member)
    deadlines.discard(member)
    deadlines.discard(member)
    pass_time(clock, 10)
    assert member.struck == []


def test_one_that_leaves_because_of_another_does_no_harm(
    clock: Clock, deadlines: Deadlines
) -> None:
    members = [Member(clock, 5) for _ in range(10)]

    def leave(_: float) -> None:
        for member in members:
            deadlines.discard(member)

    for member in members:
        member.deadline_passed = leave  # type: ignore[method-assign,assignment]
        deadlines.add(member)
    other = Member(clock, 6)
    deadlines.add(other)
    pass_time(clock, 10)
    assert len(other.struck) == 1


def test_one_whose_limit_another_moves_at_the_same_time_is_not_struck(
    clock: Clock, deadlines: Deadlines
) -> None:
    """A kept connection may be put to use by the very client that is struck."""
    members = [Member(clock, 5) for _ in range(2)]
    struck: list[float] = []

    def move_all(now: float) -> None:
        struck.append(now)
        for member in members:
            member.deadline = NEVER

    for member in members:
        member.deadline_passed = move_all  # type: ignore[method-assign,assignment]
        deadlines.add(member)
    pass_time(clock, 10)
    assert len(struck) == 1


def test_one_that_raises_does_not_end_the_limits_of_all_others(
    clock: Clock, deadlines: Deadlines, logged: list[LogEvent]
) -> None:
    """S47, S48: without time limits, mute clients fill the gateway."""

    def fail(_: float) -> None:
        raise ZeroDivisionError

    broken, other, later = (Member(clock, seconds) for seconds in (5, 5, 7))
    broken.deadline_passed = fail  # type: ignore[method-assign,assignment]
    for member in (broken, other, later):
        deadlines.add(member)
    pass_time(clock, 10)
    assert [len(each.struck) for each in (other, later)] == [1, 1]
    assert any("log_failure" in event for event in logged)


def test_after_stop_nothing_strikes(clock: Clock, deadlines: Deadlines) -> None:
    member = Member(clock, 5)
    deadlines.add(member)
    deadlines.stop()
    deadlines.stop()
    pass_time(clock, 10)
    assert member.struck == []
    assert clock.getDelayedCalls() == []

"""Of lines that repeat themselves two a minute are written: the first, and how many followed."""

import pytest
from twisted.internet.task import Clock

from sasgate.repeats import PERIOD, Repeats


class Told:
    def __init__(self) -> None:
        self.clock = Clock()
        self.lines: list[tuple[str, int, float]] = []
        self.repeats: Repeats[str] = Repeats(self.clock, lambda *line: self.lines.append(line))


@pytest.fixture
def told() -> Told:
    return Told()


class TestRepeats:
    def test_the_first_is_told_at_once(self, told: Told) -> None:
        told.repeats.note("a")
        assert told.lines == [("a", 0, 0.0)]

    def test_those_that_follow_are_counted(self, told: Told) -> None:
        for _ in range(1000):
            told.repeats.note("a")
        assert len(told.lines) == 1
        told.clock.advance(PERIOD)
        assert told.lines[1:] == [("a", 999, PERIOD)]

    def test_of_one_alone_nothing_more_is_said(self, told: Told) -> None:
        told.repeats.note("a")
        told.clock.advance(PERIOD)
        assert len(told.lines) == 1
        assert told.clock.getDelayedCalls() == []

    def test_the_next_minute_begins_anew(self, told: Told) -> None:
        told.repeats.note("a")
        told.clock.advance(PERIOD)
        told.repeats.note("a")
        assert told.lines == [("a", 0, 0.0)] * 2

    def test_kinds_are_told_apart(self, told: Told) -> None:
        for kind in "abab":
            told.repeats.note(kind)
        told.clock.advance(PERIOD)
        assert told.lines == [("a", 0, 0.0), ("b", 0, 0.0), ("a", 1, PERIOD), ("b", 1, PERIOD)]

    def test_at_the_end_what_was_counted_is_told(self, told: Told) -> None:
        for _ in range(3):
            told.repeats.note("a")
        told.clock.advance(7)
        told.repeats.close()
        assert told.lines[1:] == [("a", 2, 7.0)]
        assert told.clock.getDelayedCalls() == []

    def test_no_more_kinds_are_held_than_can_be(self, told: Told) -> None:
        for number in range(1000):
            told.repeats.note(str(number))
        assert len(told.lines) == len(told.clock.getDelayedCalls()) == 100

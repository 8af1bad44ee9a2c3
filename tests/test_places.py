"""Places for calls: never more than there are, given in order, none lost."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from twisted.internet.defer import Deferred

from sasgate.places import Full, Places


def test_beyond_both_bounds_a_call_is_refused() -> None:
    places = Places(1, 1)
    assert places.take() is None
    assert places.take() is not None
    with pytest.raises(Full):
        places.take()


def test_one_who_waited_and_left_is_not_called() -> None:
    places = Places(1, 2)
    places.take()
    left, stayed = places.take(), places.take()
    assert left is not None
    assert stayed is not None
    places.leave(left)
    places.give_back()
    assert (left.called, stayed.called) == (False, True)


def test_one_who_is_called_may_give_back_at_once() -> None:
    places = Places(1, 3)
    places.take()
    order: list[int] = []

    def called(_: None, number: int) -> None:
        order.append(number)
        places.give_back()

    for number in range(3):
        turn = places.take()
        assert turn is not None
        turn.addCallback(called, number)
    places.give_back()
    assert order == [0, 1, 2]
    assert places.take() is None


class Calls(RuleBasedStateMachine):
    """Against a model: who has a place, and who waits in which order."""

    @initialize(most=st.integers(1, 3), waiting=st.integers(0, 3))
    def begin(self, most: int, waiting: int) -> None:
        self.most, self.bound = most, waiting
        self.places = Places(most, waiting)
        self.placed = 0
        self.queue: list[Deferred[None]] = []

    @rule()
    def take(self) -> None:
        if self.placed < self.most:
            assert self.places.take() is None
            self.placed += 1
        elif len(self.queue) < self.bound:
            turn = self.places.take()
            assert turn is not None
            self.queue.append(turn)
        else:
            with pytest.raises(Full):
                self.places.take()

    @precondition(lambda self: self.placed)
    @rule()
    def give_back(self) -> None:
        self.places.give_back()
        if self.queue:
            assert self.queue.pop(0).called
        else:
            self.placed -= 1

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        turn = self.queue.pop(data.draw(st.integers(0, len(self.queue) - 1)))
        self.places.leave(turn)
        assert not turn.called

    @invariant()
    def nobody_who_waits_was_called(self) -> None:
        assert not any(turn.called for turn in getattr(self, "queue", ()))


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

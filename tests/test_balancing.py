"""Which server is asked: the dead are left out for a while (S59)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent
from twisted.python.failure import Failure

from pooled import Pooled
from sasgate.pool import Balancer


pytestmark = pytest.mark.usefixtures("no_failure_logged")

DEAD = ConnectionRefusedError("dead")


class TestAbsence:
    """A server that cannot be reached is left out from 1 s up to 30 s (S59)."""

    def test_a_server_is_there_until_it_is_not(self) -> None:
        assert Pooled().pool.available()

    def test_one_that_cannot_be_reached_is_left_out_for_a_second(self) -> None:
        pooled = Pooled()
        pooled.server.refuses = DEAD
        assert pooled.fail().check(ConnectionRefusedError)
        assert not pooled.pool.available()
        pooled.pass_time(0.9)
        assert not pooled.pool.available()
        pooled.pass_time(0.1)
        assert pooled.pool.available()

    @pytest.mark.parametrize("problem", [None, DEAD])
    def test_of_one_that_nobody_has_called_nothing_is_known(
        self, problem: Exception | None
    ) -> None:
        pooled = Pooled()
        assert (pooled.pool.state.reachable, pooled.pool.state.tried) == (True, False)
        pooled.server.refuses = problem
        (pooled.connect if problem is None else pooled.fail)()
        assert pooled.pool.state.tried

    def test_its_state_tells_why_and_for_how_long_until_it_answers_again(self) -> None:
        pooled = Pooled()
        pooled.server.refuses = DEAD
        pooled.fail()
        pooled.pass_time(0.25)
        state = pooled.pool.state
        assert (state.reachable, state.retry_in) == (False, 0.75)
        assert state.problem
        pooled.server.refuses = None
        pooled.connect()
        state = pooled.pool.state
        assert (state.reachable, state.problem, state.retry_in) == (True, "", 0)

    def absences(self, tries: int) -> list[float]:
        """How long a dead server is left out after each try."""
        pooled = Pooled()
        pooled.server.refuses = DEAD
        found = []
        for _ in range(tries):
            pooled.fail()
            seconds = 0.0
            while not pooled.pool.available():
                pooled.pass_time(0.25)
                seconds += 0.25
            found.append(seconds)
        return found

    def test_the_absence_doubles_up_to_half_a_minute(self) -> None:
        assert self.absences(8) == [1, 2, 4, 8, 16, 30, 30, 30]

    def test_one_connection_begins_it_anew(self) -> None:
        pooled = Pooled()
        pooled.server.refuses = DEAD
        for _ in range(4):
            pooled.fail()
            pooled.pass_time(30)
        pooled.server.refuses = None
        pooled.connect()
        assert pooled.pool.available()
        pooled.server.refuses = DEAD
        pooled.fail()
        pooled.pass_time(1)
        assert pooled.pool.available()

    def test_many_requests_at_once_count_as_one_try(self) -> None:
        """Or a restart of a second would leave a busy server out for half a minute."""
        pooled = Pooled()
        pooled.server.mute = True
        failures: list[Failure] = []
        for _ in range(50):
            pooled.connecting().addErrback(failures.append)
        pooled.server.answer(DEAD)
        assert len(failures) == 50
        pooled.pass_time(1)
        assert pooled.pool.available()

    @given(st.lists(st.floats(0, 60), max_size=30))
    def test_whenever_it_is_tried_the_absence_stays_between_floor_and_cap(
        self, pauses: list[float]
    ) -> None:
        """S59."""
        pooled = Pooled()
        pooled.server.refuses = DEAD
        for pause in pauses:
            was_there = pooled.pool.available()
            pooled.fail()
            assert not pooled.pool.available()
            if was_there:
                pooled.clock.advance(0.99)
                assert not pooled.pool.available()
            pooled.clock.advance(pause)
        pooled.clock.advance(30)
        assert pooled.pool.available()

    def test_it_is_told_once_when_it_goes_and_once_when_it_comes(
        self, logged: list[LogEvent]
    ) -> None:
        pooled = Pooled()
        pooled.server.refuses = DEAD
        for _ in range(5):
            pooled.fail()
            pooled.pass_time(30)
        pooled.server.refuses = None
        pooled.connect()
        pooled.connect()
        assert [event["log_level"].name for event in logged] == ["warn", "info"]


class TestBalancer:
    def pools(self, number: int) -> list[Pooled]:
        return [Pooled() for _ in range(number)]

    def orders(self, pooled: list[Pooled], times: int) -> list[list[int]]:
        balancer = Balancer([each.pool for each in pooled])
        pools = list(balancer.pools)
        return [[pools.index(pool) for pool in balancer.order()] for _ in range(times)]

    def test_each_server_is_the_first_in_turn(self) -> None:
        orders = self.orders(self.pools(3), 6)
        assert sorted(order[0] for order in orders) == [0, 0, 1, 1, 2, 2]

    def test_every_order_holds_all_servers(self) -> None:
        assert all(sorted(order) == [0, 1, 2] for order in self.orders(self.pools(3), 6))

    def test_the_dead_come_last(self) -> None:
        pooled = self.pools(3)
        pooled[1].server.refuses = DEAD
        pooled[1].fail()
        orders = self.orders(pooled, 6)
        assert all(order[-1] == 1 for order in orders)
        assert {order[0] for order in orders} == {0, 2}

    def test_they_have_their_turn_again_after_their_absence(self) -> None:
        pooled = self.pools(2)
        pooled[1].server.refuses = DEAD
        pooled[1].fail()
        pooled[1].pass_time(1)
        assert {order[0] for order in self.orders(pooled, 2)} == {0, 1}

    def test_where_all_are_dead_all_are_tried(self) -> None:
        pooled = self.pools(2)
        for each in pooled:
            each.server.refuses = DEAD
            each.fail()
        assert all(sorted(order) == [0, 1] for order in self.orders(pooled, 2))

    def test_a_single_server_is_tried_even_if_dead(self) -> None:
        pooled = self.pools(1)
        pooled[0].server.refuses = DEAD
        pooled[0].fail()
        assert self.orders(pooled, 2) == [[0], [0]]

"""Sixty days of a source of lists, and wall clocks that jump, in simulated time (S59, S60)."""

from datetime import date, datetime, timedelta
from itertools import pairwise

from publishing import DAY, LOOK, PARIS, Published, Simulation, daily, paris
from sasgate.revocation.schedule import (
    EMPTY_CAP,
    EMPTY_FLOOR,
    RETRY_CAP,
    RETRY_FLOOR,
    Known,
)


HOUR = timedelta(hours=1)
JUNE = date(2026, 6, 1)


class TestSixtyDays:
    def test_one_question_a_day_where_all_goes_well(self) -> None:
        simulation = Simulation(daily(JUNE, 61), paris(JUNE, 15)).run(60 * DAY)
        first, *mornings = simulation.asked
        assert first.wall == paris(JUNE, 15)
        assert len(mornings) == 60
        assert all(asked.how == "new" for asked in mornings)
        assert all(
            timedelta() <= asked.wall - paris(asked.local.date(), 7, 20) <= LOOK
            for asked in mornings
        )

    def test_a_list_that_comes_late_is_asked_for_each_hour_or_so_until_it_came(self) -> None:
        late = [Published(each.day, hour=11) for each in daily(JUNE, 5)]
        simulation = Simulation(late, paris(JUNE, 15)).run(4 * DAY)
        third = [asked for asked in simulation.asked if asked.local.date() == JUNE + 3 * DAY]
        *before, last = third
        assert [asked.how for asked in before] == ["same"] * len(before)
        assert last.how == "new"
        assert 2 <= len(before) <= 4
        assert third[0].wall - paris(JUNE + 3 * DAY, 7, 20) <= LOOK

    def test_every_third_day_the_source_is_dead_until_noon(self) -> None:
        def failing(now: datetime) -> bool:
            local = now.astimezone(PARIS)
            return local.toordinal() % 3 == 0 and local.hour < 12

        simulation = Simulation(daily(JUNE, 61), paris(JUNE, 15), failing).run(60 * DAY)
        fetched = [asked for asked in simulation.asked if asked.how == "new"]
        assert {asked.local.date() for asked in fetched} == {
            JUNE + each * DAY for each in range(61)
        }
        assert all(asked.local.hour < 17 for asked in fetched[1:])
        assert len(simulation.asked) < 60 * 4

    def test_s59_three_days_of_failures_with_a_current_list(self) -> None:
        begins = paris(JUNE + DAY)

        def failing(now: datetime) -> bool:
            return begins <= now < begins + 3 * DAY

        simulation = Simulation(daily(JUNE, 10), paris(JUNE, 15), failing).run(8 * DAY)
        times = [asked.at for asked in simulation.asked if asked.how == "failed"]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert len(gaps) > 10
        assert min(gaps) >= RETRY_FLOOR
        assert max(gaps) <= RETRY_CAP + LOOK.total_seconds()
        assert simulation.asked[-1].how == "new"

    def test_s59_sixty_days_of_failures_with_a_list_that_runs_out(self) -> None:
        start = paris(JUNE, 15)
        simulation = Simulation(daily(JUNE, 1), start, lambda now: now > start).run(60 * DAY)
        expired = paris(JUNE) + 6 * DAY
        for earlier, later in pairwise(simulation.asked[1:]):
            floor, cap = (RETRY_FLOOR, RETRY_CAP)
            if earlier.wall > expired:
                floor, cap = EMPTY_FLOOR, EMPTY_CAP
            assert floor <= later.at - earlier.at <= cap + LOOK.total_seconds()
        assert simulation.asked[-1].wall > start + 59 * DAY

    def test_s59_sixty_days_of_failures_without_a_list(self) -> None:
        simulation = Simulation([], paris(JUNE, 15), lambda _: True).run(60 * DAY)
        gaps = simulation.gaps()
        assert len(gaps) > 60 * 24
        assert min(gaps) >= EMPTY_FLOOR
        assert max(gaps) <= EMPTY_CAP + LOOK.total_seconds()

    def test_the_root_is_asked_for_its_monthly_list_when_it_is_due(self) -> None:
        months = [Published(date(2026, month, 1), 45 * DAY) for month in range(1, 8)]
        simulation = Simulation(months, paris(date(2026, 1, 10), 15)).run(170 * DAY)
        fetched = [asked.local for asked in simulation.asked if asked.how == "new"]
        assert [each.date() for each in fetched[1:]] == [
            date(2026, month, 1) for month in range(2, 7)
        ]
        # A list that February made due too early is in the midst of its back-off.
        assert all(each.hour < 12 for each in fetched[1:])
        # Its interval is known now, and half of the validity is not yet past.
        for month in range(2, 7):
            quiet = [
                asked
                for asked in simulation.asked
                if asked.local.month == month and 2 <= asked.local.day <= 21
            ]
            assert quiet == []

    def test_a_period_of_half_an_hour(self) -> None:
        simulation = Simulation(daily(JUNE, 61), paris(JUNE, 15), refresh=1800.0).run(2 * DAY)
        assert set(simulation.gaps()) == {1800.0}


class TestWallClock:
    """S60: it may be set; what waits is on a clock that never jumps."""

    def test_s60_set_ahead_by_days_a_due_list_is_asked_for_at_the_next_look(self) -> None:
        simulation = Simulation(daily(JUNE, 20), paris(JUNE, 15)).run(DAY)
        count = len(simulation.asked)
        simulation.jump = 2 * DAY
        simulation.run(2 * LOOK)
        assert len(simulation.asked) == count + 1
        assert simulation.asked[-1].how == "new"

    def test_s60_set_back_after_an_excursion_it_asks_once_and_goes_on(self) -> None:
        only = Published(JUNE, 45 * DAY)
        astray = Known(only.this_update, only.next_update, None, paris(date(2036, 1, 1)))
        simulation = Simulation([only], paris(JUNE + DAY, 15), known=astray).run(3 * DAY)
        assert [asked.local.date() for asked in simulation.asked] == [
            JUNE + each * DAY for each in range(1, 5)
        ]

    def test_s60_a_period_is_not_stretched_by_a_clock_that_is_set_back(self) -> None:
        simulation = Simulation(daily(JUNE, 9), paris(JUNE, 15), refresh=1800.0).run(DAY)
        simulation.jump = -6 * HOUR
        count = len(simulation.asked)
        simulation.run(HOUR)
        assert len(simulation.asked) - count in {2, 3}

    def test_s60_no_jump_shortens_or_stretches_a_back_off(self) -> None:
        simulation = Simulation([], paris(JUNE, 15), lambda _: True)
        for jump in (timedelta(), 9 * DAY, -9 * DAY, HOUR, -HOUR) * 12:
            simulation.jump = jump
            simulation.run(2 * HOUR)
        gaps = simulation.gaps()
        assert min(gaps) >= EMPTY_FLOOR
        assert max(gaps) <= EMPTY_CAP + LOOK.total_seconds()

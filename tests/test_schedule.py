"""When a source of lists is due."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from publishing import DAY, OFFSET, PARIS, Simulation, daily, paris
from sasgate.revocation.crl import Held, VerifiedList
from sasgate.revocation.schedule import (
    Known,
    draw_offset,
    due,
    publication_interval,
)
from sasgate.revocation.scope import Scope


HOUR = timedelta(hours=1)
JUNE = date(2026, 6, 1)
INSTANTS = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 - hypothesis wants naive ends
    datetime(2040, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
SPANS = st.timedeltas(timedelta(), 60 * DAY)
KNOWN = st.builds(
    lambda this_update, validity, interval, checked: Known(
        this_update, this_update + validity, interval, checked
    ),
    INSTANTS,
    SPANS,
    st.none() | SPANS,
    st.none() | INSTANTS,
)


def held(day: date, interval: timedelta | None = DAY, validity: timedelta = 6 * DAY) -> Known:
    """The list of a day, fetched the same morning."""
    fetched = paris(day, 7, 20)
    return Known(paris(day), paris(day) + validity, interval, fetched)


def when(known: Known, now: datetime, refresh: float | None = None) -> datetime:
    return due(known, refresh, OFFSET, now)


class TestOneSource:
    def test_without_a_list_it_is_due_at_once(self) -> None:
        now = paris(JUNE, 3, 33)
        for refresh in (None, 1800.0):
            assert when(Known(), now, refresh) == now

    def test_without_a_list_it_is_due_at_once_though_it_answered(self) -> None:
        now = paris(JUNE, 3, 33)
        assert when(Known(checked=now), now) == now

    def test_a_daily_list_is_due_on_the_next_morning_at_the_offset(self) -> None:
        assert when(held(JUNE), paris(JUNE, 7, 21)) == paris(JUNE + DAY, 7, 20)

    def test_it_is_not_due_a_second_before(self) -> None:
        now = paris(JUNE + DAY, 7, 20) - timedelta(seconds=1)
        assert when(held(JUNE), now) > now

    def test_once_due_it_stays_due_until_it_came(self) -> None:
        known = held(JUNE)
        for now in (paris(JUNE + DAY, hour) for hour in range(8, 24)):
            answered = Known(known.this_update, known.next_update, known.interval, now)
            assert when(answered, now) == paris(JUNE + DAY, 7, 20)

    def test_an_unknown_interval_means_every_morning(self) -> None:
        known = held(JUNE, interval=None)
        assert when(known, paris(JUNE, 12)) == paris(JUNE + DAY, 7, 20)
        again = Known(known.this_update, known.next_update, None, paris(JUNE + DAY, 7, 20))
        assert when(again, paris(JUNE + DAY, 12)) == paris(JUNE + 2 * DAY, 7, 20)

    def test_an_unknown_interval_and_no_answer_that_morning_stays_due(self) -> None:
        now = paris(JUNE + DAY, 15)
        assert when(held(JUNE, interval=None), now) == paris(JUNE + DAY, 7, 20)

    @pytest.mark.parametrize("interval", [timedelta(), timedelta(seconds=1), 2 * HOUR])
    def test_an_issuer_in_haste_is_asked_every_morning(self, interval: timedelta) -> None:
        """An urgent list an hour after another must not make its source due for ever."""
        assert when(held(JUNE, interval), paris(JUNE, 7, 21)) == paris(JUNE + DAY, 7, 20)

    def test_a_monthly_list_is_left_in_peace_for_half_of_its_validity(self) -> None:
        known = held(JUNE, 30 * DAY, 45 * DAY)
        assert when(known, paris(JUNE, 12)) == paris(JUNE) + timedelta(days=22.5)

    def test_a_monthly_list_is_due_when_the_next_should_be_there(self) -> None:
        known = held(JUNE, 30 * DAY, 90 * DAY)
        assert when(known, paris(JUNE, 12)) == paris(JUNE + 30 * DAY, 7, 20)


class TestHalfOfTheValidity:
    known = held(JUNE, 30 * DAY)

    def test_it_is_due_there_at_any_hour(self) -> None:
        assert when(self.known, paris(JUNE, 12)) == paris(JUNE + 3 * DAY)

    def test_an_answer_before_it_changes_nothing(self) -> None:
        before = Known(*self.span(), self.known.interval, paris(JUNE + 2 * DAY))
        assert when(before, paris(JUNE + 2 * DAY, 12)) == paris(JUNE + 3 * DAY)

    def test_without_an_answer_it_stays_due(self) -> None:
        assert when(self.known, paris(JUNE + 5 * DAY)) == paris(JUNE + 3 * DAY)

    def test_after_an_answer_it_is_due_every_morning(self) -> None:
        now = paris(JUNE + 3 * DAY, 0, 5)
        answered = Known(*self.span(), self.known.interval, now)
        assert when(answered, now) == paris(JUNE + 3 * DAY, 7, 20)
        now = paris(JUNE + 3 * DAY, 7, 20)
        answered = Known(*self.span(), self.known.interval, now)
        assert when(answered, now) == paris(JUNE + 4 * DAY, 7, 20)

    def test_an_expired_list_is_due_whatever_was_answered(self) -> None:
        now = paris(JUNE + 6 * DAY, 12)
        answered = Known(*self.span(), self.known.interval, now)
        for refresh in (None, 86400.0):
            assert when(answered, now, refresh) == self.known.next_update

    def span(self) -> tuple[datetime | None, datetime | None]:
        return self.known.this_update, self.known.next_update


class TestPeriod:
    def test_it_counts_from_the_last_answer(self) -> None:
        assert when(held(JUNE), paris(JUNE, 7, 21), 1800.0) == paris(JUNE, 7, 50)

    def test_a_list_that_was_never_checked_is_due(self) -> None:
        now = paris(JUNE, 12)
        assert when(Known(paris(JUNE), paris(JUNE + 6 * DAY)), now, 1800.0) <= now

    def test_a_long_one_does_not_let_a_list_run_out(self) -> None:
        week = 7 * 86400.0
        assert when(held(JUNE), paris(JUNE, 12), week) == paris(JUNE + 3 * DAY)


class TestInterval:
    def facts(self, number: int, this_update: datetime) -> VerifiedList:
        issuer = ("00" * 32,)
        end = this_update + 6 * DAY
        return VerifiedList(issuer, "CN=CA", number, this_update, end, 0, Scope(), "", "")

    def test_it_is_the_time_between_two_lists(self) -> None:
        interval = publication_interval(Held(7, paris(JUNE), ""), self.facts(8, paris(JUNE + DAY)))
        assert interval == DAY

    def test_lists_that_nobody_fetched_do_not_make_it_longer(self) -> None:
        interval = publication_interval(
            Held(7, paris(JUNE), ""), self.facts(14, paris(JUNE + 7 * DAY))
        )
        assert interval == DAY

    def test_a_number_that_did_not_rise_is_no_error(self) -> None:
        interval = publication_interval(Held(7, paris(JUNE), ""), self.facts(7, paris(JUNE)))
        assert interval == timedelta()


class TestOffset:
    def test_it_lies_between_nothing_and_90_minutes(self) -> None:
        assert draw_offset(lambda: 0.0) == timedelta()
        assert draw_offset(lambda: 0.5) == timedelta(minutes=45)
        assert draw_offset(lambda: 1 - 2**-53) <= timedelta(minutes=90)

    @given(checked=INSTANTS, draw=st.floats(0, 1, exclude_max=True))
    def test_each_installation_asks_at_its_own_time_of_day(
        self, checked: datetime, draw: float
    ) -> None:
        offset = draw_offset(lambda: draw)
        known = Known(checked - HOUR, checked + 60 * DAY, None, checked)
        instant = due(known, None, offset, checked)
        local = instant.astimezone(PARIS)
        assert timedelta(0) < instant - checked <= 25 * HOUR
        assert instant == paris(local.date(), 7) + offset


class TestSummerTime:
    """S60: mornings are those of Paris, on the days that have 23 and 25 hours too."""

    @pytest.mark.parametrize(
        ("day", "hour_utc"),
        [
            (date(2026, 3, 28), 6),
            (date(2026, 3, 29), 5),
            (date(2026, 3, 30), 5),
            (date(2026, 10, 24), 5),
            (date(2026, 10, 25), 6),
            (date(2026, 10, 26), 6),
        ],
    )
    def test_s60_seven_in_paris(self, day: date, hour_utc: int) -> None:
        for interval in (None, DAY):
            asked = when(held(day - DAY, interval), paris(day - DAY, 12))
            assert asked == datetime(day.year, day.month, day.day, hour_utc, 20, tzinfo=UTC)

    @pytest.mark.parametrize("switch", [date(2026, 3, 29), date(2026, 10, 25)])
    def test_s60_every_list_of_those_days_is_fetched_on_its_morning(self, switch: date) -> None:
        start = switch - 3 * DAY
        simulation = Simulation(daily(start, 7), paris(start, 12)).run(6 * DAY)
        mornings = [asked for asked in simulation.asked[1:] if asked.how == "new"]
        assert [asked.local.date() for asked in mornings] == [
            start + each * DAY for each in range(1, 7)
        ]
        assert {(asked.local.hour, asked.local.minute) for asked in mornings} == {(7, 20)}


class TestAlways:
    @given(known=KNOWN, refresh=st.none() | st.floats(60, 7 * 86400), now=INSTANTS, later=SPANS)
    def test_what_is_due_stays_due(
        self, known: Known, refresh: float | None, now: datetime, later: timedelta
    ) -> None:
        assume(known.checked is None or known.checked <= now)
        if when(known, now, refresh) <= now:
            assert when(known, now + later, refresh) <= now + later

    @given(known=KNOWN, now=INSTANTS)
    def test_no_list_runs_out_unasked(self, known: Known, now: datetime) -> None:
        assert known.next_update is not None
        assert when(known, now) <= known.next_update

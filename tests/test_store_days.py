"""A store through sixty days of simulated time: what it asks for and when (S59, S60)."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from attrs import define, field

from crl_judging import ORG, ROOT, sha256, signed
from sasgate.lab.authority import Authority
from sasgate.lab.pki import Lab
from sasgate.revocation.store import Store
from stores import ORG_URL, ROOT_URL, UNREACHABLE, World, ended, number, state


PARIS = ZoneInfo("Europe/Paris")
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
# Daylight saving begins on 29 March.
BEGIN = datetime(2026, 3, 1, 11, 0, tzinfo=UTC)


@define
class SimulatedCA:
    """Signs a list at midnight in Paris, every `every` days, and publishes it at 07:00."""

    authority: Authority
    world: World
    every: int
    validity: timedelta
    down: list[tuple[datetime, datetime]] = field(factory=list)
    lists: dict[int, bytes] = field(factory=dict)

    def number_at(self, now: datetime) -> int:
        """The last list that was published."""
        days = (now.astimezone(PARIS) - timedelta(hours=7)).date() - BEGIN.date()
        return 100 + days // (self.every * DAY)

    def __call__(self) -> bytes | Exception:
        now = self.world.wall()
        if any(begin <= now < end for begin, end in self.down):
            return UNREACHABLE
        wanted = self.number_at(now)
        if wanted not in self.lists:
            day = BEGIN.date() + (wanted - 100) * self.every * DAY
            midnight = datetime.combine(day, time(), PARIS).astimezone(UTC)
            self.lists[wanted] = signed(
                self.authority,
                number=wanted,
                this_update=midnight,
                next_update=midnight + self.validity,
            )
        return self.lists[wanted]


@pytest.fixture
def world(lab: Lab, tmp_path: Path) -> World:
    return World(lab, tmp_path / "crl", begin=BEGIN)


@pytest.fixture
def daily(world: World) -> SimulatedCA:
    """As ACI-EL-ORG: a list a day, valid for six."""
    ca = SimulatedCA(world.lab.authorities[ORG], world, 1, 6 * DAY)
    world.served[ORG_URL] = ca
    return ca


@pytest.fixture
def monthly(world: World) -> SimulatedCA:
    """As ACR-EL: a list a month, valid for 45 days."""
    ca = SimulatedCA(world.lab.authorities[ROOT], world, 30, 45 * DAY)
    world.served[ROOT_URL] = ca
    return ca


def asked(world: World, url: str) -> list[datetime]:
    return [when for each, when, _ in world.asked if each == url]


def each_day(world: World, days: int) -> Iterator[datetime]:
    """Lets days pass; each is given at 12:00 in Paris."""
    for _ in range(days):
        today = world.wall().astimezone(PARIS).date()
        noon = datetime.combine(today + DAY, time(12), PARIS)
        world.pass_time(seconds=(noon - world.wall()).total_seconds())
        yield world.wall()


def test_sixty_days_one_download_a_morning(world: World, daily: SimulatedCA) -> None:
    """S60: no day is missed and none has two, across the change to summer time."""
    store = world.opened()
    for noon in each_day(world, 60):
        assert number(store, daily.authority) == daily.number_at(noon)
    downloads = asked(world, ORG_URL)
    assert len(downloads) == 61
    mornings = [when.astimezone(PARIS) for when in downloads[1:]]
    assert len({when.date() for when in mornings}) == 60
    assert all(when.time() == time(7, 45) for when in mornings)


def test_a_monthly_list_is_asked_for_when_it_is_needed(world: World, monthly: SimulatedCA) -> None:
    """Once a morning until its habits are known, and not for nothing after that."""
    store = world.opened(world.plan(ROOT_URL))
    for noon in each_day(world, 30):
        assert number(store, monthly.authority) == monthly.number_at(noon)
    # The first at once, thirty mornings, and one at half of the list's validity.
    assert len(asked(world, ROOT_URL)) == 32
    for _ in each_day(world, 20):
        pass
    assert len(asked(world, ROOT_URL)) == 32
    for noon in each_day(world, 10):
        assert number(store, monthly.authority) == monthly.number_at(noon)
    # At half of its validity, day 22.5, and then every morning.
    assert len(asked(world, ROOT_URL)) == 32 + 1 + 8


def test_ten_days_down(world: World, daily: SimulatedCA) -> None:
    """S59: attempts between their floor and their cap, and the gateway recovers by itself."""
    begin, end = BEGIN + 10 * DAY, BEGIN + 20 * DAY
    daily.down = [(begin, end)]
    store = world.opened()
    for noon in each_day(world, 9):
        assert number(store, daily.authority) == daily.number_at(noon)
    world.pass_time(seconds=(end - world.wall()).total_seconds())
    failed = [when for when in asked(world, ORG_URL) if begin <= when < end]
    expired = state(store).next_update
    assert expired is not None
    held = [when for when in failed if when < expired]
    without = [when for when in failed if when >= expired]
    assert all(HOUR <= gap <= 4 * HOUR + HOUR / 60 for gap in gaps(held))
    assert all(timedelta(minutes=1) <= gap <= HOUR + HOUR / 60 for gap in gaps(without))
    assert len(failed) < 6 * 24 + 6 * 24
    assert store.lists.by_issuer[sha256(daily.authority)]
    world.pass_time(hours=1.1)
    assert number(store, daily.authority) == daily.number_at(world.wall())
    # What was missed has not been taken for a habit.
    for noon in each_day(world, 20):
        assert number(store, daily.authority) == daily.number_at(noon)
    assert len([when for when in asked(world, ORG_URL) if when > end + 2 * HOUR]) <= 21


def gaps(instants: list[datetime]) -> list[timedelta]:
    assert len(instants) > 3
    return [after - before for before, after in pairwise(instants)]


def test_a_restart_of_the_daemon_every_few_hours_asks_no_more(
    world: World, daily: SimulatedCA
) -> None:
    store: Store = world.opened()
    for _ in range(6 * 10):
        world.pass_time(hours=4)
        ended(store.close())
        store = world.opened()
    assert number(store, daily.authority) == daily.number_at(world.wall())
    assert len(asked(world, ORG_URL)) <= 12


def test_a_period(world: World, daily: SimulatedCA) -> None:
    store = world.opened(refresh=1800.0)
    world.pass_time(days=1)
    assert len(asked(world, ORG_URL)) == 49
    assert number(store, daily.authority) == 101


@pytest.mark.parametrize("jump", [-DAY, -HOUR, HOUR, DAY, 20 * DAY])
def test_the_wall_clock_jumps(jump: timedelta, world: World, daily: SimulatedCA) -> None:
    """S60: waits are on a clock that doesn't, and what is due by the new time is soon seen."""
    store = world.opened()
    for _ in each_day(world, 3):
        pass
    before = len(asked(world, ORG_URL))
    world.jump = jump
    world.pass_time(minutes=1)
    due = daily.number_at(world.wall()) > 103
    assert (len(asked(world, ORG_URL)) > before) is due
    if due:
        assert number(store, daily.authority) == daily.number_at(world.wall())
    world.pass_time(minutes=30)
    assert len(asked(world, ORG_URL)) <= before + 1


def test_a_list_that_was_to_come_is_waited_for(world: World, daily: SimulatedCA) -> None:
    """A morning on which the CA is late: hourly at the most, and no alarm by itself."""
    store = world.opened()
    for _ in each_day(world, 4):
        pass
    late = daily.lists[daily.number_at(world.wall())]
    world.served[ORG_URL] = lambda: late
    begin = world.wall()
    world.pass_time(days=1, hours=12)
    waiting = [when for when in asked(world, ORG_URL) if when > begin]
    assert waiting[0].astimezone(PARIS).time() == time(7, 45)
    assert all(HOUR <= gap <= 4 * HOUR + HOUR / 60 for gap in gaps(waiting))
    assert not state(store).error
    world.served[ORG_URL] = daily
    world.pass_time(hours=4.1)
    assert number(store, daily.authority) == daily.number_at(world.wall())

"""What is counted of what the journal is told."""

from datetime import UTC, datetime

import pytest
from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger

from sasgate.admin.lag import PERIOD, LoopLag
from sasgate.admin.recorder import LAG_BOUNDS, MINUTES, REMEMBERED, Histogram, Recorder
from sasgate.journal import Access, Decision, Journal
from sasgate.settings import Log


ADMITTED = Decision("inbound", "recette", "192.0.2.1", "admitted", "SUCCESS", "admitted")
REFUSED = evolve(ADMITTED, outcome="unauthorized", verify="FAILED:revoked", detail="on the list")
CLOSED = evolve(ADMITTED, outcome="closed", verify="NONE", detail="address not allowed")
SLOT = Access("inbound", "recette", "192.0.2.1", "0a", "GET", b"/Slot", 200, 0, 10, 0.2, 0.03)


class Recorded:
    """A recorder with a journal that feeds it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.now = datetime(2026, 11, 23, tzinfo=UTC)
        self.recorder = Recorder(self.clock.seconds, lambda: self.now)
        self.events: list[LogEvent] = []
        log = Logger(observer=self.events.append)  # type: ignore[arg-type]
        self.journal = Journal(Log(), self.clock, log)
        self.journal.watch(self.recorder)


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


class TestDecisions:
    def test_they_are_counted_by_listener_outcome_and_verify(self, recorded: Recorded) -> None:
        for decision in (ADMITTED, ADMITTED, REFUSED):
            recorded.journal.decision(decision)
        assert recorded.recorder.decisions == {
            ("inbound", "admitted", "SUCCESS"): 2,
            ("inbound", "unauthorized", "FAILED:revoked"): 1,
        }

    def test_refusals_that_the_journal_tells_together_are_counted_each(
        self, recorded: Recorded
    ) -> None:
        for _ in range(5):
            recorded.journal.decision(REFUSED)
        assert len(recorded.events) == 1
        assert sum(recorded.recorder.decisions.values()) == 5

    def test_identical_ones_are_one_with_their_count_the_latest_first(
        self, recorded: Recorded
    ) -> None:
        for decision in (ADMITTED, REFUSED, ADMITTED):
            recorded.journal.decision(decision)
        recent = [(each.decision, each.count) for each in recorded.recorder.recent]
        assert recent == [(ADMITTED, 2), (REFUSED, 1)]

    def test_no_more_than_50_are_remembered(self, recorded: Recorded) -> None:
        for number in range(REMEMBERED + 10):
            recorded.journal.decision(evolve(REFUSED, serial=str(number)))
        serials = [each.decision.serial for each in recorded.recorder.recent]
        assert serials == [str(number) for number in range(REMEMBERED + 9, 9, -1)]

    def test_s39_a_hostile_name_is_cut_before_it_is_remembered(self, recorded: Recorded) -> None:
        recorded.journal.decision(evolve(REFUSED, cn="x" * 65536))
        (recent,) = recorded.recorder.recent
        assert len(recent.decision.cn) < 300


class TestHour:
    def test_a_minute_counts_requests_refusals_and_closed_ones_apart(
        self, recorded: Recorded
    ) -> None:
        for decision in (ADMITTED, REFUSED, evolve(REFUSED, outcome="cut"), CLOSED):
            recorded.journal.decision(decision)
        recorded.journal.access(SLOT)
        (minute,) = recorded.recorder.minutes
        assert (minute.requests, minute.refusals, minute.closed) == (1, 2, 1)

    def test_a_new_minute_begins_at_nought(self, recorded: Recorded) -> None:
        recorded.journal.access(SLOT)
        recorded.clock.advance(120)
        assert [each.requests for each in recorded.recorder.minutes] == [1, 0, 0]

    @pytest.mark.parametrize("hours", [1, 100_000])
    def test_what_is_older_than_an_hour_is_forgotten(self, recorded: Recorded, hours: int) -> None:
        recorded.journal.access(SLOT)
        recorded.clock.advance(hours * 3600)
        assert [each.requests for each in recorded.recorder.minutes] == [0] * MINUTES

    def test_what_was_given_away_no_longer_changes(self, recorded: Recorded) -> None:
        before = recorded.recorder.minutes
        recorded.journal.access(SLOT)
        assert before[0].requests == 0


class TestExchanges:
    def test_they_are_counted_by_listener_and_status(self, recorded: Recorded) -> None:
        recorded.journal.access(SLOT)
        recorded.journal.access(evolve(SLOT, listener="outbound", status=502))
        assert recorded.recorder.exchanges == {("inbound", 200): 1, ("outbound", 502): 1}

    def test_those_of_refused_clients_are_counted_without_a_line(self, recorded: Recorded) -> None:
        recorded.journal.refused(evolve(SLOT, status=401))
        assert recorded.recorder.exchanges == {("inbound", 401): 1}
        assert recorded.events == []

    @pytest.mark.parametrize("name", ["inbound", "inbound:x", "outbound", "outbound:x"])
    def test_their_times_are_kept_by_direction(self, recorded: Recorded, name: str) -> None:
        recorded.journal.access(evolve(SLOT, listener=name))
        direction = name.partition(":")[0]
        assert recorded.recorder.answers[direction].total == 0.03
        assert recorded.recorder.whole[direction].total == 0.2

    def test_a_handshake_is_counted_by_listener(self, recorded: Recorded) -> None:
        recorded.journal.handshake("inbound:x", 0.004)
        assert recorded.recorder.handshakes["inbound:x"].counts[0] == 1


def test_bounds_are_inclusive_and_counts_cumulate() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    assert list(histogram.cumulative()) == [(1.0, 2), (2.0, 3), (float("inf"), 4)]


class Broken:
    """A watcher that raises."""

    def decision(self, decision: Decision) -> None:
        raise RuntimeError

    def exchange(self, access: Access) -> None:
        raise RuntimeError

    def handshake(self, listener: str, seconds: float) -> None:
        raise RuntimeError


def test_a_watcher_that_raises_keeps_nothing_from_the_journal(recorded: Recorded) -> None:
    recorded.journal.watch(Broken())
    recorded.journal.decision(ADMITTED)
    recorded.journal.access(SLOT)
    recorded.journal.handshake("inbound", 0.1)
    told = [event.get("event") for event in recorded.events]
    assert (told.count("decision"), told.count("access")) == (1, 1)
    assert sum("log_failure" in event for event in recorded.events) == 3


class TestLag:
    def test_a_loop_that_is_on_time_has_none(self) -> None:
        clock = Clock()
        lag = LoopLag(clock, Histogram(LAG_BOUNDS))
        lag.start()
        clock.pump([PERIOD] * 10)
        assert lag.worst == 0

    def test_one_that_is_late_is_told_and_forgotten_after_a_minute(self) -> None:
        clock, histogram = Clock(), Histogram(LAG_BOUNDS)
        lag = LoopLag(clock, histogram)
        lag.start()
        clock.advance(PERIOD + 0.25)
        assert (lag.last, lag.worst) == (0.25, 0.25)
        clock.advance(PERIOD - 0.25)
        assert (lag.last, lag.worst) == (0, 0.25)
        clock.pump([PERIOD] * 60)
        assert lag.worst == 0
        assert histogram.total == 0.25

    def test_a_standstill_of_many_periods_is_one_lag(self) -> None:
        clock = Clock()
        lag = LoopLag(clock, Histogram(LAG_BOUNDS))
        lag.start()
        clock.advance(PERIOD + 7.5)
        assert lag.worst == 7.5
        clock.pump([0.5, *[PERIOD] * 3])
        assert lag.last == 0

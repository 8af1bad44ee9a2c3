"""Débrayage: bounded, on the record, and nothing where anything is in doubt (S22, S23, S60)."""

import json
import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve
from twisted.logger import LogEvent, LogLevel, formatEvent

from disengaged import ADMIT_FOR, HOUR, NONE, ORG, OTHER, Bench
from sasgate.revocation.disengagement import ByHand, NotKept
from sasgate.revocation.policy import Disengagement, ListWord, OCSPWord, Status, rule
from sasgate.settings import RevocationMode


ON_LAST_LIST, WITHOUT_LIST = Disengagement.ON_LAST_LIST, Disengagement.WITHOUT_LIST


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A full disk; `undo` makes room."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("sasgate.revocation.disengagement.write_atomically", fail)
        yield patch


def lines(logged: list[LogEvent]) -> list[str]:
    chosen = [event for event in logged if event["log_namespace"] == "sasgate.revocation"]
    assert all(event["log_level"] in {LogLevel.warn, LogLevel.critical} for event in chosen)
    return [formatEvent(event) for event in chosen]


class TestByItself:
    """Automatic débrayage: `when_unknown = admit`."""

    def test_nothing_is_disengaged_at_first(self, bench: Bench) -> None:
        assert bench.word() == NONE
        assert bench.held.state == ()
        assert not bench.path.exists()

    def test_it_lasts_from_the_first_unknown_for_its_time(self, bench: Bench) -> None:
        bench.unknown()
        assert bench.word() == (ON_LAST_LIST, bench.after(ADMIT_FOR))
        bench.pass_time(ADMIT_FOR - 1)
        assert bench.word() == (ON_LAST_LIST, bench.after(ADMIT_FOR))
        bench.pass_time(1)
        assert bench.word() == NONE

    def test_it_never_admits_without_a_list(self, bench: Bench) -> None:
        bench.unknown()
        ruling = rule(
            RevocationMode.CRL, ListWord.ABSENT, (ListWord.GOOD,), OCSPWord.NOT_ASKED,
            bench.word()[0],
        )  # fmt: skip
        assert ruling.status is Status.UNKNOWN

    @pytest.mark.parametrize("mode", list(RevocationMode))
    def test_s22_what_an_expired_list_revokes_stays_refused(
        self, bench: Bench, mode: RevocationMode
    ) -> None:
        bench.unknown()
        bench.disengage(without_list=True)
        ruling = rule(
            mode, ListWord.REVOKED, (ListWord.EXPIRED,), OCSPWord.UNKNOWN, bench.word()[0]
        )
        assert ruling.status is Status.REVOKED

    def test_it_is_off_by_default(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path, admit_for=None)
        bench.unknown()
        bench.clock.advance(1)
        assert bench.word() == NONE
        assert bench.held.state == ()

    def test_it_counts_from_when_the_list_ended_not_from_when_somebody_came(
        self, bench: Bench
    ) -> None:
        bench.unknown(ago=20 * HOUR)
        assert bench.word() == (ON_LAST_LIST, bench.after(4 * HOUR))

    def test_what_is_unknown_for_longer_admits_nobody(self, bench: Bench) -> None:
        bench.unknown(ago=ADMIT_FOR)
        assert bench.word() == NONE

    def test_s23_it_is_not_renewed_by_being_asked_for(self, bench: Bench) -> None:
        for _ in range(48):
            bench.unknown()
            bench.pass_time(HOUR)
        assert bench.word() == NONE
        bench.unknown()
        assert bench.word() == NONE

    def test_an_earlier_beginning_counts(self, bench: Bench) -> None:
        bench.unknown()
        bench.pass_time(HOUR)
        bench.unknown(ago=3 * HOUR)
        assert bench.word() == (ON_LAST_LIST, bench.after(ADMIT_FOR - 2 * HOUR))

    def test_a_beginning_in_the_future_is_now(self, bench: Bench) -> None:
        bench.unknown(ago=-100 * HOUR)
        assert bench.word() == (ON_LAST_LIST, bench.after(ADMIT_FOR))

    def test_s23_it_ends_by_itself_when_the_status_is_known(self, bench: Bench) -> None:
        bench.unknown()
        bench.held.known(ORG)
        assert bench.word() == NONE
        assert bench.held.unknown_since == {}

    def test_a_current_list_begins_the_count_anew(self, bench: Bench) -> None:
        bench.unknown()
        bench.pass_time(2 * ADMIT_FOR)
        bench.held.known(ORG)
        bench.unknown()
        assert bench.word() == (ON_LAST_LIST, bench.after(3 * ADMIT_FOR))

    def test_it_is_for_the_ca_that_is_unknown_alone(self, bench: Bench) -> None:
        bench.unknown(ORG)
        assert bench.word(OTHER) == NONE
        bench.pass_time(HOUR)
        bench.unknown(OTHER)
        bench.held.known(ORG)
        assert bench.word(ORG) == NONE
        assert bench.word(OTHER) == (ON_LAST_LIST, bench.after(ADMIT_FOR + HOUR))

    def test_a_reload_changes_its_length_and_not_its_beginning(self, bench: Bench) -> None:
        bench.unknown()
        bench.pass_time(HOUR)
        bench.held.follow(2 * HOUR)
        assert bench.word() == (ON_LAST_LIST, bench.after(2 * HOUR))
        bench.held.follow(HOUR)
        assert bench.word() == NONE
        bench.held.follow(None)
        assert bench.word() == NONE
        bench.held.follow(3 * HOUR)
        assert bench.word() == (ON_LAST_LIST, bench.after(3 * HOUR))

    def test_what_is_known_and_said_again_is_not_written(self, bench: Bench) -> None:
        bench.unknown()
        written = bench.path.stat().st_ino
        for _ in range(100):
            bench.unknown()
            bench.held.known(OTHER)
        assert bench.path.stat().st_ino == written


class TestByHand:
    """`sasgate disengage` and `sasgate engage`."""

    def test_it_lasts_until_its_term(self, bench: Bench) -> None:
        bench.disengage(4 * HOUR)
        assert bench.word() == (ON_LAST_LIST, bench.after(4 * HOUR))
        bench.pass_time(4 * HOUR - 1)
        assert bench.on()
        bench.pass_time(1)
        assert bench.word() == NONE
        assert bench.held.state == ()

    def test_it_needs_no_admit_for(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path, admit_for=None)
        bench.disengage()
        assert bench.on()

    def test_it_is_for_all_cas_or_for_those_named(self, bench: Bench) -> None:
        bench.disengage(HOUR, OTHER)
        assert (bench.on(ORG), bench.on(OTHER)) == (False, True)
        bench.disengage(HOUR)
        assert (bench.on(ORG), bench.on(OTHER)) == (True, True)

    def test_without_list_goes_further(self, bench: Bench) -> None:
        bench.disengage(HOUR, without_list=True)
        assert bench.word() == (WITHOUT_LIST, bench.after(HOUR))

    def test_the_wider_word_counts_while_it_lasts(self, bench: Bench) -> None:
        bench.unknown()
        bench.disengage(HOUR, without_list=True)
        assert bench.word() == (WITHOUT_LIST, bench.after(HOUR))
        bench.pass_time(HOUR)
        assert bench.word() == (ON_LAST_LIST, bench.after(ADMIT_FOR))

    def test_the_longer_of_two_equal_words_counts(self, bench: Bench) -> None:
        bench.unknown()
        bench.disengage(HOUR)
        assert bench.word() == (ON_LAST_LIST, bench.after(ADMIT_FOR))

    def test_engage_ends_it(self, bench: Bench) -> None:
        bench.disengage()
        ended = bench.held.engage("bob")
        assert ended is not None
        assert ended.who.startswith("alice")
        assert bench.word() == NONE
        bench.crash()
        assert bench.word() == NONE

    def test_engage_leaves_what_is_disengaged_by_itself(self, bench: Bench) -> None:
        bench.unknown()
        bench.disengage(without_list=True)
        bench.held.engage("bob")
        assert bench.word() == (ON_LAST_LIST, bench.after(ADMIT_FOR))

    def test_engage_where_nothing_is_disengaged(self, bench: Bench) -> None:
        assert bench.held.engage("bob") is None
        assert bench.changes == 0

    def test_a_current_list_leaves_it(self, bench: Bench) -> None:
        bench.disengage()
        bench.unknown()
        bench.held.known(ORG)
        assert bench.on()

    def test_a_second_replaces_the_first(self, bench: Bench) -> None:
        assert bench.disengage(4 * HOUR, without_list=True) is None
        replaced = bench.disengage(HOUR, OTHER)
        assert replaced is not None
        assert replaced.without_list
        assert (bench.word(ORG), bench.word(OTHER)) == (NONE, (ON_LAST_LIST, bench.after(HOUR)))
        bench.pass_time(HOUR)
        assert not bench.on(OTHER)

    @pytest.mark.parametrize("seconds", [0, -1, 7 * 86400 + 1, 10**9])
    def test_no_other_length_exists(self, bench: Bench, seconds: float) -> None:
        with pytest.raises(ValueError, match="lasts"):
            bench.by_hand(seconds)

    def test_no_time_without_a_zone_exists(self, bench: Bench) -> None:
        naive = bench.wall().replace(tzinfo=None)
        with pytest.raises(ValueError, match="zone"):
            ByHand("a", "b", naive, naive + timedelta(hours=1))


class TestRestart:
    """The state file."""

    @pytest.mark.parametrize("how", ["restart", "crash"])
    def test_s23_the_clock_of_unknown_goes_on(self, bench: Bench, how: str) -> None:
        bench.unknown()
        for _ in range(11):
            bench.pass_time(HOUR)
            getattr(bench, how)(down=HOUR)
            bench.unknown()
        assert bench.word() == (ON_LAST_LIST, bench.after(ADMIT_FOR))
        getattr(bench, how)(down=2 * HOUR)
        bench.unknown()
        assert bench.word() == NONE

    @pytest.mark.parametrize("how", ["restart", "crash"])
    def test_what_was_disengaged_by_hand_goes_on(self, bench: Bench, how: str) -> None:
        by_hand = bench.by_hand(2 * HOUR, ORG, without_list=True, why="é\u2028\udc80")
        bench.held.disengage(by_hand)
        getattr(bench, how)(down=HOUR)
        assert [each.by_hand for each in bench.held.state] == [by_hand]
        assert bench.word() == (WITHOUT_LIST, bench.after(2 * HOUR))
        getattr(bench, how)(down=HOUR)
        assert bench.word() == NONE

    def test_the_file_is_not_for_others(self, bench: Bench) -> None:
        bench.disengage()
        assert stat.S_IMODE(bench.path.stat().st_mode) == 0o640
        assert [each.name for each in bench.path.parent.iterdir()] == [bench.path.name]

    def test_the_file_says_who_when_why_and_until(self, bench: Bench) -> None:
        bench.disengage()
        said = json.loads(bench.path.read_bytes())["by_hand"]
        assert said["who"] == "alice (uid 0, by sudo)"
        assert said["why"] == "IGC Santé is down"
        assert said["since"] == "2026-08-07T12:00:00+00:00"
        assert said["until"] == "2026-08-07T16:00:00+00:00"

    def test_nothing_counts_before_it_is_opened_or_after_it_is_closed(self, bench: Bench) -> None:
        bench.unknown()
        bench.disengage()
        bench.held.close()
        assert bench.word() == NONE
        assert not bench.clock.getDelayedCalls()
        bench.unknown(OTHER)
        assert OTHER not in bench.path.read_text()
        with pytest.raises(NotKept):
            bench.disengage()

    def test_no_timer_runs_where_nothing_is_kept(self, bench: Bench) -> None:
        bench.unknown()
        bench.held.known(ORG)
        assert not bench.clock.getDelayedCalls()


CORRUPT = [
    b"",
    b"{}",
    b"null",
    b"\xff\xfe",
    b"[" * 10000,
    b'{"version": 2, "by_hand": null, "unknown": {}, "lost": false, "sound": []}',
    b'{"version": 1, "by_hand": null, "unknown": [], "lost": false, "sound": []}',
    b'{"version": 1, "by_hand": null, "unknown": {}, "lost": 0, "sound": []}',
    b'{"version": 1, "by_hand": null, "unknown": {"a": 1}, "lost": false, "sound": []}',
    b'{"version": 1, "by_hand": {}, "unknown": {}, "lost": false, "sound": []}',
]

# What a kept disengagement by hand cannot say.
IMPOSSIBLE: dict[str, list[object]] = {
    "until": ["2026-08-07T11:00:00+00:00", "2026-08-15T12:00:00+00:00", "9999-12-31T23:59:59+00:00",
              "2026-08-07T16:00:00", "tomorrow", 7, None],
    "since": ["2026-08-07T12:00:00", "0001-01-01T00:00:00+00:00", ""],
    "used": [-1, "0", None, True, float("nan"), float("inf"), 10**400],
    "authorities": [None, "aa", [1], {}],
    "without_list": [None, 1, "yes"],
    "who": [None, 1],
}  # fmt: skip


class TestInDoubt:
    """Whatever cannot be told disengages nothing."""

    def assert_lost(self, bench: Bench, logged: list[LogEvent]) -> None:
        """Nothing is in force, nor will be by itself until the status was known; one alarm."""
        logged.clear()
        bench.crash()
        assert [line for line in lines(logged) if str(bench.path) in line]
        assert bench.word() == NONE
        for _ in range(3):
            bench.unknown()
            assert bench.word() == NONE
            bench.crash()
        bench.held.known(ORG)
        bench.crash()
        bench.unknown()
        assert bench.on()
        bench.unknown(OTHER)
        assert not bench.on(OTHER)

    @pytest.mark.parametrize("content", CORRUPT)
    def test_s23_a_corrupt_file(self, bench: Bench, logged: list[LogEvent], content: bytes) -> None:
        bench.unknown()
        bench.disengage()
        bench.path.write_bytes(content)
        self.assert_lost(bench, logged)

    @pytest.mark.parametrize(
        ("key", "value"), [(key, value) for key, values in IMPOSSIBLE.items() for value in values]
    )
    def test_s23_an_impossible_value(
        self, bench: Bench, logged: list[LogEvent], key: str, value: object
    ) -> None:
        bench.disengage()
        kept = json.loads(bench.path.read_bytes())
        kept["by_hand"][key] = value
        bench.path.write_text(json.dumps(kept))
        self.assert_lost(bench, logged)

    @pytest.mark.parametrize("key", ["by_hand", "unknown", "lost", "sound", "version"])
    def test_s23_a_missing_key(self, bench: Bench, logged: list[LogEvent], key: str) -> None:
        bench.disengage()
        kept = json.loads(bench.path.read_bytes())
        del kept[key]
        bench.path.write_text(json.dumps(kept))
        self.assert_lost(bench, logged)

    def test_a_cut_file(self, bench: Bench, logged: list[LogEvent]) -> None:
        bench.disengage()
        bench.path.write_bytes(bench.path.read_bytes()[:-10])
        self.assert_lost(bench, logged)

    @pytest.mark.parametrize("mode", [0o660, 0o602, 0o666])
    def test_a_file_that_others_can_write(
        self, bench: Bench, logged: list[LogEvent], mode: int
    ) -> None:
        bench.disengage()
        bench.path.chmod(mode)
        self.assert_lost(bench, logged)

    def test_what_others_could_write_is_not_believed_once_they_no_longer_can(
        self, bench: Bench
    ) -> None:
        bench.disengage()
        bench.path.chmod(0o666)
        bench.crash()
        bench.path.chmod(0o640)
        bench.crash()
        assert bench.word() == NONE

    def test_a_link(self, bench: Bench, logged: list[LogEvent], tmp_path: Path) -> None:
        bench.disengage()
        bench.path.rename(tmp_path / "real")
        bench.path.symlink_to("real")
        self.assert_lost(bench, logged)

    def test_a_fifo(self, bench: Bench, logged: list[LogEvent]) -> None:
        os.mkfifo(bench.path, 0o600)
        self.assert_lost(bench, logged)

    def test_a_huge_file(self, bench: Bench, logged: list[LogEvent]) -> None:
        bench.disengage()
        with bench.path.open("ab") as file:
            file.write(b" " * 1024 * 1024)
        self.assert_lost(bench, logged)

    def test_disengaging_by_hand_is_possible_all_the_same(self, bench: Bench) -> None:
        bench.path.write_bytes(b"x")
        bench.crash()
        bench.disengage()
        assert bench.on()

    @pytest.mark.usefixtures("unwritable")
    def test_s23_a_clock_that_cannot_be_kept_does_not_run(self, bench: Bench) -> None:
        bench.unknown()
        assert bench.word() == NONE
        bench.pass_time(HOUR)
        assert bench.word() == NONE

    def test_it_runs_once_it_is_kept(
        self, bench: Bench, unwritable: pytest.MonkeyPatch, logged: list[LogEvent]
    ) -> None:
        bench.unknown()
        bench.pass_time(HOUR)
        assert len(lines(logged)) == 1
        assert "No space left" in lines(logged)[0]
        unwritable.undo()
        bench.pass_time(60)
        assert bench.word() == (ON_LAST_LIST, bench.after(ADMIT_FOR))
        assert bench.changes == 1

    def test_what_cannot_be_written_is_not_disengaged_by_hand(
        self, bench: Bench, unwritable: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(NotKept, match="nothing has changed"):
            bench.disengage()
        assert bench.word() == NONE
        unwritable.undo()
        bench.crash()
        assert bench.word() == NONE

    def test_a_replacement_that_cannot_be_written_leaves_the_first(
        self, bench: Bench, unwritable: pytest.MonkeyPatch
    ) -> None:
        unwritable.undo()
        bench.disengage(HOUR)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sasgate.revocation.disengagement.write_atomically", _full)
            with pytest.raises(NotKept):
                bench.disengage(4 * HOUR, without_list=True)
        assert bench.word() == (ON_LAST_LIST, bench.after(HOUR))

    def test_engaging_that_cannot_be_written_engages_and_says_so(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.disengage()
        monkeypatch.setattr("sasgate.revocation.disengagement.write_atomically", _full)
        with pytest.raises(NotKept, match="2026-08-07 16:00:00"):
            bench.held.engage("bob")
        assert bench.word() == NONE

    def test_a_listener_to_changes_that_fails_changes_nothing(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(bench, "_changed", fail)
        bench.crash()
        bench.disengage(HOUR)
        bench.pass_time(HOUR)
        assert bench.word() == NONE


class TestClocks:
    """S60: whichever clock says first that it is over is right."""

    def test_the_wall_put_forward_ends_it(self, bench: Bench) -> None:
        bench.unknown()
        bench.jump(days=2)
        assert bench.word() == NONE

    def test_once_seen_to_be_over_it_stays_over(self, bench: Bench) -> None:
        bench.unknown()
        bench.disengage()
        bench.jump(days=2)
        bench.pass_time(60)
        bench.jump(days=-2)
        assert bench.word() == NONE
        bench.restart()
        assert bench.word() == NONE

    def test_the_wall_put_back_does_not_prolong_it(self, bench: Bench) -> None:
        bench.unknown()
        bench.pass_time(20 * HOUR)
        bench.jump(hours=-19)
        bench.pass_time(4 * HOUR - 1)
        assert bench.on()
        bench.pass_time(1)
        assert bench.word() == NONE

    def test_an_earlier_beginning_gives_back_no_time(self, bench: Bench) -> None:
        bench.unknown()
        bench.pass_time(20 * HOUR)
        bench.jump(hours=-19)
        bench.unknown(ago=2 * HOUR)
        bench.pass_time(4 * HOUR)
        assert bench.word() == NONE

    @pytest.mark.parametrize("hand", [True, False])
    def test_the_wall_put_back_and_a_restart_do_not_prolong_it(
        self, bench: Bench, hand: bool
    ) -> None:
        if hand:
            bench.disengage(ADMIT_FOR)
        else:
            bench.unknown()
        bench.pass_time(20 * HOUR)
        bench.jump(hours=-19)
        bench.restart()
        bench.pass_time(4 * HOUR)
        assert bench.word() == NONE

    def test_the_wall_put_back_and_a_crash_prolong_it_by_what_was_not_yet_kept(
        self, bench: Bench
    ) -> None:
        bench.unknown()
        bench.pass_time(20 * HOUR)
        bench.jump(hours=-19)
        bench.crash()
        bench.pass_time(4 * HOUR + 600)
        assert bench.word() == NONE

    def test_the_wall_before_the_beginning_admits_nobody(self, bench: Bench) -> None:
        bench.unknown()
        bench.disengage()
        bench.jump(hours=-1)
        assert bench.word() == NONE
        bench.pass_time(60)
        bench.restart()
        assert bench.word() == NONE
        bench.jump(hours=1)
        assert bench.on()

    def test_the_word_says_the_instant_of_the_clock_that_is_ahead(self, bench: Bench) -> None:
        bench.disengage(4 * HOUR)
        bench.pass_time(2 * HOUR)
        bench.jump(hours=-1)
        assert bench.word() == (ON_LAST_LIST, bench.wall() + timedelta(hours=2))


class TestOnTheRecord:
    """S23: logged at start, every ten minutes and at the end; counted; told to whoever asks."""

    def test_by_hand(self, bench: Bench, logged: list[LogEvent]) -> None:
        bench.disengage(0.5 * HOUR, ORG)
        bench.held.admitted(ORG)
        bench.held.admitted(OTHER)
        bench.pass_time(HOUR)
        start, *during, end = lines(logged)
        assert start == (
            "revocation checks are disengaged by hand for ACI-EL-ORG by alice (uid 0, by sudo),"
            " since 2026-08-07 12:00:00+00:00 until 2026-08-07 12:30:00+00:00,"
            r" resting on the last verified list: IGC Sant\xe9 is down"
        )
        assert len(during) == 2
        assert all("still disengaged by hand for ACI-EL-ORG" in line for line in during)
        assert all(line.endswith("; 1 admitted under it by this process") for line in during)
        assert "engaged again (its time has passed)" in end
        assert end.endswith("; 1 admitted under it by this process")

    def test_by_itself(self, bench: Bench, logged: list[LogEvent]) -> None:
        bench.unknown()
        start, *_ = lines(logged)
        assert start == (
            "revocation checks are disengaged by themselves for ACI-EL-ORG, status unknown"
            " since 2026-08-07 12:00:00+00:00 until 2026-08-08 12:00:00+00:00,"
            " resting on the last verified list"
        )
        bench.pass_time(HOUR)
        assert len(lines(logged)) == 1 + 6
        bench.held.known(ORG)
        assert "engaged again (its status is known again)" in lines(logged)[-1]
        bench.pass_time(HOUR)
        assert len(lines(logged)) == 1 + 6 + 1

    def test_every_ten_minutes(self, bench: Bench, logged: list[LogEvent]) -> None:
        bench.disengage()
        bench.pass_time(599)
        assert len(lines(logged)) == 1
        bench.pass_time(1)
        assert len(lines(logged)) == 2
        bench.pass_time(600)
        assert len(lines(logged)) == 3

    def test_what_admits_without_a_list_says_so(self, bench: Bench, logged: list[LogEvent]) -> None:
        bench.disengage(without_list=True)
        assert "for all CAs" in lines(logged)[0]
        assert "even where no list was ever held" in lines(logged)[0]

    def test_engaged(self, bench: Bench, logged: list[LogEvent]) -> None:
        bench.disengage()
        bench.held.engage("bob\n(uid 7)")
        assert r"engaged again (engaged by bob\n(uid 7))" in lines(logged)[-1]

    def test_replaced(self, bench: Bench, logged: list[LogEvent]) -> None:
        bench.disengage(HOUR)
        bench.held.disengage(evolve(bench.by_hand(2 * HOUR), who="bob"))
        first, replaced, second = lines(logged)
        assert "engaged again (replaced by bob)" in replaced
        assert "by hand for all CAs by bob" in second
        assert "13:00" in first

    def test_after_a_restart(self, bench: Bench, logged: list[LogEvent]) -> None:
        bench.disengage()
        bench.unknown()
        logged.clear()
        bench.restart()
        assert len(lines(logged)) == 2
        assert all("are disengaged by" in line for line in lines(logged))

    def test_what_ended_while_nothing_ran(self, bench: Bench, logged: list[LogEvent]) -> None:
        bench.disengage(HOUR)
        logged.clear()
        bench.restart(down=2 * HOUR)
        (line,) = lines(logged)
        assert line == (
            "what alice (uid 0, by sudo) had disengaged by hand is over since"
            " 2026-08-07 13:00:00+00:00"
        )
        assert json.loads(bench.path.read_bytes())["by_hand"] is None

    def test_a_long_hostile_reason_is_one_whole_line(
        self, bench: Bench, logged: list[LogEvent]
    ) -> None:
        bench.held.disengage(bench.by_hand(why='"' + "\n\u2028é" * 120 + "END"))
        line = lines(logged)[0]
        assert line.isascii()
        assert line.isprintable()
        assert line.endswith("END")

    def test_changes_are_told_once_each(self, bench: Bench) -> None:
        told = []
        for act in (
            bench.unknown, bench.unknown, bench.disengage, bench.disengage,
            lambda: bench.held.engage("bob"), lambda: bench.held.known(ORG),
            lambda: bench.held.known(ORG),
        ):  # fmt: skip
            before = bench.changes
            act()
            told.append(bench.changes - before)
        assert told == [1, 0, 1, 1, 1, 1, 0]

    @pytest.mark.parametrize("hand", [True, False])
    def test_an_end_by_time_is_told_at_once(self, bench: Bench, hand: bool) -> None:
        if hand:
            bench.disengage(ADMIT_FOR)
        else:
            bench.unknown()
        bench.pass_time(ADMIT_FOR - 1)
        assert bench.changes == 1
        bench.pass_time(1)
        assert bench.changes == 2

    def test_state_and_counts(self, bench: Bench) -> None:
        bench.unknown()
        bench.held.admitted(ORG)
        bench.disengage(HOUR, OTHER, without_list=True)
        bench.held.admitted(ORG)
        bench.held.admitted(OTHER)
        hand, automatic = bench.held.state
        assert (hand.issuers, hand.rests_on, hand.admitted) == ((OTHER,), WITHOUT_LIST, 1)
        assert hand.until == bench.after(HOUR)
        assert (automatic.issuers, automatic.by_hand, automatic.admitted) == ((ORG,), None, 2)
        assert dict(bench.held.admissions) == {ORG: 2, OTHER: 1}
        assert bench.held.unknown_since == {ORG: bench.after(0)}


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")

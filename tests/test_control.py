"""The control folder: only what root or the service can have written is obeyed, and once (S58)."""

import json
import os
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, LogLevel, formatEvent

from control_desk import Desk
from sasgate import control
from sasgate.control import OLDEST, PERIOD, Answer, Request
from sasgate.control_messages import (
    ANSWER,
    LARGEST_REQUEST,
    TAKEN,
    Malformed,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from sasgate.trusted_files import Untrusted, read_trusted


Events = list[LogEvent]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.control.stop()
    assert not desk.clock.getDelayedCalls()


def alarms(logged: Events) -> list[str]:
    return [formatEvent(event) for event in logged if event["log_level"] is LogLevel.critical]


def assert_ignored(desk: Desk, logged: Events, why: str) -> None:
    """Nothing is obeyed however often the daemon looks, and one alarm says why."""
    for _ in range(5):
        desk.look()
    assert desk.obeyed == []
    assert not [name for name in desk.files if ANSWER in name or TAKEN in name]
    assert len(alarms(logged)) == 1
    assert why in alarms(logged)[0]


def test_a_request_is_obeyed_and_answered(desk: Desk) -> None:
    request = desk.request(arguments={"seconds": 3, "reason": "é\u2028"})
    answer = desk.asked(request)
    assert desk.obeyed == [request]
    assert answer == Answer(ok=True, text="gone", pid=os.getpid())
    assert desk.files == [desk.path(request, ANSWER).name]


def test_the_answer_has_the_agreed_shape(desk: Desk) -> None:
    request = desk.request()
    desk.asked(request)
    path = desk.path(request, ANSWER)
    assert json.loads(path.read_bytes()) == {
        "pid": os.getpid(), "outcome": "ok", "text": "gone", "data": {},
    }  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_it_looks_twice_a_second(desk: Desk) -> None:
    assert PERIOD == 0.5
    desk.put(desk.request())
    desk.clock.advance(0.49)
    assert not desk.obeyed
    desk.clock.advance(0.01)
    assert desk.obeyed


def test_several_requests_of_one_look(desk: Desk) -> None:
    requests = [desk.request() for _ in range(40)]
    for request in requests:
        desk.put(request)
    for _ in range(4):
        desk.look()
    assert sorted(each.id for each in desk.obeyed) == sorted(each.id for each in requests)


def test_the_folder_is_made_for_nobody_else(desk: Desk) -> None:
    assert stat.S_IMODE(desk.folder.stat().st_mode) & 0o027 == 0


def test_who_asks_for_what_is_logged(desk: Desk, logged: Events) -> None:
    desk.asked(desk.request(who="eve\nroot"))
    assert r"eve\nroot asks to go" in "\n".join(map(formatEvent, logged))


def test_an_unknown_command_is_refused(desk: Desk) -> None:
    answer = desk.asked(desk.request("stop"))
    assert (answer.ok, "stop" in answer.text) == (False, True)


def test_a_handler_that_refuses(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lambda request: Answer(ok=False, text="no", data={"a": [1, None]}))
    assert desk.asked(desk.request()) == Answer(
        ok=False, text="no", data={"a": [1, None]}, pid=os.getpid()
    )


@pytest.mark.parametrize("wrong", [ZeroDivisionError("secret"), None, "yes", {"ok": True}])
def test_a_handler_that_fails_refuses_and_tells_nothing(
    tmp_path: Path, wrong: object, logged: Events
) -> None:
    def says(_: Request) -> object:
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    desk = Desk(tmp_path, says)
    answer = desk.asked(desk.request())
    assert not answer.ok
    assert "secret" not in answer.text
    assert [event for event in logged if "log_failure" in event]
    assert not desk.asked(desk.request()).ok
    assert len(desk.obeyed) == 2


def test_an_answer_that_json_cannot_say_is_a_refusal(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lambda request: Answer(ok=True, text="", data={"x": object()}))
    assert not desk.asked(desk.request()).ok


class TestLater:
    """Handlers that take their time."""

    @pytest.fixture
    def later(self) -> Deferred[Answer]:
        return Deferred()

    @pytest.fixture
    def desk(self, tmp_path: Path, later: Deferred[Answer]) -> Desk:
        return Desk(tmp_path, lambda request: later)

    def test_nothing_is_answered_before_they_end(self, desk: Desk, later: Deferred[Answer]) -> None:
        request = desk.request()
        desk.put(request)
        desk.clock.pump([PERIOD] * 300)
        assert desk.files == [desk.path(request, TAKEN).name]
        later.callback(Answer(ok=True, text="at last"))
        answer = desk.answer(request)
        assert answer is not None
        assert answer.text == "at last"
        assert len(desk.obeyed) == 1

    def test_their_failure_refuses(self, desk: Desk, later: Deferred[Answer]) -> None:
        request = desk.request()
        desk.put(request)
        desk.look()
        later.errback(ZeroDivisionError())
        answer = desk.answer(request)
        assert answer is not None
        assert not answer.ok

    def test_whoever_waits_is_told_that_the_daemon_stops(self, desk: Desk) -> None:
        request = desk.request()
        desk.put(request)
        desk.look()
        desk.control.stop()
        answer = desk.answer(request)
        assert answer is not None
        assert (answer.ok, answer.text) == (False, "the daemon is stopping")

    def test_others_are_served_meanwhile(self, desk: Desk) -> None:
        desk.put(desk.request())
        desk.look()
        assert not desk.asked(desk.request("stop")).ok


def test_no_more_is_looked_at_after_a_stop(desk: Desk) -> None:
    desk.control.stop()
    desk.put(desk.request())
    desk.clock.pump([PERIOD] * 4)
    assert not desk.obeyed


# Who can have written it


def test_another_owner(desk: Desk, logged: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.put(desk.request())
    stranger = frozenset({os.geteuid() + 1})
    with pytest.raises(Untrusted, match="belongs to uid"):
        _read(path, stranger)
    monkeypatch.setattr(control, "own_users", lambda: stranger)
    assert_ignored(desk, logged, "belongs to uid")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user_in_a_good_folder(desk: Desk, logged: Events) -> None:
    os.chown(desk.put(desk.request()), 12345, -1)
    assert_ignored(desk, logged, "belongs to uid 12345")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_of_another_user(desk: Desk, logged: Events) -> None:
    desk.put(desk.request())
    os.chown(desk.folder, 12345, -1)
    assert_ignored(desk, logged, "belongs to uid 12345")


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o622, 0o666, 0o777])
def test_a_file_that_others_can_write(desk: Desk, logged: Events, mode: int) -> None:
    desk.put(desk.request(), mode=mode)
    assert_ignored(desk, logged, f"{mode:04o}")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_can_write(desk: Desk, logged: Events, mode: int) -> None:
    desk.put(desk.request())
    desk.folder.chmod(mode)
    assert_ignored(desk, logged, f"its folder can be written by others (mode {mode:04o})")


def test_a_folder_that_is_put_right_is_looked_at_again(desk: Desk) -> None:
    desk.folder.chmod(0o777)
    request = desk.request()
    desk.put(request)
    desk.look()
    desk.folder.chmod(0o755)
    desk.look()
    assert desk.obeyed == [request]


def test_a_folder_that_turns_bad_again_is_alarmed_again(desk: Desk, logged: Events) -> None:
    for mode in (0o777, 0o755, 0o777):
        desk.folder.chmod(mode)
        desk.clock.pump([PERIOD] * 3)
    assert len(alarms(logged)) == 2


def test_a_folder_that_became_bad_gets_no_answer(tmp_path: Path, logged: Events) -> None:
    later: Deferred[Answer] = Deferred()
    desk = Desk(tmp_path, lambda request: later)
    request = desk.request()
    desk.put(request)
    desk.look()
    desk.folder.chmod(0o777)
    later.callback(Answer(ok=True, text=""))
    assert desk.answer(request) is None
    assert "cannot be written" in "\n".join(map(formatEvent, logged))


def test_a_folder_that_is_a_link(tmp_path: Path, logged: Events) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "control").symlink_to(tmp_path / "elsewhere")
    desk = Desk(tmp_path)
    desk.put(desk.request())
    desk.clock.pump([PERIOD] * 5)
    assert not desk.obeyed
    assert len(alarms(logged)) == 1


def test_a_folder_that_vanished_is_made_again(desk: Desk) -> None:
    desk.folder.rmdir()
    desk.look()
    request = desk.request()
    assert desk.asked(request).ok


def test_no_state_folder_is_an_alarm_and_no_end(tmp_path: Path, logged: Events) -> None:
    desk = Desk(tmp_path / "absent")
    desk.clock.pump([PERIOD] * 5)
    assert len(alarms(logged)) == 1
    (tmp_path / "absent").mkdir()
    desk.look()
    assert desk.asked(desk.request()).ok


def test_a_symbolic_link(desk: Desk, logged: Events, tmp_path: Path) -> None:
    request = desk.request()
    desk.put(request).rename(tmp_path / "real")
    desk.path(request).symlink_to(tmp_path / "real")
    assert_ignored(desk, logged, "symbolic link")


def test_a_hard_link(desk: Desk, logged: Events, tmp_path: Path) -> None:
    path = desk.put(desk.request())
    (tmp_path / "other").hardlink_to(path)
    assert_ignored(desk, logged, "2 names")


def test_a_fifo_does_not_stop_the_daemon(desk: Desk, logged: Events) -> None:
    os.mkfifo(desk.path(desk.request()), 0o644)
    assert_ignored(desk, logged, "no plain file")


def test_a_folder_in_place_of_a_file(desk: Desk, logged: Events) -> None:
    desk.path(desk.request()).mkdir(0o755)
    assert_ignored(desk, logged, "no plain file")


def test_a_huge_file(desk: Desk, logged: Events) -> None:
    request = desk.request()
    desk.put(request, encode_request(request) + b" " * LARGEST_REQUEST)
    assert_ignored(desk, logged, f"more than {LARGEST_REQUEST} bytes")


def test_the_largest_request_is_read(desk: Desk) -> None:
    request = desk.request()
    content = encode_request(request)
    desk.put(request, content + b" " * (LARGEST_REQUEST - len(content)))
    desk.look()
    assert desk.obeyed == [request]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 5000, b'{"command": "go"}',
     b'{"command": "go", "arguments": [], "who": "b", "when": "2026-08-07T12:00:00+00:00"}',
     b'{"command": "go", "arguments": {}, "who": "b", "when": "2026-08-07T12:00:00"}',
     b'{"command": "go", "arguments": {}, "who": "b", "when": "yesterday"}',
     b'{"command": "go", "arguments": {}, "who": "", "when": "2026-08-07T12:00:00+00:00"}',
     b'{"command": "go\\n", "arguments": {}, "who": "b", "when": "2026-08-07T12:00:00+00:00"}',
     b'{"command": 1, "arguments": {}, "who": "b", "when": "2026-08-07T12:00:00+00:00"}'],
)  # fmt: skip
def test_garbage(desk: Desk, logged: Events, content: bytes) -> None:
    desk.put(desk.request(), content)
    assert_ignored(desk, logged, ".request.json is ignored")


def test_garbage_does_not_keep_others_waiting(desk: Desk) -> None:
    for _ in range(100):
        desk.put(desk.request(), b"garbage")
    for _ in range(10):
        desk.look()
    assert desk.asked(desk.request()).ok


@pytest.mark.parametrize(
    "name", ["x.request.json", "reload.json", ".hidden", "0" * 31 + ".request.json",
             "0" * 32 + ".request.json.new", "." + "0" * 32 + ".request.json.new",
             "0" * 32 + ".REQUEST.json", "0" * 32 + ".request.json\n"],
)  # fmt: skip
def test_other_names_are_no_requests(desk: Desk, logged: Events, name: str) -> None:
    desk.write(desk.folder / name, encode_request(desk.request()))
    desk.look()
    assert (desk.obeyed, alarms(logged)) == ([], [])


# Once, and in time


def test_a_request_is_obeyed_once(desk: Desk) -> None:
    request = desk.request()
    desk.asked(request)
    desk.clock.pump([PERIOD] * 10)
    desk.put(request)
    desk.clock.pump([PERIOD] * 10)
    assert len(desk.obeyed) == 1
    assert not desk.path(request).exists()


def test_what_was_taken_is_not_taken_up_by_the_next_daemon(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lambda request: Deferred())
    request = desk.request()
    desk.put(request)
    desk.look()
    taken = desk.path(request, TAKEN)
    content = taken.read_bytes()
    desk.restart()
    desk.write(taken, content)
    desk.clock.pump([PERIOD] * 10)
    assert len(desk.obeyed) == 1


def test_a_request_of_a_minute_ago_counts(desk: Desk) -> None:
    request = desk.request(when=desk.wall() - timedelta(seconds=OLDEST - PERIOD))
    assert desk.asked(request).ok


@pytest.mark.parametrize("by", [timedelta(seconds=OLDEST + 1), -timedelta(seconds=OLDEST + 1)])
def test_a_stale_request_is_answered_as_too_old(desk: Desk, by: timedelta) -> None:
    answer = desk.asked(desk.request(when=desk.wall() - by))
    assert (answer.ok, "too old" in answer.text) == (False, True)
    assert not desk.obeyed


def test_a_request_whose_file_is_stale(desk: Desk) -> None:
    request = desk.request()
    desk.date(desk.put(request), age=OLDEST + 1)
    desk.look()
    answer = desk.answer(request)
    assert answer is not None
    assert "too old" in answer.text
    assert not desk.obeyed


def test_answers_that_nobody_fetches_are_removed(desk: Desk) -> None:
    request = desk.request()
    desk.asked(request)
    desk.date(desk.path(request, ANSWER))
    desk.clock.pump([PERIOD] * int(OLDEST / PERIOD))
    assert desk.files
    desk.clock.pump([PERIOD] * 4)
    assert desk.files == []


def test_what_is_half_written_is_removed_later(desk: Desk) -> None:
    desk.write(desk.folder / f".{desk.path(desk.request()).name}.new", b"{")
    desk.clock.pump([PERIOD] * int(OLDEST / PERIOD + 2))
    assert desk.files == []


def test_files_that_are_not_of_this_exchange_are_left(desk: Desk) -> None:
    desk.write(desk.folder / "reload.json", b"{}")
    desk.clock.pump([PERIOD] * int(OLDEST / PERIOD + 2))
    assert desk.files == ["reload.json"]


# What files say


_text = st.text(max_size=30)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(_text, _json, max_size=3), st.text(min_size=1, max_size=300))
def test_every_request_is_read_as_it_was_written(arguments: dict[str, object], who: str) -> None:
    when = datetime.fromisoformat("2026-10-25T02:30:00.000001+02:00")
    request = Request("go-on", arguments, who, when)
    assert decode_request(encode_request(request), request.id) == request


@given(st.booleans(), _text, st.dictionaries(_text, _json, max_size=3))
def test_every_answer_is_read_as_it_was_written(
    ok: bool, text: str, data: dict[str, object]
) -> None:
    answer = Answer(ok, text, data)
    assert decode_answer(encode_answer(answer, 7)) == evolve(answer, pid=7)


@given(st.binary(max_size=200) | _json.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_read_is_a_message_or_malformed(content: bytes) -> None:
    for decode in (decode_answer, lambda each: decode_request(each, "0" * 32)):
        with pytest.raises(Malformed):
            decode(content)


def _read(path: Path, owners: frozenset[int]) -> bytes:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        return read_trusted(folder, path.name, 1000, owners)
    finally:
        os.close(folder)

"""`sasgate disengage`, `engage`, `crl refresh`, `crl forget`: at night, by somebody in a hurry."""

import inspect
import os
import pwd
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from configurations import INBOUND, write
from ordered import ObedientDaemon, plan_of
from sasgate import control_asking
from sasgate.commands import daemon as asking
from sasgate.commands import main
from sasgate.control_asking import NotAnswered, ask, who
from sasgate.control_messages import ANSWER, REQUEST, TAKEN, Answer, encode_answer, read_name
from sasgate.lab.pki import Lab
from sasgate.revocation.policy import Disengagement
from sasgate.revocation.source import SourceState


Run = Callable[..., Result]
REASON = ("--reason", "IGC Santé is down")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(0o750)
    return path


@pytest.fixture
def run(tmp_path: Path, state: Path) -> Run:
    file = write(tmp_path, INBOUND.replace("[inbound]", f"state = {state}\n[inbound]", 1))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments, "--config", str(file)])

    return run


@pytest.fixture
def obedient(state: Path, lab: Lab) -> Iterator[ObedientDaemon]:
    with ObedientDaemon(state, plan_of(lab)) as daemon:
        yield daemon
        assert list((state / "control").iterdir()) == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks gives a daemon no time."""

    def impatiently(
        state: Path, command: str, arguments: Mapping[str, object], patience: float
    ) -> Answer:
        del patience
        return ask(state, command, arguments, timeout=0.0, patience=0.0)

    monkeypatch.setattr(asking, "ask", impatiently)


class TestObeyed:
    """With a daemon that answers."""

    def test_disengage(self, run: Run, obedient: ObedientDaemon) -> None:
        result = run("disengage", "--for", "4h", *REASON)
        assert result.exit_code == 0, result.output
        (held,) = obedient.disengagements.state
        assert held.by_hand is not None
        assert held.by_hand.why == "IGC Santé is down"
        assert f"(uid {os.getuid()}" in held.by_hand.who
        assert (held.by_hand.until - held.by_hand.since).total_seconds() == 4 * 3600
        assert re.match(r"Revocation checks are disengaged until \d{4}-", result.stdout)
        for said in ("for all CAs", "last verified list", "Refused still", "sasgate engage"):
            assert said in result.stdout

    def test_it_asks_nothing(self, run: Run, obedient: ObedientDaemon) -> None:
        result = run("disengage", "--for", "1m", *REASON, "--without-list")
        assert (result.exit_code, "?" in result.output) == (0, False)
        assert obedient.disengagements.state[0].rests_on is Disengagement.WITHOUT_LIST

    def test_one_ca(self, run: Run, obedient: ObedientDaemon) -> None:
        result = run("disengage", "--for", "7d", *REASON, "--ca", "ACI-EL-ORG")
        assert (result.exit_code, "for ACI-EL-ORG" in result.stdout) == (0, True)
        assert len(obedient.disengagements.state[0].issuers) == 1

    def test_an_unknown_ca(self, run: Run, obedient: ObedientDaemon) -> None:
        result = run("disengage", "--for", "4h", *REASON, "--ca", "ACI-ORG")
        assert result.exit_code == 1
        assert "no CA is called ACI-ORG" in result.stderr
        assert "ACI-EL-ORG" in result.stderr
        assert obedient.disengagements.state == ()

    def test_a_second_replaces_the_first(self, run: Run, obedient: ObedientDaemon) -> None:
        run("disengage", "--for", "4h", *REASON, "--without-list")
        result = run("disengage", "--for", "1h", *REASON)
        assert "This replaces what" in result.stdout
        (held,) = obedient.disengagements.state
        assert held.rests_on is Disengagement.ON_LAST_LIST

    def test_engage(self, run: Run, obedient: ObedientDaemon) -> None:
        run("disengage", "--for", "4h", *REASON)
        result = run("engage")
        assert (result.exit_code, "engaged again" in result.stdout) == (0, True)
        assert obedient.disengagements.state == ()
        assert run("engage").stdout == "Nothing is disengaged by hand.\n"

    def test_refresh(self, run: Run, obedient: ObedientDaemon) -> None:
        obedient.lists.states = (SourceState("http://l.example/"),)
        result = run("crl", "refresh")
        assert (result.exit_code, result.stdout) == (0, "http://l.example/: no list yet\n")

    def test_refresh_with_a_failure(self, run: Run, obedient: ObedientDaemon) -> None:
        obedient.lists.states = (SourceState("http://l.example/", error="timed out"),)
        result = run("crl", "refresh")
        assert (result.exit_code, result.stderr) == (1, "http://l.example/: timed out\n")

    def test_a_daemon_that_fails_is_no_traceback(self, run: Run, obedient: ObedientDaemon) -> None:
        obedient.lists.states = None
        result = run("crl", "refresh")
        assert result.exit_code == 1
        assert result.stderr == "failed; the log of the daemon says why\n"

    def test_forget(self, run: Run, obedient: ObedientDaemon) -> None:
        result = run("crl", "forget", "ACI-EL-ORG", "--reason", "new numbering")
        assert (result.exit_code, "ORGANISATIONS" in result.stdout) == (0, True)
        assert obedient.lists.forgotten == [("ACI-EL-ORG", who(), "new numbering")]

    def test_forget_of_an_unknown_ca(self, run: Run, obedient: ObedientDaemon) -> None:
        result = run("crl", "forget", "X", "--reason", "y")
        assert (result.exit_code, result.stderr) == (1, "no CA is called X\n")

    def test_the_configuration_may_be_named_before(
        self, tmp_path: Path, state: Path, obedient: ObedientDaemon
    ) -> None:
        file = write(tmp_path, INBOUND.replace("[inbound]", f"state = {state}\n[inbound]", 1))
        result = CliRunner().invoke(main, ["crl", "--config", str(file), "refresh"])
        assert result.exit_code == 0, result.output


class TestMisused:
    """Nothing reaches a daemon, and the exit code is 2."""

    @pytest.fixture(autouse=True)
    def nothing_is_asked(self, state: Path) -> Iterator[None]:
        (state / "control").mkdir(0o750)
        yield
        assert list((state / "control").iterdir()) == []

    @pytest.mark.parametrize("term", ["59s", "0", "8d", "7.1d", "-4h", "4 hours", "", "1e3", "nan"])
    def test_the_term(self, run: Run, term: str) -> None:
        result = run("disengage", f"--for={term}", *REASON)
        assert (result.exit_code, "--for" in result.stderr) == (2, True)

    @pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "a\nb", "a\x1bb", "\u202e"])
    def test_the_reason(self, run: Run, reason: str) -> None:
        for command in (("disengage", "--for", "4h"), ("crl", "forget", "X")):
            result = run(*command, "--reason", reason)
            assert (result.exit_code, "--reason" in result.stderr) == (2, True)

    @pytest.mark.parametrize(
        "arguments",
        [("disengage",), ("disengage", "--for", "4h"), ("disengage", *REASON),
         ("engage", "now"), ("crl", "forget", "X"), ("crl", "forget", *REASON),
         ("crl", "refresh", "X")],
    )  # fmt: skip
    def test_what_is_missing_or_too_much(self, run: Run, arguments: tuple[str, ...]) -> None:
        assert run(*arguments).exit_code == 2


COMMANDS = [
    ("disengage", "--for", "4h", *REASON),
    ("engage",),
    ("crl", "refresh"),
    ("crl", "forget", "X", "--reason", "y"),
]


class TestNotAnswered:
    """Nobody there: exit code 1, nothing in force, and the request is withdrawn."""

    @pytest.mark.parametrize("arguments", COMMANDS)
    @pytest.mark.usefixtures("impatient")
    def test_no_daemon_looks(self, run: Run, state: Path, arguments: tuple[str, ...]) -> None:
        (state / "control").mkdir(0o750)
        result = run(*arguments)
        assert result.exit_code == 1
        assert "no daemon answers" in result.stderr
        assert "nothing was changed, and the request is withdrawn" in result.stderr
        assert list((state / "control").iterdir()) == []

    def test_a_daemon_has_five_seconds(self) -> None:
        assert inspect.signature(ask).parameters["timeout"].default == 5.0

    def test_no_daemon_ever_ran(self, run: Run, state: Path) -> None:
        result = run("engage")
        assert result.exit_code == 1
        assert f"{state / 'control'} is absent" in result.stderr
        assert not (state / "control").exists()

    @pytest.mark.parametrize("mode", [0o770, 0o757])
    def test_a_folder_that_a_daemon_ignores(self, run: Run, state: Path, mode: int) -> None:
        (state / "control").mkdir()
        (state / "control").chmod(mode)
        result = run("engage")
        assert (result.exit_code, "chmod go-w" in result.stderr) == (1, True)
        assert list((state / "control").iterdir()) == []

    def test_a_folder_for_other_users(
        self, run: Run, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def forbidden(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        (state / "control").mkdir()
        monkeypatch.setattr(control_asking, "write_atomically", forbidden)
        result = run("engage")
        assert (result.exit_code, "run as root" in result.stderr) == (1, True)

    def test_a_link_in_place_of_the_folder(self, run: Run, state: Path, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (state / "control").symlink_to(tmp_path / "elsewhere")
        assert run("engage").exit_code == 1
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_a_faulty_configuration_names_its_faults(self, tmp_path: Path) -> None:
        file = write(tmp_path, "[sasgate]\nstate = one\nstate = other\n")
        result = CliRunner().invoke(main, ["engage", "--config", str(file)])
        assert (result.exit_code, "state" in result.stderr) == (1, True)
        assert str(file) in result.stderr

    def test_faults_that_say_nothing_of_the_state_keep_nobody_from_the_daemon(
        self, tmp_path: Path
    ) -> None:
        """A gateway can be told to disengage while its next configuration is being written."""
        file = write(tmp_path, "[sasgate]\nstate = there\nenviroment = recette\n")
        result = CliRunner().invoke(main, ["engage", "--config", str(file)])
        assert (result.exit_code, "enviroment" in result.stderr) == (1, False)
        assert f"{tmp_path / 'there' / 'control'} is absent" in result.stderr

    def test_the_default_configuration(self) -> None:
        for command in ("disengage", "engage"):
            help_ = CliRunner().invoke(main, [command, "--help"]).output
            assert "/etc/sasgate/prod.ini" in re.sub(r"\s+", "", help_)

    @pytest.mark.usefixtures("impatient")
    def test_what_was_taken_is_not_called_withdrawn(
        self, run: Run, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (state / "control").mkdir(0o750)
        monkeypatch.setattr(control_asking, "write_atomically", _taken_at_once)
        result = run("engage")
        assert result.exit_code == 1
        assert "took the request and has not answered" in result.stderr
        assert "nothing was changed" not in result.stderr

    def test_whoever_gives_up_withdraws(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(_: float) -> None:
            assert [name for name in _kinds(state) if name == REQUEST]
            raise KeyboardInterrupt

        (state / "control").mkdir(0o750)
        monkeypatch.setattr(time, "sleep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ask(state, "engage", {})
        assert _kinds(state) == []


class TestAnswers:
    """What a command makes of an answer's file."""

    @pytest.fixture
    def answered(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        (state / "control").mkdir(0o750)

        def answered(content: bytes, mode: int = 0o644) -> None:
            monkeypatch.setattr(
                control_asking, "write_atomically", partial(_answered_at_once, (content, mode))
            )

        return answered

    def test_it_is_fetched_once(self, state: Path, answered: Callable[..., None]) -> None:
        answered(encode_answer(Answer(ok=True, text="é"), 7))
        assert ask(state, "engage", {}) == Answer(ok=True, text="é", pid=7)
        assert _kinds(state) == []

    @pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff"])
    def test_garbage_is_no_answer(
        self, state: Path, answered: Callable[..., None], content: bytes
    ) -> None:
        answered(content)
        with pytest.raises(NotAnswered, match="unreadable") as raised:
            ask(state, "engage", {})
        assert raised.value.taken

    def test_what_others_could_have_written_is_no_answer(
        self, state: Path, answered: Callable[..., None]
    ) -> None:
        answered(encode_answer(Answer(ok=True, text=""), 7), 0o666)
        with pytest.raises(NotAnswered, match="written by others") as raised:
            ask(state, "engage", {})
        assert raised.value.taken

    def test_a_terminal_takes_no_orders_from_it(
        self, run: Run, answered: Callable[..., None]
    ) -> None:
        answered(encode_answer(Answer(ok=True, text="a\x1b[2J\nb\r\u202ec"), 7))
        assert run("engage").stdout == "a\ufffd[2J\nb\ufffd\ufffdc\n"


class TestWho:
    """The name that the log shows."""

    def test_behind_sudo(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SUDO_USER", "alice")
        assert who() == f"alice (uid {os.getuid()}, by sudo)"

    def test_the_login(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SUDO_USER", raising=False)
        monkeypatch.setattr(os, "getlogin", lambda: "bob")
        assert who() == f"bob (uid {os.getuid()})"

    def test_a_user_without_a_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def nobody(*_: object) -> str:
            raise OSError

        def unknown(*_: object) -> object:
            raise KeyError

        monkeypatch.delenv("SUDO_USER", raising=False)
        monkeypatch.setattr(os, "getlogin", nobody)
        monkeypatch.setattr(pwd, "getpwuid", unknown)
        assert who() == f"unknown (uid {os.getuid()})"

    def test_a_hostile_name_still_reaches_the_daemon(
        self, run: Run, obedient: ObedientDaemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SUDO_USER", "\n\u2028" * 5000)
        assert run("disengage", "--for", "4h", *REASON).exit_code == 0
        assert obedient.disengagements.state


@pytest.mark.usefixtures("obedient")
def test_several_commands_at_once_are_all_answered(state: Path) -> None:
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(state, "engage", {}))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.ok for answer in answers] == [True] * 8


def _kinds(state: Path) -> list[str]:
    names = (read_name(path.name) for path in (state / "control").iterdir())
    return [name[1] if name else "other" for name in names]


def _taken_at_once(folder: int, name: str, content: bytes, mode: int) -> None:
    """A daemon that takes every request the moment it is written."""
    _write(folder, name.replace(REQUEST, TAKEN), content, mode)


def _answered_at_once(
    answer: tuple[bytes, int], folder: int, name: str, content: bytes, mode: int
) -> None:
    del content, mode
    _write(folder, name.replace(REQUEST, ANSWER), *answer)


def _write(folder: int, name: str, content: bytes, mode: int) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(descriptor, mode)

"""`make demo`: all cases as expected, an honest exit code, and nothing left behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from attrs import evolve
from click.testing import CliRunner

from processes import LoggedProcess, environment
from sasgate.lab import demo, demo_case, demo_cases, demo_outbound, demo_revocation, scene
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.demo_case import Act, Case
from sasgate.lab.demo_cases import acts
from sasgate.lab.pki import MARK, Lab
from sasgate.lab.platform import Failure, NoResponse, Response
from sasgate.lab.processes import Child, Ending, NotReady
from sasgate.lab.scene import Scene
from sasgate.lab.switchboard import FILE as SWITCHES


COMMAND = (sys.executable, "-m", "sasgate.lab.demo")
KEPT_UNTIL = "until Enter or Ctrl-C"
OK_ROW = re.compile(r" ok$", re.MULTILINE)


def start(folder: Path, *options: str) -> LoggedProcess:
    """The demonstration, away from the checkout; its temporary files are in `folder`/tmp."""
    (folder / "tmp").mkdir()
    return LoggedProcess([*COMMAND, *options], folder, environment({"TMPDIR": str(folder / "tmp")}))


def descendants(pid: int) -> set[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        pytest.skip("the kernel does not tell a process's children")
    return set(map(int, children.read_text().split()))


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


@pytest.fixture(scope="class")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str, Path]]:
    """Exit code, output and folder of one whole run."""
    folder = tmp_path_factory.mktemp("demo")
    process = start(folder)
    yield process.wait(), process.log, folder
    process.stop()


class TestWhole:
    def test_all_cases_come_as_expected(self, shown: tuple[int, str, Path]) -> None:
        code, output, _ = shown
        assert code == 0, output
        assert len(OK_ROW.findall(output)) == sum(len(cases) for _, cases in acts())
        assert "DIFFERS" not in output

    def test_it_is_plain_text_that_fits_a_narrow_terminal(
        self, shown: tuple[int, str, Path]
    ) -> None:
        output = shown[1].replace(sys.executable, "python")
        assert "\x1b" not in output
        assert [line for line in output.splitlines() if len(line) > 100] == []

    def test_it_shows_what_the_administrator_sees(self, shown: tuple[int, str, Path]) -> None:
        journal = shown[1].partition("What the administrator sees")[2]
        assert "admitted SUCCESS" in journal
        assert "refused 403" in journal
        assert "cut FAILED:revoked" in journal

    def test_it_shows_the_beginning_and_the_end_of_a_disengagement(
        self, shown: tuple[int, str, Path]
    ) -> None:
        journal = " ".join(shown[1].partition("What the administrator sees")[2].split())
        begun, used, ended = (
            journal.index("revocation checks are disengaged by hand for all CAs by "),
            journal.index("(disengaged on the last verified list: OCSP: no usable answer"),
            journal.index("revocation checks are engaged again (engaged by "),
        )
        assert begun < used < ended
        assert journal.count(demo_revocation.REASON) == 2
        assert "1 admitted under it" in journal

    def test_it_says_how_to_go_on_by_hand(self, shown: tuple[int, str, Path]) -> None:
        assert "make demo KEEP=1" in shown[1]

    def test_it_leaves_no_file(self, shown: tuple[int, str, Path]) -> None:
        folder = shown[2]
        assert list(folder.rglob("*")) == [folder / "tmp"]


@pytest.fixture(scope="module")
def kept_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def left_running(kept_folder: Path) -> Iterator[LoggedProcess]:
    """Running, over the folder of an earlier run."""
    (kept_folder / demo.KEPT).mkdir()
    (kept_folder / demo.KEPT / MARK).write_text("{}")
    (kept_folder / demo.KEPT / SWITCHES).write_text("of another version")
    with start(kept_folder, "--keep") as process:
        process.wait_for(KEPT_UNTIL)
        yield process


class TestKept:
    """The gateway goes on, and answers curl as printed."""

    def test_the_printed_curl_lines_are_answered(
        self, left_running: LoggedProcess, kept_folder: Path
    ) -> None:
        if shutil.which("curl") is None:
            pytest.skip("curl is absent: apt-get install curl")
        printed = left_running.log.partition("in another terminal:")[2].partition("tail -f")[0]
        result = subprocess.run(
            ["/bin/sh", "-e"],
            input=printed.replace("curl ", "curl --silent --noproxy '*' "),
            capture_output=True,
            text=True,
            cwd=kept_folder,
            env=environment(),
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        statuses = re.findall(r"^HTTP/1.1 (\d+)", result.stdout, re.MULTILINE)
        assert statuses == ["200", "200", "403", "401", "201", "401"], result.stdout
        assert "FAILED:revoked" in result.stdout

    def test_its_lines_fit_a_narrow_terminal(
        self, left_running: LoggedProcess, kept_folder: Path
    ) -> None:
        lines = left_running.log.replace(str(kept_folder), "").splitlines()
        assert [line for line in lines if len(line) > 100] == []

    def test_its_certificates_are_new(self, left_running: LoggedProcess, kept_folder: Path) -> None:
        Lab.open(kept_folder / demo.KEPT)


class TestEndOfKept:
    """Whatever ends it, its three processes end with it."""

    @pytest.fixture
    def kept(self, tmp_path: Path) -> Iterator[LoggedProcess]:
        with start(tmp_path, "--keep") as process:
            process.wait_for(KEPT_UNTIL)
            yield process

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_it_cleanly(
        self, kept: LoggedProcess, tmp_path: Path, number: signal.Signals
    ) -> None:
        children = descendants(kept.process.pid)
        assert len(children) == 3
        kept.send_signal(number)
        assert kept.wait() == 0, kept.log
        assert alive(children) == set()
        assert (tmp_path / demo.KEPT / "gateway.log").is_file()

    def test_a_gateway_that_dies_is_told_with_its_last_lines(self, kept: LoggedProcess) -> None:
        children = descendants(kept.process.pid)
        (gateway,) = (
            pid for pid in children if b"twistd" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        os.kill(gateway, signal.SIGKILL)
        assert kept.wait() == 1
        assert "twistd sasgate has ended by itself" in kept.log
        assert alive(children) == set()


class TestFolder:
    def test_a_folder_that_is_no_lab_is_left_alone(self, tmp_path: Path) -> None:
        folder = tmp_path / demo.KEPT
        folder.mkdir()
        (folder / "letter.txt").write_text("mine")
        with start(tmp_path, "--keep") as process:
            assert process.wait() == 1
            assert f"{folder}: exists and is no lab" in process.log
        assert list(folder.iterdir()) == [folder / "letter.txt"]


class TestInterrupted:
    """A signal at a moment that is chosen by sending it to ourselves."""

    @pytest.fixture
    def temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        return tmp_path

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_nothing_is_left_when_a_signal_comes_within_the_table(
        self, temporary: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
    ) -> None:
        others, children = descendants(os.getpid()), set[int]()

        def interrupted(_: Scene) -> str:
            children.update(descendants(os.getpid()) - others)
            os.kill(os.getpid(), number)
            return "200"

        def never(_: Scene) -> str:
            raise AssertionError("a case was played after the signal")

        cases = (Case("we", "kill", "200", interrupted), Case("nobody", "-", "200", never))
        monkeypatch.setattr(demo, "acts", lambda: (("A signal", cases),))
        result = CliRunner().invoke(demo.main)
        assert result.exit_code == 128 + number, result.output
        assert len(children) == 3
        assert alive(children) == set()
        assert list(temporary.iterdir()) == []

    def test_nothing_is_left_when_it_comes_while_they_start(
        self, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = descendants(os.getpid())

        class Interrupting(Child):
            def wait_for(self, *_: object, **__: object) -> re.Match[str]:
                os.kill(os.getpid(), signal.SIGTERM)
                return super().wait_for("never", *_[1:])  # type: ignore[arg-type]

        monkeypatch.setattr(scene, "Child", Interrupting)
        result = CliRunner().invoke(demo.main)
        assert result.exit_code == 128 + signal.SIGTERM, result.output
        assert descendants(os.getpid()) == before
        assert list(temporary.iterdir()) == []

    def test_the_handlers_of_before_are_put_back(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with Ending().watched():
            assert signal.getsignal(signal.SIGTERM) is not before
        assert signal.getsignal(signal.SIGTERM) is before

    def test_an_ignored_hangup_stays_ignored(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            ending = Ending()
            with ending.watched():
                os.kill(os.getpid(), signal.SIGHUP)
                ending.check()
        finally:
            signal.signal(signal.SIGHUP, before)


class TestChild:
    """A process that does not do what it should is told, and ended all the same."""

    def child(self, folder: Path, program: str) -> Child:
        return Child("the child", (sys.executable, "-c", program), folder / "log")

    def test_a_program_that_is_absent_is_named(self, tmp_path: Path) -> None:
        absent = str(tmp_path / "twistd")
        with pytest.raises(NotReady, match=f"the child cannot be started: {absent}: No such file"):
            Child("the child", (absent,), tmp_path / "log")

    def test_one_that_ends_too_soon_is_told_with_its_last_lines(self, tmp_path: Path) -> None:
        child = self.child(tmp_path, "print('so be it'); raise SystemExit(3)")
        with pytest.raises(NotReady, match=r"ended with code 3(.|\n)*so be it"):
            child.wait_for("ready", Ending())

    def test_one_that_falls_silent_is_told(self, tmp_path: Path) -> None:
        child = self.child(tmp_path, "import signal; signal.pause()")
        try:
            with pytest.raises(NotReady, match="not ready after 0 s"):
                child.wait_for("ready", Ending(), patience=0)
        finally:
            child.stop()

    def test_what_it_wrote_before_it_ended_counts(self, tmp_path: Path) -> None:
        child = self.child(tmp_path, "print('ready')")
        assert child.wait_for("^ready$", Ending())

    def test_one_that_ignores_the_request_to_end_is_killed(self, tmp_path: Path) -> None:
        program = (
            "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "print('deaf', flush=True); signal.pause()"
        )
        child = self.child(tmp_path, program)
        child.wait_for("deaf", Ending())
        child.stop(patience=0.1)
        assert not child.running

    def test_what_is_no_utf_8_is_shown_all_the_same(self, tmp_path: Path) -> None:
        child = self.child(tmp_path, "import os; os.write(1, b'\\xff ready')")
        assert child.wait_for("ready", Ending())
        child.stop()


def sabotaged() -> Sequence[Act]:
    """Two cases, the second of which expects what does not come."""
    _, (first, second, *_) = acts()[0]
    return (("SAS calls", (first, evolve(second, expected="418 teapot"))),)


class TestDiffering:
    def test_a_case_that_differs_exits_with_1_and_is_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(demo, "acts", sabotaged)
        result = CliRunner().invoke(demo.main)
        assert result.exit_code == 1, result.output
        assert len(OK_ROW.findall(result.output)) == 1
        assert re.search(r"418 teapot +200 preproduction +DIFFERS", result.output)
        assert "1 of 2 cases differ" in result.output

    def test_a_gateway_that_does_not_start_exits_with_1_and_its_last_lines(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = scene.configuration
        monkeypatch.setattr(
            scene, "configuration", lambda *given: whole(*given).replace("listen", "lissten", 1)
        )
        result = CliRunner().invoke(demo.main)
        assert result.exit_code == 1
        assert "twistd sasgate ended with code 1. Its last lines:" in result.output
        assert "lissten" in result.output
        assert "Traceback" not in result.output


class TestWords:
    """What is written as having come, for answers that a sound gateway never gives."""

    received = ({"headers": [["x-sas-environment", "lab-recette"]]},)

    def refusal(self, status: int = 401, verify: str = "FAILED:expired") -> Response:
        body = f'{{"status": "KO:Unauthorized", "verify": "{verify}"}}'
        return Response(status, (), body.encode())

    def test_a_refusal_is_told_by_its_reason(self) -> None:
        assert demo_case.words(self.refusal(), ()) == "401 expired"

    def test_a_refusal_whose_request_reached_the_backend_is_not_told_as_one(self) -> None:
        assert demo_case.words(self.refusal(), self.received) == "401 recette"

    def test_the_reason_makes_a_difference(self) -> None:
        words = demo_case.words(self.refusal(verify="FAILED:revoked"), ())
        assert words != demo_case.words_of(CATALOGUE["expired"].answer)

    def test_a_request_that_reached_the_backend_twice_shows(self) -> None:
        words = demo_case.words(Response(200, (), b"{}"), self.received * 2)
        assert words == "200 recette and recette"

    def test_a_backend_that_is_told_no_environment_shows(self) -> None:
        words = demo_case.words(Response(200, (), b"{}"), ({"headers": []},))
        assert words == "200 of no environment"

    def test_an_answer_that_is_not_json_shows_its_status(self) -> None:
        assert demo_case.words(Response(502, (), b"<html>"), ()) == "502"

    def test_a_reset_is_not_an_alert(self) -> None:
        result = NoResponse(Failure.RESET, "alert reset by peer")
        assert demo_case.words(result, ()) == "connection reset"

    def test_an_error_of_tls_without_an_alert_is_none(self) -> None:
        result = NoResponse(Failure.ALERT, "[SSL: NO_PROTOCOLS_AVAILABLE]")
        assert demo_case.words(result, ()) == Failure.ALERT.value

    def test_every_expectation_of_a_refusal_is_that_of_the_catalogue(self) -> None:
        refusals = dict(acts())["Others call, or SAS by the wrong door"]
        expected = {case.who: case.expected for case in refusals}
        assert expected["wrong CN"] == "403 Forbidden"
        assert expected["SSL_SERV certificate"] == "401 not AUTH_CLI"


class TestSpoofed:
    """The forged header's case on a scene that plays what a leaky gateway would do."""

    class Leaky:
        def __init__(self, *names: str) -> None:
            self._names = names

        def platform(self, client: str) -> "TestSpoofed.Leaky":
            return self

        def send(self, call: object) -> Response:
            return Response(200, (), b"{}")

        def received(self) -> Sequence[dict[str, object]]:
            return ({"headers": [["X-SSL-Client-CN", name] for name in self._names]},)

    @pytest.mark.parametrize(
        ("names", "told"),
        [
            (("sas-agregateur-recette",), "200 CN as certified"),
            (("sas-aggregator-production",), "200 sas-aggregator-production"),
            (
                ("sas-agregateur-recette", "sas-aggregator-production"),
                "200 sas-agregateur-recette, sas-aggregator-production",
            ),
            ((), "200"),
        ],
    )
    def test_what_the_backend_was_told_shows(self, names: tuple[str, ...], told: str) -> None:
        assert demo_cases._play_spoofed(self.Leaky(*names)) == told  # type: ignore[arg-type]


class Untold(Scene):
    """A scene whose gateway hears of the first lists, and of no change after that."""

    begun = False

    def order(self, command: str, *, must: bool = True, **arguments: object) -> None:
        if not self.begun:
            super().order(command, must=must, **arguments)
        self.begun = True


class TestRevocation:
    """The cases of revocation differ where the gateway does not do what they show."""

    def test_each_one_that_shows_a_change_differs_without_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(demo, "Scene", Untold)
        monkeypatch.setattr(demo_revocation, "_CUT_WITHIN", 0.5)
        monkeypatch.setattr(demo, "acts", demo_revocation.revocation)
        result = CliRunner().invoke(demo.main)
        assert result.exit_code == 1, result.output
        rows = re.findall(r"^(.{24}) (.{18}) (.{23}) (.{23}) DIFFERS$", result.output, re.MULTILINE)
        assert {(row[0].strip(), row[2].strip(), row[3].strip()) for row in rows} >= {
            ("the revoked client", "connection cut", "still connected"),
            ("the revoked client", "401 revoked", "200 recette, 2 slots"),
            ("SAS recette", "401 status unknown", "200 recette, 2 slots"),
        }


class TestCatalogueOfCases:
    # In the others a call is made again, after something has changed.
    WITHOUT_CHANGES = frozenset(heading for heading, _ in acts()[:3])

    def test_there_are_at_least_ten(self) -> None:
        assert sum(len(cases) for _, cases in acts()) >= 10

    def test_no_two_rows_read_the_same(self) -> None:
        rows: list[tuple[str, str, str]] = [
            (case.who, case.call, case.expected)
            for heading, cases in acts()
            for case in cases
            if heading in self.WITHOUT_CHANGES
        ]
        assert len(rows) == len(set(rows))

    @pytest.mark.parametrize("case", [case for _, cases in acts() for case in cases])
    def test_every_cell_fits_its_column(self, case: Case) -> None:
        cells = (case.who, case.call, case.expected, case.expected)
        assert len(demo._row(*cells, "ok")) == len(demo._row("", "", "", "", "ok"))


class TestOutboundWords:
    """What is written of a call to SAS, for a gateway that says what is not so."""

    FAULT = b'{"issue": [{"diagnostics": "sasgate, 502 Bad Gateway: x. %b"}]}'
    NOT_SENT = FAULT % demo_outbound._NOT_SENT.encode()
    MAYBE = FAULT % b"The request may have arrived: look before you send it again."

    @pytest.mark.parametrize(
        ("status", "body", "seen", "words"),
        [
            (201, b"{}", ["sas-agregateur-test-ACME"], "201 as test-ACME"),
            (201, b"{}", [], "201 as "),
            (502, NOT_SENT, [], "502 nothing was sent"),
            (502, NOT_SENT, ["a"], "502 sent all the same"),
            (504, MAYBE, ["a"], "504 may have arrived"),
            (422, b'{"issue": [{"diagnostics": "no"}]}', ["a"], "422 from SAS"),
            (403, b'{"status": "KO:Forbidden"}', ["a"], "403 Forbidden"),
            (500, b"<html>", ["a"], "500"),
        ],
    )
    def test_each(self, status: int, body: bytes, seen: list[str], words: str) -> None:
        assert demo_outbound._words(demo_outbound._Answer(status, body), seen) == words

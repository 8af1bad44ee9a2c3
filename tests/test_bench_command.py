"""Where the benches' commands put their tables, and how they end."""

import signal
import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest

from bench import command
from bench.client import WrongAnswer
from bench.floor.handshakes import Unfinished
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending, NotReady


PAGE = """\
# Figures
<!-- mine: begin -->
old
<!-- mine: end -->
<!-- yours: begin -->
yours
<!-- yours: end -->
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_tables_without_a_page_are_printed(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    command.run(Mock(return_value=["| new |"]), "mine", lab.directory, None)
    assert capsys.readouterr() == ("| new |\n", "")


def test_tables_replace_those_between_their_own_marks_alone(
    lab: Lab, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.run(Mock(return_value=["| new |"]), "mine", lab.directory, page)
    assert page.read_text() == PAGE.replace("old", "\n| new |\n")
    assert capsys.readouterr() == ("", "")


def test_a_page_without_a_place_for_tables_is_left_alone(
    lab: Lab, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = Mock()
    with pytest.raises(SystemExit) as ended:
        command.run(measured, "another", lab.directory, page)
    assert ended.value.code == 1
    measured.assert_not_called()
    assert "add two lines, <!-- another: begin -->" in capsys.readouterr().err
    assert page.read_text() == PAGE


def test_a_folder_that_is_no_lab_is_not_measured(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = Mock()
    with pytest.raises(SystemExit) as ended:
        command.run(measured, "mine", page.parent, page)
    assert ended.value.code == 1
    measured.assert_not_called()
    assert "no lab" in capsys.readouterr().err


@pytest.mark.parametrize(
    "failure",
    [
        NotReady("it broke"),
        WrongAnswer("it broke"),
        Unfinished("it broke"),
        OSError("it broke"),
        subprocess.TimeoutExpired("it broke", 1.0),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_was_not_measured_is_said_and_leaves_the_page_alone(
    failure: Exception, lab: Lab, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.run(Mock(side_effect=failure), "mine", lab.directory, page)
    assert ended.value.code == 1
    assert "it broke" in capsys.readouterr().err
    assert page.read_text() == PAGE


def test_a_signal_ends_it_with_its_number_and_leaves_no_folder(lab: Lab, page: Path) -> None:
    used = []

    def stopped(_: Lab, folder: Path, ending: Ending) -> list[str]:
        used.append(folder)
        signal.raise_signal(signal.SIGTERM)
        ending.check()
        return []

    with pytest.raises(SystemExit) as ended:
        command.run(stopped, "mine", lab.directory, page)
    assert ended.value.code == 128 + signal.SIGTERM
    assert not used[0].exists()
    assert page.read_text() == PAGE

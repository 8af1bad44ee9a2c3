"""The `sasgate` command as a whole: what it imports, and how it ends."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sasgate.commands import SUBCOMMANDS, daemon, main


HEAVY = ("twisted", "cryptography", "OpenSSL", "sasgate.lab", "sasgate.config")


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from sasgate.commands import main\n"
        "main(['--help'], standalone_mode=False)\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert all(name in result.stdout for name in SUBCOMMANDS)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert (result.exit_code, f"main {name}" in result.output) == (0, True)


@pytest.mark.parametrize(
    "arguments",
    [["chekc"], ["check", "a", "b"], ["check", "--offline", "a"], ["fetch-ca"],
     ["fetch-ca", "--environment", "staging", "--to", "x"]],
)  # fmt: skip
def test_misuse_ends_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output.startswith("sasgate, version ")


def test_help_says_what_to_type_first() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    assert "\n  If something is wrong:\n    sasgate status " in output


class TestTheUsualFile:
    """Whoever has none of that name, since theirs is another environment's, learns of --config."""

    HINT = "no.ini does not exist; --config FILE names another\n"

    @pytest.fixture(autouse=True)
    def absent(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(daemon, "DEFAULT_FILE", tmp_path / "no.ini")
        for command in self.commands():
            for parameter in command.params:
                if parameter.name in {"config", "file"}:
                    monkeypatch.setattr(parameter, "default", tmp_path / "no.ini")

    def commands(self) -> Iterator[click.Command]:
        context = click.Context(main)
        for name in SUBCOMMANDS:
            command = main.get_command(context, name)
            assert command is not None
            yield command
            if isinstance(command, click.Group):
                yield from command.commands.values()

    @pytest.mark.parametrize(
        "arguments", [["status"], ["reload"], ["crl", "refresh"], ["engage"], ["call", "GET", "/"]]
    )
    def test_it_is_told(self, arguments: list[str]) -> None:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code > 0
        assert self.HINT in result.stderr

    @pytest.mark.parametrize(
        "arguments", [["status", "-c", "x"], ["crl", "-c", "x", "refresh"],
                      ["crl", "refresh", "-c", "x"], ["reload", "--config", "x"]]
    )  # fmt: skip
    def test_not_where_a_file_is_named(self, arguments: list[str]) -> None:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code > 0
        assert "names another" not in result.output

    def test_nagios_reads_its_own_line_first(self) -> None:
        assert CliRunner().invoke(main, ["status"]).stdout.startswith("SASGATE CRITICAL: ")

    def test_check_takes_it_too(self) -> None:
        result = CliRunner().invoke(main, ["check"])
        assert result.exit_code == 1
        assert "no.ini: cannot be read" in result.stderr


@pytest.mark.parametrize("group", [["crl"], ["lab"], ["lab", "set"]])
def test_no_line_of_help_ends_in_its_middle(group: list[str]) -> None:
    output = CliRunner().invoke(main, [*group, "--help"]).output
    assert "..." not in output.partition("Commands:")[2]

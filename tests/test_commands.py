"""The `sasgate` command as a whole: what it imports, and how it ends."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from sasgate.commands import SUBCOMMANDS, main


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
    [["chekc"], ["check"], ["check", "a", "b"], ["check", "--offline", "a"], ["fetch-ca"],
     ["fetch-ca", "--environment", "staging", "--to", "x"]],
)  # fmt: skip
def test_misuse_ends_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output.startswith("sasgate, version ")

"""What the benches' commands have in common: their options, their lab and page, and how they end.

They print Markdown; `--into docs/performance.md` puts it there, between two marks of each bench's
own. Exit codes: 0 measured, whatever came of it; 1 something did not start or did not do what it is
measured for; 128 + N ended by the signal N.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bench.client import WrongAnswer
from bench.floor.handshakes import Unfinished
from bench.page import NoPlace, around, put
from sasgate.lab.pki import Lab, NotALab
from sasgate.lab.processes import Ending, NotReady, Stopped


LAB = click.option(
    "--lab", type=click.Path(path_type=Path), help="A lab to use instead of a new one."
)
INTO = click.option(
    "--into",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Put the tables between the marks of this page instead of printing them.",
)
_FAILURES = (
    *(NotReady, NotALab, NoPlace, WrongAnswer, Unfinished),
    *(OSError, subprocess.TimeoutExpired),
)


def run(
    measured: Callable[[Lab, Path, Ending], Sequence[str]],
    mark: str,
    lab: Path | None,
    into: Path | None,
) -> None:
    """Print the tables that are measured with a lab, in a folder for that time, or put them."""
    ending = Ending()
    with ending.watched():
        try:
            if into is not None:
                around(into, mark)
            with TemporaryDirectory(prefix="sasgate-bench-") as name:
                folder = Path(name)
                made = Lab.create(folder / "lab") if lab is None else Lab.open(lab)
                lines = measured(made, folder, ending)
            if into is not None:
                put(lines, into, mark)
        except Stopped as stopped:
            sys.exit(128 + stopped.number)
        except _FAILURES as error:
            click.echo(str(error), err=True)
            sys.exit(1)
    if into is None:
        click.echo("\n".join(lines))


def say(text: str) -> None:
    """Tell the user how far it is."""
    click.echo(text, err=True)

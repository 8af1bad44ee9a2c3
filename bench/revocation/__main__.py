"""What revocation costs and how soon it tells, beside others: `make bench-revocation`.

Prints Markdown; `--into docs/performance.md` puts it there, between the two marks. Exit codes: 0
measured, whatever came of it; 1 something did not start or did not answer as it should; 128 + N
ended by the signal N.
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from attrs import frozen

from bench.client import WrongAnswer
from bench.machine import load
from bench.page import NoPlace, around, put
from bench.revocation import asking, cutting
from bench.revocation.asking import Bench
from bench.revocation.cutting import Watch
from bench.revocation.report import report
from sasgate.lab.pki import Lab, NotALab
from sasgate.lab.processes import Ending, NotReady, Stopped


MARK = "bench-revocation"


@frozen
class _Extent:
    rounds: int
    calls: int
    watched: float


@click.command()
@click.option("--rounds", default=5, show_default=True, help="How often each is measured.")
@click.option("--calls", default=40, show_default=True, help="Connections a round, of each.")
@click.option("--watched", default=8.0, show_default=True, help="Seconds that a cut may take.")
@click.option("--lab", type=click.Path(path_type=Path), help="A lab to use instead of a new one.")
@click.option(
    "--into",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Put the tables between the marks of this page instead of printing them.",
)
def main(*, rounds: int, calls: int, watched: float, lab: Path | None, into: Path | None) -> None:
    """Measure OCSP, and what becomes of whom a list revokes."""
    ending = Ending()
    with ending.watched():
        try:
            if into is not None:
                around(into, MARK)
            lines = _measured(_Extent(rounds, calls, watched), lab, ending)
            if into is not None:
                put(lines, into, MARK)
        except Stopped as stopped:
            sys.exit(128 + stopped.number)
        except (NotReady, NotALab, NoPlace, WrongAnswer, OSError) as error:
            click.echo(str(error), err=True)
            sys.exit(1)
    if into is None:
        click.echo("\n".join(lines))


def _measured(extent: _Extent, lab: Path | None, ending: Ending) -> list[str]:
    with TemporaryDirectory(prefix="sasgate-bench-") as name:
        folder, before = Path(name), load()
        bench = Bench(_own(folder / "lab", lab), folder, ending, extent.rounds, extent.calls, _say)
        answers = asking.measure(bench)
        cuts = cutting.measure(Watch(bench, extent.watched, min(3.0, extent.watched / 2)))
        return report(answers, cuts, f"{before}, {load()}")


def _own(folder: Path, lab: Path | None) -> Lab:
    """A lab whose switches are nobody else's."""
    if lab is None:
        return Lab.create(folder)
    Lab.open(lab)
    shutil.copytree(lab, folder, ignore=shutil.ignore_patterns("*.sock", "state"))
    return Lab.open(folder)


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()

"""Calls from SAS, through sasgate and through its peers: `make bench-inbound`.

Prints Markdown; `--into docs/performance.md` puts it there, between the two marks, and pictures
into a folder beside it. Exit codes: 0 measured, whatever came of it; 1 something did not start or
did not do what it is measured for; 128 + N ended by the signal N.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bench.client import WrongAnswer
from bench.crl.lists import Lists
from bench.inbound.ab import found_ab
from bench.inbound.backend import backend
from bench.inbound.field import SASGATE, Cores, Field, settle_here
from bench.inbound.measuring import Figures, measure
from bench.inbound.pictures import draw
from bench.inbound.report import report
from bench.inbound.works import WORKS, Extent
from bench.machine import load
from bench.page import NoPlace, around, put
from bench.peers.everyone import ALL
from sasgate.lab.pki import Lab, NotALab
from sasgate.lab.processes import Ending, NotReady, Stopped


MARK = "bench-inbound"


@click.command()
@click.option("--rounds", default=5, show_default=True, help="How often each is measured.")
@click.option("--share", default=1.0, show_default=True, help="Part of each work's calls.")
@click.option("--seconds", default=1.5, show_default=True, help="Of paced calls; 0 leaves out.")
@click.option("--held", default=1000, show_default=True, help="Connections held; 0 leaves out.")
@click.option(
    "--work",
    "works",
    multiple=True,
    type=click.Choice([work.key for work in WORKS]),
    help="Only this work; may be given several times.",
)
@click.option(
    "--beside",
    multiple=True,
    type=click.Choice(list(ALL)),
    default=tuple(ALL),
    help="Only this peer; may be given several times.",
)
@click.option("--lab", type=click.Path(path_type=Path), help="A lab to use instead of a new one.")
@click.option(
    "--into",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Put the tables between the marks of this page instead of printing them.",
)
def main(
    *,
    rounds: int,
    share: float,
    seconds: float,
    held: int,
    works: tuple[str, ...],
    beside: tuple[str, ...],
    lab: Path | None,
    into: Path | None,
) -> None:
    """Measure what calls from SAS cost, with other servers beside."""
    chosen = tuple(work for work in WORKS if not works or work.key in works)
    extent = Extent(rounds, chosen, share, seconds, held)
    ending = Ending()
    with ending.watched():
        try:
            if into is not None:
                around(into, MARK)
            found_ab()
            cores, before = settle_here(), load()
            figures = _measured(extent, (SASGATE, *beside), cores, lab, ending)
            pictures = [] if into is None else draw(figures, into)
            lines = report(figures, cores, f"{before}, {load()}", pictures)
            if into is not None:
                put(lines, into, MARK)
        except Stopped as stopped:
            sys.exit(128 + stopped.number)
        except (
            NotReady,
            NotALab,
            NoPlace,
            WrongAnswer,
            OSError,
            subprocess.TimeoutExpired,
        ) as error:
            click.echo(str(error), err=True)
            sys.exit(1)
    if into is None:
        click.echo("\n".join(lines))


def _measured(
    extent: Extent, names: tuple[str, ...], cores: Cores, lab: Path | None, ending: Ending
) -> Figures:
    with TemporaryDirectory(prefix="sasgate-bench-") as name:
        folder = Path(name)
        made = Lab.create(folder / "lab") if lab is None else Lab.open(lab)
        lists = Lists.write(made, folder / "lists", 0)
        pem = lists.pem(folder / "lists.pem")
        with backend(folder / "backend", cores.backend, ending) as port:
            place = Field(made, folder, port, cores, lists, pem, ending)
            return measure(place, names, extent, _say)


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()

"""Calls from SAS, through sasgate and through its peers: `make bench-inbound`.

With `--into`, its pictures go into a folder beside the page.
"""

from pathlib import Path

import click

from bench import command
from bench.contenders import SASGATE
from bench.crl.lists import Lists
from bench.inbound.ab import found_ab
from bench.inbound.backend import backend
from bench.inbound.field import Field, settle_here
from bench.inbound.measuring import measure
from bench.inbound.pictures import draw
from bench.inbound.report import report
from bench.inbound.works import WORKS, Extent
from bench.machine import load
from bench.peers.everyone import ALL
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


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
@command.LAB
@command.INTO
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

    def measured(made: Lab, folder: Path, ending: Ending) -> list[str]:
        found_ab()
        cores, before = settle_here(), load()
        lists = Lists.write(made, folder / "lists", 0)
        pem = lists.pem(folder / "lists.pem")
        with backend(folder / "backend", cores.backend, ending) as port:
            place = Field(made, folder, port, cores, lists, pem, ending)
            figures = measure(place, (SASGATE, *beside), extent, command.say)
        pictures = [] if into is None else draw(figures, into)
        return report(figures, cores, f"{before}, {load()}", pictures)

    command.run(measured, MARK, lab, into)


if __name__ == "__main__":
    main()

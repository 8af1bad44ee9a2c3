"""A call to SAS through the gateway, with `curl --cert`, nginx and stunnel: `make bench-outbound`.

Prints Markdown; `--into docs/performance.md` puts it there, between the two marks. Exit codes: 0
measured, whatever came of it; 1 something did not start or did not answer as it should; 128 + N
ended by the signal N.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bench.client import WrongAnswer
from bench.machine import load
from bench.outbound.calls import Extent, measure
from bench.outbound.peers import peers
from bench.outbound.report import report
from bench.page import NoPlace, around, put
from sasgate.lab.pki import Lab, NotALab
from sasgate.lab.processes import Ending, NotReady, Stopped


MARK = "bench-outbound"


@click.command()
@click.option("--rounds", default=7, show_default=True, help="How often each is measured.")
@click.option("--calls", default=150, show_default=True, help="Calls a round, of each.")
@click.option("--lab", type=click.Path(path_type=Path), help="A lab to use instead of a new one.")
@click.option(
    "--into",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Put the tables between the marks of this page instead of printing them.",
)
def main(*, rounds: int, calls: int, lab: Path | None, into: Path | None) -> None:
    """Measure how long a call to SAS takes."""
    ending = Ending()
    with ending.watched():
        try:
            if into is not None:
                around(into, MARK)
            lines = _measured(Extent(rounds, calls, ending, _say), lab)
            if into is not None:
                put(lines, into, MARK)
        except Stopped as stopped:
            sys.exit(128 + stopped.number)
        except (NotReady, NotALab, NoPlace, WrongAnswer, OSError) as error:
            click.echo(str(error), err=True)
            sys.exit(1)
    if into is None:
        click.echo("\n".join(lines))


def _measured(extent: Extent, lab: Path | None) -> list[str]:
    with TemporaryDirectory(prefix="sasgate-bench-") as name:
        folder = Path(name)
        made = Lab.create(folder / "lab") if lab is None else Lab.open(lab)
        with peers(made, folder, extent.ending) as all_of_them:
            before = load()
            latencies = measure(all_of_them, extent)
        return report(latencies, f"{before}, {load()}")


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()

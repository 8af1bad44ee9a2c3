"""What OpenSSL itself needs for an mTLS handshake: `make bench-floor`.

Prints Markdown; `--into docs/performance.md` puts it there, between the two marks. Exit codes: 0
measured; 1 something did not start or failed; 128 + N ended by the signal N.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bench.floor.floors import measure
from bench.floor.handshakes import Unfinished
from bench.floor.report import report
from bench.machine import load
from bench.page import NoPlace, around, put
from sasgate.lab.pki import Lab, NotALab
from sasgate.lab.processes import Ending, NotReady, Stopped


MARK = "bench-floor"


@click.command()
@click.option("--rounds", default=7, show_default=True, help="How often each is measured.")
@click.option("--count", default=500, show_default=True, help="Handshakes a round, of each.")
@click.option("--lab", type=click.Path(path_type=Path), help="A lab to use instead of a new one.")
@click.option(
    "--into",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Put the tables between the marks of this page instead of printing them.",
)
def main(*, rounds: int, count: int, lab: Path | None, into: Path | None) -> None:
    """Measure the CPU of handshakes in memory."""
    ending = Ending()
    with ending.watched():
        try:
            if into is not None:
                around(into, MARK)
            lines = _measured(rounds, count, lab, ending)
            if into is not None:
                put(lines, into, MARK)
        except Stopped as stopped:
            sys.exit(128 + stopped.number)
        except (NotReady, NotALab, NoPlace, Unfinished, OSError) as error:
            click.echo(str(error), err=True)
            sys.exit(1)
    if into is None:
        click.echo("\n".join(lines))


def _measured(rounds: int, count: int, lab: Path | None, ending: Ending) -> list[str]:
    with TemporaryDirectory(prefix="sasgate-bench-") as name:
        folder = Path(name)
        made = Lab.create(folder / "lab") if lab is None else Lab.open(lab)
        before = load()
        floors = measure(made, folder, rounds, count, ending)
        return report(floors, f"{before}, {load()}")


if __name__ == "__main__":
    main()

"""What lists of revoked certificates cost, by their length, with nginx beside: `make bench-crl`.

Prints Markdown; `--into docs/performance.md` puts it there, between the two marks. Exit codes: 0
measured, whatever came of it; 1 something did not start or did not do what it is measured for;
128 + N ended by the signal N.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from attrs import frozen

from bench.client import WrongAnswer
from bench.contenders import backend
from bench.crl import connections, loading
from bench.crl.connections import Bench
from bench.crl.report import report
from bench.machine import load
from bench.page import NoPlace, around, put
from bench.peers.nginx import PROGRAM as NGINX
from sasgate.lab.pki import Lab, NotALab
from sasgate.lab.processes import Ending, NotReady, Stopped


MARK = "bench-crl"


@click.command()
@click.option("--rounds", default=7, show_default=True, help="How often each is measured.")
@click.option("--calls", default=300, show_default=True, help="New connections a round, at most.")
@click.option("--callers", default=4, show_default=True, help="How many call at the same time.")
@click.option(
    "--entries",
    default="0 10000 100000 1000000",
    show_default=True,
    help="Lengths of lists; the longest is the one that is loaded under load.",
)
@click.option("--lab", type=click.Path(path_type=Path), help="A lab to use instead of a new one.")
@click.option(
    "--into",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Put the tables between the marks of this page instead of printing them.",
)
def main(
    *, rounds: int, calls: int, callers: int, entries: str, lab: Path | None, into: Path | None
) -> None:
    """Measure what lists of revoked certificates cost."""
    counts = sorted({0, *map(int, entries.split())})
    ending = Ending()
    with ending.watched():
        try:
            if into is not None:
                around(into, MARK)
            lines = _measured(_Extent(rounds, calls, callers, counts), lab, ending)
            if into is not None:
                put(lines, into, MARK)
        except Stopped as stopped:
            sys.exit(128 + stopped.number)
        except (NotReady, NotALab, NoPlace, WrongAnswer, OSError) as error:
            click.echo(str(error), err=True)
            sys.exit(1)
    if into is None:
        click.echo("\n".join(lines))


@frozen
class _Extent:
    rounds: int
    calls: int
    callers: int
    counts: Sequence[int]


def _measured(extent: _Extent, lab: Path | None, ending: Ending) -> list[str]:
    with TemporaryDirectory(prefix="sasgate-bench-") as name:
        folder, before = Path(name), load()
        made = Lab.create(folder / "lab") if lab is None else Lab.open(lab)
        with backend(folder, ending) as port:
            bench = Bench(
                made, folder, port, ending, extent.rounds, extent.calls, extent.callers, _say
            )
            calling = connections.measure(
                bench, extent.counts, beside_nginx=NGINX.found() is not None
            )
            taking_up = loading.measure(bench, extent.counts[-1])
        return report(calling, taking_up, f"{before}, {load()}")


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()

"""What lists of revoked certificates cost, by their length, with nginx beside: `make bench-crl`."""

from pathlib import Path

import click

from bench import command
from bench.contenders import backend
from bench.crl import connections, loading
from bench.crl.connections import Bench
from bench.crl.report import report
from bench.machine import load
from bench.peers.nginx import PROGRAM as NGINX
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


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
@command.LAB
@command.INTO
def main(
    *, rounds: int, calls: int, callers: int, entries: str, lab: Path | None, into: Path | None
) -> None:
    """Measure what lists of revoked certificates cost."""
    counts = sorted({0, *map(int, entries.split())})

    def measured(made: Lab, folder: Path, ending: Ending) -> list[str]:
        before = load()
        with backend(folder, ending) as port:
            bench = Bench(made, folder, port, ending, rounds, calls, callers, command.say)
            calling = connections.measure(bench, counts, beside_nginx=NGINX.found() is not None)
            taking_up = loading.measure(bench, counts[-1])
        return report(calling, taking_up, f"{before}, {load()}")

    command.run(measured, MARK, lab, into)


if __name__ == "__main__":
    main()

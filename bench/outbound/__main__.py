"""A call to SAS by the gateway, `curl --cert`, nginx and stunnel: `make bench-outbound`."""

from pathlib import Path

import click

from bench import command
from bench.machine import load
from bench.outbound.calls import Extent, measure
from bench.outbound.peers import peers
from bench.outbound.report import report
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


MARK = "bench-outbound"


@click.command()
@click.option("--rounds", default=7, show_default=True, help="How often each is measured.")
@click.option("--calls", default=150, show_default=True, help="Calls a round, of each.")
@command.LAB
@command.INTO
def main(*, rounds: int, calls: int, lab: Path | None, into: Path | None) -> None:
    """Measure how long a call to SAS takes."""

    def measured(made: Lab, folder: Path, ending: Ending) -> list[str]:
        with peers(made, folder, ending) as all_of_them:
            before = load()
            latencies = measure(all_of_them, Extent(rounds, calls, ending, command.say))
        return report(latencies, f"{before}, {load()}")

    command.run(measured, MARK, lab, into)


if __name__ == "__main__":
    main()

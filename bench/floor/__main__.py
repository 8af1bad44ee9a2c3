"""What OpenSSL itself needs for an mTLS handshake: `make bench-floor`."""

from pathlib import Path

import click

from bench import command
from bench.floor.floors import measure
from bench.floor.report import report
from bench.machine import load
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


MARK = "bench-floor"


@click.command()
@click.option("--rounds", default=7, show_default=True, help="How often each is measured.")
@click.option("--count", default=500, show_default=True, help="Handshakes a round, of each.")
@command.LAB
@command.INTO
def main(*, rounds: int, count: int, lab: Path | None, into: Path | None) -> None:
    """Measure the CPU of handshakes in memory."""

    def measured(made: Lab, folder: Path, ending: Ending) -> list[str]:
        before = load()
        floors = measure(made, folder, rounds, count, ending)
        return report(floors, f"{before}, {load()}")

    command.run(measured, MARK, lab, into)


if __name__ == "__main__":
    main()

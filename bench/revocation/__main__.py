"""What revocation costs and how soon it tells, beside others: `make bench-revocation`."""

import shutil
from pathlib import Path

import click

from bench import command
from bench.machine import load
from bench.revocation import asking, cutting
from bench.revocation.asking import Bench
from bench.revocation.cutting import Watch
from bench.revocation.report import report
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


MARK = "bench-revocation"


@click.command()
@click.option("--rounds", default=5, show_default=True, help="How often each is measured.")
@click.option("--calls", default=40, show_default=True, help="Connections a round, of each.")
@click.option("--watched", default=8.0, show_default=True, help="Seconds that a cut may take.")
@command.LAB
@command.INTO
def main(*, rounds: int, calls: int, watched: float, lab: Path | None, into: Path | None) -> None:
    """Measure OCSP, and what becomes of whom a list revokes."""

    def measured(made: Lab, folder: Path, ending: Ending) -> list[str]:
        before = load()
        own = made if lab is None else _copy(made, folder / "lab")
        bench = Bench(own, folder, ending, rounds, calls, command.say)
        answers = asking.measure(bench)
        cuts = cutting.measure(Watch(bench, watched, min(3.0, watched / 2)))
        return report(answers, cuts, f"{before}, {load()}")

    command.run(measured, MARK, lab, into)


def _copy(lab: Lab, folder: Path) -> Lab:
    """A lab whose switches are nobody else's."""
    shutil.copytree(lab.directory, folder, ignore=shutil.ignore_patterns("*.sock", "state"))
    return Lab.open(folder)


if __name__ == "__main__":
    main()

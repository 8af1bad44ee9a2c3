"""All targets in one table, out of those that the benches have put into the page.

python -m bench.targets docs/performance.md
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from bench.figures import table
from bench.page import NoPlace, around, put


MARK = "bench-targets"
_PART = re.compile(r"<!-- (bench-[a-z-]+): begin -->(.*?)<!-- \1: end -->", re.DOTALL)
_TABLE = re.compile(r"^#+ Targets\n+\|.*\n\|[ |-]+\n((?:\|.*\n?)*)", re.MULTILINE)


def collected(page: str) -> Iterator[tuple[str, ...]]:
    """Work, target, what was measured, what that means, and the command that shows it."""
    for mark, part in _PART.findall(page):
        for rows in _TABLE.findall(part):
            for row in rows.splitlines():
                cells = (cell.strip() for cell in row.strip("| ").split("|"))
                work, target, measured, outcome = (*cells, "", "", "")[:4]
                yield work, target, measured, outcome, f"`make {mark}`"


@click.command()
@click.argument("page", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(page: Path) -> None:
    """Put the table of all targets between its marks."""
    head = ("work", "target", "measured", "", "shown by")
    try:
        # Not what was collected before.
        before, after = around(page, MARK)
        put(table(head, collected(before + after)), page, MARK)
    except (NoPlace, OSError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

"""The benches as `make` runs them, each on a copy of the page of performance."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from processes import CHECKOUT, environment
from sasgate.lab.pki import Lab


PAGE = CHECKOUT / "docs/performance.md"


def filled_in(bench: str, lab: Lab, folder: Path, *options: object) -> Path:
    """The copy in `folder`, with the tables of one round of a bench between its own marks alone."""
    page = Path(shutil.copy(PAGE, folder))
    where = ("--rounds", 1, "--lab", lab.directory, "--into", page)
    result = subprocess.run(
        [str(each) for each in (sys.executable, "-m", f"bench.{bench}", *where, *options)],
        cwd=CHECKOUT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    mark = re.compile(rf"<!-- bench-{bench}: begin -->.*<!-- bench-{bench}: end -->", re.DOTALL)
    assert mark.sub("", page.read_text("utf-8")) == mark.sub("", PAGE.read_text("utf-8"))
    return page


def own_part(page: Path, bench: str) -> str:
    """What stands between a bench's own marks: the rest of the page is of other runs."""
    begun = page.read_text("utf-8").partition(f"<!-- bench-{bench}: begin -->")[2]
    return begun.partition(f"<!-- bench-{bench}: end -->")[0]

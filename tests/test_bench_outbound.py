"""The bench of calls to SAS runs, for a few calls: its figures are looked at by people."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bench.client import Connection, dial
from bench.outbound.peers import CREATED, EDITOR, REQUEST, peers
from bench.outbound.terminators import Terminator, nginx, stunnel
from bench_pages import filled_in, own_part
from neighbours import installed
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


Start = Callable[[Path, Path, int, Path, Ending], AbstractContextManager[Terminator]]


ROW = re.compile(r"^\| (?P<name>[^|]+) \| (?P<ms>[\d.]+) \([\d.]+–[\d.]+\) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def written(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the bench puts into the page of performance."""
    for each in ("nginx", "curl", "stunnel"):
        installed(each)
    folder = tmp_path_factory.mktemp("bench")
    return own_part(filled_in("outbound", lab, folder, "--calls", 2), "outbound")


def measured(tables: str, heading: str = "Latency") -> dict[str, float]:
    """Milliseconds of each contender."""
    table = tables.partition(f"### {heading} of a call")[2].partition("###")[0]
    return {row["name"]: float(row["ms"]) for row in ROW.finditer(table)}


def test_every_way_to_call_is_measured(written: str) -> None:
    found = measured(written)
    assert len(found) == 12
    assert len([name for name in found if "sasgate" in name]) == 3
    assert len([name for name in found if "nginx" in name or "stunnel" in name]) == 4
    assert all(milliseconds > 0 for milliseconds in found.values())


def test_cpu_is_said_of_all_but_curls_own_clock(written: str) -> None:
    latency, cpu = measured(written), measured(written, "CPU")
    assert set(latency) - set(cpu) == {"the same by curl's own clock, without the process"}
    assert all(milliseconds > 0 for milliseconds in cpu.values())


@pytest.mark.parametrize("start", [nginx, stunnel])
def test_others_tell_sas_by_its_chain(start: Start, lab: Lab, tmp_path: Path) -> None:
    for each in ("nginx", "stunnel"):
        installed(each)
    ending, pem = Ending(), lab.editor_path(EDITOR)
    with peers(lab, tmp_path, ending) as all_of_them:
        sas = all_of_them.sas
        for roots, admitted in ((lab.public_root, True), (lab.path_of("other-ca"), False)):
            folder = tmp_path / f"again-{admitted}"
            with start(pem, roots, sas, folder, ending) as terminator:
                assert (answer(terminator.port) == CREATED) is admitted


def answer(port: int) -> tuple[int, bytes] | None:
    with dial(port) as plain:
        try:
            return Connection(plain, REQUEST).exchange()
        except OSError:
            return None


def test_the_page_says_whether_the_target_was_reached(written: str) -> None:
    rows = [line for line in written.splitlines() if "≤ 0.1 × `curl --cert`" in line]
    assert len(rows) == 2
    assert all(row.endswith(("| reached |", "| **missed** |")) for row in rows)

"""The bench of lists runs, on lists of a few entries: its figures are looked at by people."""

import re
import shutil

import pytest

from bench_pages import filled_in, own_part
from sasgate.lab.pki import Lab


ENTRIES = 3


@pytest.fixture(scope="module")
def written(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the bench puts into the page of performance."""
    bounded = ("--calls", 5, "--entries", ENTRIES)
    return own_part(filled_in("crl", lab, tmp_path_factory.mktemp("bench"), *bounded), "crl")


def rows(page: str, contender: str) -> list[tuple[str, float]]:
    """Entries, and milliseconds of CPU."""
    found = re.findall(
        rf"^\| {contender} \(OpenSSL [\d.]+\) \| (\d+) \| ([\d.]+) ", page, re.MULTILINE
    )
    return [(entries, float(cpu)) for entries, cpu in found]


@pytest.mark.parametrize(
    ("contender", "entries"),
    [("sasgate", ["0", "3"]), ("sasgate, again", ["0"]), ("nginx", ["0", "3"])],
)
def test_each_contender_is_measured_with_each_list(
    written: str, contender: str, entries: list[str]
) -> None:
    if contender == "nginx" and shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin") is None:
        pytest.skip("nginx is not installed: apt-get install nginx")
    measured = rows(written, contender)
    assert [each for each, _ in measured] == entries
    assert all(cpu > 0 for _, cpu in measured)


def test_a_list_is_loaded_under_load(written: str) -> None:
    _, _, loading = written.partition("### Loading 3 entries")
    assert re.search(r"slowest request, ms \| [\d.]+ .* \| [\d.]+ .* \| [\d.]+ ", loading)
    child = re.search(r"child at its highest, MiB resident \| (\d+) ", loading)
    assert child
    assert int(child[1]) > 0


def test_targets_for_other_lists_are_not_called_reached(written: str) -> None:
    (row,) = (line for line in written.splitlines() if "1 000 000 entries | ≤ 0.04" in line)
    assert row.split(" | ")[2:] == ["not measured", " |"]

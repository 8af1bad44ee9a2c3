"""The bench of calls from SAS runs, for a few calls: its figures are looked at by people."""

import os
import re
import select
import ssl
from collections.abc import Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from attrs import evolve

from bench.client import WrongAnswer
from bench.figures import Spread
from bench.inbound import ab, pacing
from bench.inbound.field import Cores
from bench.inbound.holding import Held
from bench.inbound.measuring import HALF_OF_NGINX, Figures, Key, Pace, Slice
from bench.inbound.pacing import Line, Paced
from bench.inbound.report import report, targets
from bench.inbound.works import GET, POST, WORKS, Extent, Work
from bench.plot import Bar, Panel, picture
from bench.targets import collected
from bench_pages import filled_in, own_part
from neighbours import installed
from sasgate.lab.pki import Lab


CONTENDERS = ("sasgate", "nginx", "HAProxy", "Apache", "stunnel, without headers")
WORK = Work("work", "Work", 100)
SAID = """\
Document Length:        1024 bytes
Complete requests:      100
Failed requests:        0
Keep-Alive requests:    100
Requests per second:    5360.27 [#/sec] (mean)
"""


@pytest.fixture(scope="module")
def written(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of performance, as the bench fills it in."""
    for each in ("nginx", "haproxy", "apache2", "stunnel", "ab"):
        installed(each)
    works = ("--work", "connect", "--work", "get", "--work", "post-large")
    few = ("--share", 0.01, "--seconds", 0.05, "--held", 10)
    return filled_in("inbound", lab, tmp_path_factory.mktemp("bench"), *works, *few)


@pytest.fixture(scope="module")
def tables(written: Path) -> str:
    """What it puts there."""
    return own_part(written, "inbound")


def figures_of(tables: str, heading: str) -> dict[str, float]:
    """The first figure of each contender, in the table below that heading."""
    table = tables.partition(f"### {heading}")[2].partition("###")[0]
    found = re.findall(r"^\| ([^|]+) \| ([\d.]+) \(", table, re.MULTILINE)
    return {name: float(figure) for name, figure in found}


@pytest.mark.parametrize(
    "heading", ["New connection, one GET of 1 kB, TLS 1.3", "Kept connection, POST of 1 MB"]
)
def test_each_contender_does_each_work(tables: str, heading: str) -> None:
    found = figures_of(tables, heading)
    assert tuple(found) == CONTENDERS
    assert all(microseconds > 0 for microseconds in found.values())


@pytest.mark.parametrize("pace", ["half of nginx's capacity", "half of the slowest one's capacity"])
def test_each_contender_is_called_at_each_pace(tables: str, pace: str) -> None:
    assert tuple(figures_of(tables, f"Latency at {pace}")) == CONTENDERS


def test_each_contender_holds_connections(tables: str) -> None:
    found = figures_of(tables, "Memory, 10 held connections")
    assert tuple(found) == CONTENDERS


def test_a_work_that_was_left_out_is_not_called_reached(tables: str) -> None:
    rows = [line for line in tables.splitlines()
            if line.startswith("| request on a kept connection")]  # fmt: skip
    left_out = [row for row in rows if "TLS 1.2" in row]
    assert len(left_out) == 2
    assert all(row.endswith("| not measured |  |") for row in left_out)


def test_the_pictures_that_the_page_shows_are_there(written: Path, tables: str) -> None:
    shown = re.findall(r"!\[.*\]\((performance/inbound-.*)\)", tables)
    assert len(shown) >= 2
    for name in shown:
        assert ElementTree.parse(written.parent / name).getroot().tag.endswith("svg")


def test_every_table_has_a_cell_for_each_head(tables: str) -> None:
    found = re.findall(r"(?:^\|.*\n)+", tables, re.MULTILINE)
    assert len(found) > 6
    assert all(len({line.count("|") for line in table.splitlines()}) == 1 for table in found)


def test_what_ab_says_is_read() -> None:
    table = "\n".join(
        ["Percentage served,Time in ms", *(f"{each},{each / 2:.3f}" for each in range(100))]
    )
    assert ab.read(SAID, table, 1000) == ab.Burst(5360.27, 25.0, 49.5)


def test_rows_that_ab_reads_from_behind_its_figures_are_not_believed() -> None:
    table = "\n".join(
        f"{each},{each:.3f}" if each <= 93 else f"{each},0.255" for each in range(100)
    )
    assert ab.read(SAID, table, 8).p99 == 93.0


def test_ab_without_figures_is_no_measurement() -> None:
    with pytest.raises(WrongAnswer, match="no figures"):
        ab.read("", "", 100)


def test_a_run_of_ab_that_was_answered_is_taken() -> None:
    ab.require(SAID, WORK, 100)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (SAID.replace("1024 bytes", "97 bytes"), "Document Length 97, not 1024"),
        (SAID.replace("requests:      100", "requests:      99"), "Complete requests 99, not 100"),
        (SAID.replace("requests:        0", "requests:        3"), "Failed requests 3, not 0"),
        (SAID + "Non-2xx responses:      100\n", "Non-2xx responses 100, not 0"),
        (SAID.replace("Keep-Alive requests:    100", ""), "Keep-Alive requests None, not 100"),
        ("", "Complete requests None"),
    ],
)
def test_a_run_of_ab_that_was_not_answered_as_meant_fails(said: str, found: str) -> None:
    with pytest.raises(WrongAnswer, match=found):
        ab.require(said, WORK, 100)


def test_new_connections_need_not_be_kept() -> None:
    ab.require(SAID.replace("Keep-Alive requests:    100\n", ""), evolve(WORK, kept=False), 100)


def test_ab_is_told_one_suite_in_tls_1_2_alone(tmp_path: Path) -> None:
    pem = tmp_path / "client.pem"
    assert "-Z" in ab.arguments(evolve(WORK, tls="1.2"), 10, pem, tmp_path)
    assert "-Z" not in ab.arguments(WORK, 10, pem, tmp_path)


def test_ab_posts_a_body_of_the_length_that_is_meant(tmp_path: Path) -> None:
    (work,) = (each for each in WORKS if each.key == POST)
    arguments = list(ab.arguments(work, 10, tmp_path / "client.pem", tmp_path))
    assert Path(arguments[arguments.index("-p") + 1]).stat().st_size == 2048


def test_each_caller_has_a_call_however_small_the_share() -> None:
    assert WORK.times(0.0001) == WORK.callers


def test_calls_are_due_as_often_as_wanted_and_in_order() -> None:
    due = pacing.arrivals(1000.0, 10.0, Random(1))
    assert due == sorted(due)
    assert 9000 < len(due) < 11000


def test_a_call_is_due_however_short_the_time() -> None:
    assert len(pacing.arrivals(1.0, 0.0, Random(1))) == 1


@pytest.mark.parametrize(("share", "value"), [(0.5, 51), (0.99, 100), (1.0, 100)])
def test_a_percentile_is_one_of_the_values(share: float, value: int) -> None:
    assert pacing.percentile([float(each) for each in range(100, 0, -1)], share) == value


class PipeLine(Line):
    """A connection that answers at once."""

    def __init__(self) -> None:
        self.due = self.free_since = 0.0
        self._read, self._write = os.pipe()

    def fileno(self) -> int:
        return self._read

    def send(self, due: float) -> None:
        self.due = due
        os.write(self._write, b"x")

    def is_answered(self) -> bool:
        return bool(os.read(self._read, 1))

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes between any two looks at the clock."""
    now = iter(range(10**6))
    monkeypatch.setattr(pacing, "time", SimpleNamespace(perf_counter=lambda: float(next(now))))
    wait = select.select
    monkeypatch.setattr(
        pacing, "select", SimpleNamespace(select=lambda busy, *_: wait(busy, (), (), 0.0))
    )


def offered(monkeypatch: pytest.MonkeyPatch, count: int, due: Sequence[float]) -> Paced:
    ticking(monkeypatch)
    lines = [PipeLine() for _ in range(count)]
    try:
        return pacing.offer(lines, due)
    finally:
        for line in lines:
            line.close()


def test_a_call_that_had_to_wait_counts_from_when_it_was_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = offered(monkeypatch, 1, [1.0])
    after_others = offered(monkeypatch, 1, [1.0] * 5)
    assert after_others.p99 >= alone.p99 + 4000


def test_waiting_for_a_server_is_no_delay_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = offered(monkeypatch, 1, [1.0] * 5), offered(monkeypatch, 1, [1.0] * 50)
    assert many.p99 > few.p99
    assert many.late == few.late


class Stream:
    """A TLS connection that brings its pieces one at a time."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def recv(self, size: int) -> bytes:
        if not self._pieces:
            raise ssl.SSLWantReadError
        return self._pieces.pop(0)


def line(*pieces: bytes) -> Line:
    return Line(Stream(*pieces), b"GET", b"body")  # type: ignore[arg-type]


def test_an_answer_may_come_in_pieces() -> None:
    whole = line(b"HTTP/1.1 200 OK\r\n", b"\r\nbo", b"dy")
    assert [whole.is_answered() for _ in range(3)] == [False, False, True]


def test_an_answer_that_is_not_there_yet_is_waited_for() -> None:
    assert not line().is_answered()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\n\r\nydob"],
        [b"HTTP/1.1 200 OK\r\n\r\nbodybody"],
        [b"HTTP/1.1 401 No\r\n\r\nbody"],
        [b""],
        [b"HTTP/1.1 200 OK\r\n\r\nbo", b""],
    ],
)
def test_another_answer_than_the_backends_fails_the_run(pieces: list[bytes]) -> None:
    wrong = line(*pieces)
    with pytest.raises(WrongAnswer):
        list(iter(wrong.is_answered, True))


@pytest.mark.parametrize(
    ("available", "cores"),
    [([3], Cores(3, 3, 3)), ([0, 1], Cores(0, 1, 1)), ([0, 2, 4, 6], Cores(0, 2, 4))],
)
def test_contenders_have_a_cpu_to_themselves_where_there_are_two(
    available: list[int], cores: Cores
) -> None:
    assert Cores.chosen(available) == cores
    assert cores.shared == (len(available) == 1)


def measured(cpu: dict[str, float]) -> Figures:
    (work,) = (each for each in WORKS if each.key == GET)
    pace = Pace(HALF_OF_NGINX, 1000.0)
    return Figures(
        Extent(2, (work,)),
        list(cpu),
        dict.fromkeys(cpu, "3.0"),
        {Key(GET, name): [Slice(each, 10.0, 0.5, 1.0, 2.0)] * 2 for name, each in cpu.items()},
        [pace],
        {Key(pace.why, name): [Paced(1000.0, 500.0, 1.0, 2.0, 0.1)] * 2 for name in cpu},
        {name: [Held(50.0, 40.0)] * 2 for name in cpu},
    )


def outcomes(figures: Figures) -> dict[tuple[str, str], str]:
    rows = (each.row() for each in targets(figures))
    return {(work, target): outcome for work, target, _, outcome in rows}


def test_targets_are_of_ratios_of_cpu() -> None:
    found = outcomes(measured({"sasgate": 120.0, "nginx": 50.0, "Apache": 130.0}))
    assert found["request on a kept connection, TLS 1.3", "≤ 1 × Apache"] == "reached"
    assert found["request on a kept connection, TLS 1.3", "≤ 2.2 × nginx"] == "**missed**"
    assert found["memory at rest", "≤ 60 MiB"] == "reached"


def test_without_a_peer_a_target_is_neither_reached_nor_missed() -> None:
    found = outcomes(measured({"sasgate": 120.0, "nginx": 50.0}))
    assert found["request on a kept connection, TLS 1.3", "≤ 1 × Apache"] == ""
    assert found["p99 latency at half of nginx's capacity", "≤ 2 × Apache"] == ""


def test_a_server_that_cannot_follow_is_told() -> None:
    lines = report(measured({"sasgate": 120.0}), Cores(0, 1, 1), "0, 0", [])
    assert any("500 (500–500), cannot follow" in each for each in lines)


def test_a_picture_has_bars_as_long_as_their_medians() -> None:
    bars = [Bar("one", Spread((1.0, 1.0, 4.0)), ours=True), Bar("<two>", Spread((2.0, 2.0)))]
    root = ElementTree.fromstring(picture("A & B", [Panel("Work", "ms", bars)]))
    _, one, two = (float(each.attrib["width"]) for each in root.iter() if each.tag.endswith("rect"))
    assert two == pytest.approx(2 * one)
    texts = [each.text for each in root.iter() if each.tag.endswith("text")]
    assert {"A & B", "Work, ms", "<two>", "1.00 (1.00–4.00)"} <= set(texts)


def test_targets_of_all_benches_are_collected_from_the_page() -> None:
    page = "\n".join(
        f"<!-- {mark}: begin -->\n\n### Targets\n\n| work | target | measured |  |\n"
        f"| --- | --- | --- | --- |\n| {work} | ≤ 1 | 2 | **missed** |\n"
        "| more | ≤ 1 | not measured |  |\n"
        f"\n| other | table |\n| --- | --- |\n| a | b |\n\n<!-- {mark}: end -->"
        for mark, work in (("bench-one", "first"), ("bench-two", "second"))
    )
    assert list(collected(page)) == [
        ("first", "≤ 1", "2", "**missed**", "`make bench-one`"),
        ("more", "≤ 1", "not measured", "", "`make bench-one`"),
        ("second", "≤ 1", "2", "**missed**", "`make bench-two`"),
        ("more", "≤ 1", "not measured", "", "`make bench-two`"),
    ]

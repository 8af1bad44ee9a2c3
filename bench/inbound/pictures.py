"""What the tables show, as pictures beside the page."""

from collections.abc import Iterator
from pathlib import Path

from bench.contenders import SASGATE
from bench.figures import Spread
from bench.inbound.measuring import Figures
from bench.plot import Bar, Panel, picture


def draw(figures: Figures, page: Path) -> list[str]:
    """Write them into a folder named like the page, beside it; the lines that show them there."""
    folder = page.with_suffix("")
    shown = []
    for name, title, panels in _pictures(figures):
        if panels:
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.svg").write_text(picture(title, panels), "utf-8")
            shown.append(f"![{title}]({folder.name}/{name}.svg)")
    return shown


def _pictures(figures: Figures) -> Iterator[tuple[str, str, list[Panel]]]:
    yield "inbound-cpu", "CPU of the server for one call", list(_cpu(figures))
    yield "inbound-latency", "99 of 100 calls answered within", list(_latency(figures))
    yield "inbound-memory", "Resident memory", list(_memory(figures))


def _cpu(figures: Figures) -> Iterator[Panel]:
    for work in figures.extent.works:
        found = {name: figures.slice(work.key, name, lambda each: each.cpu)
                 for name in figures.names}  # fmt: skip
        yield Panel(work.title, "µs", _bars(found), 0)


def _latency(figures: Figures) -> Iterator[Panel]:
    for pace in figures.paces:
        found = {name: figures.pace(pace.why, name, lambda each: each.p99)
                 for name in figures.names}  # fmt: skip
        yield Panel(f"{pace.rate:.0f} calls/s, {pace.why}", "ms", _bars(found), 1)


def _memory(figures: Figures) -> Iterator[Panel]:
    if figures.held:
        each = {name: figures.memory(name, lambda held: held.each) for name in figures.names}
        yield Panel("A held connection", "KiB", _bars(each), 0)
        idle = {name: figures.memory(name, lambda held: held.idle) for name in figures.names}
        yield Panel("The server at rest", "MiB", _bars(idle), 0)


def _bars(found: dict[str, Spread | None]) -> list[Bar]:
    return [
        Bar(name, spread, ours=name == SASGATE)
        for name, spread in found.items()
        if spread is not None
    ]

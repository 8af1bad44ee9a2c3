"""The tables, in Markdown."""

from collections.abc import Iterator
from datetime import date

from bench.contenders import SASGATE, openssl_of_gateway
from bench.figures import Spread, Target, table
from bench.inbound.field import Cores
from bench.inbound.measuring import HALF_OF_ALL, HALF_OF_NGINX, Figures, Pace
from bench.inbound.works import CONNECT, CONNECT_12, GET, GET_12, Work
from bench.machine import description
from bench.peers import apache, nginx
from bench.peers.everyone import PROGRAMS


NGINX, APACHE = nginx.NAME, apache.NAME
_UNKNOWN = ""


def report(figures: Figures, cores: Cores, load: str, pictures: list[str]) -> list[str]:
    """All of it; `load` is how busy the machine was at the beginning and the end."""
    extent = figures.extent
    return [
        f"Measured on {date.today():%Y-%m-%d}: {description()}.",  # noqa: DTZ011 - for people
        f"{_cores(cores)} Load average at the beginning and at the end: {load}.",
        f"Rounds: {extent.rounds}; of each figure the median (least–most of all rounds).",
        "",
        *table(("contender", "version", "OpenSSL"), _versions(figures)),
        "",
        "### Targets",
        "",
        *table(
            ("work", "target", "measured", ""), (each.row() for each in targets(figures))
        ),
        *(line for picture in pictures for line in ("", picture)),
        *(line for work in extent.works for line in _work(figures, work)),
        *(line for pace in figures.paces for line in _pace(figures, pace)),
        *(_memory(figures) if figures.held else ()),
    ]  # fmt: skip


def targets(figures: Figures) -> Iterator[Target]:
    """Those of the design that speak of calls from SAS, empty lists in force."""

    def cpu(key: str, other: str) -> Spread | None:
        return _over(
            figures.slice(key, SASGATE, lambda each: each.cpu),
            figures.slice(key, other, lambda each: each.cpu),
        )

    def p99(why: str) -> Spread | None:
        return _over(
            figures.pace(why, SASGATE, lambda each: each.p99),
            figures.pace(why, APACHE, lambda each: each.p99),
        )

    new, kept = "new mTLS connection, one request, empty list", "request on a kept connection"
    for tls, key in (("1.3", CONNECT), ("1.2", CONNECT_12)):
        yield Target(f"{new}, TLS {tls}", 0.9, f"× {NGINX}", cpu(key, NGINX))
    for tls, key in (("1.3", GET), ("1.2", GET_12)):
        yield Target(f"{kept}, TLS {tls}", 1.0, f"× {APACHE}", cpu(key, APACHE))
        yield Target(f"{kept}, TLS {tls}", 2.2, f"× {NGINX}", cpu(key, NGINX))
    for why, note in ((HALF_OF_NGINX, ""), (HALF_OF_ALL, " (not of the design)")):
        yield Target(f"p99 latency at {why}{note}", 2.0, f"× {APACHE}", p99(why))
    idle = figures.memory(SASGATE, lambda each: each.idle)
    yield Target("memory at rest", 60, "MiB", None if idle is None else max(idle.values))
    each = _over(
        figures.memory(SASGATE, lambda held: held.each),
        figures.memory(NGINX, lambda held: held.each),
    )
    yield Target("memory of a held connection", 1.8, f"× {NGINX}", each)


def _over(mine: Spread | None, others: Spread | None) -> Spread | None:
    return None if mine is None or others is None else mine.over(others)


def _work(figures: Figures, work: Work) -> Iterator[str]:
    yield from ("", f"### {work.title}", "")
    calls = work.times(figures.extent.share)
    yield f"{calls} calls a round, by {work.callers} at a time, as fast as they go."
    yield ""
    head = ("contender", "CPU a call, µs", f"× {NGINX}", "calls/s", "of its CPU", "p50, ms",
            "p99, ms")  # fmt: skip
    yield from table(head, (_work_row(figures, work.key, name) for name in figures.names))


def _work_row(figures: Figures, key: str, name: str) -> list[str]:
    cpu = figures.slice(key, name, lambda each: each.cpu)
    beside = _over(cpu, figures.slice(key, NGINX, lambda each: each.cpu))
    rate = figures.slice(key, name, lambda each: each.rate)
    busy = figures.slice(key, name, lambda each: each.busy)
    return [
        name,
        _shown(cpu, 0),
        _UNKNOWN if name == NGINX else _shown(beside, 2),
        _shown(rate, 0),
        _UNKNOWN if busy is None else f"{busy.median:.0%}",
        _shown(figures.slice(key, name, lambda each: each.p50), 1),
        _shown(figures.slice(key, name, lambda each: each.p99), 1),
    ]


def _pace(figures: Figures, pace: Pace) -> Iterator[str]:
    yield from ("", f"### Latency at {pace.why}", "")
    yield (
        f"{pace.rate:.0f} calls/s over kept connections (GET of 1 kB, TLS 1.3), each due at a time"
        f" of its own, for {figures.extent.seconds:g} s a round;"
    )
    yield "latency counts from when a call was due."
    yield ""
    head = ("contender", "calls/s answered", "p50, ms", "p99, ms", f"p99, × {APACHE}",
            "CPU a call, µs", "this client's own delay, p99, ms")  # fmt: skip
    yield from table(head, (_pace_row(figures, pace.why, name) for name in figures.names))


def _pace_row(figures: Figures, why: str, name: str) -> list[str]:
    p99 = figures.pace(why, name, lambda each: each.p99)
    beside = _over(p99, figures.pace(why, APACHE, lambda each: each.p99))
    offered = figures.pace(why, name, lambda each: each.offered)
    rate = figures.pace(why, name, lambda each: each.rate)
    behind = rate is not None and offered is not None and rate.over(offered).median < 0.95
    return [
        name,
        _shown(rate, 0) + (", cannot follow" if behind else ""),
        _shown(figures.pace(why, name, lambda each: each.p50), 2),
        _shown(p99, 2),
        _UNKNOWN if name == APACHE else _shown(beside, 2),
        _shown(figures.pace(why, name, lambda each: each.cpu), 0),
        _shown(figures.pace(why, name, lambda each: each.late), 2),
    ]


def _memory(figures: Figures) -> Iterator[str]:
    yield from ("", f"### Memory, {figures.extent.held} held connections", "")
    head = ("contender", "at rest, MiB", "a held connection, KiB", f"× {NGINX}")
    yield from table(head, (_memory_row(figures, name) for name in figures.names))


def _memory_row(figures: Figures, name: str) -> list[str]:
    each = figures.memory(name, lambda held: held.each)
    beside = _over(each, figures.memory(NGINX, lambda held: held.each))
    return [
        name,
        _shown(figures.memory(name, lambda held: held.idle), 0),
        _shown(each, 0),
        _UNKNOWN if name == NGINX else _shown(beside, 2),
    ]


def _shown(spread: Spread | None, digits: int) -> str:
    return _UNKNOWN if spread is None else spread.text(digits)


def _versions(figures: Figures) -> Iterator[tuple[str, str, str]]:
    for name in figures.names:
        if name == SASGATE:
            yield (name, "this one", openssl_of_gateway())
        else:
            yield (name, PROGRAMS[name].own_version(), figures.openssl[name])


def _cores(cores: Cores) -> str:
    if cores.shared:
        return "One CPU for all, load included: only CPU a call says something."
    if cores.load == cores.backend:
        return "The contenders had a CPU to themselves, load and backend the other."
    return "The contenders had a CPU to themselves, and so had the load and the backend."

"""The tables, in Markdown."""

from collections.abc import Callable, Iterator
from datetime import date

from bench.contenders import SASGATE
from bench.crl.connections import AGAIN, NGINX, Connections, Key
from bench.crl.loading import BUSY, KINDS, QUIET, Load, Loading
from bench.figures import Spread, Target, table
from bench.machine import description
from bench.peers.nginx import PROGRAM


def report(connections: Connections, loading: Loading, load: str) -> list[str]:
    """All of it; `load` is how busy the machine was at the beginning and the end."""
    nginx = f", nginx {PROGRAM.own_version()}" if PROGRAM.found() else ""
    return [
        f"Measured on {date.today():%Y-%m-%d}: {description()}{nginx}.",  # noqa: DTZ011 - for people
        f"Load average at the beginning and at the end: {load}.",
        f"{connections.rounds} rounds; of each figure the median (least–most of all rounds).",
        "",
        "### Targets",
        "",
        *table(
            ("work", "target", "measured", ""),
            (each.row() for each in targets(connections, loading)),
        ),
        "",
        "### CPU of a new connection",
        "",
        f"At most {connections.calls} calls a round, by {connections.callers} callers at a time.",
        "",
        *_connections(connections),
        "",
        f"### Loading {_count(loading.entries)} entries",
        "",
        *_loading(loading),
    ]


def targets(connections: Connections, loading: Loading) -> Iterator[Target]:
    """Those of the design that speak of lists."""
    cpu = connections.cpu

    def ratio(entries: int, other: Key) -> Spread | None:
        mine, others = cpu.get(Key(SASGATE, entries)), cpu.get(other)
        return mine.over(others) if mine is not None and others is not None else None

    for entries, most in ((0, 0.9), (100_000, 0.35), (1_000_000, 0.04)):
        work = f"new connection, {_count(entries)} entries"
        yield Target(work, most, "× nginx", ratio(entries, Key(NGINX, entries)))
    yield Target(
        "new connection, 1 000 000 entries",
        1.05,
        "× itself with none",
        ratio(1_000_000, Key(SASGATE, 0)),
    )
    whole = loading.entries == 1_000_000
    yield Target(
        "slowest request while 1 000 000 are loaded",
        1.5,
        "× without",
        loading.slowest(BUSY).over(loading.slowest(QUIET)) if whole else None,
    )
    memory: tuple[tuple[str, float, Callable[[Load], float]], ...] = (
        ("gateway", 90, lambda load: load.resident),
        ("child", 130, lambda load: load.child),
    )
    for who, most, what in memory:
        highest = max(loading.loaded(what).values) if whole else None
        yield Target(f"memory of the {who}, 1 000 000 entries", most, "MiB", highest)


def _connections(connections: Connections) -> Iterator[str]:
    rows = []
    for key, spread in connections.cpu.items():
        itself = Key(SASGATE, 0) if key.name == AGAIN else Key(key.name, 0)
        other = connections.cpu.get(Key(NGINX, key.entries))
        beside = "" if other is None or key.name == NGINX else spread.over(other).text(3)
        rows.append(
            (
                f"{key.name} (OpenSSL {connections.openssl[key.name]})",
                _count(key.entries),
                spread.text(2),
                "" if key == itself else spread.over(connections.cpu[itself]).text(2),
                beside,
            )
        )
    head = ("contender", "entries", "ms of CPU", "× itself with none", "× nginx, same list")
    yield from table(head, sorted(rows, key=lambda row: row[0].startswith(NGINX)))


def _loading(loading: Loading) -> Iterator[str]:
    rows = (
        ("slowest request, ms", *(loading.slowest(kind).text(1) for kind in KINDS)),
        ("99 of 100 requests within, ms", *(loading.p99(kind).text(1) for kind in KINDS)),
        (
            "slowest, × quiet",
            *(loading.slowest(kind).over(loading.slowest(QUIET)).text(2) for kind in KINDS),
        ),
    )
    yield from table(("one connection, a request every 10 ms", *KINDS), rows)
    yield ""
    loads = (
        ("from the child's start until the list was in force, s", 1, lambda load: load.seconds),
        ("CPU of the gateway in that stretch, requests included, s", 2, lambda load: load.cpu),
        ("gateway with the list, MiB resident", 0, lambda load: load.resident),
        ("child at its highest, MiB resident", 0, lambda load: load.child),
    )
    yield from table(
        ("one load", "measured"),
        [
            ("gateway before the first list, MiB resident", f"{loading.resident:.0f}"),
            *((what, loading.loaded(of).text(digits)) for what, digits, of in loads),
        ],
    )


_count: Callable[[int], str] = lambda entries: f"{entries:,}".replace(",", " ")  # noqa: E731

"""The table, in Markdown."""

from datetime import date

from bench.figures import table
from bench.floor.floors import VERSIONS, Floors
from bench.machine import description
from bench.peers.everyone import PROGRAMS


def report(floors: Floors, load: str) -> list[str]:
    """All of it; `load` is how busy the machine was at the beginning and the end."""
    whose = {
        floors.gateway: "sasgate",
        floors.system: ", ".join(name.partition(",")[0] for name in PROGRAMS),
    }
    return [
        f"Measured on {date.today():%Y-%m-%d}: {description()}.",  # noqa: DTZ011 - for people
        f"Load average at the beginning and at the end: {load}.",
        f"{floors.rounds} rounds of {floors.count} handshakes each; of each round the mean,",
        "and of those the median (least–most of all rounds).",
        "",
        *table(
            ("OpenSSL", "of", *(f"TLS {tls}, ms of CPU" for tls in VERSIONS)),
            [
                (version, who, *(floors.spreads[version, tls].text(3) for tls in VERSIONS))
                for version, who in whose.items()
            ],
        ),
    ]

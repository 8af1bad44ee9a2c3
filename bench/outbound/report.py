"""The tables, in Markdown."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import date

from bench.contenders import openssl_of_gateway
from bench.figures import Spread, Target, table
from bench.machine import description
from bench.outbound.calls import AGAIN, CURL, CURL_ITSELF, CURL_THROUGH, KEPT, THROUGH, Latencies
from bench.peers.nginx import PROGRAM as NGINX
from bench.peers.stunnel import PROGRAM as STUNNEL


MOST = 0.1
_CURLS = frozenset({CURL, CURL_ITSELF, CURL_THROUGH})


def report(latencies: Latencies, load: str) -> list[str]:
    """All of it; `load` is how busy the machine was at the beginning and the end."""
    spreads = latencies.spreads
    noise = spreads[AGAIN].over(spreads[THROUGH])
    rounds, calls = latencies.rounds, latencies.calls
    return [
        f"Measured on {date.today():%Y-%m-%d}: {description()}, {_versions()}.",  # noqa: DTZ011 - for people
        f"Load average at the beginning and at the end: {load}.",
        f"{rounds} rounds of {calls} calls each; of each round the median call,",
        "and of those the median (least–most of all rounds).",
        f"Noise: the same, measured twice a round, differed by a factor of {noise.text(2)}.",
        "",
        "### Targets",
        "",
        *table(("work", "target", "measured", ""), (each.row() for each in targets(latencies))),
        "",
        "### Latency of a call",
        "",
        *table(
            ("call", "ms", "× `curl --cert`", "× the same without the process"),
            (_row(name, spreads) for name in spreads),
        ),
        "",
        "### CPU of a call",
        "",
        "Of `curl` the whole process's, which has the application's part too; of a call from",
        "within a process that thread's; of those that stand between, their own process's alone.",
        "",
        *table(
            ("call", "ms of CPU", "× `curl --cert`"),
            (
                (name, cpu.text(3), "" if name == CURL else cpu.over(latencies.cpu[CURL]).text(3))
                for name, cpu in latencies.cpu.items()
            ),
        ),
    ]


def _row(name: str, spreads: Mapping[str, Spread]) -> tuple[str, ...]:
    spread = spreads[name]
    ratios = (
        "" if name == CURL else spread.over(spreads[CURL]).text(3),
        # A process has nothing to be compared with what has none.
        "" if name in _CURLS else spread.over(spreads[CURL_ITSELF]).text(3),
    )
    return (name, spread.text(2), *ratios)


def targets(latencies: Latencies) -> list[Target]:
    """That of the design, for both ways in which applications call."""
    spreads = latencies.spreads
    return [
        Target(f"a call {name}", MOST, "× `curl --cert`", spreads[name].over(spreads[CURL]))
        for name in (KEPT, THROUGH)
    ]


def _versions() -> str:
    return (
        f"OpenSSL {openssl_of_gateway()} in sasgate; nginx {NGINX.own_version()}"
        f" with OpenSSL {NGINX.openssl_version()};"
        f" stunnel {STUNNEL.own_version()} with OpenSSL {STUNNEL.openssl_version()};"
        f" {_curl_version()}"
    )


def _curl_version() -> str:
    program = shutil.which("curl")
    assert program is not None
    said = subprocess.run((program, "--version"), capture_output=True, text=True, check=True).stdout
    own, tls = said.split()[1], re.search(r"OpenSSL/(\S+)", said)
    return f"curl {own} with {f'OpenSSL {tls[1]}' if tls else 'another TLS'}"

"""Debian's `ab`: calls one after the other on each of some connections, as fast as they go.

Of the load generators that Debian has it is the one that can do this work. It sends a client
certificate (`-E`), speaks one version of TLS (`-f`), resumes no session in either, and knows no
post-quantum key exchange, which would cost the newer OpenSSL alone. It uses so little CPU that it
is rarely what is measured. It speaks HTTP/1.0. What it lacks is a look at the answers: it counts
other statuses than 2xx and other lengths than the first answer's, and both fail the run here, as
does a first answer of another length than the backend's.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from bench.client import WrongAnswer
from bench.inbound.works import Work
from sasgate.lab.processes import NotReady


# One suite for all: what they would choose by themselves differs.
_SUITE_OF_12 = "ECDHE-RSA-AES256-GCM-SHA384"
_PATIENCE = 300.0


@frozen
class Burst:
    """What `ab` found: calls a second, and milliseconds of half and of 99 of 100 calls."""

    rate: float
    p50: float
    p99: float


def found_ab() -> str:
    """Where it is.

    Raises:
        NotReady: nowhere.
    """
    found = shutil.which("ab")
    if found is None:
        raise NotReady("ab is not installed: apt-get install apache2-utils")
    return found


def run(work: Work, calls: int, port: int, pem: Path, folder: Path) -> Burst:
    """Let it make so many calls to 127.0.0.1; `pem` has the client's key and leaf.

    Raises:
        WrongAnswer: not all were answered by the backend.
        NotReady: ab is not installed.
    """
    table = folder / "percentages.csv"
    table.unlink(missing_ok=True)
    command = [found_ab(), *arguments(work, calls, pem, folder), "-e", str(table)]
    done = subprocess.run(
        [*command, f"https://127.0.0.1:{port}{work.path}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode:
        raise WrongAnswer(f"ab: {work.title}: {done.stderr.strip()[-500:]}")
    require(done.stdout, work, calls)
    return read(done.stdout, table.read_text("ascii"), calls)


def arguments(work: Work, calls: int, pem: Path, folder: Path) -> Iterable[str]:
    """All but the address; a body that is posted is written into the folder."""
    yield from ("-q", "-n", str(calls), "-c", str(work.callers), "-E", str(pem))
    yield from ("-f", f"TLS{work.tls}")
    if work.tls == "1.2":
        yield from ("-Z", _SUITE_OF_12)
    if work.kept:
        yield "-k"
    if work.posted is not None:
        body = folder / f"{work.posted}.json"
        body.write_bytes(b"x" * work.posted)
        yield from ("-p", str(body), "-T", "application/fhir+json")


def require(said: str, work: Work, calls: int) -> None:
    """That what `ab` says is of the calls that were meant.

    Raises:
        WrongAnswer: it is not.
    """
    wanted = {
        "Document Length": work.length,
        "Complete requests": calls,
        "Failed requests": 0,
        "Non-2xx responses": 0,
    }
    found = {
        name: int(count) for name, count in re.findall(r"^(\w[^:]*): +(\d+)", said, re.MULTILINE)
    }
    # It says nothing of other statuses where there were none.
    found.setdefault("Non-2xx responses", 0)
    wrong = [f"{name} {found.get(name)}, not {wanted[name]}" for name in wanted
             if found.get(name) != wanted[name]]  # fmt: skip
    # A server that closes kept connections would be measured for its handshakes.
    if work.kept and found.get("Keep-Alive requests", 0) < calls:
        wrong.append(f"Keep-Alive requests {found.get('Keep-Alive requests')}, not {calls}")
    if wrong:
        raise WrongAnswer(f"ab: {work.title}: {'; '.join(wrong)}")


def read(said: str, table: str, calls: int) -> Burst:
    """Out of what it prints, and its table of percentages (`-e`), which is finer.

    Raises:
        WrongAnswer: a figure is missing.
    """
    rate = re.search(r"^Requests per second: +([\d.]+)", said, re.MULTILINE)
    # Of few calls it reads the last rows out of what is behind its own figures.
    served = {
        int(percent): float(milliseconds)
        for percent, milliseconds in re.findall(r"^(\d+),([\d.]+)$", table, re.MULTILINE)
        if int(percent) < 100 - 50 / calls
    }
    if rate is None or 50 not in served:
        raise WrongAnswer("ab: no figures in what it says")
    return Burst(float(rate[1]), served[50], served[max(served)])

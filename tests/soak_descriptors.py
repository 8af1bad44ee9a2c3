"""A gateway without descriptors left: it does not spin, and recovers by itself (S51).

make soak-descriptors
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from openssl import program
from processes import BackendProcess, GatewayProcess, write_ini
from raw_client import Caller, attempts, connected, request
from reloading import open_files
from sasgate.lab.pki import Lab


_ALLOWED = 120
_SECONDS = 5.0


def cpu(gateway: GatewayProcess) -> float:
    """Seconds of CPU that a gateway has had, proc(5): utime and stime."""
    fields = Path(f"/proc/{gateway.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def exhausted(lab: Lab, gateway: GatewayProcess) -> str:
    """What came of it: the part of a CPU that it took while it had none left."""
    port = gateway.port()
    mute = [connected(port) for _ in range(2 * _ALLOWED)]
    for _ in attempts():
        if open_files(gateway) >= _ALLOWED - 1:
            break
    before, begun = cpu(gateway), time.monotonic()
    time.sleep(_SECONDS)
    part = (cpu(gateway) - before) / (time.monotonic() - begun)
    for each in mute:
        each.close()
    for _ in attempts():
        try:
            if Caller(lab, port).ask(request("GET", "/echo")).status == 200:
                break
        except OSError:
            continue
    lines = sum("EMFILE" in line or "Too many open files" in line for line in gateway.lines)
    if part > 0.5 or gateway.process.poll() is not None:
        raise SystemExit(f"it spins: {part:.0%} of a CPU")
    return f"{part:.0%} of a CPU, {lines} lines of log, serves again"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab.create(Path(folder, "lab"))
        with BackendProcess() as backend:
            ini = write_ini(
                lab, Path(folder, "gateway"), backend.url,
                append="[limits]\nconnections_per_address = 2000\n",
            )  # fmt: skip
            limited = (program("prlimit"), f"--nofile={_ALLOWED}:{_ALLOWED}")
            with GatewayProcess(ini, before=limited) as gateway:
                for number in range(1, 4):
                    print(f"exhausted {number}: {exhausted(lab, gateway)}", flush=True)
    sys.exit(0)


if __name__ == "__main__":
    main()

"""Many mTLS handshakes, one call on each: memory stays where it was (S50).

make soak-handshakes COUNT=100000
"""

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

from gateways import resident
from processes import BackendProcess, GatewayProcess, write_ini
from raw_client import Caller, request
from sasgate.lab.pki import Lab


_CLIENTS = 4
# Who comes to know a client for the first time, or fills caches, has done so by then.
_WARM = 5000
_MOST = 0.05


def handshakes(lab: Lab, port: int, count: int) -> None:
    """So many, of several clients at once; each must be admitted."""
    failed: list[str] = []

    def call() -> None:
        caller = Caller(lab, port)
        for _ in range(count // _CLIENTS):
            status = caller.ask(request("GET", "/echo", "Connection: close")).status
            if status != 200:
                failed.append(str(status))
                return

    threads = [threading.Thread(target=call) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(f"a client got {', '.join(failed)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab.create(Path(folder, "lab"))
        with BackendProcess() as backend:
            ini = write_ini(lab, Path(folder, "gateway"), backend.url)
            with GatewayProcess(ini) as gateway:
                handshakes(lab, gateway.port(), _WARM)
                backend.forget()
                seen, begun = [resident(gateway)], time.monotonic()
                for _ in range(10):
                    handshakes(lab, gateway.port(), count // 10)
                    backend.forget()
                    seen.append(resident(gateway))
    growth = seen[-1] / seen[0] - 1
    shown = " ".join(f"{each / 1024**2:.1f}" for each in seen)
    print(f"{count} handshakes in {time.monotonic() - begun:.0f} s; MiB: {shown} ({growth:+.1%})")
    sys.exit(0 if growth < _MOST else 1)


if __name__ == "__main__":
    main()

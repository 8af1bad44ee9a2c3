"""Reloads under load, many of them: nothing fails and nothing grows (S56).

make soak-reload COUNT=1000
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from attrs import frozen

from gateways import resident
from processes import BackendProcess, GatewayProcess, write_ini
from reloading import hang_up, loaded, open_files
from sasgate.lab.pki import Lab


@frozen
class Soaked:
    """What so many reloads cost: descriptors and bytes before and after, and what clients saw."""

    reloads: int
    seconds: float
    served: int
    failed: tuple[str, ...]
    files: tuple[int, int]
    memory: tuple[int, int]

    @property
    def growth(self) -> float:
        """Of memory, as a part of what it was."""
        return self.memory[1] / self.memory[0] - 1

    def __str__(self) -> str:
        before, after = (each / 1024**2 for each in self.memory)
        return (
            f"{self.reloads} reloads in {self.seconds:.0f} s, {self.served} requests served,"
            f" {len(self.failed)} failed; descriptors {self.files[0]} -> {self.files[1]};"
            f" memory {before:.1f} -> {after:.1f} MiB ({self.growth:+.1%})"
        )


def soak(lab: Lab, gateway: GatewayProcess, count: int, *, warm: int = 50) -> Soaked:
    """So many reloads with clients that call all the time; `warm` more come before the count."""
    with loaded(lab, gateway.port()):
        for _ in range(warm):
            hang_up(gateway)
    files, memory, begun = open_files(gateway), resident(gateway), time.monotonic()
    with loaded(lab, gateway.port()) as load:
        for _ in range(count):
            hang_up(gateway)
    seconds = time.monotonic() - begun
    return Soaked(
        count,
        seconds,
        load.served,
        tuple(load.failed),
        (files, open_files(gateway)),
        (memory, resident(gateway)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--warm", type=int, default=300)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab.create(Path(folder, "lab"))
        with BackendProcess() as backend:
            ini = write_ini(lab, Path(folder, "gateway"), backend.url)
            with GatewayProcess(ini) as gateway:
                result = soak(lab, gateway, asked.count, warm=asked.warm)
    print(result)
    print(*sorted(set(result.failed)), sep="\n")
    good = not result.failed and result.files[1] <= result.files[0] and result.growth < 0.05
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

"""What the kernel says of processes, and what is said of the machine in a report."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used so far, user and system, all threads; not that of its children.

    By the kernel's clock of that process (clock_getcpuclockid(3)), which is what /proc/PID/stat
    shows rounded to hundredths of a second.
    """
    return time.clock_gettime(~pid << 3 | 2)


def settled_cpu_seconds(pid: int, quiet: float = 0.05) -> float:
    """The same, once the process has come to rest: what a call leaves to do is part of it."""
    before = cpu_seconds(pid)
    while True:
        time.sleep(quiet)
        now = cpu_seconds(pid)
        if now - before < quiet / 50:
            return now
        before = now


def memory(pid: int, field: str = "VmRSS") -> float | None:
    """MiB of a process: `VmRSS` now, `VmHWM` at its highest; None where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    lines = (line.split() for line in status.splitlines())
    return next((int(each[1]) / 1024 for each in lines if each[0] == f"{field}:"), None)


def children(pid: int) -> list[int]:
    """The processes that a process's main thread has started and that have not ended."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(each) for each in listed.split()]


def description() -> str:
    """The machine, without its name."""
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    python = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} CPUs ({_model()}), {system}, {python}"


def load() -> str:
    """How busy the machine is by now."""
    return f"{os.getloadavg()[0]:.1f}"


def _model() -> str:
    wanted: Callable[[str], bool] = lambda line: line.startswith("model name")  # noqa: E731
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    named = next(filter(wanted, lines), ": unknown model")
    return named.partition(":")[2].strip()

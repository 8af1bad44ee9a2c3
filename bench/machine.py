"""What the kernel says of processes, and what is said of the machine in a report."""

import os
import platform
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used so far, user and system, all threads; not that of its children.

    By the kernel's clock of that process (clock_getcpuclockid(3)), which is what /proc/PID/stat
    shows rounded to hundredths of a second.
    """
    return time.clock_gettime(~pid << 3 | 2)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for each in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            found += children(each)
    return found


def family_cpu_seconds(pid: int) -> float:
    """The same of a process and all below it that are alive."""
    found = 0.0
    for each in family(pid):
        # A child may end between the two looks; the process itself must not.
        with suppress(OSError) if each != pid else nullcontext():
            found += cpu_seconds(each)
    return found


def settled_cpu_seconds(pid: int, quiet: float = 0.05) -> float:
    """The same, once all of them have come to rest: what a call leaves to do is part of it."""
    before = family_cpu_seconds(pid)
    while True:
        time.sleep(quiet)
        now = family_cpu_seconds(pid)
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


def with_memory_files(pid: int) -> float | None:
    """MiB of a process, and of its files in memory (memfd_create(2)), mapped or not."""
    resident, mapped = memory(pid), memory(pid, "RssShmem")
    if resident is None or mapped is None:
        return None
    held = {}
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if str(each.readlink()).startswith("/memfd:"):
                status = each.stat()
                held[status.st_ino] = status.st_blocks * 512 / 2**20
    return resident - mapped + sum(held.values())


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

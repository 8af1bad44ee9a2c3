"""Faults of a configuration: each names the file, the key, the value and the way out."""

from pathlib import Path

from attrs import frozen


@frozen
class Fault:
    """One thing wrong. `line` is None where no line of `file` can be named."""

    file: Path
    line: int | None
    section: str | None
    key: str | None
    value: str | None
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        where = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        what = [f"[{self.section}]"] if self.section else []
        if self.key:
            what.append(self.key if self.value is None else f"{self.key} = {self.value}")
        place = f"{where}: {' '.join(what)}: " if what else f"{where}: "
        return place + self.reason + (f"; {self.remedy}" if self.remedy else "")


class ConfigError(Exception):
    """A configuration that cannot be used; `faults` are all, each once, in file order.

    Those without a line come last.
    """

    def __init__(self, *faults: Fault) -> None:
        last = float("inf")
        faults = tuple(sorted(dict.fromkeys(faults), key=lambda fault: fault.line or last))
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults

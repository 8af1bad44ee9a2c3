"""Figures of several rounds: the one in the middle, and how far apart they were."""

from collections.abc import Iterable, Sequence
from statistics import median

from attrs import frozen


@frozen
class Spread:
    """Values of all rounds."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """At least one."""
        return cls(tuple(values))

    def over(self, others: "Spread") -> "Spread":
        """The ratio round by round: what slows a whole round down is not in it."""
        pairs = zip(self.values, others.values, strict=True)
        return Spread(tuple(mine / other for mine, other in pairs))

    @property
    def median(self) -> float:
        return median(self.values)

    def text(self, digits: int) -> str:
        """Median, and least to most."""
        least, most = min(self.values), max(self.values)
        return f"{self.median:.{digits}f} ({least:.{digits}f}–{most:.{digits}f})"


@frozen
class Target:
    """What the design asks for; `measured` is None where this run says nothing of it."""

    work: str
    most: float
    unit: str
    measured: Spread | float | None

    def row(self) -> list[str]:
        """A row of the table."""
        wanted = f"≤ {self.most:g} {self.unit}"
        match self.measured:
            case None:
                return [self.work, wanted, "not measured", ""]
            case Spread():
                value, shown = self.measured.median, self.measured.text(_digits(self.most))
            case float():
                value, shown = self.measured, f"{self.measured:.0f}"
        return [self.work, wanted, shown, "reached" if value <= self.most else "**missed**"]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _digits(most: float) -> int:
    return 3 if most < 0.1 else 2

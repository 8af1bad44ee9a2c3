"""The page that has the tables of all benches, each between two marks of its own."""

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen


@frozen
class NoPlace(Exception):
    """The page has no place for the tables; the text says what is missing."""

    text: str

    def __str__(self) -> str:
        return self.text


def put(lines: Sequence[str], page: Path, mark: str) -> None:
    """Replace what is between the marks of a page.

    Raises:
        NoPlace: as `around`.
    """
    before, after = around(page, mark)
    begin, end = _marks(mark)
    page.write_text("\n".join((before + begin, "", *lines, "", end + after)), "utf-8")


def around(page: Path, mark: str) -> tuple[str, str]:
    """What stands before and after the marks.

    Raises:
        NoPlace: they are not there, or in the wrong order.
    """
    begin, end = _marks(mark)
    before, begun, rest = page.read_text("utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise NoPlace(f"{page}: add two lines, {begin} and {end}; the tables go between")
    return before, after


def _marks(mark: str) -> tuple[str, str]:
    return f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"

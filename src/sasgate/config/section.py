"""Typed reading of one section; what is wrong is noted, and the reading goes on.

A value that is refused leaves the default (or a placeholder) behind it: harmless, since any fault
keeps the settings from being returned.
"""

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from sasgate.config.ini import Entry, Line, Section
from sasgate.config.values import Rejected
from sasgate.errors import ConfigError, Fault


T = TypeVar("T")


class Report:
    """The faults of one file, and where its sections and keys stand."""

    def __init__(self, path: Path, faults: Iterable[Fault] = ()) -> None:
        self.path = path
        self.lines: dict[tuple[str, str], int] = {}
        self.sections: dict[str, int] = {}
        self._faults = list(faults)
        self._refused: set[tuple[str | None, str | None]] = set()

    def add(
        self,
        line: int | None,
        section: str | None,
        reason: str,
        remedy: str = "",
        *,
        key: str | None = None,
        value: str | None = None,
    ) -> None:
        """Note one fault; nothing is raised yet."""
        self._refused.add((section, key))
        self._faults.append(Fault(self.path, line, section, key, value, reason, remedy))

    def at(self, section: str, key: str, value: str | None, reason: str, remedy: str = "") -> None:
        """Note a fault of a key, at its line, or at the section's where it is left out."""
        line = self.lines.get((section, key), self.sections.get(section))
        self.add(line, section, reason, remedy, key=key, value=value)

    def sound(self, section: str, key: str) -> bool:
        """Whether no fault of this key was noted so far."""
        return (section, key) not in self._refused

    def conclude(self) -> None:
        """Raise all that was noted, in file order, what has no line last.

        Raises:
            ConfigError: at least one fault was noted.
        """
        if self._faults:
            last = float("inf")
            raise ConfigError(*sorted(self._faults, key=lambda fault: fault.line or last))


class SectionReader:
    """One section; a key that nobody asked for is a fault when `finish` is called.

    `folder` is where relative paths start.
    """

    def __init__(self, section: Section, report: Report) -> None:
        self.name = section.name
        self.folder = report.path.parent
        self._report = report
        self._asked: set[str] = set()
        self._without_default: set[str] = set()
        self._entries: dict[str, Entry] = {}
        if section.number is not None:
            report.sections[section.name] = section.number
        for entry in section.entries:
            first = self._entries.setdefault(entry.key, entry)
            if first is entry:
                report.lines[self.name, entry.key] = entry.number
            else:
                reason = f"is given twice, first on line {first.number}"
                report.add(entry.number, self.name, reason, "keep one of them", key=entry.key)

    def has(self, key: str) -> bool:
        """Whether the file gives this key."""
        return key in self._entries

    def sound(self, key: str) -> bool:
        """Whether no fault of this key was noted so far."""
        return self._report.sound(self.name, key)

    def expect(self, *keys: str) -> None:
        """Know that these have no default: an empty one is to be filled in, not removed."""
        self._without_default.update(keys)

    def one(self, key: str, convert: Callable[[str], T], default: T) -> T:
        """The value of a key that may be left out."""
        lines = self._lines(key)
        if len(lines) > 1:
            self.reject(key, None, "takes one value, on one line")
            return default
        return next(self._converted(key, lines, convert), default)

    def needed(self, key: str, convert: Callable[[str], T], placeholder: T) -> T:
        """The value of a key that must be there."""
        self.expect(key)
        if not self.has(key):
            self.reject(key, None, "is missing")
        return self.one(key, convert, placeholder)

    def words(
        self, key: str, convert: Callable[[str], T], default: tuple[T, ...] = ()
    ) -> tuple[T, ...]:
        """A list separated by spaces or newlines; `default` where the key is left out."""
        words = [Line(line.number, word) for line in self._lines(key) for word in line.text.split()]
        return tuple(self._converted(key, words, convert)) if self.has(key) else default

    def rows(self, key: str, convert: Callable[[str], T]) -> tuple[T, ...]:
        """A list with one value a line."""
        return tuple(self._converted(key, self._lines(key), convert))

    def refuse(self, key: str, reason: str, remedy: str) -> None:
        """Note a fault if the file gives this key, which cannot be given here."""
        self._asked.add(key)
        if self.has(key):
            self.reject(key, None, reason, remedy)

    def reject(self, key: str, value: str | None, reason: str, remedy: str = "") -> None:
        """Note a fault of this key, given or left out."""
        self._report.at(self.name, key, value, reason, remedy)

    def finish(self) -> None:
        """Refuse what the section holds and nobody has asked for."""
        for entry in self._entries.values():
            if entry.key not in self._asked:
                remedy = likely(entry.key, self._asked)
                self.reject(entry.key, None, "is no key of this section", remedy)

    def _lines(self, key: str) -> tuple[Line, ...]:
        self._asked.add(key)
        entry = self._entries.get(key)
        if entry is None:
            return ()
        if not entry.lines:
            remedy = "remove the line to have the default"
            if key in self._without_default:
                remedy = "write one: there is no default"
            self.reject(key, "", "has no value", remedy)
        return entry.lines

    def _converted(
        self, key: str, values: Iterable[Line], convert: Callable[[str], T]
    ) -> Iterator[T]:
        for value in values:
            try:
                yield convert(value.text)
            except Rejected as error:
                self._report.add(
                    value.number,
                    self.name,
                    error.reason,
                    error.remedy,
                    key=key,
                    value=value.text,
                )


def likely(name: str, known: Iterable[str]) -> str:
    """A remedy: the known word most like `name`, or all of them."""
    choices = sorted(known)
    return likely_only(name, choices) or f"known here: {', '.join(choices)}"


def likely_only(name: str, known: Iterable[str]) -> str:
    """A remedy: the known word most like `name`, or nothing."""
    close = get_close_matches(name, sorted(known), n=1)
    return f"did you mean {close[0]}?" if close else ""

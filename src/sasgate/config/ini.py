"""The text of a configuration file: sections, keys and values, each with its line number.

configparser reads the syntax; it is told which line it reads by a mark on each one, so that a fault
can name the line of one value in a list, and so that repeated names stay apart and can be reported
all at once.
"""

import configparser
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from sasgate.errors import ConfigError, Fault


_LARGEST = 1024 * 1024
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# A control character that no line holds once `_check_characters` has passed.
_MARK = "\x00"


@frozen
class Line:
    """One line of a value, stripped, and where it stands."""

    number: int
    text: str


@frozen
class Entry:
    """One `key = value`; `lines` holds no empty line, and is empty where no value was given."""

    key: str
    number: int
    lines: tuple[Line, ...]


@frozen
class Section:
    """One `[name]` with its entries in file order; `number` is None for a section left out."""

    name: str
    number: int | None
    entries: tuple[Entry, ...] = ()


@frozen
class Document:
    """What stands in the file, repeated names included, and what could not be read of it."""

    sections: tuple[Section, ...]
    faults: tuple[Fault, ...]


def read(path: Path) -> Document:
    """The sections of the file at `path`, in UTF-8 with or without a byte order mark.

    Raises:
        ConfigError: the file cannot be read at all.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise ConfigError(_file_fault(path, f"the configuration is {kind}"))
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(_file_fault(path, f"cannot be read: {reason}")) from None
    if len(data) > _LARGEST:
        raise ConfigError(_file_fault(path, f"is larger than {_LARGEST} bytes"))
    return parse(path, _decode(path, data))


def parse(path: Path, text: str) -> Document:
    """The sections in `text`; `path` only names it in faults.

    Raises:
        ConfigError: `text` holds control characters.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    _check_characters(path, lines)
    parser = _MarkedParser()
    try:
        parser.read_file(_marked(lines))
    except configparser.ParsingError as error:
        numbers = sorted({number - 1 for number, _ in error.errors})
    else:
        numbers = []
    faults = [_line_fault(path, number, lines[number - 1]) for number in numbers]
    sections = tuple(_section(name, parser.items(name)) for name in parser.sections())
    before = sections[0].entries
    faults += [_line_fault(path, entry.number, lines[entry.number - 1]) for entry in before]
    return Document(sections[1:], tuple(faults))


class _MarkedParser(configparser.RawConfigParser):
    """configparser for lines that end in a mark and their number."""

    SECTCRE = re.compile(rf"\[(?P<header>[^\]]*\]{_MARK}\d+)$")

    def __init__(self) -> None:
        super().__init__(
            default_section="",
            delimiters=("=",),
            comment_prefixes=("#", ";"),
            inline_comment_prefixes=None,
            interpolation=None,
        )
        self._options = 0

    def optionxform(self, optionstr: str) -> str:
        """The name as written (configparser's default lowers it), never equal to another."""
        self._options += 1
        return f"{optionstr}{_MARK}{self._options}"


def _marked(lines: list[str]) -> Iterator[str]:
    """The lines, each with its number, under a nameless section for what precedes the first."""
    yield f"[]{_MARK}0"
    for number, line in enumerate(lines, 1):
        yield f"{line}{_MARK}{number}" if line.strip() else ""


def _section(marked_name: str, items: list[tuple[str, str]]) -> Section:
    name, number = marked_name.split(f"]{_MARK}")
    return Section(name, int(number), tuple(_entry(key, value) for key, value in items))


def _entry(marked_key: str, marked_value: str) -> Entry:
    lines = []
    for marked_line in filter(None, marked_value.split("\n")):
        text, number = marked_line.split(_MARK)
        lines.append(Line(int(number), text.strip()))
    filled = tuple(line for line in lines if line.text)
    return Entry(marked_key.split(_MARK, maxsplit=1)[0], lines[0].number, filled)


def _decode(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        reason = f"is not UTF-8: {error.reason} 0x{data[error.start]:02x}"
        fault = Fault(path, line, None, None, None, reason, "save the file in UTF-8")
        raise ConfigError(fault) from None


def _check_characters(path: Path, lines: list[str]) -> None:
    faults = [
        Fault(
            path,
            number,
            None,
            None,
            None,
            f"holds the control character U+{ord(found[0]):04X}",
            "remove it",
        )
        for number, line in enumerate(lines, 1)
        if (found := _CONTROL.search(line))
    ]
    if faults:
        raise ConfigError(*faults)


def _line_fault(path: Path, number: int, line: str) -> Fault:
    text = line.strip()
    reason = f"`{text}` is neither `[section]` nor `key = value` within a section"
    remedy = "a value that goes on over several lines is indented; a comment has its own line"
    return Fault(path, number, None, None, None, reason, remedy)


def _file_fault(path: Path, reason: str) -> Fault:
    return Fault(path, None, None, None, None, reason)

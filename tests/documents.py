"""Reading the documents: their blocks, spans, tables, headings and commands."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path


SPAN = re.compile(r"`([^`]+)`")
_ITEM = re.compile(r"(?:\d{1,2}\.|-) +")
_SHELL = frozenset({">", "<", "|", "&", "&&", "||", ";", ">>"})
# What stands before a command on its line, and is none of it.
_PREFIX = re.compile(
    r"(?:\$ |alias \w+=|[A-Za-z_]+=\S+ |runuser -u sasgate -- |ExecReload=|command\[\w+\]=|# )*"
    r"(?:/opt/sasgate[0-9.-]*/bin/)?(?=sasgate )"
)


def spans(text: str) -> list[str]:
    """What stands between backticks, each on one line."""
    return [" ".join(found.split()) for found in SPAN.findall(text)]


def blocks(text: str) -> Iterator[list[str]]:
    """The indented blocks, their lines without the indentation; a list's items are none."""
    block: list[str] = []
    item = 0
    for line in [*text.splitlines(), "."]:
        if line.startswith(" " * (item + 4)):
            block.append(line.strip())
            continue
        if line and block:
            yield block
            block = []
        if line and not line.startswith(" "):
            begin = _ITEM.match(line)
            item = begin.end() if begin else 0


def sections(document: Path) -> list[str]:
    return document.read_text(encoding="utf-8").split("\n## ")[1:]


def rows(text: str) -> list[list[str]]:
    """The cells of a section's tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rules = {index for index, line in enumerate(lines) if set(line) <= set("|-")}
    heads = rules | {index - 1 for index in rules}
    return [line.split("|")[1:-1] for index, line in enumerate(lines) if index not in heads]


def words_of(line: str) -> list[list[str]]:
    """The `sasgate` commands on a line, as words; several where the shell joins them."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="<>|&;")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word in _SHELL:
            found.append([])
        else:
            found[-1].append(word)
    return [words[1:] for words in found if words and words[0] == "sasgate"]


def commands(lines: list[str]) -> Iterator[list[str]]:
    for line in lines:
        match = _PREFIX.match(line)
        rest = line[match.end() :] if match else ""
        # `sasgate 0.1.0 serves …` and `sasgate … serves` are lines of log.
        if re.match(r"sasgate +(?:[a-z]|--)", rest):
            yield from words_of(rest)


def headings(document: Path) -> list[str]:
    lines = document.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.match(r"#+ ", line)]


def slug(heading: str) -> str:
    """The anchor that a heading gets on the usual forges."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")

"""The documents say what is there: commands, keys of the file, links, flows and lines of log."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pytest

from documents import SPAN, blocks, commands, headings, rows, sections, slug, spans
from processes import CHECKOUT
from sasgate.commands import main
from sasgate.config import load
from sasgate.environments import OCSP_URL, PRESETS
from sasgate.errors import ConfigError


README = CHECKOUT / "README.md"
ARCHITECTURE = CHECKOUT / "docs/architecture.md"
FRENCH = sorted(CHECKOUT.glob("docs/fr/*.md"))
DOCUMENTS = [README, *sorted(CHECKOUT.glob("docs/*.md")), *FRENCH]
OPERATIONS = (CHECKOUT / "docs/operations.md", CHECKOUT / "docs/fr/operations.md")
# Of operations.md, counted from 0 in either language.
FLOWS, PRODUCTION, OUTAGE, TROUBLES = 2, 3, 6, -1

each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(CHECKOUT))
)
each_operations = pytest.mark.parametrize("document", OPERATIONS, ids=("en", "fr"))

SECTIONS = ("sasgate", "inbound", "outbound", "environment:own", "revocation", "limits", "log")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADER = re.compile(r"\[([a-z]+(?::[A-Za-z0-9_.-]+)?)\]")
_KEY = re.compile(r"([a-z_]+) = ")


def misused(arguments: list[str], *, whole: bool) -> str:
    """Why click would not take a command; `whole` where nothing may be left out."""
    command: click.Command = main
    name, rest = "sasgate", [each for each in arguments if each != "--help"]
    whole = whole and rest == arguments
    context: click.Context | None = None
    while True:
        context = click.Context(command, parent=context, info_name=name)
        try:
            given, rest, _ = command.make_parser(context).parse_args(list(rest))
        except click.UsageError as error:
            return f"{name}: {error.format_message()}"
        if whole and (fault := lacking(command.get_params(context), given)):
            return f"{name}: {fault}"
        if not isinstance(command, click.Group) or not rest:
            return f"{name}: too much: {rest}" if rest and whole else ""
        group, (name, *rest) = command, rest
        following = group.get_command(context, name)
        if following is None:
            return f"{context.info_name}: no command {name}"
        command = following


def lacking(parameters: list[click.Parameter], given: dict[str, Any]) -> str:
    """What of a command is left out, or is none of the words that may stand there."""
    for parameter in parameters:
        value = given.get(parameter.name or "")
        if parameter.required and not value:
            return f"{parameter.name} is left out"
        kind = parameter.type
        if isinstance(kind, click.Choice) and isinstance(value, str) and value not in kind.choices:
            return f"{value} is no {parameter.name}"
    return ""


def names_of(group: click.Group, before: str = "sasgate") -> Iterator[str]:
    """Every command below a group, as it is typed."""
    context = click.Context(group)
    for name in group.list_commands(context):
        yield f"{before} {name}"
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from names_of(command, f"{before} {name}")


@cache
def known_keys() -> dict[str, frozenset[str]]:
    """The keys of each section, as the reader of the file itself tells them."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "all.ini"
        file.write_text("".join(f"[{name}]\nqqqqqq = 1\n" for name in SECTIONS))
        with pytest.raises(ConfigError) as caught:
            load(file)
    found = {
        fault.section or "": frozenset(fault.remedy.removeprefix("known here: ").split(", "))
        for fault in caught.value.faults
        if fault.key == "qqqqqq"
    }
    assert set(found) == set(SECTIONS)
    return found


def keys_of(section: str) -> frozenset[str]:
    kind = section.partition(":")[0]
    return known_keys().get("environment:own" if kind == "environment" else kind, frozenset())


def unknown_keys(lines: list[str]) -> Iterator[str]:
    """Keys and sections of a piece of a file that the gateway would refuse."""
    section = None
    for line in lines:
        header = _HEADER.match(line)
        if header:
            section = header[1]
            if not keys_of(section):
                yield f"[{section}]"
        elif line.startswith("["):
            return  # of systemd, or what a table of nothing else means
        key = _KEY.match(line[header.end() :].strip() if header else line)
        known = keys_of(section) if section else frozenset().union(*known_keys().values())
        if key and key[1] not in known:
            yield f"[{section}] {key[1]}"


@cache
def literals() -> str:
    """All text in the code, a literal a line; what is filled in later is `…`."""
    found: list[str] = []
    for file in sorted((CHECKOUT / "src/sasgate").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(_piece(value) for value in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"\{[^}]*\}", "…", node.value))
    return "\n".join(found)


def _piece(value: ast.expr) -> str:
    return str(value.value) if isinstance(value, ast.Constant) else "…"


def unsaid(quoted: list[str]) -> list[str]:
    """Pieces of quoted lines of log, between what is filled in, that stand nowhere in the code."""
    filled = [re.sub(r"\b[0-9]{3}\b|\$[A-Z_]+|NONE", "…", span) for span in quoted]
    pieces = {piece.strip(" :;,") for span in filled for piece in re.split(r"[…()]", span)}
    return sorted(piece for piece in pieces if piece not in literals())


@each_document
def test_every_command_in_a_block_can_be_typed_as_it_stands(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    wrong = [
        (" ".join(arguments), why)
        for block in blocks(text)
        for arguments in commands(block)
        if (why := misused(arguments, whole=True))
    ]
    assert not wrong


@each_document
def test_every_command_that_is_named_exists_with_its_options(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    wrong = [
        (" ".join(arguments), why)
        for arguments in commands(spans(text))
        if (why := misused(arguments, whole=False))
    ]
    assert not wrong


@each_document
def test_every_key_of_the_file_is_one_that_the_gateway_knows(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    pieces = [*blocks(text), *([span] for span in spans(text) if _KEY.match(span) or "] " in span)]
    assert not [name for piece in pieces for name in unknown_keys(piece)]


@each_document
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    lost = []
    for target in _LINK.findall(document.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = (document.parent / path) if path else document
        if not file.exists() or (
            anchor and anchor not in {slug(line.lstrip("#")) for line in headings(file)}
        ):
            lost.append(target)
    assert not lost


def test_the_readme_names_every_command() -> None:
    text = README.read_text(encoding="utf-8")
    named = {" ".join(["sasgate", *words]) for words in commands([*spans(text), *text.split("\n")])}
    # A lab's switches are told by its --help.
    needed = [name for name in names_of(main) if not name.startswith("sasgate lab set ")]
    assert len(needed) > 20
    assert not [
        name for name in needed if not any(f"{each} ".startswith(f"{name} ") for each in named)
    ]


def test_the_architecture_names_every_room() -> None:
    """All files beside each other and in `revocation/`; of other packages the folder."""
    source = CHECKOUT / "src/sasgate"
    named = set(SPAN.findall(ARCHITECTURE.read_text("utf-8")))
    needed = {path.name for path in source.glob("[!_]*.py")}
    needed |= {f"{path.parent.name}/" for path in source.glob("*/__init__.py")}
    needed |= {path.stem for path in source.glob("revocation/[!_]*.py")}
    assert len(needed) > 80
    assert not needed - named


@pytest.mark.parametrize("french", FRENCH, ids=lambda path: path.name)
def test_a_french_document_and_its_english_one_lead_to_each_other(french: Path) -> None:
    english = french.parents[1] / french.name
    assert f"(../{french.name})" in french.read_text(encoding="utf-8")
    assert f"(fr/{french.name})" in english.read_text(encoding="utf-8")
    assert f"(docs/fr/{french.name})" in README.read_text(encoding="utf-8")


@each_operations
def test_the_table_of_flows_has_every_address_and_host_of_ans(document: Path) -> None:
    cells = {cell.strip() for row in rows(sections(document)[FLOWS]) for cell in row}
    words = {word for cell in cells for word in re.split(r"[\s,]+", cell)}
    needed = {OCSP_URL}
    for preset in PRESETS.values():
        needed |= {str(preset.address), str(preset.url), str(preset.issuer.crl_url)}
    hosts = {re.sub(r"https?://([^/]+).*", r"\1", each) for each in needed}
    assert len(hosts) == 8
    assert not hosts - words


@each_operations
def test_moving_to_production_has_what_sas_presents_in_both(document: Path) -> None:
    text = sections(document)[PRODUCTION]
    presets = [PRESETS[name] for name in ("recette", "production")]
    needed = [(each.client_cn, each.client_ou, each.address) for each in presets]
    assert not [value for values in needed for value in values if str(value) not in text]


@each_operations
def test_every_line_that_the_table_of_troubles_quotes_is_one_of_the_code(document: Path) -> None:
    quoted = [span for row in rows(sections(document)[TROUBLES]) for span in SPAN.findall(row[1])]
    assert len(quoted) > 25
    assert not unsaid(quoted)


@each_operations
def test_every_line_of_the_day_of_an_outage_is_one_of_the_code(document: Path) -> None:
    quoted = [span for row in rows(sections(document)[OUTAGE]) for span in SPAN.findall(row[0])]
    assert len(quoted) > 8
    assert not unsaid(quoted)


def test_both_languages_give_the_same_commands_and_lines_of_the_file() -> None:
    def typed(document: Path) -> list[str]:
        text = document.read_text(encoding="utf-8")
        return [line for block in blocks(text) for line in block if not line.startswith("# ")]

    english, french = map(typed, OPERATIONS)
    assert len(english) > 100
    assert english == french


def test_both_languages_have_the_same_sections_and_tables() -> None:
    def shape(document: Path) -> list[object]:
        levels = [line.partition(" ")[0] for line in headings(document)]
        return [levels, *([len(row) for row in rows(text)] for text in sections(document))]

    english, french = map(shape, OPERATIONS)
    assert english == french


def test_both_languages_quote_the_same_lines_of_log() -> None:
    def quoted(document: Path) -> list[list[str]]:
        found = sections(document)
        cells = [row[0] for row in rows(found[OUTAGE])] + [row[1] for row in rows(found[TROUBLES])]
        return [SPAN.findall(cell) for cell in cells]

    english, french = map(quoted, OPERATIONS)
    assert english == french


@pytest.mark.parametrize(
    "line",
    [
        "frob",
        "check --on-line FILE",
        "crl frob",
        "disengage --for 4h",
        "reload --config",
        "engage x",
        "fetch-ca --environment frob --to ca",
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    assert misused(line.split(), whole=True)


@pytest.mark.parametrize(
    "line", ["[limits] beside = 1", "[sasgate] key = x", "[frob]", "ca_file = x"]
)
def test_a_key_that_does_not_exist_is_noticed(line: str) -> None:
    assert list(unknown_keys([line]))

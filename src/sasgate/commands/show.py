"""`sasgate show`: what is in a file of certificates, and what is wrong with it for SAS."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography import x509

from sasgate.commands.description import cut, details, title
from sasgate.commands.examination import Examination, Item, examine
from sasgate.commands.fetch_ca import NotFetched, from_folder
from sasgate.contents import Contents, Unreadable, UnreadableFile, contents, read_file
from sasgate.environments import PRESETS
from sasgate.fitness import PublishedCAs, Verdict
from sasgate.identity import fingerprint


_FILE = click.Path(readable=False, path_type=Path)


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option(
    "--ca",
    "folder",
    type=_FILE,
    metavar="DIR",
    help="The folder of `sasgate fetch-ca`, to verify signatures with; default: beside the file, "
    "its `ca`, or `ca` here.",
)
def show(files: tuple[Path, ...], folder: Path | None) -> None:
    """Say what is in certificates, CSRs, lists and PEM files, DER or PEM, and what is wrong.

    A key is looked for in all files that are given. Nothing is asked of the network, so nothing is
    said about revocation. Exit code 1: something cannot be used with SAS, or cannot be read.
    """
    read, unread = _read(files)
    folders = [folder] if folder else [Path("ca"), *(path.parent for path in files)]
    folders += [] if folder else [path.parent / "ca" for path in files]
    cas = PublishedCAs(tuple(PRESETS.values()))
    cas = PublishedCAs(cas.presets, held(cas, [each for _, each in read], folders))
    with warnings.catch_warnings():
        # Oddities of a stranger's file are said in our words, or not at all.
        warnings.simplefilter("ignore")
        lines, problems = report(examine(read, cas, datetime.now(UTC)))
    for line in lines:
        click.echo(line)
    for problem in (*unread, *problems):
        click.echo(problem, err=True)
    if unread or problems:
        raise SystemExit(1)


def _read(files: Sequence[Path]) -> tuple[list[tuple[Path, Contents]], list[str]]:
    """What is in the files, and of those that cannot be read why not."""
    read: list[tuple[Path, Contents]] = []
    unread: list[str] = []
    for path in files:
        try:
            read.append((path, contents(read_file(path))))
        except UnreadableFile as error:
            unread.append(f"Error: {error}")
    return read, unread


def report(examination: Examination) -> tuple[list[str], list[str]]:
    """What is said of all items, and, again and alone, what is wrong with them."""
    problems = [
        f"wrong: item {item.number}: {cut(problem)}"
        for item in examination.items
        for problem in examination.problems(item)
    ]
    return list(_lines(examination)), problems


def held(
    cas: PublishedCAs, files: Sequence[Contents], folders: Sequence[Path]
) -> dict[str, x509.Certificate]:
    """ANS's CAs that are in the files themselves or in the folders; each is the pinned one."""
    given = {
        fingerprint(certificate): certificate for each in files for certificate in each.certificates
    }
    found: dict[str, x509.Certificate] = {}
    for ca in cas.all:
        if ca.sha256 in given:
            found[ca.name] = given[ca.sha256]
            continue
        for folder in folders:
            with suppress(NotFetched, OSError):
                found[ca.name] = x509.load_der_x509_certificate(from_folder(ca, folder))
                break
    return found


def _lines(examination: Examination) -> Iterator[str]:
    path: Path | None = None
    for item in examination.items:
        if item.path != path:
            path = item.path
            yield f"{click.format_filename(path)}{_form(item)}"
        yield from _item_lines(examination, item)


def _form(item: Item) -> str:
    if item.contents.pem:
        return ": PEM"
    return "" if isinstance(item.value, Unreadable) else ": DER"


def _item_lines(examination: Examination, item: Item) -> Iterator[str]:
    yield f"{item.number}. {title(item.value)}"
    for label, text in details(item.value, examination.now):
        yield f"     {label:<12}{text}"
    partners = examination.partners(item)
    if partners:
        yield f"     {'key of':<12}{', '.join(f'item {number}' for number in partners)}"
    for verdict in examination.verdicts(item):
        yield from _verdict_lines(verdict)


def _verdict_lines(verdict: Verdict) -> Iterator[str]:
    label = f"as {verdict.use}"
    if verdict.good:
        yield f"     {label:<12}fits {verdict.fits}" if verdict.fits else f"     {label:<12}fits"
    else:
        yield f"     {label:<12}no{f', for {verdict.fits}' if verdict.fits else ''}:"
    for each in verdict.wrong:
        yield f"     {'':<12}- {cut(each)}"
    for each in verdict.notes:
        yield f"     {'':<12}note: {cut(each)}"

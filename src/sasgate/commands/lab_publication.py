"""`sasgate lab serve`, `set` and `show`: what the lab publishes of its certificates."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import click

from sasgate.config.values import Rejected, duration
from sasgate.lab import trees
from sasgate.lab.configuration import PUBLISHER_PORT
from sasgate.lab.pki import Lab, NotALab
from sasgate.lab.switchboard import NotRevocable, Switchboard, UnusableSwitches
from sasgate.lab.switches import (
    DAY,
    ListMode,
    ListOptions,
    ListSwitch,
    OCSPMode,
    OCSPSwitch,
    Signer,
    Switches,
)


_PATHS = """\
/CRL/ACI-EL-ORG-TEST.crl, ...   the lists
/AC/ACI-EL-ORG-TEST.cer, ...    the CAs
/ocsp                           the responder
/asked                          all requests so far, as JSON"""
_MODES = """\
good           the CA's list; a new one is published
old            the list before it (rolled back)
forged         a next list, wrongly signed, on which nobody is
delta          a next list that is a delta
huge           a new list with many made-up entries
expired        a new list that has run out already
same-number    another list under the number of the present one
html           a web page
error          HTTP 500
late           the list, after a while
none           the connection is closed"""
_ANSWERS = """\
good            the truth, rightly signed
late            the same, after a while
wrongly-signed  "good", signed by another CA of the tree
stale           "good", of two days ago
try-later       the responder declines
unknown         "unknown" of everybody, rightly signed
html            a web page
error           HTTP 500
none            the connection is closed"""


_E = TypeVar("_E", bound=Enum)


class _Time(click.ParamType[float]):
    """A time such as 20s, 4h or 6d, in seconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """From the command line, for click."""
        try:
            return duration(1, 366 * DAY)(str(value))
        except Rejected as error:
            self.fail(f"{value} {error.reason} {error.remedy}".rstrip(), param, ctx)


def _one_of(kind: type[_E], mark: str) -> dict[str, Any]:
    """What makes a parameter a member of an enumeration, spelt by its value."""

    def convert(_: click.Context, __: click.Parameter, text: str | None) -> _E | None:
        return None if text is None else kind(text)

    choice = click.Choice([each.value for each in kind])
    return {"type": choice, "callback": convert, "metavar": mark}


_directory = click.argument(
    "directory", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
_cas = click.option(
    "--ca",
    "cas",
    multiple=True,
    type=click.Choice(trees.IGC),
    metavar="CA",
    help="The CA whose list is meant, such as ACI-EL-ORG-TEST; may be repeated.  [default: all]",
)
_validity = click.option(
    "--validity",
    type=_Time(),
    help="How long a list is valid, this one and the next.  [at first: 6d]",
)


@click.command(epilog=f"\b\n{_PATHS}", short_help="Publish the lab's lists and answer OCSP.")
@_directory
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PUBLISHER_PORT,
    show_default=True,
    help="TCP port on 127.0.0.1; 0 takes a free one.",
)
def serve(directory: Path, port: int) -> None:
    """Publish the lists of the lab in DIRECTORY and answer OCSP, until Ctrl-C.

    Each request is a line on standard output. What is published can be changed meanwhile with
    sasgate lab set.
    """
    board = Switchboard.of(_lab(directory))
    # Twisted takes as long to import as the other commands to run.
    from sasgate.lab.publisher import publish  # noqa: PLC0415

    def announce(url: str) -> None:
        click.echo(f"{directory} is published at {url}")

    with _refusals():
        publish(board, port, announce)


@click.group("set", short_help="Change what is published: revoked clients, bad lists, OCSP.")
@_directory
@click.pass_context
def set_(ctx: click.Context, directory: Path) -> None:
    """Change what is published of the lab in DIRECTORY; a running server obeys at once."""
    ctx.obj = Switchboard.of(_lab(directory))


@set_.command(short_help="Put clients of the lab, or CAs, on new lists.")
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def revoke(board: Switchboard, names: tuple[str, ...]) -> None:
    """Put NAMES on new lists: clients of the lab, or CAs such as ACI-EL-ORG-TEST."""
    _report(board, lambda: board.revoke(*names))


@set_.command()
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def unrevoke(board: Switchboard, names: tuple[str, ...]) -> None:
    """Publish new lists without NAMES."""
    _report(board, lambda: board.unrevoke(*names))


@set_.command()
@_cas
@_validity
@click.pass_obj
def publish(board: Switchboard, cas: tuple[str, ...], validity: float | None) -> None:
    """Publish a new list with the same entries."""
    options: ListOptions = {} if validity is None else {"validity": validity}
    _report(board, lambda: board.publish(*cas, **options))


@set_.command(epilog=f"\b\n{_MODES}")
@click.argument("mode", **_one_of(ListMode, "MODE"))
@_cas
@_validity
@click.option("--late", type=_Time(), help="How late `late` is.  [at first: 40s]")
@click.option(
    "--entries",
    "filler",
    type=click.IntRange(1, 2_000_000),
    help="How many entries `huge` adds.  [at first: 100000]",
)
@click.pass_obj
def lists(board: Switchboard, /, mode: ListMode, cas: tuple[str, ...], **given: Any) -> None:
    """Choose what is served in the place of lists."""
    options: Any = _present(given)
    _report(board, lambda: board.lists(mode, *cas, **options))


@set_.command(epilog=f"\b\n{_ANSWERS}")
@click.argument("mode", **_one_of(OCSPMode, "MODE"))
@click.option(
    "--signer", **_one_of(Signer, "[delegate|ca]"), help="Who signs.  [at first: delegate]"
)
@click.option("--nonce/--no-nonce", default=None, help="Return the nonce.  [at first: yes]")
@click.option("--validity", type=_Time(), help="How long answers are valid.  [at first: 1h]")
@click.option("--late", type=_Time(), help="How late `late` is.  [at first: 40s]")
@click.pass_obj
def ocsp(board: Switchboard, /, mode: OCSPMode, **given: Any) -> None:
    """Choose how the responder answers."""
    options: Any = _present(given)
    _report(board, lambda: board.ocsp(mode, **options))


@click.command()
@_directory
def show(directory: Path) -> None:
    """Print what is published of the lab in DIRECTORY."""
    with _refusals():
        click.echo(_shown(Switchboard.of(_lab(directory)).read()))


def _lab(directory: Path) -> Lab:
    try:
        return Lab.open(directory)
    except NotALab as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (UnusableSwitches, NotRevocable) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None


def _present(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _report(board: Switchboard, change: Callable[[], Switches]) -> None:
    """Make a change and print the switches that it left otherwise."""
    with _refusals():
        before, after = board.read(), change()
    lines = [
        _list_lines(ca, switch) for ca, switch in after.lists.items() if switch != before.lists[ca]
    ]
    if after.ocsp != before.ocsp:
        lines.append(_ocsp_line(after.ocsp))
    click.echo("\n".join(lines) or "nothing to change")


def _shown(switches: Switches) -> str:
    lines = [_list_lines(ca, switch) for ca, switch in switches.lists.items()]
    return "\n".join([*lines, _ocsp_line(switches.ocsp)])


def _list_lines(ca: str, switch: ListSwitch) -> str:
    edition = switch.edition
    count = len(edition.revoked) + edition.filler
    late = f" ({switch.late:g} s)" if switch.mode is ListMode.LATE else ""
    head = (
        f"{ca:<17} {switch.mode.value}{late}: number {edition.number}, "
        f"{count} {'entry' if count == 1 else 'entries'}, "
        f"{edition.this_update:%Y-%m-%d %H:%M:%S} to {edition.next_update:%Y-%m-%d %H:%M:%S} UTC"
    )
    entries = (f"{'':<17} {entry.serial:X} {entry.name}".rstrip() for entry in edition.revoked)
    return "\n".join([head, *entries])


def _ocsp_line(switch: OCSPSwitch) -> str:
    late = f" ({switch.late:g} s)" if switch.mode is OCSPMode.LATE else ""
    signer = {Signer.DELEGATE: "a delegate", Signer.CA: "the CA itself"}[switch.signer]
    nonce = "returned" if switch.nonce else "left out"
    return (
        f"{'OCSP':<17} {switch.mode.value}{late}: signed by {signer}, "
        f"valid for {switch.validity:g} s, nonce {nonce}"
    )

"""What commands that ask the running daemon have in common."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from sasgate.commands.faults import Refused
from sasgate.config import load_state
from sasgate.control_asking import ANSWERED_WITHIN, NotAnswered, ask
from sasgate.control_messages import Answer
from sasgate.errors import ConfigError


DEFAULT_FILE = Path("/etc/sasgate/prod.ini")

Command = TypeVar("Command", bound=Callable[..., Any])


def hint_at_another(path: Path, how: str = "--config FILE") -> None:
    """Of the usual file, where it is not there, say how another is named."""
    if path == DEFAULT_FILE and not os.path.lexists(path):
        click.echo(f"{path} does not exist; {how} names another", err=True)


def _named(ctx: click.Context, parameter: click.Parameter, path: Path) -> Path:
    """The file, for click; of the usual one, which is not there, it says how to name another."""
    del parameter
    # A group parses its options before those of its subcommand, which may name another.
    if not isinstance(ctx.command, click.Group):
        hint_at_another(path)
    return path


def config_option(command: Command) -> Command:
    """`--config FILE`, passed on as `config`."""
    return click.option(
        "--config",
        "-c",
        type=click.Path(readable=False, path_type=Path),
        default=DEFAULT_FILE,
        show_default=True,
        callback=_named,
        help="The daemon's configuration.",
    )(command)


def obey(
    config: Path, command: str, arguments: Mapping[str, Any], patience: float = ANSWERED_WITHIN
) -> None:
    """Have the daemon of a configuration do something, and print what it says.

    Ends the command with 1 where it refuses or doesn't answer.
    """
    try:
        state = load_state(config)
    except ConfigError as error:
        raise Refused(error) from None
    try:
        answer = ask(state, command, arguments, patience=patience)
    except NotAnswered as error:
        outcome = "" if error.taken else "; nothing was changed, and the request is withdrawn"
        raise click.ClickException(f"{error}{outcome}") from None
    for line in printable(answer):
        click.echo(line, err=not answer.ok)
    if not answer.ok:
        raise SystemExit(1)


def printable(answer: Answer) -> list[str]:
    """The lines of an answer, without what a terminal would take for an order."""
    return [
        "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
        for line in answer.text.split("\n")
    ]

"""`sasgate disengage` and `sasgate engage`: débrayage by hand, bounded and on the record (S23)."""

from pathlib import Path

import click

from sasgate.commands.daemon import config_option, obey
from sasgate.config.values import Rejected, duration
from sasgate.revocation.order_words import LONGEST_TERM, SHORTEST_TERM, Unacceptable, checked_reason


def _term(_: click.Context, __: click.Parameter, text: str) -> int:
    try:
        return int(duration(SHORTEST_TERM, LONGEST_TERM)(text))
    except Rejected as error:
        remedy = error.remedy or "write from 1m to 7d, for example 4h"
        raise click.BadParameter(f"{text} {error.reason}; {remedy}") from None


def reason_of(_: click.Context, __: click.Parameter, text: str) -> str:
    """A reason as an option, for click."""
    try:
        return checked_reason(text)
    except Unacceptable as error:
        raise click.BadParameter(str(error)) from None


@click.command(
    epilog='\b\nExample:\n  sasgate disengage --for 4h --reason "IGC Santé is down, ticket 4711"'
)
@click.option(
    "--for", "seconds", required=True, callback=_term, metavar="TIME", help="1m to 7d, such as 4h."
)
@click.option("--reason", required=True, callback=reason_of, help="Why; it is kept in the log.")
@click.option(
    "--ca",
    "authority",
    metavar="CA",
    help="Only for what this CA issued: its CN, its file's name such as ACI-EL-ORG, or SHA-256.",
)
@click.option(
    "--without-list",
    is_flag=True,
    help="Admit even where no verified list was ever held.",
)
@config_option
def disengage(
    seconds: int, reason: str, authority: str | None, config: Path, *, without_list: bool
) -> None:
    """Admit clients whose revocation status cannot be known, for a time (débrayage).

    What the last verified list revokes stays refused. It begins at once, replaces an earlier one,
    and ends by itself or by `sasgate engage`. Exit code 1 if no daemon does it.
    """
    arguments = {
        "seconds": seconds,
        "reason": reason,
        "authority": authority,
        "without_list": without_list,
    }
    obey(config, "disengage", arguments)


@click.command()
@config_option
def engage(config: Path) -> None:
    """End what `sasgate disengage` began. Exit code 1 if no daemon does it."""
    obey(config, "engage", {})

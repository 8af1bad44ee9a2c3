"""`sasgate crl refresh` and `sasgate crl forget`: what of lists only the running daemon does."""

from pathlib import Path

import click

from sasgate.commands.daemon import config_option, obey
from sasgate.commands.disengage import reason_of


# Seconds until the answer to `refresh`: several downloads, each loaded after the other.
_REFRESHED_WITHIN = 600.0


@click.command(short_help="Have the running gateway fetch all lists now.")
@config_option
def refresh(config: Path) -> None:
    """Have the running gateway ask every source for its list now, and wait until all have answered.

    Exit code 1 if any source failed, or no daemon answers.
    """
    obey(config, "refresh", {}, _REFRESHED_WITHIN)


@click.command(short_help="Take the next list of a CA, whatever its number.")
@click.argument("issuer")
@click.option("--reason", required=True, callback=reason_of, help="Why; it is kept in the log.")
@config_option
def forget(issuer: str, reason: str, config: Path) -> None:
    """Take the next list of a CA that begins to number its lists anew, whatever its number.

    ISSUER is its CN, its file's name such as ACI-EL-ORG, or its SHA-256. The list in force stays so
    until another has come. Exit code 1 if no daemon does it.
    """
    obey(config, "forget", {"issuer": issuer, "reason": reason})

"""`sasgate status`: how the running gateway fares, for a terminal and for Nagios."""

from pathlib import Path

import click

from sasgate.commands.daemon import config_option
from sasgate.commands.status_report import LEVELS, report
from sasgate.commands.status_request import NoStatus, fetch


# Seconds; a check that waits longer is ended by what runs it, and tells nothing.
_TIMEOUT = 8.0


@click.command()
@config_option
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600.0),
    default=_TIMEOUT,
    show_default=True,
    help="Seconds to wait for the daemon.",
)
def status(config: Path, timeout: float) -> None:
    """Print how the running gateway fares: one line that says all, then what it is made of.

    Exit code 0 where all is well, 1 for a warning, 2 where something is critical or no daemon
    answers.
    """
    try:
        found = fetch(config, timeout)
        lines = tuple(report(found))
        code = LEVELS[found["level"]]
    except (NoStatus, LookupError, TypeError, ValueError, AttributeError) as error:
        why = error if isinstance(error, NoStatus) else "what answers there is no sasgate's status"
        click.echo(_printable(f"SASGATE CRITICAL: {why}"))
        raise SystemExit(2) from None
    for line in lines:
        click.echo(_printable(line))
    raise SystemExit(code)


def _printable(line: str) -> str:
    """A line without what a terminal, or Nagios, would take for an order."""
    return "".join(
        each if each.isprintable() and each != "|" else "\N{REPLACEMENT CHARACTER}" for each in line
    )

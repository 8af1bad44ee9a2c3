"""`sasgate check`: whether a configuration is right, and what it lets in."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import click

from sasgate.commands.daemon import DEFAULT_FILE, hint_at_another
from sasgate.commands.faults import Refused
from sasgate.commands.flows import flows
from sasgate.commands.material import load_material
from sasgate.commands.online import report_online
from sasgate.commands.rules import rules
from sasgate.commands.sheet import sheet
from sasgate.config import load
from sasgate.errors import ConfigError


Report = Callable[..., Iterable[str]]


@click.command()
@click.argument(
    "file", type=click.Path(readable=False, path_type=Path), required=False, default=DEFAULT_FILE
)
@click.option("--for-ans", is_flag=True, help="Print the sheet to be sent to ANS (in French).")
@click.option(
    "--online", is_flag=True, help="Try every flow that this host needs, and name what is blocked."
)
def check(file: Path, *, for_ans: bool, online: bool) -> None:
    """Say OK and print the rules in force, or name every fault of FILE.

    FILE is /etc/sasgate/prod.ini where none is given. Nothing is changed, a running gateway
    included: that takes `sasgate reload`.

    Exit code 1 if FILE has a fault, or, with --online, if a flow is blocked.
    """
    hint_at_another(file, "`sasgate check FILE`")
    now = datetime.now(UTC)
    try:
        settings = load(file)
        material = load_material(settings, now)
    except ConfigError as error:
        raise Refused(error) from None
    report: Report = sheet if for_ans else rules
    for line in report(settings, material, now):
        click.echo(line)
    if online:
        click.echo("")
        if not report_online(flows(settings, material.anchors)):
            raise SystemExit(1)

"""`sasgate reload`: the daemon takes its configuration up; the exit code says whether it did."""

from pathlib import Path

import click

from sasgate.commands.daemon import config_option, obey


# Seconds: a list of a million entries in a file is verified before it is relied on.
_PATIENCE = 150.0


@click.command()
@config_option
def reload(config: Path) -> None:
    """Have the running daemon take up its configuration, certificates and CAs.

    All of it is checked first; where anything is wrong, everything stays as it was, the faults
    are printed and the exit code is 1.
    """
    obey(config, "reload", {}, patience=_PATIENCE)

"""How a command ends on faults: each on a line of standard error, exit code 1."""

from typing import IO, Any

import click

from sasgate.errors import ConfigError


class Refused(click.ClickException):
    """Ends a command with the faults of a configuration."""

    def __init__(self, error: ConfigError) -> None:
        super().__init__(str(error))
        self._count = len(error.faults)

    def show(self, file: IO[Any] | None = None) -> None:
        """All faults and their number, for click."""
        click.echo(self.message, file=file, err=file is None)
        plural = "fault" if self._count == 1 else "faults"
        click.echo(f"{self._count} {plural}", file=file, err=file is None)

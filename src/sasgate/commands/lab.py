"""`sasgate lab`: IGC Santé in small, to try the gateway with."""

from pathlib import Path

import click

from sasgate.config.backends import backend_from
from sasgate.config.values import Rejected
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.configuration import FILE, Ports, configuration
from sasgate.lab.pki import MARK, Lab


def _checked_backend(_: click.Context, __: click.Parameter, text: str) -> str:
    try:
        backend_from(Path(), None, unsafe=False)(text)
    except Rejected as error:
        raise click.BadParameter(f"{text} {error.reason}; {error.remedy}") from error
    return text


@click.group()
def lab() -> None:
    """Make and use a lab: CAs, clients and a configuration, none of it genuine."""


@lab.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65534),
    default=8443,
    show_default=True,
    help="TCP port for recette and preproduction; production takes the next one.",
)
@click.option(
    "--backend",
    callback=_checked_backend,
    default="http://127.0.0.1:8080",
    show_default=True,
    help="The editor's server, http:// on the loopback.",
)
@click.option("--force", is_flag=True, help="Write over an existing lab.")
def init(directory: Path, port: int, backend: str, *, force: bool) -> None:
    """Create CAs, certificates and sasgate.ini in DIRECTORY."""
    _refuse_what_is_not_ours(directory, force=force)
    ports = Ports(port, port + 1 if port else 0)
    try:
        made = Lab.create(directory)
        (directory / FILE).write_text(configuration(ports, backend), "utf-8")
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    click.echo(_report(made))


def _refuse_what_is_not_ours(directory: Path, *, force: bool) -> None:
    try:
        if not directory.exists() or not any(directory.iterdir()):
            return
    except OSError as error:
        raise click.ClickException(f"{directory}: {error.strerror}") from error
    if not (directory / MARK).is_file():
        raise click.ClickException(
            f"{directory}: not empty, and no lab; name an empty or a new folder"
        )
    if not force:
        raise click.ClickException(
            f"{directory}: holds a lab already; --force replaces all its keys and certificates"
        )


def _report(made: Lab) -> str:
    directory = made.directory
    return f"""\
{directory}/ca        IGC Santé's six CAs, none of them genuine
{directory}/clients   {len(CATALOGUE)} clients; recette, preproduction and production are good
{directory}/editor    the editor's own certificates, for calls to SAS
{directory / FILE}

Next: twistd --nodaemon --pidfile= sasgate -c {directory / FILE}"""

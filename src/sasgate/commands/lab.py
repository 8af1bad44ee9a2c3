"""`sasgate lab`: IGC Santé in small, to try the gateway with."""

from pathlib import Path

import click

from sasgate.commands import lab_backend, lab_publication, lab_sas
from sasgate.commands.lab_steps import Steps
from sasgate.config.backends import backend_from
from sasgate.config.endpoints import endpoint_from
from sasgate.config.values import Rejected, http_url, server_url
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.configuration import (
    BACKEND_PORT,
    FILE,
    PUBLISHER_PORT,
    SAS_PORT,
    Ports,
    admin_endpoint,
    configuration,
    forget_earlier,
)
from sasgate.lab.pki import MARK, Lab
from sasgate.lab.profile import BASE_URL


def _checked_backend(_: click.Context, __: click.Parameter, text: str) -> str:
    try:
        backend_from(Path(), None, unsafe=False)(text)
    except Rejected as error:
        raise click.BadParameter(f"{text} {error.reason}; {error.remedy}") from error
    return text


def _checked_publisher(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return http_url(text).rstrip("/")
    except Rejected as error:
        raise click.BadParameter(f"{text} {error.reason}; {error.remedy}".rstrip("; ")) from error


def _checked_sas(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    try:
        return None if text is None else server_url(text)
    except Rejected as error:
        raise click.BadParameter(f"{text} {error.reason}; {error.remedy}".rstrip("; ")) from error


@click.group()
def lab() -> None:
    """Make and use a lab: CAs, clients and a configuration, none of it genuine."""


lab.add_command(lab_backend.backend)
lab.add_command(lab_publication.serve)
lab.add_command(lab_publication.set_)
lab.add_command(lab_publication.show)
lab.add_command(lab_sas.sas)


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
    default=f"http://127.0.0.1:{BACKEND_PORT}",
    show_default=True,
    help="The editor's server: http:// on the loopback, https:// or unix:/path.",
)
@click.option(
    "--publisher",
    metavar="URL",
    callback=_checked_publisher,
    help="Check revocation against lists and OCSP published there: "
    f"http://127.0.0.1:{PUBLISHER_PORT} for sasgate lab serve.  [default: no revocation]",
)
@click.option(
    "--sas",
    metavar="URL",
    callback=_checked_sas,
    help="Let applications call SAS there, through a port of the gateway's: "
    f"https://127.0.0.1:{SAS_PORT} for sasgate lab sas.  [default: no calls to SAS]",
)
@click.option(
    "--admin",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Show the status page on this TCP port of 127.0.0.1, for a browser.  "
    "[default: on the UNIX socket DIRECTORY/admin.sock]",
)
@click.option("--force", is_flag=True, help="Write over an existing lab.")
def init(
    directory: Path,
    *,
    port: int,
    backend: str,
    publisher: str | None,
    sas: str | None,
    admin: int | None,
    force: bool,
) -> None:
    """Create CAs, certificates and sasgate.ini in DIRECTORY."""
    _refuse_what_is_not_ours(directory, force=force)
    _refuse_what_no_socket_has(directory, admin)
    ports = Ports(port, port + 1) if port else Ports(0, 0, 0)
    try:
        made = Lab.create(directory, base_url=publisher or BASE_URL)
        text = configuration(ports, backend, publisher, sas, admin_endpoint(admin))
        (directory / FILE).write_text(text, "utf-8")
        forget_earlier(directory)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    click.echo(_report(made))
    for line in Steps(directory, ports, backend, publisher, sas, admin).lines():
        click.echo(line)


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


def _refuse_what_no_socket_has(directory: Path, admin: int | None) -> None:
    """A lab whose gateway would not start: the path of its socket is too long for one."""
    try:
        endpoint_from(directory.absolute())(admin_endpoint(admin))
    except Rejected as error:
        raise click.ClickException(
            f"{directory.absolute()}: the status page's socket in it {error.reason}; "
            "name a shorter folder, or --admin PORT"
        ) from None


def _report(made: Lab) -> str:
    directory = made.directory
    return f"""\
{directory}/ca        IGC Santé's six CAs, none of them genuine
{directory}/clients   {len(CATALOGUE)} clients; recette, preproduction and production are good
{directory}/editor    the editor's own certificates, for calls to SAS
{directory / FILE}
"""

"""`sasgate lab`: IGC Santé in small, to try the gateway with."""

from pathlib import Path
from urllib.parse import urlsplit

import click

from sasgate.commands import lab_publication, lab_sas
from sasgate.config.backends import backend_from
from sasgate.config.values import Rejected, http_url, server_url
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.configuration import (
    FILE,
    PUBLISHER_PORT,
    SAS_PORT,
    Ports,
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
    default="http://127.0.0.1:8080",
    show_default=True,
    help="The editor's server, http:// on the loopback.",
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
@click.option("--force", is_flag=True, help="Write over an existing lab.")
def init(
    directory: Path,
    port: int,
    backend: str,
    publisher: str | None,
    sas: str | None,
    *,
    force: bool,
) -> None:
    """Create CAs, certificates and sasgate.ini in DIRECTORY."""
    _refuse_what_is_not_ours(directory, force=force)
    ports = Ports(port, port + 1) if port else Ports(0, 0, 0)
    try:
        made = Lab.create(directory, base_url=publisher or BASE_URL)
        (directory / FILE).write_text(configuration(ports, backend, publisher, sas), "utf-8")
        forget_earlier(directory)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    click.echo(_report(made, publisher, sas))


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


def _report(made: Lab, publisher: str | None, sas: str | None) -> str:
    directory = made.directory
    ini = directory / FILE
    gateway = f"twistd --nodaemon --pidfile= sasgate -c {ini}"
    return f"""\
{directory}/ca        IGC Santé's six CAs, none of them genuine
{directory}/clients   {len(CATALOGUE)} clients; recette, preproduction and production are good
{directory}/editor    the editor's own certificates, for calls to SAS
{ini}

Next: {_publishing(directory, publisher)}{_being_sas(directory, sas)}{gateway}"""


def _publishing(directory: Path, publisher: str | None) -> str:
    if publisher is None:
        return ""
    port = urlsplit(publisher).port or 80
    return f"sasgate lab serve {directory}{_port(port, PUBLISHER_PORT)}\nthen: "


def _being_sas(directory: Path, sas: str | None) -> str:
    if sas is None:
        return ""
    port = urlsplit(sas).port or 443
    return f"sasgate lab sas {directory}{_port(port, SAS_PORT)}\nthen: "


def _port(port: int, default: int) -> str:
    return "" if port == default else f" --port {port}"

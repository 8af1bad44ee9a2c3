"""`sasgate lab sas`: the SAS platform of a lab, for the gateway to call."""

import signal
import threading
from pathlib import Path

import click

from sasgate.lab.configuration import SAS_PORT
from sasgate.lab.pki import Lab, NotALab
from sasgate.lab.sas_server import Behaviour, Received, SASServer


_BEHAVIOURS = """\
answer   as SAS does
slow     the same, after --seconds
never    not at all
cut      half of the answer, then the end
reset    a TCP reset instead of an answer
close    as SAS does, and the connection is closed without notice"""


@click.command(epilog=f"\b\n{_BEHAVIOURS}")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=SAS_PORT,
    show_default=True,
    help="TCP port on 127.0.0.1; 0 takes a free one.",
)
@click.option("--production", is_flag=True, help="Be production's.  [default: recette's]")
@click.option(
    "--behaviour",
    type=click.Choice([each.value for each in Behaviour]),
    default=Behaviour.ANSWER.value,
    show_default=True,
    metavar="WORD",
    help="How calls are answered.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="How long slow takes.",
)
@click.option(
    "--revoke",
    "revoked",
    multiple=True,
    metavar="NAME",
    help="Answer this editor, ACME_TEST or ACME_PROD, 401 as revoked.",
)
@click.option(
    "--unregister",
    "unknown",
    multiple=True,
    metavar="NAME",
    help="Answer this editor 403: its CN and OU are not known.",
)
def sas(
    directory: Path,
    port: int,
    *,
    behaviour: str,
    seconds: float,
    revoked: tuple[str, ...],
    unknown: tuple[str, ...],
    production: bool,
) -> None:
    """Be the SAS platform of the lab in DIRECTORY, until Ctrl-C.

    Who calls without a certificate of its IGC Santé, or a revoked one, is answered 401; who has
    another CN and OU than the lab's editors, 403. Each call is a line on standard output.
    """
    lab = _lab(directory)
    try:
        server = SASServer(lab, production=production, port=port, tell=_tell)
    except OSError as error:
        raise click.ClickException(
            f"127.0.0.1:{port} cannot be opened: {error.strerror}; --port 0 takes a free one"
        ) from error
    for name in (*revoked, *unknown):
        if name not in lab.editors:
            server.stop()
            raise click.ClickException(
                f"{name}: no editor of the lab; it has {', '.join(lab.editors)}"
            )
    server.behaviour, server.seconds = Behaviour(behaviour), seconds
    server.revoked |= {lab.editors[name].certificate.serial_number for name in revoked}
    for name in unknown:
        server.unregister(lab.editors[name].certificate)
    with server:
        click.echo(f"{directory} has SAS at {server.url}")
        _until_told()


def _until_told() -> None:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


def _tell(call: Received) -> None:
    who = f"CN={call.cn}, OU={call.ou}" if call.certificates else "nobody"
    click.echo(f"{call.status} {call.method} {call.target} by {who}")


def _lab(directory: Path) -> Lab:
    try:
        return Lab.open(directory)
    except NotALab as error:
        raise click.ClickException(str(error)) from None

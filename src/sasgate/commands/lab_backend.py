"""`sasgate lab backend`: an editor's server for the gateway of a lab to lead to."""

import click

from sasgate.lab.configuration import BACKEND_PORT


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=BACKEND_PORT,
    show_default=True,
    help="TCP port on 127.0.0.1; 0 takes a free one.",
)
def backend(port: int) -> None:
    """Be the editor's server behind the gateway, until Ctrl-C.

    It answers searches for slots and whatever else SAS asks, under any base path. What arrived,
    with the headers that the gateway added, is at /recorded.
    """
    # Twisted takes as long to import as the other commands to run.
    from sasgate.lab.backend import serve  # noqa: PLC0415

    def announce(taken: int) -> None:
        click.echo(f"the backend is at http://127.0.0.1:{taken}")

    serve(port, announce)

"""`sasgate crl`: which revocation lists are held, and what is done with them."""

from datetime import UTC, datetime
from pathlib import Path

import click

from sasgate.commands.crl_daemon import forget, refresh
from sasgate.commands.crl_table import expiry, name_of, names_of, table
from sasgate.commands.daemon import config_option, hint_at_another
from sasgate.commands.faults import Refused
from sasgate.commands.kept_lists import KeptLists, kept_lists
from sasgate.config import load
from sasgate.errors import ConfigError
from sasgate.revocation.export import Export, NotExported


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def crl(ctx: click.Context, config: Path) -> None:
    """List the revocation lists that are held, or do something with them.

    The lists are read from disk and verified again, whether the gateway runs or not. Times are UTC.
    """
    if ctx.invoked_subcommand is not None:
        # `crl --config FILE export` means the same as `crl export --config FILE`.
        ctx.default_map = {ctx.invoked_subcommand: {"config": config}}
        return
    hint_at_another(config)
    now = datetime.now(UTC)
    for line in table(_kept(config, now), now):
        click.echo(line)


crl.add_command(refresh)
crl.add_command(forget)


@crl.command()
@config_option
@click.option(
    "--pem",
    type=click.Path(dir_okay=False, readable=False, path_type=Path),
    metavar="FILE",
    help="One file for nginx's ssl_crl, which needs a list of every CA of the chain.",
)
@click.option(
    "--hash-dir",
    type=click.Path(file_okay=False, readable=False, path_type=Path),
    metavar="DIR",
    help="A folder for Apache's SSLCARevocationPath (with SSLCARevocationCheck chain).",
)
def export(config: Path, pem: Path | None, hash_dir: Path | None) -> None:
    """Write the verified lists for a neighbouring nginx or Apache.

    Lists are verified again before, and replaced in one step. The neighbour must then be reloaded.
    """
    if pem is None and hash_dir is None:
        raise click.UsageError("say where to: --pem FILE, --hash-dir DIR, or both")
    now = datetime.now(UTC)
    kept = _kept(config, now)
    for fault in kept.faults:
        click.echo(f"not exported: {fault}", err=True)
    if not kept.lists:
        raise click.ClickException(
            f"{kept.folder}: no verified list is held, nothing was written; the gateway fetches "
            "them when it runs"
        )
    try:
        Export(pem, hash_dir).write(each.exportable for each in kept.lists)
    except NotExported as error:
        raise click.ClickException(str(error)) from None
    _report(kept, now, [str(each) for each in (pem, hash_dir) if each is not None])


def _kept(config: Path, now: datetime) -> KeptLists:
    try:
        return kept_lists(load(config), now)
    except ConfigError as error:
        raise Refused(error) from None
    except OSError as error:
        raise click.ClickException(
            f"{error.filename}: {error.strerror}; run this as root or as the gateway's user"
        ) from None


_REFUSING = "nginx, and Apache with `SSLCARevocationCheck chain`, refuse every client of it"


def _report(kept: KeptLists, now: datetime, places: list[str]) -> None:
    for each in kept.lists:
        facts = each.facts
        names = names_of(kept.plan, facts.issuers)
        click.echo(f"{names}: number {facts.number}")
        if facts.expired(now):
            click.echo(f"{names}: {expiry(facts.next_update, now)}; {_REFUSING}", err=True)
    for ca in kept.lacking:
        click.echo(f"{name_of(kept.plan, ca)}: NO LIST is held; {_REFUSING}", err=True)
    click.echo(f"written to {' and '.join(places)}")

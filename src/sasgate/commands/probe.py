"""`sasgate probe`: what ANS's acceptance kit checks of an editor's server, for any server."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click
from OpenSSL import SSL

from sasgate import __version__
from sasgate.commands import probe_judgement as judge
from sasgate.commands.call_report import shown
from sasgate.commands.deadline import within
from sasgate.commands.dialing import addresses_of
from sasgate.commands.probe_judgement import Result, Row
from sasgate.commands.probe_server import PATIENCE, ProbedServer, Version, leaf_context
from sasgate.commands.tls_dialog import words
from sasgate.commands.watched_server import WatchedServer
from sasgate.config.values import Rejected, https_url, url_path
from sasgate.lab import platform
from sasgate.trust import Credential, UnusableFile, read_certificates, read_private_key
from sasgate.upstream_tls import client_context


# Exit codes: the kit would be content; it would not; no connection at all.
CONTENT, FAULTY, UNREACHED = 0, 1, 2
_PEM = click.Path(readable=False, path_type=Path)


@click.command()
@click.argument("url")
@click.option(
    "--client",
    type=_PEM,
    metavar="PEM",
    help="Key and certificate that the server is to admit; the leaf alone is sent.",
)
@click.option(
    "--stranger",
    "strangers",
    multiple=True,
    type=_PEM,
    metavar="PEM",
    help="The same of one that it is to refuse; may be given several times.",
)
@click.option(
    "--roots",
    type=_PEM,
    metavar="FILE",
    help="CAs to verify the server by.  [default: the system's, as ANS's kit does]",
)
def probe(url: str, client: Path | None, strangers: tuple[Path, ...], roots: Path | None) -> None:
    """Check a server as ANS's acceptance kit does, from URL, the base URL that ANS was told.

    https:// may be left out: HOST, HOST:PORT and HOST:PORT/PATH will do.

    A note is for what the kit lets pass and the guide wants otherwise.

    Exit code 0 if the kit would be content, 1 if not, 2 if the server cannot be reached.
    """  # fmt: skip
    now = datetime.now(UTC)
    try:
        watched_context = client_context(roots)
        admitted = None if client is None else _credential(client)
        refused = [(path.name, _credential(path)) for path in strangers]
    except UnusableFile as error:
        raise click.ClickException(f"{error}; {error.remedy}".rstrip("; ")) from None
    server = _server(url)
    click.echo(f"sasgate {__version__}, {now:%Y-%m-%d %H:%M:%S} UTC")
    click.echo(f"https://{server.authority}{server.base}, {', '.join(server.addresses)}\n")
    watched = WatchedServer(watched_context, server.host)
    rows = []
    click.echo(_line("check", "result", "seen"))
    for row in _checks(server, watched, admitted, refused, now):
        rows.append(row)
        click.echo(_line(row.check, row.result.value, row.seen))
        if row.remedy:
            click.echo(_line("", "", f"to do: {row.remedy}"))
    click.echo(f"\n{_summary(rows)}")
    raise SystemExit(FAULTY if any(row.result is Result.FAIL for row in rows) else CONTENT)


def _checks(
    server: ProbedServer,
    watched: WatchedServer,
    client: Credential | None,
    strangers: list[tuple[str, Credential]],
    now: datetime,
) -> Iterator[Row]:
    verified = server.verified(watched)
    sent = watched.sent
    days = (sent[0].not_valid_after_utc - now).days if sent else 0
    yield judge.certificate(verified, watched.refusal, sent, days)
    for version in (Version.V1_0, Version.V1_1):
        yield judge.outdated(version, server.get("/check", version))
    # A whole search: to half of one an application says 400 even to whom it should not know.
    search = _search(now)
    for version in (Version.V1_2, Version.V1_3):
        yield judge.anonymous(version, server.get(search, version))
    health = server.get("/check", Version.V1_2)
    yield judge.asking(health, client.leaf.issuer if client else None)
    yield judge.health_anonymous(health)
    yield judge.renegotiation(server.renegotiate())
    yield from _with_client(server, client, search)
    for name, stranger in strangers:
        yield judge.stranger(name, server.get(search, Version.V1_2, stranger))


def _with_client(server: ProbedServer, client: Credential | None, search: str) -> Iterator[Row]:
    if client is None:
        yield judge.untried("/check with the certificate")
        yield judge.untried(f"search for slots within {judge.SLOT_WITHIN:g} s")
        return
    for version in (Version.V1_2, Version.V1_3):
        yield judge.health(version, server.get("/check", version, client))
    yield judge.slots(server.get(search, Version.V1_2, client))


def _search(now: datetime) -> str:
    # A + that is none of the encoding's would be read as a space.
    return platform.slots(now).path.replace("+", "%2B")


def _server(url: str) -> ProbedServer:
    """The server behind a URL; ends the command where it cannot be reached."""
    try:
        parts = urlsplit(https_url(url if "://" in url else f"https://{url}"))
        base = url_path(parts.path.rstrip("/")) if parts.path.rstrip("/") else ""
    except Rejected as error:
        remedy = error.remedy or "write for example https://sas.example.fr/base"
        raise click.BadParameter(f"{url} {error.reason}; {remedy}", param_hint="URL") from None
    host, port = parts.hostname or "", parts.port or 443
    try:
        addresses = within(PATIENCE, lambda: addresses_of(host, port))
        server = ProbedServer(host, port, base, addresses)
        server.reached().close()
    except OSError as error:
        click.echo(f"Error: {host}:{port} cannot be reached: {words(error)}", err=True)
        raise SystemExit(UNREACHED) from None
    return server


def _credential(path: Path) -> Credential:
    credential = Credential(read_certificates(path), read_private_key(path))
    try:
        leaf_context(credential)
    except SSL.Error as error:
        raise UnusableFile(path, f"key and first certificate: {words(error)}") from None
    return credential


def _line(check: str, result: str, seen: str) -> str:
    return f"{check:<36}  {result:<6}  {shown(seen)}".rstrip()


def _summary(rows: list[Row]) -> str:
    counts = {each: sum(row.result is each for row in rows) for each in Result}
    told = ", ".join(f"{count} {_COUNTED[each]}" for each, count in counts.items() if count)
    if counts[Result.FAIL]:
        return f"{told}: ANS's kit would refuse this server."
    if counts[Result.NOT_TRIED]:
        return f"{told}: nothing was wrong in what was tried."
    return f"{told}: ANS's kit would be content."


_COUNTED = {
    Result.PASS: "pass",
    Result.NOTE: "with a note",
    Result.FAIL: "FAIL",
    Result.NOT_TRIED: "not tried",
}

"""`sasgate call`: one call to SAS as the gateway makes it, told step by step.

The same certificate, verification of the server, proxy, time limits and reader of answers as the
daemon's outbound side; only the connection is of the command's own, and blocks.
"""

from datetime import UTC, datetime
from pathlib import Path

import click

from sasgate import __version__
from sasgate.commands.call_report import SHOWN_BODY
from sasgate.commands.call_request import CallRequest, Unsendable, body_of, prepare
from sasgate.commands.call_steps import Calling, NoAnswer
from sasgate.commands.daemon import config_option
from sasgate.commands.faults import Refused
from sasgate.config import load
from sasgate.errors import ConfigError
from sasgate.outbound import MEANINGS
from sasgate.outbound_rules import load_outbound
from sasgate.settings import Outbound, Settings
from sasgate.trust import load_anchors


# Exit codes: SAS took the call; it answered otherwise; it did not answer.
TAKEN, REFUSED, NO_ANSWER = 0, 1, 2


@click.command()
@config_option
@click.option("--environment", "-e", help="Whose SAS to call; needed where the file has several.")
@click.option("--data", metavar="@FILE", help="The body to send: a file, or @- for standard input.")
@click.option(
    "--header",
    "-H",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="A header field to send; may be given several times.",
)
@click.option(
    "--body",
    "most",
    type=click.IntRange(0, 1 << 20),
    default=SHOWN_BODY,
    show_default=True,
    help="How many bytes of the answer's body to show.",
)
@click.argument("method")
@click.argument("path")
def call(
    *,
    config: Path,
    environment: str | None,
    data: str | None,
    headers: tuple[str, ...],
    most: int,
    method: str,
    path: str,
) -> None:
    """Call SAS once, as the gateway would, and show every step.

    What is printed can be pasted into a ticket: it holds no key, and no value of header fields that
    give access. A body that is sent is not shown, the answer's is.

    Exit code 0 for an answer 2xx, 1 for any other, 2 where no answer came.
    """  # fmt: skip
    now = datetime.now(UTC)
    try:
        settings = load(config)
        outbound = _chosen(settings, environment)
        anchors = {outbound.environment: load_anchors(settings, outbound.environment)}
        trust = load_outbound(settings, outbound, anchors, now)
        request = prepare(
            method, path, headers, body_of(data), limits=settings.limits, server=trust.server
        )
    except ConfigError as error:
        raise Refused(error) from None
    except Unsendable as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"sasgate {__version__}, {now:%Y-%m-%d %H:%M:%S} UTC, {settings.path}")
    click.echo(
        f"[{outbound.name}] calls {outbound.environment} at https://{trust.server.authority}"
    )
    for doubt in trust.doubts:
        click.echo(f"warning: the certificate {outbound.certificate}: {doubt}")
    click.echo("")
    raise SystemExit(_outcome(Calling(trust, settings.limits, now), request, most))


def _chosen(settings: Settings, environment: str | None) -> Outbound:
    """The one listener whose calls are made."""
    matching = [each for each in settings.outbounds if environment in {None, each.environment}]
    called = ", ".join(sorted({each.environment for each in settings.outbounds}))
    if not settings.outbounds:
        raise Unsendable(f"{settings.path}: there is no [outbound], so that SAS is never called")
    if not matching:
        raise Unsendable(
            f"{settings.path}: no [outbound] calls {environment}; say --environment {called}"
        )
    if environment is None and len({each.environment for each in matching}) > 1:
        raise Unsendable(f"{settings.path}: say which SAS to call: --environment, one of {called}")
    return matching[0]


def _outcome(calling: Calling, request: CallRequest, most: int) -> int:
    try:
        answer = calling.call(request, most)
    except NoAnswer:
        click.echo("\nNo answer came: what SAS would say is not known.")
        return NO_ANSWER
    click.echo(f"\nSAS answered {answer.status}: {_meaning(answer.status)}")
    return TAKEN if 200 <= answer.status < 300 and answer.lost is None else REFUSED


def _meaning(status: int) -> str:
    if status in MEANINGS:
        return MEANINGS[status]
    if status < 300:
        return "it took the call"
    if status < 400:
        return "redirects are never followed with the certificate"
    return "its reason is in the body, if it gives one"

"""SAS's calls through a real gateway, and calls to SAS, as a table: `make demo`.

    python -m sasgate.lab.demo [--keep]

Exit codes: 0 all came as expected, 1 something differed or did not start, 128 + N ended by the
signal N before the end of the table.
"""

import select
import shlex
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from attrs import frozen

from sasgate.lab.client import Listener
from sasgate.lab.configuration import FILE, forget_earlier
from sasgate.lab.demo_case import Act, Case
from sasgate.lab.demo_cases import acts
from sasgate.lab.demo_outbound import LISTENER
from sasgate.lab.pki import MARK, Lab
from sasgate.lab.processes import Ending, NotReady, Stopped
from sasgate.lab.scene import HOST, Scene


KEPT = Path("sasgate-demo")
_WIDTH = 99
_COLUMNS = "{:<24} {:<18} {:<23} {:<23} {}"
_LOOK = 0.2
_FALLEN = "has ended by itself"
# What of the gateway's log is shown: the first line with both words of each.
_SHOWN = (
    ("[sasgate.audit#", "admitted "),
    ("[sasgate.access#", " /Slot "),
    ("[sasgate.audit#", "refused 403"),
    ("[sasgate.outbound.", "SAS answered 401"),
    ("[sasgate.outbound.", "SAS answered 403"),
    ("[sasgate.audit#", " cut FAILED:revoked"),
    ("[sasgate.revocation#", "are disengaged by hand"),
    ("[sasgate.audit#", "(disengaged on "),
    ("[sasgate.revocation#", "are engaged again"),
)


class Unusable(Exception):
    """The folder can't be taken; the text says why and what to do."""


@frozen
class Score:
    """How many cases came as expected, and those that did not, with what came."""

    good: int
    differing: Sequence[tuple[Case, str]]


@click.command()
@click.option(
    "--keep",
    is_flag=True,
    help=f"Leave the gateway running, with its files in ./{KEPT}, until Enter or Ctrl-C.",
)
def main(*, keep: bool) -> None:
    """Show SAS's calls, good and bad, through a real gateway to a small backend."""
    ending = Ending()
    with ending.watched():
        try:
            with _folder(keep=keep) as folder:
                score = demonstrate(folder, acts(), ending, keep=keep)
        except Stopped as stopped:
            click.echo(f"\nEnded by {stopped} before the end; nothing is left running.", err=True)
            sys.exit(128 + stopped.number)
        except (NotReady, Unusable) as error:
            click.echo(f"\n{error}", err=True)
            sys.exit(1)
        except OSError as error:
            click.echo(f"\nThe demonstration cannot go on: {error}", err=True)
            sys.exit(1)
    sys.exit(1 if score.differing else 0)


def demonstrate(folder: Path, acts: Sequence[Act], ending: Ending, *, keep: bool) -> Score:
    """Play all cases in a scene whose files are in `folder`; `keep` waits for the user's end.

    Raises:
        NotReady: a process did not start, ended by itself, or did not do as it was told.
        Stopped: by a signal, before the end of the table.
    """
    click.echo("Making a small IGC Santé and the platform's certificates ...")
    scene = Scene(Lab.create(folder), ending)
    click.echo("Starting sasgate lab serve, a backend and twistd sasgate ...")
    with scene.playing():
        click.echo(_introduction(scene))
        score = _table(scene, acts, ending)
        if fallen := scene.fallen:
            raise NotReady(fallen.report(_FALLEN))
        click.echo(_journal(scene.gateway_log.read_text("utf-8")))
        if keep:
            click.echo(_by_hand(scene))
            _wait(scene, ending)
    if not keep:
        click.echo(_how_to_keep())
    return score


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    if not keep:
        with TemporaryDirectory(prefix="sasgate-demo-") as temporary:
            yield Path(temporary)
        return
    folder = KEPT.absolute()
    if folder.exists() and not (folder / MARK).is_file():
        raise Unusable(f"{folder}: exists and is no lab; move it away, or call from elsewhere")
    folder.mkdir(exist_ok=True)
    forget_earlier(folder)
    yield folder


def _introduction(scene: Scene) -> str:
    test, production = scene.port(Listener.TEST), scene.port(Listener.PRODUCTION)
    return (
        f"\nIt listens on {HOST}:{test} for recette and preproduction,"
        f" on {HOST}:{production} for production,\n"
        f"on {HOST}:{scene.application(LISTENER)} for the editor's application, which calls SAS.\n"
        "A name after a status is the environment that the backend was told; other words are the"
        " gateway's.\n\n" + click.style(_row("who", "call", "expected", "came", ""), bold=True)
    )


def _table(scene: Scene, acts: Sequence[Act], ending: Ending) -> Score:
    begun = time.monotonic()
    good, differing = 0, []
    for heading, cases in acts:
        click.echo(f"\n{click.style(heading, bold=True)}")
        for case in cases:
            ending.check()
            came = case.play(scene)
            right = came == case.expected
            word = click.style("ok", fg="green") if right else click.style("DIFFERS", fg="red")
            click.echo(_row(case.who, case.call, case.expected, came, word))
            good += right
            differing += [] if right else [(case, came)]
    score = Score(good, differing)
    click.echo(_summary(score, time.monotonic() - begun))
    return score


def _row(*cells: str) -> str:
    return _COLUMNS.format(*cells).rstrip()


def _summary(score: Score, seconds: float) -> str:
    total = score.good + len(score.differing)
    if not score.differing:
        return f"\nAll {total} cases came as expected, in {seconds:.1f} s."
    lines = [f"  {case.who}, {case.call}: {came}" for case, came in score.differing]
    text = [f"\n{len(score.differing)} of {total} cases differ from what was expected:", *lines]
    return "\n".join(text)


def _journal(log: str) -> str:
    """What became of some of the calls, out of the gateway's log."""
    lines = log.splitlines()
    shown = [
        next((line for line in lines if all(each in line for each in two)), "") for two in _SHOWN
    ]
    wrapped = (
        textwrap.fill(
            line, _WIDTH, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
        )
        for line in shown
        if line
    )
    heading = click.style("What the administrator sees", bold=True)
    return f"\n{heading} (each is one line of the log):\n" + "\n".join(wrapped)


def _how_to_keep() -> str:
    return f"""
To go on by hand, either of these does the same, leaves the gateway running, and prints command
lines for curl with its port, certificates and log:

  make demo KEEP=1
  {shlex.quote(sys.executable)} -m sasgate.lab.demo --keep"""


def _by_hand(scene: Scene) -> str:
    now = datetime.now(UTC)
    begin, end = (f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in (now, now + timedelta(days=3)))
    gateway = f"https://{HOST}:{scene.port(Listener.TEST)}"
    sas = f"http://{HOST}:{scene.application(LISTENER)}"
    curl = r"curl -iw '\n' --cacert public-root.pem"
    python = shlex.quote(sys.executable)
    return f"""
{click.style("To go on by hand", bold=True)}, in another terminal:

  cd {shlex.quote(str(scene.lab.directory))}
  {curl} --cert clients/recette.pem {gateway}/check
  {curl} --cert clients/recette.pem \\
      '{gateway}/Slot?start=ge{begin}&start=le{end}'
  {curl} --cert clients/wrong-ou.pem {gateway}/Slot
  {curl} {gateway}/Slot
  curl -iw '\\n' -d '{{"resourceType": "Appointment"}}' {sas}/fhir/v1/Appointment
  alias sasgate="{python} -m sasgate"
  sasgate lab set . revoke recette
  sasgate crl refresh --config {FILE}
  {curl} --cert clients/recette.pem {gateway}/Slot
  tail -f {scene.gateway_log.name}

They are answered 200, 200, 403 (another OU), 401 (no certificate), 201 (the application's call,
by SAS itself) and 401 (revoked).
More clients are in clients/, the configuration is {FILE}, and production's port is
{scene.port(Listener.PRODUCTION)}. To go on with revocation:

  sasgate lab show .                      # what the lab publishes
  sasgate lab set . --help                # and how to change that
  sasgate crl --config {FILE}        # what the gateway holds

The gateway runs until Enter or Ctrl-C."""


def _wait(scene: Scene, ending: Ending) -> None:
    """Until the user wants an end.

    Raises:
        NotReady: a process ended by itself.
    """
    terminal = [sys.stdin] if sys.stdin is not None and sys.stdin.isatty() else []
    try:
        while not select.select(terminal, [], [], _LOOK)[0]:
            ending.check()
            if fallen := scene.fallen:
                raise NotReady(fallen.report(_FALLEN))
        sys.stdin.readline()
    except Stopped:
        click.echo("")
    click.echo(f"Stopped. The certificates and the log stay in {scene.lab.directory}.")


if __name__ == "__main__":
    main()

"""The `sasgate` command; each subcommand is imported when it runs, so that `--help` is quick.

Exit codes: 0 all is well, 1 something is wrong and was named, 2 the command was misused; those of
`status` are Nagios's.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from io import TextIOWrapper
from types import MappingProxyType

import click

from sasgate import __version__


# Where each subcommand is, and its line in `sasgate --help`.
SUBCOMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "bundle": (
            "sasgate.commands.bundle:bundle",
            "Put key, certificate and ANS's CA into the one PEM that is presented to SAS.",
        ),
        "call": (
            "sasgate.commands.call:call",
            "Call SAS once as the gateway would, and show every step.",
        ),
        "check": (
            "sasgate.commands.check:check",
            "Say whether a configuration is right, and the rules in force.",
        ),
        "convert": (
            "sasgate.commands.convert:convert",
            "Convert a certificate, list or CSR from DER (.cer) to PEM, or back.",
        ),
        "crl": (
            "sasgate.commands.crl:crl",
            "List the revocation lists that are held, and export them.",
        ),
        "csr": (
            "sasgate.commands.csr:csr",
            "Make a key, and the request to have a certificate of IGC Santé issued for it.",
        ),
        "disengage": (
            "sasgate.commands.disengage:disengage",
            "Admit clients whose revocation status cannot be known, for a time.",
        ),
        "engage": (
            "sasgate.commands.disengage:engage",
            "End what `sasgate disengage` began.",
        ),
        "fetch-ca": (
            "sasgate.commands.fetch_ca:fetch_ca",
            "Download ANS's CAs; nothing but the pinned certificates is kept.",
        ),
        "lab": (
            "sasgate.commands.lab:lab",
            "Make and use a lab: CAs, clients and a configuration, none of it genuine.",
        ),
        "probe": (
            "sasgate.commands.probe:probe",
            "Check a server as ANS's acceptance kit does, ours or any other.",
        ),
        "reload": (
            "sasgate.commands.reload:reload",
            "Have the daemon take up its configuration, and say whether it did.",
        ),
        "show": (
            "sasgate.commands.show:show",
            "Say what is in a certificate, CSR, list or PEM, and what is wrong with it for SAS.",
        ),
        "status": (
            "sasgate.commands.status:status",
            "Say how the running gateway fares; exits as Nagios expects.",
        ),
    }
)


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, for click."""
        del ctx
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand itself, for click."""
        del ctx
        if cmd_name not in SUBCOMMANDS:
            return None
        module, _, attribute = SUBCOMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing what is listed."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in SUBCOMMANDS.items()])


# What to type first when something is wrong and nobody remembers how this works.
_FIRST = """\
If something is wrong:
  sasgate status               what is wrong now, the worst first
  sasgate check                whether the file and all that it names are right
  journalctl -u sasgate -n 50  what was refused, and why
"""


@click.group(cls=LazyGroup, epilog=f"\b\n{_FIRST}")
@click.version_option(__version__, prog_name="sasgate")
def main() -> None:
    """Mutual-TLS gateway between a health-software editor and the ANS platform SAS.

    The daemon itself is run by: twistd --nodaemon --pidfile= sasgate -c FILE
    """
    # A terminal that lacks a letter shows its number: no command fails at that after its work.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")

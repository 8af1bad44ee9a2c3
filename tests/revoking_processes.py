"""Real processes of revocation: `sasgate lab serve`, and gateways that rest on what it publishes.

The lab of all tests is only read: what is published of it is in a folder of each test module.
"""

import json
import shutil
import signal
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from click.testing import CliRunner

from processes import CHECKOUT, PATIENCE, GatewayProcess, LoggedProcess, environment
from raw_client import Caller, request
from sasgate.commands import main
from sasgate.control_asking import NotAnswered, ask
from sasgate.environments import PRODUCTION, RECETTE, Preset
from sasgate.lab import trees
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Publication
from sasgate.lab.switchboard import FILE as SWITCHES
from sasgate.lab.switchboard import Switchboard


Section = Mapping[str, object]

ADMITTED = "200"
REVOKED, UNKNOWN = "401 FAILED:revoked", "401 FAILED:status unknown"
GET = request("GET", "/Slot")

# Those that `sasgate lab` admits to recette, and which no test but one may revoke.
OURS = (
    "revoked", "extra-chain", "reversed-name", "multi-valued-rdn", "recette-printable",
    "recette-bmp", "recette-t61", "recette-universal", "recette-ia5",
)  # fmt: skip

_SASGATE = (sys.executable, "-c", "from sasgate.commands import main; main(prog_name='sasgate')")
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PublisherProcess(LoggedProcess):
    """`sasgate lab serve` over a copy of the lab in `folder`; `board` changes what it publishes."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        shutil.copytree(lab.directory, folder, dirs_exist_ok=True)
        self.board = Switchboard(lab, folder / SWITCHES)
        super().__init__(
            (*_SASGATE, "lab", "serve", folder, "--port", "0"), CHECKOUT, environment()
        )
        try:
            self.url = self.wait_for(r"is published at (\S+)")[1]
        except BaseException:
            self.stop()
            raise

    def lists(self, *cas: str) -> str:
        """Sources of the lists of these CAs, for a configuration."""
        return " ".join(Publication(self.url, ca).crl_url for ca in cas or TEST_CAS)

    @property
    def responder(self) -> str:
        return f"{self.url}/ocsp"

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """All requests so far of a kind: `list`, `ocsp`, `ca` or `other`."""
        with _direct.open(f"{self.url}/asked", timeout=PATIENCE) as answer:
            return [each for each in json.load(answer) if each["kind"] == kind]


TEST_CAS = (trees.ROOT_TEST, trees.ORG_TEST)
PRODUCTION_CAS = (trees.ROOT, trees.ORG)


@frozen
class Door:
    """A listener of its own environment: what that says of revocation, and whom it is for."""

    section: Section
    preset: Preset = RECETTE
    root: str = trees.ROOT_TEST
    issuer: str = trees.ORG_TEST

    @classmethod
    def production(cls, section: Section) -> "Door":
        return cls(section, PRODUCTION, trees.ROOT, trees.ORG)


def write_configuration(
    lab: Lab,
    folder: Path,
    backend: str,
    doors: Mapping[str, Door],
    *,
    revocation: Section,
    limits: Section | None = None,
) -> Path:
    """The file of a gateway with a listener for each of `doors`, all on free ports.

    Lists are asked for when told to, unless `revocation` says otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = lab.server_paths()
    sections: dict[str, Section] = {
        "sasgate": {"state": folder / "state", "ca": lab.directory / "ca"},
        "revocation": {"refresh": "7d", **revocation},
        "limits": limits or {},
    }
    for name, door in doors.items():
        sections[f"inbound:{name}"] = {
            "environment": f"lab-{name}",
            "listen": "tcp:0:interface=127.0.0.1",
            "certificate": certificate,
            "key": key,
            "backend": backend,
        }
        sections[f"environment:lab-{name}"] = {
            "roots": lab.ca_path(door.root),
            "issuers": lab.ca_path(door.issuer),
            "clients": f"CN={door.preset.client_cn},OU={door.preset.client_ou}",
            "addresses": "127.0.0.1",
            **door.section,
        }
    ini = ConfigParser(interpolation=None, delimiters=("=",))
    ini.read_dict(
        {name: {k: str(v) for k, v in section.items()} for name, section in sections.items()}
    )
    path = folder / "sasgate.ini"
    with path.open("w", encoding="utf-8") as file:
        ini.write(file)
    return path


@frozen
class Done:
    """How a command ended, and all that it printed."""

    code: int
    said: str


@define
class Gateway:
    """A gateway that may be started, killed and started again on the same state."""

    lab: Lab
    ini: Path
    _processes: ExitStack = field(factory=ExitStack)
    _process: GatewayProcess | None = None

    @property
    def process(self) -> GatewayProcess:
        assert self._process is not None, "not started"
        return self._process

    def start(self) -> "Gateway":
        """Start it, and return when it serves."""
        self._process = self._processes.enter_context(GatewayProcess(self.ini))
        return self

    def end(self) -> None:
        """Stop it in order."""
        assert self.process.stop() == -signal.SIGTERM

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.process.kill()
        self.process.wait()

    def close(self) -> None:
        self._processes.close()

    def caller(self, client: str | None = "recette", door: str = "test") -> Caller:
        return Caller(self.lab, self.process.port(f"inbound:{door}"), client)

    def word(self, client: str = "recette", door: str = "test") -> str:
        """What one call of a client gets: status, and what is said of its certificate."""
        answer = self.caller(client, door).ask(GET)
        return (
            f"{answer.status} {answer.json['verify']}"
            if answer.status == 401
            else str(answer.status)
        )

    def order(self, *arguments: str) -> Done:
        """The `sasgate` command, on this gateway's configuration."""
        result = CliRunner().invoke(main, [*arguments, "--config", str(self.ini)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return Done(result.exit_code, result.output)

    def refresh(self) -> None:
        """Have every source asked; each must answer well."""
        done = self.order("crl", "refresh")
        assert done.code == 0, done.said

    def begin_refresh(self) -> threading.Thread:
        """The same in the background, whatever comes of it."""

        def ask_for_it() -> None:
            with suppress(NotAnswered):
                ask(self.ini.parent / "state", "refresh", {}, timeout=1.0, patience=PATIENCE)

        thread = threading.Thread(target=ask_for_it, daemon=True)
        thread.start()
        return thread

    def reload(self, said: str = "reloaded ") -> None:
        """SIGHUP, and wait for what is said of it."""
        before = len(self.process.lines)
        self.process.send_signal(signal.SIGHUP)
        self.process.wait_for(said, after=before)


@contextmanager
def gateway_on(ini: Path, lab: Lab) -> Iterator[Gateway]:
    """A gateway that serves."""
    gateway = Gateway(lab, ini)
    try:
        yield gateway.start()
    finally:
        gateway.close()

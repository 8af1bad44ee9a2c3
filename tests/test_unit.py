"""sasgate.service under systemd itself: hardened, filtered, not root, and it serves (S56, S57)."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import frozen

from calling import SLOT, answered, platform
from processes import BackendProcess
from raw_client import attempts
from revoking_processes import PublisherProcess
from sasgate.environments import RECETTE
from sasgate.lab import trees
from sasgate.lab.pki import Lab
from systemd_world import World


PORT = 443
_INI = """\
[sasgate]
environment = lab
state = /var/lib/sasgate
[inbound]
listen = {listen}
certificate = {certificates}/server.pem
key = {certificates}/server.key
backend = {backend}
[revocation]
mode = crl-and-ocsp
export_pem = /var/lib/sasgate-lists/lists.pem
[environment:lab]
roots = ca/{root}.cer
issuers = ca/{issuer}.cer
clients = CN={cn},OU={ou}
addresses = 127.0.0.1
crl = {lists}
ocsp = {responder}
"""


@frozen
class Host:
    """A Debian with the gateway installed, and who calls it."""

    lab: Lab
    world: World
    publisher: PublisherProcess
    backend: BackendProcess

    def configure(
        self, listen: str = f"tcp:{PORT}", certificates: str = "/etc/sasgate", more: str = ""
    ) -> None:
        text = _INI.format(
            listen=listen,
            certificates=certificates,
            backend=self.backend.url,
            root=trees.ROOT_TEST,
            issuer=trees.ORG_TEST,
            cn=RECETTE.client_cn,
            ou=RECETTE.client_ou,
            lists=self.publisher.lists(),
            responder=self.publisher.responder,
        )
        (self.world.root / "etc/sasgate/prod.ini").write_text(text + more)

    def status(self, client: str = "recette") -> int:
        with self.world.network():
            return answered(platform(self.lab, PORT, client).send(SLOT)).status

    @property
    def process(self) -> Path:
        """What the machine knows of the daemon."""
        inside = self.world.shown("MainPID")
        for status in Path("/proc").glob("[0-9]*/status"):
            ids = [line.split() for line in status.read_text().splitlines() if "NSpid" in line]
            if ids and len(ids[0]) == 3 and ids[0][2] == inside:
                return status.parent
        raise LookupError(inside)

    def fields(self) -> dict[str, str]:
        lines = (self.process / "status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (each.partition(":") for each in lines)}


@pytest.fixture(scope="module")
def host(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("unit")
    with ExitStack() as stack:
        world = stack.enter_context(World(folder))
        with world.network():
            publisher = stack.enter_context(PublisherProcess(lab, folder / "lab"))
            backend = stack.enter_context(BackendProcess())
        etc = world.root / "etc/sasgate"
        shutil.copytree(lab.directory / "ca", etc / "ca", dirs_exist_ok=True)
        for file in lab.server_paths():
            shutil.copy(file, etc)
        world.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/sasgate.conf", check=True)
        yield Host(lab, world, publisher, backend)


@pytest.fixture
def running(host: Host) -> Iterator[Host]:
    host.configure()
    done = host.world.systemctl("start", "sasgate")
    assert done.returncode == 0, host.world.journal()
    for _ in attempts():
        # The first lists of an installation come after its start.
        if host.status() == 200:
            break
    yield host
    host.world.systemctl("stop", "sasgate")


class TestHardened:
    def test_a_handshake_succeeds_on_port_443(self, running: Host) -> None:
        assert running.status() == 200

    def test_it_is_filtered_and_nobody_in_particular(self, running: Host) -> None:
        fields = running.fields()
        assert "0" not in fields["Uid"].split()
        assert (fields["Seccomp"], fields["NoNewPrivs"]) == ("2", "1")
        # 1 << CAP_NET_BIND_SERVICE
        assert {int(fields[each], 16) for each in ("CapEff", "CapPrm", "CapBnd")} == {1 << 10}

    def test_its_keys_are_in_no_core_and_nobody_s_who_is_the_same_user(self, running: Host) -> None:
        """S57."""
        limits = (running.process / "limits").read_text()
        assert limits.split("Max core file size")[1].split()[:2] == ["0", "0"]
        # A process that may be dumped belongs to its user.
        assert (running.process / "environ").stat().st_uid == 0

    def test_a_revoked_client_is_refused_by_list_and_ocsp(self, running: Host) -> None:
        assert running.status("recette") == 200
        assert running.status("revoked") == 200
        running.publisher.board.revoke("revoked")
        refresh = ("/opt/sasgate/bin/sasgate", "crl", "refresh", "-c", "/etc/sasgate/prod.ini")
        assert running.world.run(*refresh).returncode == 0
        assert running.status("revoked") == 401
        with running.world.network():
            assert running.publisher.asked("list")
            assert running.publisher.asked("ocsp")

    def test_lists_are_exported(self, running: Host) -> None:
        path = running.world.root / "var/lib/sasgate-lists/lists.pem"
        for _ in attempts():
            if path.exists():
                break
        assert path.read_text().count("BEGIN X509 CRL") == 2

    def test_it_may_open_as_many_files_as_the_unit_says(self, running: Host) -> None:
        allowed = [
            Path(f"/proc/{process}/limits").read_text().split("Max open files")[1].split()[1]
            for process in (running.process.name, running.world.first)
        ]
        # Of systemd's own none can have more.
        assert int(allowed[0]) == min(65536, int(allowed[1]))
        assert "open files are allowed" not in running.world.journal()


class TestReload:
    def test_it_is_taken_up(self, running: Host) -> None:
        running.configure(more="[limits]\nconnections = 100\n")
        assert running.world.systemctl("reload", "sasgate").returncode == 0
        assert running.world.shown("ActiveState") == "active"
        assert running.world.shown("StatusText") == "serves /etc/sasgate/prod.ini"
        assert running.status() == 200

    def test_one_that_is_refused_fails_and_says_why(self, running: Host) -> None:
        """S1, S56."""
        running.configure(more="[limits]\nconections = 100\n")
        assert running.world.systemctl("reload", "sasgate").returncode != 0
        assert running.world.shown("ActiveState") == "active"
        assert "conections" in running.world.shown("StatusText")
        assert "conections" in running.world.journal()
        assert running.status() == 200

    def test_a_signal_does_too(self, running: Host) -> None:
        before = running.world.journal().count("reloaded ")
        running.world.systemctl("kill", "--kill-whom=main", "-s", "HUP", "sasgate")
        for _ in attempts():
            if running.world.journal().count("reloaded ") > before:
                break
        assert running.status() == 200


class TestEnd:
    def test_a_stop_is_clean(self, running: Host) -> None:
        assert running.world.systemctl("stop", "sasgate").returncode == 0
        assert running.world.shown("ActiveState") == "inactive"
        assert running.world.shown("Result") == "success"

    def test_one_that_dies_is_started_again(self, running: Host) -> None:
        before = running.world.shown("MainPID")
        os.kill(int(running.process.name), signal.SIGKILL)
        for _ in attempts():
            if running.world.shown("ActiveState") == "active" and (
                running.world.shown("MainPID") not in {before, "0"}
            ):
                break
        assert running.status() == 200

    def test_a_configuration_with_a_fault_is_not_tried_again(self, host: Host) -> None:
        host.configure(more="[limits]\nconections = 100\n")
        assert host.world.systemctl("start", "sasgate").returncode != 0
        assert host.world.shown("ActiveState") == "failed"
        assert host.world.shown("ExecMainStatus") == "1"
        host.world.systemctl("reset-failed", "sasgate")


class TestOptions:
    def test_systemd_opens_the_port(self, host: Host) -> None:
        host.configure(listen="systemd:domain=INET6:name=sas", more="[limits]\ndrain = 1 s\n")
        assert host.world.systemctl("start", "sasgate.socket").returncode == 0
        try:
            # The first caller has it started, and waits for it.
            assert host.status() == 200
            assert host.world.systemctl("reload", "sasgate").returncode == 0
            assert host.status() == 200
        finally:
            host.world.systemctl("stop", "sasgate.socket", "sasgate")

    def test_keys_are_credentials(self, host: Host) -> None:
        lines = "".join(
            f"LoadCredential={name}:/etc/sasgate/{name}\n" for name in ("server.pem", "server.key")
        )
        folder = host.world.root / "etc/systemd/system/sasgate.service.d"
        folder.mkdir()
        (folder / "credentials.conf").write_text(f"[Service]\n{lines}")
        key = host.world.root / "etc/sasgate/server.key"
        os.chown(key, 0, 0)
        key.chmod(0o600)
        try:
            host.world.systemctl("daemon-reload")
            host.configure(certificates="$CREDENTIALS_DIRECTORY")
            assert host.world.systemctl("start", "sasgate").returncode == 0, host.world.journal()
            assert host.status() == 200
            assert host.world.systemctl("reload", "sasgate").returncode == 0, host.world.journal()
        finally:
            host.world.systemctl("stop", "sasgate")
            shutil.rmtree(folder)
            host.world.systemctl("daemon-reload")
            host.world.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/sasgate.conf")

    def test_a_credential_that_systemd_was_not_told_of_is_named(self, host: Host) -> None:
        host.configure(certificates="$CREDENTIALS_DIRECTORY")
        assert host.world.systemctl("start", "sasgate").returncode != 0
        assert "$CREDENTIALS_DIRECTORY is not set" in host.world.journal()
        host.world.systemctl("reset-failed", "sasgate")


class TestFiles:
    def test_keys_are_for_the_service_to_read_only(self, host: Host) -> None:
        """S57."""
        key = (host.world.root / "etc/sasgate/server.key").stat()
        group = host.world.run("getent", "group", "sasgate").stdout.split(":")[2]
        assert (key.st_uid, str(key.st_gid), key.st_mode & 0o777) == (0, group, 0o640)

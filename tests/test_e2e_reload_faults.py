"""Whatever is wrong at a reload, the gateway serves on and says so (S1, S54, S55, S56)."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from calling import SLOT, answered, platform
from notified import Manager
from processes import BackendProcess, GatewayProcess, write_ini
from reloading import edit, hang_up
from sasgate.lab.pki import Lab
from test_e2e_reload import reload
from test_e2e_start import (
    CERTIFICATE,
    FILES,
    KEY,
    directory,
    emptied,
    truncated,
    web_page,
)


@frozen
class Place:
    """One gateway that all of these faults come to, and leave as it was."""

    ini: Path
    gateway: GatewayProcess
    manager: Manager

    @property
    def folder(self) -> Path:
        return self.ini.parent


@pytest.fixture(scope="module")
def lasting(
    lab: Lab, backend: BackendProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("faults")
    ini = write_ini(lab, folder / "etc", backend.url)
    manager = Manager(folder / "notify")
    with manager, GatewayProcess(ini, env={"NOTIFY_SOCKET": manager.address}) as gateway:
        manager.hears("READY")
        yield Place(ini, gateway, manager)


@pytest.fixture
def place(lasting: Place, tmp_path: Path) -> Iterator[Place]:
    shutil.copytree(lasting.folder, tmp_path / "kept", ignore=shutil.ignore_patterns("state"))
    while not lasting.manager.silent():
        """What the test before has left."""
    yield lasting
    for path in lasting.folder.iterdir():
        if path.name != "state":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(tmp_path / "kept", lasting.folder, dirs_exist_ok=True)


def whole(lab: Lab, gateway: GatewayProcess) -> bool:
    """Whether a new caller is served as before, and a stranger refused."""
    port = gateway.port()
    assert answered(platform(lab, port).send(SLOT)).status == 200
    assert answered(platform(lab, port, None).send(SLOT)).status == 401
    return True


def expired(lab: Lab, folder: Path) -> None:
    for source, name in zip(lab.server_paths("expired"), (CERTIFICATE, KEY), strict=True):
        shutil.copy(source, folder / name)


def encrypted(lab: Lab, folder: Path) -> None:
    key = lab.servers["server"].key
    encryption = BestAvailableEncryption(b"secret")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    (folder / KEY).write_bytes(pem)


def open_to_all(_: Lab, folder: Path) -> None:
    (folder / KEY).chmod(0o644)


class TestFiles:
    """S1: the same faults as at a start."""

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("spoil", [Path.unlink, emptied, web_page, truncated, directory])
    def test_a_spoilt_file_changes_nothing(
        self, lab: Lab, place: Place, name: str, spoil: Callable[[Path], None]
    ) -> None:
        path = str(place.folder / name)
        before = len(place.gateway.lines)
        spoil(place.folder / name)
        done = reload(place.ini)
        assert done.returncode == 1
        assert path in done.stderr
        assert "Traceback" not in done.stderr
        place.manager.hears("RELOADING")
        status = place.manager.hears("READY")["STATUS"]
        assert status.startswith("the last reload was refused: ")
        assert path in status
        assert path in place.gateway.wait_for("reload refused: .*", after=before)[0]
        assert "Traceback" not in place.gateway.log
        assert whole(lab, place.gateway)

    @pytest.mark.parametrize("spoil", [expired, encrypted, open_to_all])
    def test_s55_what_does_not_belong_together_changes_nothing(
        self, lab: Lab, place: Place, spoil: Callable[[Lab, Path], None]
    ) -> None:
        spoil(lab, place.folder)
        assert str(place.ini) in hang_up(place.gateway, "reload refused: ")
        assert whole(lab, place.gateway)

    def test_all_faults_are_said_at_once(self, lab: Lab, place: Place) -> None:
        for name in FILES:
            (place.folder / name).unlink()
        done = reload(place.ini)
        assert [name for name in FILES if name not in done.stderr] == []
        assert whole(lab, place.gateway)

    def test_what_is_mended_is_taken_up(self, lab: Lab, place: Place) -> None:
        kept = (place.folder / KEY).read_bytes()
        (place.folder / KEY).write_bytes(b"")
        hang_up(place.gateway, "reload refused: ")
        (place.folder / KEY).write_bytes(kept)
        hang_up(place.gateway)
        place.manager.hears("READY")
        assert place.manager.hears("READY")["STATUS"] == f"serves {place.ini}"
        assert whole(lab, place.gateway)

    def test_the_configuration_itself_is_gone(self, lab: Lab, place: Place) -> None:
        place.ini.unlink()
        assert "No such file" in hang_up(place.gateway, "reload refused: ")
        assert whole(lab, place.gateway)


class TestOnlyAtRestart:
    @pytest.mark.parametrize(
        ("old", "new", "named"),
        [("state = state", "state = other", "[sasgate] state"),
         ("[revocation]", "[log]\nformat = json\n[revocation]", "[log] format")],
    )  # fmt: skip
    def test_it_is_named(self, lab: Lab, place: Place, old: str, new: str, named: str) -> None:
        edit(place.ini, (old, new))
        said = hang_up(place.gateway, "reload refused: ")
        assert named in said
        assert "a restart only" in said
        assert whole(lab, place.gateway)


class TestSignals:
    @pytest.fixture
    def gateway(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> Iterator[GatewayProcess]:
        with GatewayProcess(write_ini(lab, tmp_path, backend.url)) as process:
            yield process

    def test_many_at_once_are_few_reloads(self, lab: Lab, gateway: GatewayProcess) -> None:
        before = len(gateway.lines)
        for _ in range(500):
            gateway.send_signal(signal.SIGHUP)
        gateway.wait_for("reloaded ", after=before)
        assert whole(lab, gateway)
        hang_up(gateway)
        assert sum("reloaded " in line for line in gateway.lines) < 500

    def test_a_second_sigterm_is_a_sigterm(self, gateway: GatewayProcess) -> None:
        gateway.send_signal(signal.SIGTERM)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait() == -signal.SIGTERM
        assert "Traceback" not in gateway.log

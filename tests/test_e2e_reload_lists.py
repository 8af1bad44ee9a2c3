"""Signals that come while a long list is verified, at a start and at a reload (S56)."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from calling import SLOT, answered, platform
from notified import Manager
from processes import BackendProcess, GatewayProcess
from reloading import edit, hang_up, loaded
from revoking_processes import Door, write_configuration
from sasgate.lab import trees
from sasgate.lab.lists import ListTemplate, many_serials, plain_list
from sasgate.lab.pki import Lab


ENTRIES = 100_000


@pytest.fixture
def ini(lab: Lab, backend: BackendProcess, tmp_path: Path) -> Path:
    """A gateway on lists in files."""
    write(lab, tmp_path, 1)
    sources = f"{tmp_path / 'root.crl'} {tmp_path / 'issuer.crl'}"
    doors = {"test": Door({"crl": sources})}
    return write_configuration(
        lab, tmp_path, backend.url, doors, revocation={"mode": "crl"}, limits={"drain": "20 s"}
    )


def write(lab: Lab, folder: Path, number: int, *more: int) -> None:
    """Lists of this number; the issuer's is long, and has `more` serials."""
    for ca, name, count in (
        (trees.ROOT_TEST, "root.crl", 0), (trees.ORG_TEST, "issuer.crl", ENTRIES),
    ):  # fmt: skip
        serials = [*many_serials(count), *(more if count else ())]
        der = plain_list(lab.authorities[ca], serials, ListTemplate(number=number))
        new = folder / f"{name}.new"
        new.write_bytes(der)
        new.replace(folder / name)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with Manager(tmp_path / "notify") as each:
        yield each


@pytest.fixture
def gateway(ini: Path, manager: Manager) -> Iterator[GatewayProcess]:
    with GatewayProcess(ini, env={"NOTIFY_SOCKET": manager.address}) as process:
        manager.hears("READY")
        yield process


def status(lab: Lab, gateway: GatewayProcess) -> int:
    return answered(platform(lab, gateway.port("inbound:test")).send(SLOT)).status


class TestStart:
    def test_who_has_not_verified_its_lists_is_not_ready_and_a_signal_counts(
        self, ini: Path, manager: Manager
    ) -> None:
        process = GatewayProcess(ini, env={"NOTIFY_SOCKET": manager.address})
        first = manager.heard()
        assert "READY" not in first
        assert "verifies" in first["STATUS"]
        edit(ini, ("drain = 20 s", "drain = 21 s"))
        process.send_signal(signal.SIGHUP)
        process.wait_for("reloaded ")
        process.send_signal(signal.SIGTERM)
        assert manager.hears("STOPPING")["EXTEND_TIMEOUT_USEC"] in {"31000000", "30000000"}
        assert process.wait() == -signal.SIGTERM
        assert "Traceback" not in process.log

    def test_a_stop_meanwhile_is_clean(self, ini: Path, manager: Manager) -> None:
        process = GatewayProcess(ini, env={"NOTIFY_SOCKET": manager.address})
        assert "verifies" in manager.hears("STATUS")["STATUS"]
        process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM
        assert "Traceback" not in process.log
        assert "Unhandled" not in process.log


class TestReload:
    def test_callers_do_not_notice(self, lab: Lab, ini: Path, gateway: GatewayProcess) -> None:
        assert status(lab, gateway) == 200
        write(lab, ini.parent, 2)
        with loaded(lab, gateway.port("inbound:test"), clients=2) as load:
            hang_up(gateway)
        assert load.failed == []

    def test_a_client_that_the_new_list_has_is_out(
        self, lab: Lab, ini: Path, gateway: GatewayProcess
    ) -> None:
        """S14."""
        assert status(lab, gateway) == 200
        write(lab, ini.parent, 2, lab.clients["recette"].certificate.serial_number)
        before = len(gateway.lines)
        hang_up(gateway)
        gateway.wait_for("list 2 of .*ORGANISATIONS.* is in force", after=before)
        assert status(lab, gateway) == 401

    def test_a_signal_meanwhile_is_another_reload(
        self, lab: Lab, ini: Path, gateway: GatewayProcess, manager: Manager
    ) -> None:
        write(lab, ini.parent, 2)
        gateway.send_signal(signal.SIGHUP)
        manager.hears("RELOADING")
        gateway.send_signal(signal.SIGHUP)
        for _ in range(2):
            manager.hears("READY")
        assert status(lab, gateway) == 200

    def test_a_stop_meanwhile_is_clean_and_nothing_is_put_in_force(
        self, lab: Lab, ini: Path, gateway: GatewayProcess, manager: Manager
    ) -> None:
        write(lab, ini.parent, 2)
        gateway.send_signal(signal.SIGHUP)
        manager.hears("RELOADING")
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait() == -signal.SIGTERM
        assert "Traceback" not in gateway.log
        assert "Unhandled" not in gateway.log
        lines = gateway.log.split("SIGTERM")[1]
        assert " listens on " not in lines

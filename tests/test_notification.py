"""What a service manager hears of a real twistd: start, reload, stop and life (S56)."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from twisted.internet.task import Clock

from calling import SLOT, answered, platform
from notified import Manager
from processes import BackendProcess, GatewayProcess, write_ini
from raw_client import connected
from sasgate.lab.pki import Lab
from sasgate.notify import Notifier
from test_e2e_reload import change


@pytest.fixture
def ini(lab: Lab, backend: BackendProcess, tmp_path: Path) -> Path:
    return write_ini(lab, tmp_path, backend.url)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = tmp_path / "notify" if request.param == "path" else f"@sasgate-{uuid4()}"
    with Manager(address) as each:
        yield each


def told(manager: Manager, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.address, **more}


class TestDaemon:
    def test_start_reload_and_stop(self, lab: Lab, ini: Path, manager: Manager) -> None:
        with GatewayProcess(ini, env=told(manager)) as process:
            assert manager.heard() == {"STATUS": f"verifies the lists that {ini} relies on"}
            assert manager.heard() == {"READY": "1", "STATUS": f"serves {ini}"}
            assert answered(platform(lab, process.port()).send(SLOT)).status == 200
            before = time.monotonic_ns() // 1000
            process.send_signal(signal.SIGHUP)
            reloading = manager.heard()
            assert reloading.keys() == {"RELOADING", "MONOTONIC_USEC"}
            assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
            assert manager.heard() == {"READY": "1", "STATUS": f"serves {ini}"}
            process.send_signal(signal.SIGTERM)
            stopping = manager.heard()
            assert (stopping["STOPPING"], stopping["STATUS"]) == ("1", "draining")
            # The drain time of 30 s, and some to end.
            assert int(stopping["EXTEND_TIMEOUT_USEC"]) == 40_000_000
            assert process.wait() == -signal.SIGTERM
            assert manager.silent()

    def test_a_reload_that_is_refused_is_over_too_and_says_why(
        self, ini: Path, manager: Manager
    ) -> None:
        """S1."""
        with GatewayProcess(ini, env=told(manager)) as process:
            manager.hears("READY")
            change(ini, "backend =", "bakend =")
            process.send_signal(signal.SIGHUP)
            manager.hears("RELOADING")
            over = manager.heard()
            assert over["READY"] == "1"
            assert over["STATUS"].startswith("the last reload was refused: ")
            assert "[inbound] backend: is missing" in over["STATUS"]

    def test_who_cannot_serve_is_not_ready(self, ini: Path, manager: Manager) -> None:
        with GatewayProcess(ini) as process:
            change(ini, "tcp:0:", f"tcp:{process.port()}:")
            other = GatewayProcess(ini, env=told(manager))
            assert other.wait() == 1
        assert manager.silent()

    def test_it_is_alive_until_it_hangs(self, ini: Path, manager: Manager) -> None:
        env = told(manager, WATCHDOG_USEC="200000")
        with GatewayProcess(ini, env=env):
            manager.hears("READY")
            assert [manager.heard() for _ in range(3)] == [{"WATCHDOG": "1"}] * 3

    def test_a_watchdog_of_another_process_is_not_fed(self, ini: Path, manager: Manager) -> None:
        env = told(manager, WATCHDOG_USEC="1000", WATCHDOG_PID="1")
        with GatewayProcess(ini, env=env) as process:
            manager.hears("READY")
            process.send_signal(signal.SIGHUP)
            assert "RELOADING" in manager.heard()

    def test_a_manager_that_is_gone_ends_nothing(self, ini: Path, tmp_path: Path) -> None:
        with GatewayProcess(ini, env={"NOTIFY_SOCKET": str(tmp_path / "absent")}) as process:
            process.wait_for("the service manager cannot be told")
            connected(process.port()).close()


class TestNotifier:
    def test_no_child_speaks_for_the_daemon(self) -> None:
        environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "A": "b"}
        Notifier(Clock(), environment)
        assert environment == {"A": "b"}

    @pytest.mark.parametrize("allowed", ["", "x", "0", "-1"])
    def test_a_watchdog_that_asks_nothing_gets_nothing(
        self, manager: Manager, allowed: str
    ) -> None:
        clock = Clock()
        notifier = Notifier(clock, told(manager, WATCHDOG_USEC=allowed))
        notifier.ready("serves")
        clock.pump([1] * 10)
        assert manager.heard()["READY"] == "1"
        assert manager.silent()

    def test_signs_of_life_come_twice_as_often_as_is_asked(self, manager: Manager) -> None:
        clock = Clock()
        env = told(manager, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
        notifier = Notifier(clock, env)
        notifier.ready("serves")
        assert [manager.heard().popitem()[0] for _ in range(2)] == ["STATUS", "WATCHDOG"]
        clock.advance(14.9)
        assert manager.silent()
        clock.advance(0.1)
        assert manager.heard() == {"WATCHDOG": "1"}
        notifier.stop()
        assert clock.getDelayedCalls() == []

    def test_a_status_is_one_line(self, manager: Manager) -> None:
        Notifier(Clock(), told(manager)).ready("a\nREADY=0\n b")
        assert manager.heard() == {"READY": "1", "STATUS": "a READY=0 b"}

    def test_a_full_queue_does_not_hold_the_daemon_up(self, manager: Manager) -> None:
        notifier = Notifier(Clock(), told(manager))
        for _ in range(2000):
            notifier.ready("serves")
        assert manager.heard()["READY"] == "1"

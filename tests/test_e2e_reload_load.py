"""Reloads while clients call: none of them notices, and nothing grows (S54, S56)."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateways import gateway
from processes import BackendProcess, GatewayProcess, write_ini
from raw_backend import Peer, RawBackend
from raw_client import PATIENCE, Caller, request
from reloading import edit, hang_up
from sasgate.lab.pki import Lab
from soak_reload import soak
from test_certbot_hook import shown


@pytest.fixture(scope="module")
def raw() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


def test_s56_reloads_under_load_fail_nobody_and_leak_nothing(
    lab: Lab, backend: BackendProcess, tmp_path: Path
) -> None:
    """The short form of `make soak-reload`; what is freed late shows there as a part too large."""
    with GatewayProcess(write_ini(lab, tmp_path, backend.url)) as process:
        result = soak(lab, process, 60, warm=20)
    assert result.failed == ()
    assert result.served > 0
    assert result.files[1] <= result.files[0]
    assert result.growth < 0.15, str(result)


class TestServerCertificate:
    def test_s54_the_next_caller_sees_the_new_one_and_calls_in_flight_end_on_the_old(
        self, lab: Lab, raw: RawBackend, tmp_path: Path
    ) -> None:
        go_on = threading.Event()

        def script(peer: Peer) -> None:
            peer.request()
            assert go_on.wait(PATIENCE)
            peer.answer(b"whole")

        raw.follows(script)
        for source, name in zip(lab.server_paths(), ("own.pem", "own.key"), strict=True):
            shutil.copy(source, tmp_path / name)
        own = {"certificate": "own.pem", "key": "own.key", "backend": raw.url}
        with gateway(lab, tmp_path, own) as process:
            old = shown(lab, process.port())
            with Caller(lab, process.port()).wire() as busy:
                busy.send(request("GET", "/"))
                raw.wait_until(lambda: len(raw.requests) == 1)
                for source, name in zip(
                    lab.server_paths("stapling"), ("own.pem", "own.key"), strict=True
                ):
                    shutil.copy(source, tmp_path / name)
                hang_up(process)
                assert shown(lab, process.port()) != old
                go_on.set()
                answer = busy.answer()
                assert (answer.status, answer.body) == (200, b"whole")
                assert busy.stream.tls.getpeercert(binary_form=True) == old


class TestInForce:
    def test_limits(self, lab: Lab, backend: BackendProcess, tmp_path: Path) -> None:
        ini = write_ini(lab, tmp_path, backend.url, append="[limits]\nhead_fields = 100\n")
        with GatewayProcess(ini) as process:
            caller = Caller(lab, process.port())
            fields = [f"X-A{number}: b" for number in range(20)]
            assert caller.get("/echo", *fields).status == 200
            edit(ini, ("head_fields = 100", "head_fields = 10"))
            hang_up(process)
            assert caller.get("/echo", *fields).status in {400, 431}

    def test_what_the_log_shows_of_paths(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> None:
        ini = write_ini(lab, tmp_path, backend.url, append="[log]\npaths = masked\n")
        with GatewayProcess(ini) as process:
            caller = Caller(lab, process.port())
            assert caller.get("/echo/first-secret").status < 500
            edit(ini, ("paths = masked", "paths = full"))
            hang_up(process)
            assert caller.get("/echo/second-shown").status < 500
            process.wait_for("second-shown")
            assert "first-secret" not in process.log

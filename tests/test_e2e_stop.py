"""How the daemon goes: what is under way ends, nothing begins, and not for ever."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateways import gateway
from raw_backend import Peer, RawBackend
from raw_client import PATIENCE, Caller, connected, request
from sasgate.lab.pki import Lab


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


class TestStop:
    def test_an_exchange_under_way_ends_and_nothing_begins(
        self, lab: Lab, backend: RawBackend, tmp_path: Path
    ) -> None:
        go_on = threading.Event()

        def script(peer: Peer) -> None:
            peer.request()
            assert go_on.wait(PATIENCE)
            peer.answer(b"whole")

        backend.follows(script)
        with gateway(lab, tmp_path, {"backend": backend.url}) as process:
            caller = Caller(lab, process.port())
            with caller.wire() as busy, caller.wire() as idle:
                busy.send(request("GET", "/"))
                backend.wait_until(lambda: len(backend.requests) == 1)
                process.send_signal(signal.SIGTERM)
                assert idle.rest() == b""
                with pytest.raises(ConnectionError):
                    connected(process.port())
                go_on.set()
                answer = busy.answer()
                assert (answer.status, answer.body) == (200, b"whole")
                assert answer.headers["Connection"] == "close"
                assert busy.rest() == b""
            assert process.wait() == -signal.SIGTERM

    def test_what_does_not_end_in_time_is_cut(
        self, lab: Lab, backend: RawBackend, tmp_path: Path
    ) -> None:
        def script(peer: Peer) -> None:
            peer.request()
            assert peer.ended()

        backend.follows(script)
        limits = {"drain": "500 ms", "answer": "1 min"}
        with gateway(lab, tmp_path, {"backend": backend.url}, limits=limits) as process:
            caller = Caller(lab, process.port())
            with caller.wire() as busy:
                busy.send(request("GET", "/"))
                backend.wait_until(lambda: len(backend.requests) == 1)
                process.send_signal(signal.SIGTERM)
                assert busy.ended()
            assert process.wait() == -signal.SIGTERM
            assert "connections are cut" in process.log
            assert "Traceback" not in process.log

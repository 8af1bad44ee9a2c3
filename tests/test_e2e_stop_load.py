"""A stop while clients come without a pause: whoever has connected has an answer (S56).

Only a connection that was never made may fail, at once: nobody listens.
"""

import signal
import socket
from configparser import ConfigParser
from pathlib import Path

import pytest

from applications import POST, Application, local_url, write_outbound
from gateways import gateway
from newcomers import CLIENTS, Newcomers, callers, newcomers
from processes import BackendProcess, GatewayProcess
from raw_client import PATIENCE, Caller, Wire, attempts, connected
from reloading import hang_up
from sasgate.lab.pki import Lab
from sasgate.lab.sas_server import SASServer


HEADER = b"PROXY TCP4 127.0.0.1 127.0.0.1 40000 443\r\n"


def served_to_the_last(load: Newcomers, process: GatewayProcess) -> None:
    load.wait_for(3 * CLIENTS)
    assert process.stop() == -signal.SIGTERM


def none_lost(load: Newcomers, process: GatewayProcess) -> None:
    assert load.lost == []
    assert load.refused == CLIENTS
    assert "Traceback" not in process.log


class TestInbound:
    def test_no_newcomer_is_lost_to_a_stop(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> None:
        with gateway(lab, tmp_path, {"backend": backend.url}) as process:
            with callers(Caller(lab, process.port())) as load:
                served_to_the_last(load, process)
            none_lost(load, process)

    def test_nor_one_that_a_balancer_names(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> None:
        inbound = {
            "backend": backend.url,
            "listen": "haproxy:tcp:0:interface=127.0.0.1",
            "proxies": "127.0.0.1",
        }
        with gateway(lab, tmp_path, inbound) as process:
            with callers(Caller(lab, process.port()), HEADER) as load:
                served_to_the_last(load, process)
            none_lost(load, process)

    def test_nor_to_a_reload_that_takes_its_listener_away(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> None:
        with gateway(
            lab, tmp_path, {"backend": backend.url}, more={"gone": {"backend": backend.url}}
        ) as process:
            with callers(Caller(lab, process.port("inbound:gone"))) as load:
                load.wait_for(3 * CLIENTS)
                without(tmp_path / "sasgate.ini", "inbound:gone")
                hang_up(process)
                for _ in attempts():
                    if load.refused == CLIENTS:
                        break
            none_lost(load, process)

    def test_a_mute_stranger_does_not_hold_it_up(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> None:
        """The drain time, and the handshake's, are longer than this test waits for anything."""
        patient = {"drain": "10 min", "handshake": "1 min", "head_time": "1 min"}
        with gateway(lab, tmp_path, {"backend": backend.url}, limits=patient) as process:
            caller = Caller(lab, process.port())
            with connected(process.port()), caller.wire() as shaken:
                process.send_signal(signal.SIGTERM)
                assert process.process.wait(PATIENCE) == -signal.SIGTERM
                assert shaken.rest() == b""


class TestOutbound:
    @pytest.mark.parametrize("socket_of", ["tcp", "unix"])
    def test_no_call_is_lost_to_a_stop(self, lab: Lab, tmp_path: Path, socket_of: str) -> None:
        path = tmp_path / "calls"
        listen = {"tcp": "tcp:0:interface=127.0.0.1", "unix": f"unix:{path}"}[socket_of]
        with SASServer(lab) as sas:
            ini = write_outbound(
                lab,
                tmp_path,
                {"a": local_url(sas)},
                listeners={"a": {"listen": listen}},
                limits={"outbound_answer": 60},
            )
            with GatewayProcess(ini) as process:
                at_port = Application(process, "a").connected

                def at_path() -> socket.socket:
                    plain = socket.socket(socket.AF_UNIX)
                    plain.settimeout(PATIENCE)
                    try:
                        plain.connect(str(path))
                    except OSError:
                        plain.close()
                        raise
                    return plain

                with newcomers(at_port if socket_of == "tcp" else at_path, call) as load:
                    served_to_the_last(load, process)
                none_lost(load, process)


def call(plain: socket.socket) -> int:
    status = Wire(plain).ask(POST, "POST").status  # type: ignore[arg-type]
    return 200 if status == 201 else status


def without(ini: Path, section: str) -> None:
    """Take a section out of a configuration."""
    parser = ConfigParser(interpolation=None, delimiters=("=",))
    parser.read(ini, "utf-8")
    assert parser.remove_section(section)
    with ini.open("w", encoding="utf-8") as file:
        parser.write(file)

"""Two gateways behind a real HAProxy, as `etc/haproxy-two-gateways.cfg` has them, under load."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import pytest
from attrs import define, field, frozen

from gateways import gateway
from processes import CHECKOUT, GatewayProcess, LoggedProcess, environment, free_port
from raw_client import PATIENCE, Caller, attempts, request
from sasgate.lab.pki import Lab


EXAMPLE = CHECKOUT / "etc" / "haproxy-two-gateways.cfg"
BALANCER = "127.0.0.2"
NAMES = ("gateway1", "gateway2")


@frozen
class Called:
    """One connection of the load: when it was begun, how many answers it had, what failed then."""

    begun: float
    answers: int
    failure: str


@define
class Load:
    """Clients that call without a pause, each connection for so many requests."""

    caller: Caller
    requests: int
    calls: list[Called] = field(factory=list)
    _ended: threading.Event = field(factory=threading.Event)

    def call(self) -> None:
        while not self._ended.is_set():
            begun, answers, failure = time.monotonic(), 0, ""
            try:
                with self.caller.wire() as wire:
                    for _ in range(self.requests):
                        answer = wire.ask(request("GET", "/echo"))
                        assert answer.status == 200, answer.status
                        answers += 1
            except Exception as error:
                failure = repr(error)
            self.calls.append(Called(begun, answers, failure))

    @property
    def failed(self) -> list[Called]:
        return [call for call in self.calls if call.failure]

    def served_since(self, begin: float) -> int:
        """Connections that were begun after that, and had all their answers."""
        return sum(1 for call in list(self.calls) if call.begun > begin and not call.failure)

    def wait_for(self, connections: int) -> None:
        """Until so many more connections have had all their answers."""
        begin = time.monotonic()
        for _ in attempts():
            if self.served_since(begin) >= connections:
                return
            time.sleep(0.01)

    def end(self) -> None:
        self._ended.set()


@contextmanager
def loaded(caller: Caller, *, clients: int = 3, requests: int = 3) -> Iterator[Load]:
    """Clients that call while the block runs."""
    load = Load(caller, requests)
    threads = [threading.Thread(target=load.call) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.end()
        for thread in threads:
            thread.join()


class Balanced:
    """The two gateways, by name, and HAProxy before them on `port`."""

    def __init__(self, lab: Lab, folder: Path, backend: str) -> None:
        if shutil.which("haproxy") is None:
            pytest.skip("haproxy is not installed: apt-get install haproxy")
        self._stack = ExitStack()
        self._socket = folder / "admin.sock"
        self.port = free_port()
        self.ports = {name: free_port() for name in NAMES}
        self.gateways: dict[str, GatewayProcess] = {}
        try:
            for name in NAMES:
                self.gateways[name] = self._first(lab, folder / name, backend, self.ports[name])
            command = ("haproxy", "-db", "-V", "-f", self._configured(lab, folder))
            process = LoggedProcess(command, folder, environment())
            self.haproxy = self._stack.enter_context(process)
            for name in NAMES:
                self.wait_until(name, "UP")
        except BaseException:
            self._stack.close()
            raise

    def _first(self, lab: Lab, folder: Path, backend: str, port: int) -> GatewayProcess:
        folder.mkdir()
        inbound = {
            "backend": backend,
            "listen": f"haproxy:tcp:{port}:interface=127.0.0.1",
            "proxies": BALANCER,
        }
        process = gateway(lab, folder, inbound, addresses=f"127.0.0.1 {BALANCER}")
        return self._stack.enter_context(process)

    def _configured(self, lab: Lab, folder: Path) -> Path:
        text = EXAMPLE.read_text("utf-8")
        gateway1, gateway2 = (self.ports[name] for name in NAMES)
        for old, new in (
            ("    log /dev/log local0\n    user haproxy\n    group haproxy\n", ""),
            ("    log global\n", ""),
            ("    option tcplog\n", ""),
            ("/run/haproxy/admin.sock", str(self._socket)),
            ("bind :443", f"bind 127.0.0.1:{self.port}"),
            ("sas.editor.example", "localhost"),
            ("ca-file @system-ca", f"ca-file {lab.public_root} source {BALANCER}"),
            ("192.0.2.11:8443\n    server", f"127.0.0.1:{gateway1}\n    server"),
            ("192.0.2.12:8443\n", f"127.0.0.1:{gateway2}\n"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        path = folder / "haproxy.cfg"
        path.write_text(text, "utf-8")
        return path

    def say(self, command: str) -> str:
        """A command to HAProxy's own socket, and its answer."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(PATIENCE)
            control.connect(str(self._socket))
            control.sendall(command.encode() + b"\n")
            answer = b""
            while data := control.recv(65536):
                answer += data
        return answer.decode()

    def shown(self, name: str, column: str) -> str:
        """What HAProxy's statistics say of a gateway."""
        head, *rows = self.say("show stat").removeprefix("# ").splitlines()
        columns = head.split(",")
        for row in rows:
            values = dict(zip(columns, row.split(","), strict=False))
            if (values["pxname"], values["svname"]) == ("gateways", name):
                return values[column]
        raise LookupError(name)

    def wait_until(self, name: str, *status: str) -> None:
        """Until HAProxy takes a gateway for this, by a check that has passed or failed."""
        for _ in attempts():
            if (
                self._socket.exists()
                and self._checked(name)
                and (self.shown(name, "status") in status)
            ):
                return
            time.sleep(0.02)

    def _checked(self, name: str) -> bool:
        # Before the first check all are taken for UP.
        return self.shown(name, "check_status") not in {"", "INI"}

    def again(self, name: str) -> GatewayProcess:
        """Start a gateway that has ended once more."""
        ini = self.gateways[name].process.args[-1]  # type: ignore[index]
        self.gateways[name] = self._stack.enter_context(GatewayProcess(Path(str(ini))))
        return self.gateways[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

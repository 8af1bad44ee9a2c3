"""Several processes on one port: a socket with SO_REUSEPORT each, passed as systemd does."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from balanced import loaded
from processes import CHECKOUT, BackendProcess, GatewayProcess, write_ini
from raw_client import PATIENCE, Caller
from reloading import edit
from sasgate.config import load
from sasgate.lab.pki import Lab


# Takes a socket that its parent holds as well, and becomes the daemon.
TAKE = """
import os, socket, sys
path, *command = sys.argv[1:]
with socket.socket(socket.AF_UNIX) as manager:
    manager.connect(path)
    (taken,) = socket.recv_fds(manager, 1, 1)[1]
if taken != 3:
    os.dup2(taken, 3)
    os.close(taken)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="sas")
os.execv(command[0], command)
"""


class Instance:
    """One process and its socket, which stays open here while the process is not there."""

    def __init__(self, ini: Path, port: int) -> None:
        self._ini = ini
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.bind(("127.0.0.1", port))
        self.socket.listen(1024)
        self.port: int = self.socket.getsockname()[1]
        self.process = self._process()

    def _process(self) -> GatewayProcess:
        path = self._ini.with_name("manager.sock")
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as manager:
            manager.bind(str(path))
            manager.listen()
            manager.settimeout(PATIENCE)
            process = GatewayProcess(self._ini, before=(sys.executable, "-c", TAKE, str(path)))
            with manager.accept()[0] as asking:
                socket.send_fds(asking, [b"x"], [self.socket.fileno()])
        return process

    def start(self) -> None:
        self.process = self._process().ready()

    def close(self) -> None:
        self.process.stop()
        self.socket.close()


@pytest.fixture
def two(lab: Lab, backend: BackendProcess, tmp_path: Path) -> Iterator[tuple[Instance, Instance]]:
    inis = [write_ini(lab, tmp_path / name, backend.url) for name in ("1", "2")]
    for ini in inis:
        edit(ini, ("listen = tcp:0:interface=127.0.0.1", "listen = systemd:domain=INET:name=sas"))
    with ExitStack() as stack:
        first = Instance(inis[0], 0)
        stack.callback(first.close)
        second = Instance(inis[1], first.port)
        stack.callback(second.close)
        for each in (first, second):
            each.process.ready()
        yield first, second


def test_the_kernel_gives_callers_to_both(lab: Lab, two: tuple[Instance, Instance]) -> None:
    first, second = two
    with loaded(Caller(lab, first.port)) as load:
        for each in (first, second):
            each.process.wait_for("admitted .* CN=sas-agregateur-recette")
    assert load.failed == []


def test_while_one_is_not_there_its_part_of_the_callers_waits_and_is_served(
    lab: Lab, two: tuple[Instance, Instance]
) -> None:
    first, second = two
    assert first.process.stop() == -signal.SIGTERM
    answers: list[int] = []

    def call() -> None:
        answers.append(Caller(lab, first.port).get("/echo").status)

    callers = [threading.Thread(target=call) for _ in range(20)]
    for each in callers:
        each.start()
    # Of the connections some are in the queue of the socket that is held.
    second.process.wait_for("admitted .* CN=sas-agregateur-recette")
    first.start()
    for each in callers:
        each.join()
    assert answers == [200] * len(callers)
    first.process.wait_for("admitted .* CN=sas-agregateur-recette")


def test_one_whose_socket_is_given_up_too_leaves_all_newcomers_to_the_other(
    lab: Lab, two: tuple[Instance, Instance]
) -> None:
    first, _ = two
    first.close()
    begun = time.monotonic()
    with loaded(Caller(lab, first.port)) as load:
        load.wait_for(20)
    assert load.failed == []
    assert load.served_since(begun) >= 20


def test_the_page_makes_a_file_for_each_of_the_one_that_was(tmp_path: Path) -> None:
    text = (CHECKOUT / "docs/scaling.md").read_text("utf-8")
    loop = re.search(r"(?s)\n    for i in 1 2; do\n.*?\n    done\n", text)
    assert loop is not None
    shutil.copy(CHECKOUT / "etc/prod.ini", tmp_path)
    (tmp_path / "sasgate").mkdir()
    script = (
        loop[0]
        .replace("cp -a /var/lib/", f"cp -a {tmp_path}/")
        .replace(" /var/lib/sasgate-$i\n", f" {tmp_path}/sasgate-$i\n")
    )
    subprocess.run(("sh", "-euc", script), cwd=tmp_path, check=True)
    found = [load(tmp_path / f"prod-{instance}.ini") for instance in (1, 2)]
    assert [str(each.state) for each in found] == ["/var/lib/sasgate-1", "/var/lib/sasgate-2"]
    assert len({each.admin for each in found}) == 2
    for each in found:
        assert [str(listen) for listen in each.inbounds[0].listen] == [
            "systemd:domain=INET6:name=sas"
        ]
    assert (tmp_path / "sasgate-2").is_dir()


def test_each_needs_a_state_folder_of_its_own(two: tuple[Instance, Instance]) -> None:
    first, second = two
    assert first.process.stop() == -signal.SIGTERM
    second_state = second._ini.parent / "state"
    assert second_state.is_dir()
    text = first._ini.read_text()
    first._ini.write_text(re.sub("(?m)^state = .*", f"state = {second_state}", text))
    refused = first._process()
    assert refused.wait() == 1
    assert "is in use by another sasgate" in refused.log

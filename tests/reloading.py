"""Reloads of a real gateway: by command and by signal, one after the other or under load."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from attrs import define, field

from processes import GatewayProcess
from raw_client import Caller, request
from sasgate.lab.pki import Lab


def hang_up(process: GatewayProcess, said: str = "reloaded ") -> str:
    """SIGHUP, and the line that says what came of it."""
    before = len(process.lines)
    process.send_signal(signal.SIGHUP)
    return process.wait_for(said + ".*", after=before)[0]


def edit(ini: Path, *changes: tuple[str, str]) -> None:
    """Replace texts of a configuration once each; every one must occur."""
    text = ini.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    ini.write_text(text)


def open_files(process: GatewayProcess) -> int:
    """How many descriptors a gateway holds."""
    return sum(1 for _ in Path(f"/proc/{process.process.pid}/fd").iterdir())


@define
class Load:
    """Clients that call without a pause, each on connections that it keeps for some calls."""

    served: int = 0
    failed: list[str] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)

    def _call(self, caller: Caller, ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                with caller.wire() as wire:
                    for _ in range(5):
                        answer = wire.ask(request("GET", "/echo"))
                        self._count(answer.status)
            except Exception as error:
                with self._lock:
                    self.failed.append(repr(error))

    def _count(self, status: int) -> None:
        with self._lock:
            if status == 200:
                self.served += 1
            else:
                self.failed.append(str(status))


@contextlib.contextmanager
def loaded(lab: Lab, port: int, clients: int = 3) -> Iterator[Load]:
    """Clients that call the gateway while the block runs."""
    load, ended = Load(), threading.Event()
    caller = Caller(lab, port)
    threads = [threading.Thread(target=load._call, args=(caller, ended)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        ended.set()
        for thread in threads:
            thread.join()

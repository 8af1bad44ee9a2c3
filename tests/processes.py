"""The real twistd, and the servers and ports that a test of it needs.

Nothing here waits for a time to pass: readiness is read from the daemon's own lines.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from sasgate.lab.configuration import FILE, Ports, configuration
from sasgate.lab.pki import Lab


CHECKOUT = Path(__file__).parents[1]
# How long a loaded machine may take for what normally takes a second.
PATIENCE = 60.0

_TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
_LISTENS = re.compile(r'([\w:.-]+) listens on (\S+) at ([^\s"]+)')
_SERVES = re.compile(r"sasgate \S+ serves ")


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago; port 0 and the log are better."""
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        return int(chosen.getsockname()[1])


class NotReady(Exception):
    """A process ended or fell silent before it was ready; the text is all that it wrote."""


class LoggedProcess:
    """A subprocess whose lines are kept, and can be waited for."""

    def __init__(self, command: Iterable[object], cwd: Path, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def log(self) -> str:
        """Everything it wrote so far, standard output and error together."""
        return "".join(self.lines)

    def wait_for(self, pattern: str | re.Pattern[str], *, after: int = 0) -> re.Match[str]:
        """The first match in the lines from number `after` on, waited for.

        Raises:
            NotReady: the process ended, or wrote nothing for a long time, without it.
        """
        wanted = re.compile(pattern)
        seen = after
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    if match := wanted.search(line):
                        return match
                seen = len(self.lines)
                if self._ended:
                    raise NotReady(f"ended without {wanted.pattern!r}:\n{self.log}")
                if not self._changed.wait(PATIENCE):
                    raise NotReady(f"no {wanted.pattern!r} in time:\n{self.log}")

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once it has ended by itself; negative where a signal ended it."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def stop(self) -> int:
        """End it by SIGTERM if need be; returns the exit code (a clean twistd: -SIGTERM)."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class GatewayProcess(LoggedProcess):
    """A real `twistd sasgate` on a configuration; ready once `ready()` or `with` returns.

    The configuration may name port 0: `port("inbound")` is the port that the system chose.
    `before` is a command that runs it, `options` are twistd's own.
    """

    def __init__(
        self,
        ini: Path,
        *,
        before: Iterable[str] = (),
        options: Iterable[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        command = [*before, *_TWISTD, "--nodaemon", "--pidfile=", *options, "sasgate", "-c", ini]
        super().__init__(command, ini.parent, environment(env))

    def ready(self) -> Self:
        """Wait until it serves.

        Raises:
            NotReady: it did not start; its exit code is `wait()`.
        """
        self.wait_for(_SERVES)
        return self

    def __enter__(self) -> Self:
        try:
            return self.ready()
        except BaseException:
            self.stop()
            raise

    @property
    def bound(self) -> list[tuple[str, str, str]]:
        """Listener, endpoint as configured and address where bound, for each open port."""
        return [match.groups() for line in self.lines if (match := _LISTENS.search(line))]

    def port(self, listener: str = "inbound", index: int = 0) -> int:
        """The TCP port of a listener's endpoint; `index` where it has several."""
        found = [where for name, _, where in self.bound if name == listener]
        return int(found[index].rpartition(":")[2])


class BackendProcess(LoggedProcess):
    """The lab's backend as a process of its own."""

    def __init__(self) -> None:
        command = (sys.executable, "-m", "sasgate.lab.backend", "--port", "0")
        super().__init__(command, CHECKOUT, environment())
        try:
            self.port = int(self.wait_for(r"^\d+$")[0])
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def recorded(self) -> list[dict[str, Any]]:
        """Every request that arrived, as `sasgate.lab.backend.Received.as_json` says it."""
        with _direct.open(f"{self.url}/recorded", timeout=PATIENCE) as answer:
            requests: list[dict[str, Any]] = json.load(answer)
        return requests

    def forget(self) -> None:
        """Empty the record."""
        request = urllib.request.Request(f"{self.url}/recorded", method="DELETE")
        with _direct.open(request, timeout=PATIENCE):
            pass


# No proxy that the environment names may stand between a test and its own processes.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """That of a subprocess: the checkout's sources and plugin, and nothing that localises."""
    path = os.pathsep.join((str(CHECKOUT / "src"), str(CHECKOUT)))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",
        **(more or {}),
    }


def twistd_result(ini: Path, *, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit code and output of a twistd that is expected to end by itself."""
    process = GatewayProcess(ini, env=env)
    try:
        return process.wait(), process.log
    finally:
        process.stop()


Change = Callable[[str], str]


def write_ini(
    lab: Lab,
    folder: Path,
    backend: str = "http://127.0.0.1:9",
    *,
    changes: Mapping[str, str] | None = None,
    append: str = "",
) -> Path:
    """The lab's configuration with a gateway's files in `folder`, listening on free ports.

    `changes` replaces texts, each of which must occur; `append` holds further sections such as
    `[limits]`. The lab's folder itself is only read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(lab.directory / "ca", folder / "ca", dirs_exist_ok=True)
    for file in lab.server_paths():
        shutil.copy(file, folder)
    text = configuration(Ports(0, 0), backend) + append
    for old, new in (changes or {}).items():
        if old not in text:
            raise ValueError(f"{old!r} is not in the lab's configuration")
        text = text.replace(old, new)
    path = folder / FILE
    path.write_text(text, "utf-8")
    return path

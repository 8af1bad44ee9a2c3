"""Processes that the lab starts, whose lines it reads, and none of which outlives it."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK = 0.02


class Stopped(Exception):
    """The user, or who started us, wants an end; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class NotReady(Exception):
    """A process did not start as it should; the text has its last lines."""


class Ending:
    """SIGINT, SIGTERM and SIGHUP: noted when they come, obeyed at the next `check`.

    An exception out of a signal handler could fly by between a fork and whoever was to know of
    the child, which would then be nobody's.
    """

    def __init__(self) -> None:
        self._number = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take the signals; what handled them before is put back.

        An ignored SIGHUP stays ignored: that is `nohup`.
        """
        taken = [each for each in _SIGNALS if not _hangup_ignored(each)]
        before = {number: signal.signal(number, self._arrived) for number in taken}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def check(self) -> None:
        """Go on, or raise `Stopped` if a signal came."""
        if self._number:
            raise Stopped(self._number)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._number = number


def _hangup_ignored(number: int) -> bool:
    return number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


class Child:
    """A process; what it writes goes to the file `log`. Times are in seconds.

    It is in a process group of its own: a Ctrl-C in the terminal reaches us alone, and each child
    is ended once and in order.
    """

    def __init__(self, name: str, command: Sequence[str | Path], log: Path) -> None:
        """Start it.

        Raises:
            NotReady: the program can't be started.
        """
        self.name = name
        self.log = log
        with log.open("wb") as output:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own commands
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
            except OSError as error:
                raise NotReady(
                    f"{name} cannot be started: {command[0]}: {error.strerror}"
                ) from error

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def lines(self) -> list[str]:
        """All that it wrote so far."""
        return self.log.read_text("utf-8", "backslashreplace").splitlines()

    def wait_for(self, pattern: str, ending: Ending, patience: float = 30.0) -> re.Match[str]:
        """The first match in its lines, waited for.

        Raises:
            NotReady: it ended, or `patience` did, without it.
            Stopped: `ending` came first.
        """
        wanted, until = re.compile(pattern), time.monotonic() + patience
        while True:
            ending.check()
            # Asked first: what it wrote before its end is then there to be read.
            running = self.running
            for line in self.lines():
                if match := wanted.search(line):
                    return match
            if not running:
                raise NotReady(self.report(f"ended with code {self._process.returncode}"))
            if time.monotonic() > until:
                raise NotReady(self.report(f"is not ready after {patience:.0f} s"))
            time.sleep(_LOOK)

    def report(self, what: str, most: int = 15) -> str:
        """What happened to it, with its last lines."""
        lines = self.lines()[-most:] or ["(nothing)"]
        return "\n".join([f"{self.name} {what}. Its last lines:", *(f"  {line}" for line in lines)])

    def stop(self, patience: float = 10.0) -> None:
        """End it: by SIGTERM, after `patience` by SIGKILL."""
        self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

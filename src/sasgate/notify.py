"""What a service manager is told: sd_notify(3), by its protocol; without a manager nothing."""

import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger


# Seconds to end after the drain time.
_TO_END = 10


class Notifier:
    """Tells systemd how the daemon fares; `environment` is that of the process.

    NOTIFY_SOCKET and the watchdog's variables are taken out of it, so that no child speaks for us.
    """

    _log = Logger()

    def __init__(self, reactor: Any, environment: dict[str, str] | None = None) -> None:
        environ: Any = os.environ if environment is None else environment
        self._address = environ.pop("NOTIFY_SOCKET", "")
        self._every = _watchdog_period(environ)
        for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
            environ.pop(name, None)
        self._watchdog = LoopingCall(self._send, "WATCHDOG=1")
        self._watchdog.clock = reactor

    def ready(self, status: str) -> None:
        """The gateway serves, or serves again after a reload."""
        self._send(f"READY=1\nSTATUS={_line(status)}")
        if self._every is not None and not self._watchdog.running:
            self._watchdog.start(self._every)

    def reloading(self) -> None:
        """A reload has begun; `ready` says that it is over, whatever its outcome."""
        # CLOCK_MONOTONIC in microseconds, by which systemd tells this reload from another.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def starting(self, status: str) -> None:
        """What is done before callers are taken."""
        self._send(f"STATUS={_line(status)}")

    def stopping(self, patience: float) -> None:
        """The gateway stops, and may take so many seconds for it, whatever the unit allows."""
        most = int((patience + _TO_END) * 1_000_000)
        self._send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={most}\nSTATUS=draining")

    def stop(self) -> None:
        """Let the watchdog be: the process ends."""
        if self._watchdog.running:
            self._watchdog.stop()

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A leading @ stands for the NUL of an abstract socket.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.setblocking(False)
                sending.sendto(message.encode("utf-8"), address)
        except OSError as error:
            self._log.warn("the service manager cannot be told: {error}", error=error)


def _watchdog_period(environ: Mapping[str, str]) -> float | None:
    """Seconds between two signs of life: half of what systemd allows; None where it asks none."""
    try:
        allowed = int(environ.get("WATCHDOG_USEC", "0")) / 1_000_000
        meant = int(environ.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return allowed / 2 if allowed > 0 and meant == os.getpid() else None


def _line(text: str) -> str:
    return " ".join(text.split())

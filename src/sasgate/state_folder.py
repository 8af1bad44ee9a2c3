"""The folder of what outlives the daemon, which one daemon has for itself."""

import fcntl
import os
from pathlib import Path

from twisted.logger import Logger

from sasgate.errors import ConfigError
from sasgate.settings import Settings


_LOCK = "lock"


class StateFolder:
    """`[sasgate] state`; taken while the daemon runs."""

    _log = Logger()

    def __init__(self) -> None:
        self._lock: int | None = None

    def take(self, settings: Settings) -> None:
        """Make the folder and lock it; where that can't be, the gateway serves and says so.

        Raises:
            ConfigError: another daemon has it: both would write the same files, and obey each
                other's orders.
        """
        folder = settings.state
        try:
            folder.mkdir(0o750, parents=True, exist_ok=True)
            self._lock = _locked(folder / _LOCK)
        except BlockingIOError:
            reason = "is in use by another sasgate"
            raise ConfigError(
                settings.fault("sasgate", "state", folder, reason, "give each a folder of its own")
            ) from None
        except OSError as error:
            self._log.critical(
                "{folder} cannot be used: {error}; lists and débrayage do not outlive this"
                " process, and no command is obeyed",
                folder=str(folder),
                error=error.strerror,
            )

    def release(self) -> None:
        """Let another daemon have it."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor

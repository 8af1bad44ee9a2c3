"""How the daemon ends itself with exit code 1 once the reactor runs."""

import atexit
import os
import sys
from typing import Any


def end_with_failure(reactor: Any) -> None:
    """Stop in order, and let the process exit with 1.

    twistd exits with 0 after `reactor.stop()`, whatever the reason, and systemd would take that
    for a wish.
    """
    atexit.register(_exit)
    reactor.callWhenRunning(reactor.stop)


def _exit() -> None:
    # The last of all: threads are joined and files of Python's own are flushed by now, but these.
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1)

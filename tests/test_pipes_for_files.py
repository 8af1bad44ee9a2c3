"""A pipe where a certificate or a key should be: nobody waits for its writer (S55)."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sasgate.trust import UnusableFile, read_certificates, read_private_key


def write_to(pipe: Path) -> None:
    with suppress(OSError):  # nobody reads it
        pipe.write_bytes(b"no certificate")


@pytest.mark.parametrize("read", [read_certificates, read_private_key])
def test_a_pipe_is_refused_for_being_one(read: Callable[[Path], object], tmp_path: Path) -> None:
    """A reload that waited for its writer would stop all traffic."""
    pipe = tmp_path / "server.pem"
    os.mkfifo(pipe, 0o600)
    # Whoever waits all the same is let go, and fails.
    threading.Thread(target=write_to, args=(pipe,), daemon=True).start()
    with pytest.raises(UnusableFile, match="not a regular file"):
        read(pipe)

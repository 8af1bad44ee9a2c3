"""The socket of a local listener, in a folder where others may put something in its place (S53)."""

import socket
from pathlib import Path

import pytest

from sasgate.ports import _socket_at


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    """Or a reload would open the key to whom the socket is open (S57)."""
    key, at = tmp_path / "key.pem", tmp_path / "out.sock"
    key.touch(0o600)
    at.symlink_to(key)
    with pytest.raises(OSError, match="Socket operation on non-socket"), _socket_at(at) as found:
        found.chmod(0o666)
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_socket_itself_is_given(tmp_path: Path) -> None:
    at = tmp_path / "out.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(at))
        with _socket_at(at) as found:
            found.chmod(0o660)
    assert at.stat().st_mode & 0o777 == 0o660

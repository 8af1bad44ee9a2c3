"""What a service manager gets to hear of a daemon, sd_notify(3)."""

import socket
from pathlib import Path
from typing import Self

from processes import PATIENCE


class Manager:
    """The socket of a service manager, by its path or its abstract name."""

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        name = self.address
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)

    def heard(self) -> dict[str, str]:
        """The next message."""
        message = self._socket.recv(65536).decode()
        return dict(line.split("=", 1) for line in message.split("\n"))

    def hears(self, name: str) -> dict[str, str]:
        """The next message that has this variable; signs of life and others are passed over."""
        while name not in (message := self.heard()):
            pass
        return message

    def silent(self) -> bool:
        """Whether nothing is waiting to be heard."""
        self._socket.setblocking(False)
        try:
            self._socket.recv(1)
        except BlockingIOError:
            return True
        finally:
            self._socket.settimeout(PATIENCE)
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

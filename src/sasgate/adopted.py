"""Listening sockets that systemd opened and passed (sd_listen_fds(3)).

They stay open as long as the process lives: a reload may give one up, and another take it again.
Twisted's own endpoint closes the number that was passed once it is taken, and would at the second
time adopt whatever has that number by then.
"""

import os
import socket
from typing import Any

from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory


_FIRST = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START


class Unfit(Exception):
    """What systemd passed is not what the configuration says; `remedy` is the way out."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def adopt(
    reactor: Any, endpoint: AdoptedStreamServerEndpoint, door: Factory, *, by_name: bool
) -> IListeningPort:
    """Take callers on a socket that was passed, and is meant by its name or by its index.

    Raises:
        Unfit: it is of another family, or takes no callers, or is one of several with its name.
        OSError: it is not open.
    """
    descriptor, family = endpoint.fileno, endpoint.addressFamily
    if by_name:
        _check_name(descriptor)
    if family == socket.AF_UNIX:
        # Twisted would open its file to everybody (SocketMode=), and remove it at the end.
        raise Unfit("a UNIX socket cannot be systemd's", "write unix: and its path")
    with socket.socket(fileno=os.dup(descriptor)) as passed:
        listens = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if passed.type != socket.SOCK_STREAM or not listens:
            raise Unfit("systemd passed a socket that takes no callers", "give it ListenStream=")
        if passed.family != family:
            found = passed.family.name.removeprefix("AF_")
            raise Unfit(f"systemd passed a socket of {found}", f"write domain={found}")
    os.set_inheritable(descriptor, False)
    os.set_blocking(descriptor, False)
    port: IListeningPort = reactor.adoptStreamPort(descriptor, family, door)
    return port


def _check_name(descriptor: int) -> None:
    """Of two sockets of one name Twisted finds one; callers of the other would wait for ever."""
    # What Twisted leaves in the environment, once it has taken the rest.
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    name = names[descriptor - _FIRST] if descriptor - _FIRST < len(names) else ""
    if names.count(name) > 1:
        raise Unfit(
            f"systemd passed several sockets of the name {name}",
            "keep one ListenStream= in each .socket, with a FileDescriptorName= of its own",
        )

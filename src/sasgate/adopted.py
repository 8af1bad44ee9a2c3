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
from twisted.python.systemd import ListenFDs


class Unfit(Exception):
    """What systemd passed is not what the configuration says; `remedy` is the way out."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def adopt(reactor: Any, endpoint: AdoptedStreamServerEndpoint, door: Factory) -> IListeningPort:
    """Take callers on a socket that was passed.

    Raises:
        Unfit: it is of another family, or takes no callers, or is one of several with its name.
        OSError: it is not open.
    """
    _check_names()
    descriptor, family = endpoint.fileno, endpoint.addressFamily
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


def _check_names() -> None:
    """Two sockets of one name: callers of the one that isn't taken would wait for ever."""
    passed = ListenFDs.fromEnvironment()
    if len(passed.inheritedNamedDescriptors()) < len(passed.inheritedDescriptors()):
        raise Unfit(
            "systemd passed several sockets of one name",
            "keep one ListenStream= in each .socket, with a FileDescriptorName= of its own",
        )

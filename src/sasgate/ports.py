"""The ports of a gateway: opened, held while nobody can be judged yet, closed."""

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any, cast

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from sasgate.errors import ConfigError
from sasgate.settings import Inbound, Listen, Settings


@frozen
class OpenPort:
    """One port, by the listener and the endpoint that it serves."""

    listener: str
    listen: Listen
    port: Any  # IListeningPort, and what stops and starts it taking connections

    @property
    def where(self) -> str:
        """The address that it is bound to, for people to read."""
        return shown_address(self.port.getHost())


class Ports:
    """All ports of one configuration."""

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self._reactor = reactor
        self._settings = settings
        # A list, since two listeners may both name port 0, which the system then chooses.
        self._ports: list[OpenPort] = []

    def __iter__(self) -> Iterator[OpenPort]:
        return iter(self._ports)

    def open(self, door: Callable[[Inbound, Listen], Factory]) -> None:
        """Open all of them.

        Raises:
            ConfigError: one cannot be opened.
        """
        for inbound in self._settings.inbounds:
            for listen in inbound.listen:
                self._open(inbound, listen, door(inbound, listen))

    def _open(self, inbound: Inbound, listen: Listen, door: Factory) -> None:
        failures: list[Failure] = []
        # Fires at once: every kind of endpoint that a configuration may name opens its port now.
        maybeDeferred(self._listen, listen, door).addCallbacks(
            lambda port: self._ports.append(OpenPort(inbound.name, listen, port)), failures.append
        )
        for failure in failures:
            reason, remedy = _why_not_listening(failure)
            raise ConfigError(self._settings.fault(inbound.name, "listen", listen, reason, remedy))

    def _listen(self, listen: Listen, door: Factory) -> Deferred[IListeningPort]:
        listening = serverFromString(self._reactor, with_backlog(listen.endpoint)).listen(door)
        return cast("Deferred[IListeningPort]", listening)

    def hold(self) -> None:
        """Let callers wait in the kernel's queue: nobody could be judged yet."""
        for each in self._ports:
            each.port.stopReading()

    def release(self) -> None:
        """Take callers."""
        for each in self._ports:
            each.port.startReading()

    def close(self) -> Deferred[Any]:
        """Take no more callers."""
        return DeferredList([maybeDeferred(each.port.stopListening) for each in self._ports])


def shown_address(address: IAddress) -> str:
    """Where a port is bound: `127.0.0.1:443`, `[::1]:443` or the path of a UNIX socket."""
    match address:
        case IPv4Address(host=host, port=port):
            return f"{host}:{port}"
        case IPv6Address(host=host, port=port):
            return f"[{host}]:{port}"
        case UNIXAddress():
            return os.fsdecode(address.name or b"")
    return str(address)


def _why_not_listening(failure: Failure) -> tuple[str, str]:
    """The reason and the way out, for whoever reads it at night."""
    if failure.check(KeyError, IndexError):
        return "systemd passed no such socket", "start it by its sasgate.socket, or listen on tcp:"
    cause = getattr(failure.value, "socketError", failure.value)
    number = getattr(cause, "errno", None)
    text = os.strerror(number) if number else failure.getErrorMessage()
    return f"cannot be opened: {text}", _WAYS_OUT.get(number or 0, "")


_WAYS_OUT = {
    errno.EADDRINUSE: "another server has it: ss -ltnp tells which",
    errno.EADDRNOTAVAIL: "give interface= an address of this host",
    errno.EACCES: "let the service bind low ports (CAP_NET_BIND_SERVICE)",
    errno.ENOENT: "make its folder first",
}


def with_backlog(endpoint: str) -> str:
    """An endpoint with room for a burst of callers: Twisted's 50 make SYNs wait a second (S47)."""
    if endpoint.partition(":")[0] in {"tcp", "tcp6"} and ":backlog=" not in endpoint:
        return f"{endpoint}:backlog={_BACKLOG}"
    return endpoint


_BACKLOG = 1024

"""The ports of a gateway: opened, held while nobody can be judged yet, closed."""

import errno
import os
import shutil
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
from sasgate.settings import Inbound, Listen, Outbound, Settings


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

    def open(
        self,
        door: Callable[[Inbound, Listen], Factory],
        local_door: Callable[[Outbound], Factory],
    ) -> None:
        """Open all of them: those for SAS, and those for applications of this host.

        Raises:
            ConfigError: one cannot be opened.
        """
        for inbound in self._settings.inbounds:
            for listen in inbound.listen:
                endpoint = with_backlog(listen.endpoint)
                self._open(inbound.name, listen, endpoint, door(inbound, listen))
        for outbound in self._settings.outbounds:
            for listen in outbound.listen:
                endpoint = with_mode(with_backlog(listen.endpoint), outbound.socket_mode)
                self._open(outbound.name, listen, endpoint, local_door(outbound))
            self._give_away(outbound)

    def _open(self, name: str, listen: Listen, endpoint: str, door: Factory) -> None:
        failures: list[Failure] = []
        # Fires at once: every kind of endpoint that a configuration may name opens its port now.
        maybeDeferred(self._listen, endpoint, door).addCallbacks(
            lambda port: self._ports.append(OpenPort(name, listen, port)), failures.append
        )
        for failure in failures:
            reason, remedy = _why_not_listening(failure)
            raise ConfigError(self._settings.fault(name, "listen", listen, reason, remedy))

    def _listen(self, endpoint: str, door: Factory) -> Deferred[IListeningPort]:
        listening = serverFromString(self._reactor, endpoint).listen(door)
        return cast("Deferred[IListeningPort]", listening)

    def _give_away(self, outbound: Outbound) -> None:
        """Let the sockets of a listener belong to whom the configuration says."""
        if outbound.socket_owner is None:
            return
        user, _, group = outbound.socket_owner.partition(":")
        for each in self._ports:
            address = each.port.getHost()
            if each.listener != outbound.name or not isinstance(address, UNIXAddress):
                continue
            try:
                shutil.chown(os.fsdecode(address.name or b""), user, group or None)
            except (OSError, LookupError) as error:
                reason = f"{each.listen} cannot be given to them: {error}"
                raise ConfigError(
                    self._settings.fault(
                        outbound.name, "socket_owner", outbound.socket_owner, reason
                    )
                ) from error

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


def with_mode(endpoint: str, mode: int) -> str:
    """An endpoint whose socket, if it is a file, has these permissions from its beginning."""
    return f"{endpoint}:mode={mode:o}" if endpoint.startswith("unix:") else endpoint

"""All listeners of one gateway with their ports, and how they change at a reload."""

from collections.abc import Iterator
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from sasgate.admin.listener import AdminListener
from sasgate.admin.pages import Pages
from sasgate.generation import Generation, leaving_rules
from sasgate.listener import Door, InboundListener
from sasgate.local_listener import LocalDoor, OutboundListener
from sasgate.ports import ADMIN, Change, OpenPort, Wanted, open_ports
from sasgate.surroundings import Surroundings


Listener = InboundListener | OutboundListener | AdminListener


@frozen
class Prepared:
    """A change that is ready to be made, or to be taken back."""

    generation: Generation
    listeners: dict[str, Listener]
    ports: Change


class Listeners:
    """Listeners by name; those that a reload has removed are kept until they are drained.

    `pages` are what `admin` answers.
    """

    _log = Logger("sasgate")

    def __init__(self, reactor: Any, surroundings: Surroundings, pages: Pages) -> None:
        self._reactor = reactor
        self._pages = pages
        self._surroundings = surroundings
        self._listeners: dict[str, Listener] = {}
        self._leaving: dict[Listener, str] = {}
        self._released = False
        self.ports: tuple[OpenPort, ...] = ()

    def __iter__(self) -> Iterator[Listener]:
        return iter((*self._listeners.values(), *self._leaving))

    @property
    def named(self) -> Iterator[tuple[str, Listener, bool]]:
        """Listeners with their names, and whether a reload has left them."""
        for name, listener in self._listeners.items():
            yield name, listener, True
        for listener, name in self._leaving.items():
            yield name, listener, False

    def prepare(self, generation: Generation) -> Prepared:
        """Open what a generation needs and isn't open yet; nothing else is changed.

        Raises:
            ConfigError: a port cannot be opened.
        """
        listeners: dict[str, Listener] = {}
        for name, rules in generation.listeners.items():
            listeners[name] = self._listeners.get(name) or InboundListener(
                rules, self._surroundings
            )
        for name, outbound in generation.outbounds.items():
            listeners[name] = self._listeners.get(name) or OutboundListener(
                outbound, self._surroundings
            )

        if generation.settings.admin is not None:
            listeners[ADMIN] = self._listeners.get(ADMIN) or AdminListener(
                self._pages, self._surroundings
            )

        def door(wanted: Wanted) -> Factory:
            listener = listeners[wanted.listener]
            if isinstance(listener, InboundListener):
                return Door(listener, proxied=wanted.listen.proxied)
            return LocalDoor(listener, wanted.listen)

        ports = open_ports(self._reactor, generation.settings, self.ports, door)
        return Prepared(generation, listeners, ports)

    def swap(self, prepared: Prepared) -> None:
        """Make a change: rules, doors and ports; who came by a door that is gone is served out."""
        removed = {
            each: name for name, each in self._listeners.items() if name not in prepared.listeners
        }
        self._listeners = prepared.listeners
        for name, listener in prepared.listeners.items():
            self._follow(name, listener, prepared.generation)
        for listener in (*removed, *self._leaving):
            if isinstance(listener, InboundListener):
                listener.follow(leaving_rules(listener.rules, prepared.generation))
        for port in prepared.ports.kept:
            port.door.lead_to(prepared.listeners[port.listener], port.wanted.listen)
        self.ports = prepared.ports.open
        for port in prepared.ports.closed:
            port.take_in()
            port.close().addErrback(lambda failure: self._log.failure("not closed", failure))
            self._log.info("{listen} is closed", listen=port.wanted.listen)
        for listener, name in removed.items():
            self._see_off(listener, name)

    def _follow(self, name: str, listener: Listener, generation: Generation) -> None:
        if isinstance(listener, OutboundListener):
            listener.follow(generation.outbounds[name])
        elif isinstance(listener, InboundListener):
            listener.follow(generation.listeners[name])

    def _see_off(self, listener: Listener, name: str) -> None:
        self._leaving[listener] = name
        cutting = self._reactor.callLater(
            self._surroundings.limits.drain, listener.abort, "its listener is gone"
        )

        def gone(_: object) -> None:
            self._leaving.pop(listener, None)
            if cutting.active():
                cutting.cancel()

        listener.drain().addBoth(gone)

    def release(self) -> None:
        """Take callers on all ports that were held."""
        self._released = True
        for each in self.ports:
            each.release()

    def close(self) -> Deferred[Any]:
        """Take no more callers.

        Those who wait already are taken in, unless nobody could be judged yet.
        """
        for each in self.ports if self._released else ():
            each.take_in()
        return DeferredList([each.close() for each in self.ports])

    def drain(self) -> Deferred[Any]:
        """Let exchanges under way end; fires when no connection is left."""
        return DeferredList([listener.drain() for listener in self])

    def abort(self, reason: str) -> None:
        """Drop all connections; `reason` is for the journal."""
        for listener in tuple(self):
            listener.abort(reason)

"""The daemon as a Twisted service: ports, the generation in force, start, drain and stop."""

import errno
import os
import resource
import signal
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from types import FrameType
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure

from sasgate import __version__
from sasgate.deadlines import Deadlines
from sasgate.generation import Generation, Trust, build
from sasgate.journal import Journal
from sasgate.listener import Door, InboundListener
from sasgate.log_format import observer
from sasgate.oversight import Oversight
from sasgate.revocation.ocsp_client import OCSPClient
from sasgate.settings import Inbound, Listen, LogFormat, Settings
from sasgate.stapling import Stapler
from sasgate.surroundings import Surroundings
from sasgate.upstreams import Upstreams


class Gateway(Service):
    """The gateway of one configuration.

    Ports are opened before twistd gives its privileges up. A port that cannot be opened ends the
    process with exit code 1: a gateway that is up and deaf helps nobody.
    """

    name = "sasgate"
    _log = Logger("sasgate")

    def __init__(self, settings: Settings, trust: Trust, reactor: Any) -> None:
        self._settings = settings
        self._reactor = reactor
        self._deadlines = Deadlines(reactor)
        self._upstreams = Upstreams(reactor, self._deadlines, settings.limits)
        self._oversight = Oversight(reactor, _wall_clock, settings, trust.anchors)
        self._surroundings = Surroundings(
            reactor=reactor,
            wall=_wall_clock,
            journal=Journal(settings.log, reactor),
            deadlines=self._deadlines,
            limits=settings.limits,
            checks=self._oversight.checks,
        )
        self.generation: Generation = build(settings, trust, self._upstreams)
        self._listeners = {
            name: InboundListener(rules, self._surroundings)
            for name, rules in self.generation.listeners.items()
        }
        self._staples = trust.staples
        client = OCSPClient(reactor, settings.limits, settings.revocation.proxy)
        self._stapler = Stapler(reactor, _wall_clock, client.ask)
        # A list, since two listeners may both name port 0, which the system then chooses.
        self.ports: list[tuple[str, Listen, IListeningPort]] = []
        self._previous_hangup: Any = signal.SIG_DFL

    def setServiceParent(self, parent: Any) -> None:
        """Join twistd's application, which takes its log observer from its components."""
        if self._settings.log.format is LogFormat.JSON and hasattr(parent, "setComponent"):
            parent.setComponent(ILogObserver, observer(self._settings.log, sys.stdout))
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Open the ports; exits with code 1 where one cannot be opened."""
        super().privilegedStartService()
        for inbound in self._settings.inbounds:
            for listen in inbound.listen:
                self._open(inbound, listen)

    def _open(self, inbound: Inbound, listen: Listen) -> None:
        door = Door(self._listeners[inbound.name], proxied=listen.proxied)
        failures: list[Failure] = []
        # Fires at once: every kind of endpoint that a configuration may name opens its port now.
        maybeDeferred(self._listen, listen, door).addCallbacks(
            lambda port: self.ports.append((inbound.name, listen, port)), failures.append
        )
        if failures:
            self._cannot_listen(inbound, listen, failures[0])

    def _listen(self, listen: Listen, door: Door) -> Deferred[IListeningPort]:
        listening = serverFromString(self._reactor, with_backlog(listen.endpoint)).listen(door)
        return cast("Deferred[IListeningPort]", listening)

    def _cannot_listen(self, inbound: Inbound, listen: Listen, failure: Failure) -> None:
        reason, remedy = _why_not_listening(failure)
        fault = self._settings.fault(inbound.name, "listen", listen, reason, remedy)
        self._log.critical("{fault}", fault=fault)
        print(f"sasgate: {fault}", file=sys.__stderr__, flush=True)
        # Before the reactor runs this leaves twistd cleanly; `reactor.stop()` alone would exit 0.
        sys.exit(1)

    def startService(self) -> None:
        """Begin to serve."""
        super().startService()
        _allow_descriptors(2 * self._settings.limits.connections, self._log)
        self._deadlines.start()
        self._stapler.follow(self._staples)
        self._previous_hangup = signal.signal(signal.SIGHUP, self._hung_up)
        for name, listen, port in self.ports:
            where = shown_address(port.getHost())
            self._log.info(
                "{name} listens on {listen} at {where}", name=name, listen=listen, where=where
            )
        for line in effective_rules(self._settings):
            self._log.info("{line}", line=line)
        self._log.info("sasgate {version} serves {file}", version=__version__, file=self._file)

    @property
    def _file(self) -> str:
        return str(self._settings.path)

    def _hung_up(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._reactor.callFromThread(
            self._log.warn, "SIGHUP: a reload is not available yet, restart the service instead"
        )

    async def _stop(self) -> None:
        await DeferredList([maybeDeferred(port.stopListening) for _, _, port in self.ports])
        drained = [listener.drain() for listener in self._listeners.values()]
        cutting = self._reactor.callLater(self._settings.limits.drain, self._cut)
        await DeferredList(drained)
        if cutting.active():
            cutting.cancel()
        self._stapler.stop()
        self._upstreams.keep_only(())
        self._deadlines.stop()
        self._surroundings.journal.close()
        # Not before: without it a SIGHUP kills, and exchanges under way with it (S56).
        signal.signal(signal.SIGHUP, self._previous_hangup)

    def _cut(self) -> None:
        self._log.warn("connections are cut: they did not end within the drain time")
        for listener in self._listeners.values():
            listener.abort("cut at stop")

    def stopService(self) -> Deferred[None]:
        """Take no more connections, let exchanges under way end, then go."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())


def effective_rules(settings: Settings) -> Iterable[str]:
    """Who is admitted, a line an environment, as said at start."""
    for inbound in settings.inbounds:
        for name in inbound.environments:
            environment = settings.environments[name]
            clients = "; ".join(map(str, environment.clients))
            addresses = environment.addresses
            shown = "any address" if addresses is None else ", ".join(map(str, addresses))
            yield f"{inbound.name} admits {name}: {clients}, from {shown}"


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


def _allow_descriptors(needed: int, log: Logger) -> None:
    """Raise the limit of open files to what connections need, which have a server's each beside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed and soft < hard:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        log.warn(
            "only {soft} open files are allowed, {needed} are needed for as many connections as"
            " [limits] connections admits: raise LimitNOFILE, or lower that",
            soft=soft,
            needed=needed,
        )


def _wall_clock() -> datetime:
    return datetime.now(UTC)

"""The daemon as a Twisted service: the generation in force, start, reload, drain and stop."""

import signal
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.logger import ILogObserver, Logger

from sasgate import __version__
from sasgate.admin.gather import Live, Reloads
from sasgate.admin.lag import LoopLag
from sasgate.admin.metrics import Metrics
from sasgate.admin.pages import Pages
from sasgate.admin.recorder import Recorder
from sasgate.control import Answer, Control, Handler, Request
from sasgate.control_messages import FOLDER
from sasgate.deadlines import Deadlines
from sasgate.descriptors import allow, needed
from sasgate.ending import end_with_failure
from sasgate.errors import ConfigError
from sasgate.generation import Generation, Trust, build
from sasgate.journal import Journal
from sasgate.listeners import Listeners, Prepared
from sasgate.log_format import observer
from sasgate.notify import Notifier
from sasgate.outbound import presented
from sasgate.oversight import Oversight
from sasgate.ports import OpenPort
from sasgate.settings import Settings
from sasgate.stapling import Stapler
from sasgate.startup import load_all, only_at_restart
from sasgate.state_folder import StateFolder
from sasgate.surroundings import Surroundings
from sasgate.upstreams import Upstreams


_STOPS = "the gateway stops"


class Gateway(Service):
    """The gateway of one configuration.

    Ports are opened before twistd gives its privileges up. A port that cannot be opened ends the
    process with exit code 1: a gateway that is up and deaf helps nobody. Callers wait in the
    kernel's queue until the lists that were kept are in force again.
    """

    name = "sasgate"
    _log = Logger("sasgate")

    def __init__(
        self, settings: Settings, trust: Trust, reactor: Any, *, to_stdout: bool = False
    ) -> None:
        self._settings = settings
        self._to_stdout = to_stdout
        self._trust = trust
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
        self._reloads = Reloads()
        self._stapler = Stapler(reactor, _wall_clock, self._oversight.ask)
        self._watch(reactor)
        orders = {**self._oversight.handlers, "reload": self._obey_reload}
        handlers = {name: self._then_shown(handler) for name, handler in orders.items()}
        folder = settings.state / FOLDER
        self._control = Control(reactor, folder, handlers, wall=_wall_clock)
        self._notifier = Notifier(reactor)
        self._state = StateFolder()
        self._beginning: Deferred[None] | None = None
        self._serving = False
        self._reloading = DeferredLock()
        self._hung_up_early = False
        self._previous_hangup: Any = signal.SIG_DFL

    def _watch(self, reactor: Any) -> None:
        """Count what happens, and let it be looked at."""
        recorder = Recorder(reactor.seconds, _wall_clock)
        self._surroundings.journal.watch(recorder)
        self._lag = LoopLag(reactor, recorder.lag)
        live = Live(
            wall=_wall_clock,
            started=_wall_clock(),
            current=lambda: (self.generation, self._trust),
            listeners=lambda: self.listeners,
            surroundings=self._surroundings,
            oversight=self._oversight,
            upstreams=self._upstreams,
            stapler=self._stapler,
            recorder=recorder,
            lag=self._lag,
            reloads=self._reloads,
        )
        self._pages = Pages(live.look, Metrics(recorder), reactor.seconds)
        self.listeners = Listeners(reactor, self._surroundings, self._pages)

    def _then_shown(self, handler: Handler) -> Handler:
        """A handler after which the status is of that moment, before its command is answered."""

        async def obey(request: Request) -> Answer:
            try:
                answer = handler(request)
                return await answer if isinstance(answer, Deferred) else answer
            finally:
                self._pages.look_anew()

        return lambda request: Deferred.fromCoroutine(obey(request))

    def setServiceParent(self, parent: Any) -> None:
        """Join twistd's application, which takes its log observer from its components."""
        if self._to_stdout and hasattr(parent, "setComponent"):
            parent.setComponent(ILogObserver, observer(self._settings.log, sys.stdout))
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Open the ports; exits with code 1 where one cannot be opened."""
        super().privilegedStartService()
        try:
            self.listeners.swap(self.listeners.prepare(self.generation))
        except ConfigError as error:
            self._tell(error)
            # Before the reactor runs this leaves twistd cleanly.
            sys.exit(1)

    def _tell(self, error: ConfigError) -> None:
        for fault in error.faults:
            self._log.critical("{fault}", fault=fault)
            print(f"sasgate: {fault}", file=sys.__stderr__, flush=True)

    def startService(self) -> None:
        """Begin to serve, as soon as the lists that are on disk are in force.

        A SIGHUP that comes before, while Python and twistd still load, ends the process; one that
        comes after counts.
        """
        super().startService()
        allow(needed(self.generation), self._log)
        self._previous_hangup = signal.signal(signal.SIGHUP, self._hung_up)
        self._beginning = Deferred.fromCoroutine(self._begin())

    async def _begin(self) -> None:
        try:
            self._notifier.starting(f"verifies the lists that {self._file} relies on")
            self._state.take(self._settings)
            await self._oversight.open()
        except CancelledError:
            return
        except ConfigError as error:
            self._tell(error)
            end_with_failure(self._reactor)
            return
        except Exception:
            self._log.failure("the gateway cannot start")
            end_with_failure(self._reactor)
            return
        self._serve()

    def _serve(self) -> None:
        self._serving = True
        self._tell_rules()
        self._deadlines.start()
        self._lag.start()
        self._stapler.follow(self._trust.staples)
        self._tell_ports(self.listeners.ports)
        self.listeners.release()
        self._control.start()
        self._notifier.ready(f"serves {self._file}")
        self._log.info("sasgate {version} serves {file}", version=__version__, file=self._file)
        if self._hung_up_early:
            self.reload()

    def _tell_ports(self, ports: Iterable[OpenPort]) -> None:
        for each in ports:
            self._log.info(
                "{name} listens on {listen} at {where}",
                name=each.listener,
                listen=each.wanted.listen,
                where=each.where,
            )

    def _tell_rules(self) -> None:
        for line in effective_rules(self._settings):
            self._log.info("{line}", line=line)
        for name, outbound in self._trust.outbounds.items():
            self._log.info(
                "{name} presents {certificate}",
                name=name,
                certificate=presented(outbound.identity),
            )
            for doubt in outbound.doubts:
                self._log.warn("{name}: the certificate: {doubt}", name=name, doubt=doubt)

    @property
    def _file(self) -> str:
        return str(self._settings.path)

    def _hung_up(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._reactor.callFromThread(self._reload_soon)

    def _reload_soon(self) -> None:
        """Reload; one reload that has not begun does for any number of signals."""
        if self.running and not self._serving:
            self._hung_up_early = True
        elif not self._reloading.waiting:
            self.reload()

    def _obey_reload(self, request: Request) -> Deferred[Answer]:
        del request
        return self.reload().addCallback(self._reload_answer)

    def _reload_answer(self, faults: tuple[str, ...]) -> Answer:
        data = {"generation": self._reloads.generation, "errors": list(faults)}
        if not faults:
            return Answer(ok=True, text=f"{self._file} is in force.", data=data)
        kept = "What was in force before still is."
        return Answer(ok=False, text="\n".join((*faults, kept)), data=data)

    def reload(self) -> Deferred[tuple[str, ...]]:
        """Put the configuration as it is on disk in force, whole; or leave all as it is.

        Live connections that the new rules deny are cut, and all others judged again before
        their next request. Reloads follow each other. Fires with what is wrong, nothing if all
        is well.
        """
        return self._reloading.run(lambda: Deferred.fromCoroutine(self._reload()))

    async def _reload(self) -> tuple[str, ...]:
        if not self.running or not self._serving:
            self._log.warn("a reload is ignored: the gateway starts or stops")
            return ("the gateway starts or stops",)
        self._notifier.reloading()
        faults = await self._reloaded()
        if not self.running:
            self._log.warn("a reload is given up: the gateway stops")
            return faults or (_STOPS,)
        self._reloads.ended(_wall_clock(), faults)
        self._pages.look_anew()
        for fault in faults:
            self._log.error("reload refused: {fault}", fault=fault)
        status = f"serves {self._file}"
        if faults:
            status = f"the last reload was refused: {faults[0]}"
        self._notifier.ready(status)
        return faults

    async def _reloaded(self) -> tuple[str, ...]:
        try:
            settings, trust = load_all(self._settings.path, _wall_clock())
            only_at_restart(self._settings, settings)
            await self._oversight.examine(settings, trust.anchors)
            if not self.running:
                return (_STOPS,)
            prepared = self.listeners.prepare(build(settings, trust, self._upstreams))
        except CancelledError:
            return (_STOPS,)
        except ConfigError as error:
            # What was made for the refused one: pools of its servers.
            self._upstreams.keep_only(self.generation.servers)
            return tuple(map(str, error.faults))
        except Exception:
            self._log.failure("a reload failed by an error of the gateway itself")
            return ("an error of the gateway itself, see its log",)
        try:
            self._swap(settings, trust, prepared)
        except Exception:
            self._log.failure("a reload is in force in part only: an error of the gateway itself")
            return ("an error of the gateway itself left it in force in part: restart",)
        return ()

    def _swap(self, settings: Settings, trust: Trust, prepared: Prepared) -> None:
        self._settings, self._trust, self.generation = settings, trust, prepared.generation
        self._surroundings.limits = settings.limits
        self._surroundings.journal.follow(settings.log)
        self._upstreams.follow(settings.limits)
        self.listeners.swap(prepared)
        self._upstreams.keep_only(self.generation.servers)
        self._stapler.follow(trust.staples)
        self._oversight.follow(settings, trust.anchors)
        allow(needed(self.generation), self._log)
        self._tell_rules()
        self._tell_ports(prepared.ports.opened)
        self.listeners.release()
        self._log.info("reloaded {file}", file=self._file)

    async def _stop(self) -> None:
        if self._beginning is not None:
            self._beginning.cancel()
        self._notifier.stopping(self._settings.limits.drain)
        self._control.stop()
        await self.listeners.close()
        cutting = self._reactor.callLater(self._settings.limits.drain, self._cut)
        await self.listeners.drain()
        if cutting.active():
            cutting.cancel()
        await self._oversight.close()
        self._stapler.stop()
        self._upstreams.keep_only(())
        self._deadlines.stop()
        self._lag.stop()
        self._notifier.stop()
        self._surroundings.journal.close()
        self._state.release()
        # Not before: without it a SIGHUP kills, and exchanges under way with it (S56).
        signal.signal(signal.SIGHUP, self._previous_hangup)

    def _cut(self) -> None:
        self._log.warn("connections are cut: they did not end within the drain time")
        self.listeners.abort("cut at stop")

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
    for outbound in settings.outbounds:
        url = settings.environments[outbound.environment].url
        through = f" through {outbound.proxy}" if outbound.proxy else ""
        yield f"{outbound.name} calls {outbound.environment}: {url}{through}"


def _wall_clock() -> datetime:
    return datetime.now(UTC)

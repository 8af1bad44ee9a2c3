"""From the live objects of a gateway to a `Status`."""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from attrs import define, evolve, frozen
from cryptography import x509

from sasgate import __version__
from sasgate.admin import status
from sasgate.admin.findings import findings
from sasgate.admin.lag import LoopLag
from sasgate.admin.recorder import Recorder
from sasgate.admin.status import Kind, Status
from sasgate.generation import Generation, Trust
from sasgate.identity import printable_name
from sasgate.listeners import Listeners
from sasgate.local_listener import OutboundListener
from sasgate.oversight import Oversight
from sasgate.revocation.disengagement import InForce
from sasgate.revocation.policy import Disengagement
from sasgate.revocation.source import SourceState
from sasgate.settings import RevocationMode
from sasgate.stapling import Stapler
from sasgate.surroundings import Surroundings
from sasgate.upstreams import Upstreams


@define
class Reloads:
    """How reloads went; `generation` counts those in force since the start, the first included."""

    generation: int = 1
    taken_up: int = 0
    refused: int = 0
    last: status.Reload | None = None

    def ended(self, at: datetime, faults: tuple[str, ...]) -> None:
        """Note the outcome of a reload."""
        if faults:
            self.refused += 1
        else:
            self.taken_up += 1
            self.generation += 1
        self.last = status.Reload(at, faults)


@frozen(eq=False)
class Live:
    """The live objects of one gateway; `current` gives what a reload swaps."""

    wall: Callable[[], datetime]
    started: datetime
    current: Callable[[], tuple[Generation, Trust]]
    listeners: Callable[[], Listeners]
    surroundings: Surroundings
    oversight: Oversight
    upstreams: Upstreams
    stapler: Stapler
    recorder: Recorder
    lag: LoopLag
    reloads: Reloads

    def look(self) -> Status:
        """How all of it fares now."""
        now = self.wall()
        generation, trust = self.current()
        gathered = Status(
            at=now,
            process=self._process(now),
            configuration=self._configuration(generation),
            listeners=tuple(self._listeners(generation)),
            connections=self._connections(),
            certificates=tuple(_certificates(trust, now)),
            own_revoked=self.stapler.revoked,
            revocation=self._revocation(generation, now),
            upstreams=tuple(status.Upstream(*each) for each in self.upstreams.states),
            routes=tuple(_routes(generation)),
            decisions=tuple(self.recorder.recent),
            minutes=self.recorder.minutes,
        )
        return evolve(gathered, findings=findings(gathered))

    def _process(self, now: datetime) -> status.Process:
        up = (now - self.started).total_seconds()
        lag = self.lag
        return status.Process(__version__, os.getpid(), self.started, up, lag.last, lag.worst)

    def _configuration(self, generation: Generation) -> status.Configuration:
        reloads = self.reloads
        return status.Configuration(
            str(generation.settings.path),
            reloads.generation,
            reloads.taken_up,
            reloads.refused,
            reloads.last,
        )

    def _listeners(self, generation: Generation) -> Iterator[status.Listener]:
        listeners = self.listeners()
        for name, listener, stays in listeners.named:
            ports = tuple(
                status.Port(str(each.wanted.listen), each.where)
                for each in listeners.ports
                if each.listener == name and stays
            )
            yield status.Listener(
                name, _environments(generation, name), ports, len(listener.connections)
            )

    def _connections(self) -> status.Connections:
        shared = self.surroundings
        return status.Connections(
            inbound=shared.connections,
            strangers=len(shared.strangers),
            most=shared.limits.connections,
            outbound=sum(
                len(listener.connections)
                for _, listener, _ in self.listeners().named
                if isinstance(listener, OutboundListener)
            ),
        )

    def _revocation(self, generation: Generation, now: datetime) -> status.Revocation:
        oversight, settings = self.oversight, generation.settings.revocation
        names = oversight.authorities
        lists = tuple(_list(each, names, now) for each in oversight.lists)
        held = {ca for each in lists for ca in each.cas}
        off = settings.mode is RevocationMode.OFF
        in_force = oversight.disengagements.state
        return status.Revocation(
            mode=settings.mode.value,
            admit_for=settings.admit_for,
            lists=lists,
            lacking=() if off else tuple(sorted({*names.values()} - held)),
            ocsp=_ocsp(oversight),
            disengaged=tuple(_disengaged(each, names, now) for each in in_force),
            unknown=tuple(
                status.Unknown(names.get(ca, ca), since, any(each.covers(ca) for each in in_force))
                for ca, since in oversight.disengagements.unknown_since.items()
            ),
            admissions={
                names.get(ca, ca): count
                for ca, count in oversight.disengagements.admissions.items()
            },
        )


def _environments(generation: Generation, name: str) -> tuple[str, ...]:
    if name in generation.listeners:
        return tuple(each.name for each in generation.listeners[name].environments)
    if name in generation.outbounds:
        return (generation.outbounds[name].environment,)
    return ()


def _certificates(trust: Trust, now: datetime) -> Iterator[status.Certificate]:
    for name, leaf in trust.own.items():
        yield _certificate(Kind.SERVER, name, leaf, now)
    for name, outbound in trust.outbounds.items():
        der = outbound.identity.der
        yield _certificate(Kind.EDITOR, name, x509.load_der_x509_certificate(der), now)
    cas = {ca.sha256: ca for anchors in trust.anchors.values() for ca in anchors.all}
    for ca in cas.values():
        yield _certificate(Kind.CA, ca.path.stem, ca.certificate, now)


def _certificate(
    kind: Kind, name: str, certificate: x509.Certificate, now: datetime
) -> status.Certificate:
    end = certificate.not_valid_after_utc
    return status.Certificate(
        kind,
        name,
        printable_name(certificate.subject),
        f"{certificate.serial_number:X}",
        certificate.not_valid_before_utc,
        end,
        (end - now).total_seconds() / 86400,
    )


def _list(each: SourceState, names: Mapping[str, str], now: datetime) -> status.RevocationList:
    until, since = each.next_update, each.this_update
    left = None if until is None else (until - now).total_seconds()
    return status.RevocationList(
        source=each.source,
        cas=tuple(sorted({names[ca] for ca in each.issuers if ca in names})),
        issuer=each.issuer_name,
        scope=each.scope,
        number=each.number,
        entries=each.entries,
        this_update=since,
        next_update=until,
        age=None if since is None else (now - since).total_seconds(),
        expires_in=left,
        expired=left is not None and left < 0,
        checked=each.checked,
        next_attempt=each.next_attempt,
        error=each.error,
        error_at=each.error_at,
    )


def _ocsp(oversight: Oversight) -> status.OCSP:
    cache = oversight.cache
    responders = tuple(
        status.Responder(
            url=each.url,
            answers=each.answers,
            without_answer=each.without_answer,
            failures=each.failures,
            problem="" if each.problem is None else str(each.problem),
            retry_in=each.retry_in,
            answered_at=each.answered_at,
        )
        for each in cache.responders
    )
    return status.OCSP(responders, len(cache), cache.hits)


def _disengaged(each: InForce, names: Mapping[str, str], now: datetime) -> status.Disengaged:
    hand = each.by_hand
    return status.Disengaged(
        cas=tuple(names.get(ca, ca) for ca in each.issuers),
        since=each.since,
        until=each.until,
        left=max(0.0, (each.until - now).total_seconds()),
        by_hand=hand is not None,
        who="" if hand is None else hand.who,
        why="" if hand is None else hand.why,
        without_list=each.rests_on is Disengagement.WITHOUT_LIST,
        admitted=each.admitted,
    )


def _routes(generation: Generation) -> Iterator[status.Route]:
    for name, rules in generation.listeners.items():
        for environment, routes in rules.routes.items():
            for route in routes:
                pools = [pool.state for pool in route.balancer.pools]
                yield status.Route(
                    name,
                    environment,
                    route.prefix.decode("ascii"),
                    tuple(pool.server for pool in pools),
                    sum(pool.reachable for pool in pools),
                )

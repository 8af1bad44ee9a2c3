"""One generation: all that a reload can change, built and checked aside as one immutable value."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import combinations

from attrs import evolve, frozen
from cryptography import x509
from OpenSSL import SSL

from sasgate.admission import EnvironmentRules
from sasgate.environments import PRODUCTION
from sasgate.errors import ConfigError, Fault
from sasgate.outbound_rules import OutboundRules, OutboundTrust, load_outbound, outbound_rules
from sasgate.pool import Balancer, Pool
from sasgate.revocation.checks import RevocationRules
from sasgate.revocation.ocsp_responder import Responder
from sasgate.settings import Backend, DeniedSerial, Inbound, RevocationMode, Route, Settings
from sasgate.stapling import Question, Staple
from sasgate.tls import server_context
from sasgate.trust import (
    Anchors,
    Credential,
    UnusableFile,
    load_anchors,
    load_credential,
    read_certificates,
)
from sasgate.upstream_tls import ServerTrust, server_trust
from sasgate.upstreams import BackendServer, Server, Upstreams


@frozen
class TargetRoute:
    """A raw path prefix and the servers behind it."""

    prefix: bytes
    balancer: Balancer

    def matches(self, path: bytes) -> bool:
        """Whether a raw path lies at or below the prefix, on `/` boundaries (S43)."""
        return self.prefix in {b"/", path} or path.startswith(self.prefix + b"/")


@frozen
class ListenerRules:
    """What is in force on one inbound listener.

    `revocation` and `routes` are by environment; of routes the longest prefix comes first.
    """

    name: str
    environments: tuple[EnvironmentRules, ...]
    context: SSL.Context
    revocation: Mapping[str, RevocationRules]
    routes: Mapping[str, tuple[TargetRoute, ...]]
    check_path: bytes
    settings: Inbound

    def route(self, environment: str, path: bytes) -> Balancer | None:
        """Where requests of an environment go, or None."""
        for route in self.routes.get(environment, ()):
            if route.matches(path):
                return route.balancer
        return None


@frozen
class Generation:
    """Everything in force at one time; swapped by one assignment, never changed."""

    settings: Settings
    listeners: Mapping[str, ListenerRules]
    outbounds: Mapping[str, OutboundRules]
    servers: frozenset[Server]


@frozen
class Trust:
    """What was loaded from disk for one configuration, checked.

    `contexts` by listener, `servers` for the backends that are reached by TLS, `responders` by
    environment (None where it names none). `staples` are those of the contexts whose certificate
    names an OCSP responder, for a `Stapler` to follow. `own` are the certificates that listeners
    present.
    """

    anchors: Mapping[str, Anchors]
    contexts: Mapping[str, SSL.Context]
    servers: Mapping[Backend, ServerTrust]
    responders: Mapping[str, Responder | None]
    staples: tuple[Staple, ...]
    outbounds: Mapping[str, OutboundTrust]
    own: Mapping[str, x509.Certificate]


def load_trust(settings: Settings, now: datetime) -> Trust:
    """Load every CA, certificate and key that the listeners name.

    Raises:
        ConfigError: with all faults of all files.
    """
    faults: list[Fault] = []
    anchors: dict[str, Anchors] = {}
    contexts: dict[str, SSL.Context] = {}
    servers: dict[Backend, ServerTrust] = {}
    staples: list[Staple] = []
    responders: dict[str, Responder | None] = {}
    own: dict[str, x509.Certificate] = {}
    for environment in settings.environments:
        try:
            responders[environment] = _responder(settings, environment)
        except ConfigError as error:
            faults.extend(error.faults)
        try:
            anchors[environment] = load_anchors(settings, environment)
        except ConfigError as error:
            faults.extend(error.faults)
    for inbound in settings.inbounds:
        try:
            name = inbound.name
            credential = load_credential(settings, name, inbound.certificate, inbound.key, now)
            contexts[name] = _context(settings, inbound, credential, anchors, staples)
            own[name] = credential.leaf
            servers.update(_server_contexts(settings, inbound))
        except ConfigError as error:
            faults.extend(error.faults)
    outbounds: dict[str, OutboundTrust] = {}
    for outbound in settings.outbounds:
        if outbound.environment in anchors:
            try:
                outbounds[outbound.name] = load_outbound(settings, outbound, anchors, now)
            except ConfigError as error:
                faults.extend(error.faults)
    if not faults:
        faults.extend(_same_client_twice(settings, anchors))
        faults.extend(_production_unchecked(settings, anchors))
        faults.extend(_denying_nobody(settings, anchors))
    if faults:
        raise ConfigError(*faults)
    return Trust(anchors, contexts, servers, responders, tuple(staples), outbounds, own)


def build(settings: Settings, trust: Trust, upstreams: Upstreams) -> Generation:
    """Put a generation together of what was loaded."""
    listeners = {
        inbound.name: _listener_rules(settings, inbound, trust, upstreams)
        for inbound in settings.inbounds
    }
    outbounds = {
        outbound.name: outbound_rules(outbound, trust.outbounds[outbound.name], upstreams)
        for outbound in settings.outbounds
    }
    servers: set[Server] = {each.server for each in trust.outbounds.values()}
    for inbound in settings.inbounds:
        for environment in inbound.environments:
            for route in _own(environment, inbound.routes):
                servers.update(_server(environment, each, trust) for each in route.backends)
    return Generation(settings, listeners, outbounds, frozenset(servers))


def _own(environment: str, routes: Iterable[Route]) -> list[Route]:
    return [route for route in routes if route.environment in {environment, None}]


def _server(environment: str, backend: Backend, trust: Trust) -> BackendServer:
    verified = trust.servers.get(backend)
    return BackendServer(environment, backend, "" if verified is None else verified.made_of)


def _same_client_twice(settings: Settings, anchors: Mapping[str, Anchors]) -> Iterable[Fault]:
    """Environments of one listener that one certificate would match; CAs are compared by DER."""
    for inbound in settings.inbounds:
        for one, other in combinations(inbound.environments, 2):
            issuers = {ca.der for ca in anchors[one].issuers} & {
                ca.der for ca in anchors[other].issuers
            }
            first, second = settings.environments[one], settings.environments[other]
            pairs = set(first.clients) & set(second.clients)
            if issuers and pairs:
                client = min(map(str, pairs))
                reason = f"{one} and {other} have the same CA and the same client {client}"
                names = " ".join(inbound.environments)
                yield settings.fault(
                    inbound.name, "environment", names, reason, "give each a listener of its own"
                )


def _production_unchecked(settings: Settings, anchors: Mapping[str, Anchors]) -> Iterable[Fault]:
    """Production's CA under another environment's name, which `mode = off` must not open either."""
    if settings.revocation.mode is not RevocationMode.OFF:
        return
    for name, loaded in anchors.items():
        if any(ca.sha256 == PRODUCTION.issuer.sha256 for ca in loaded.issuers):
            reason = f"{name} trusts production's CA, whose certificates must be checked"
            yield settings.fault("revocation", "mode", "off", reason, "choose crl-or-ocsp")


def _denying_nobody(settings: Settings, anchors: Mapping[str, Anchors]) -> Iterable[Fault]:
    """Rules that name an issuer whose certificates never get that far: a slip of the pen."""
    for name, loaded in anchors.items():
        issuers = {ca.common_name for ca in loaded.issuers}
        for denial in settings.environments[name].deny:
            if isinstance(denial, DeniedSerial) and denial.issuer_cn not in issuers:
                value = f"{denial.issuer_cn}:{denial.serial}"
                reason = f"denies nobody: no issuer of {name} has this CN"
                remedy = f"write {' or '.join(sorted(issuers))}"
                yield settings.fault(f"environment:{name}", "deny", value, reason, remedy)


def _context(
    settings: Settings,
    inbound: Inbound,
    credential: Credential,
    anchors: Mapping[str, Anchors],
    staples: list[Staple],
) -> SSL.Context:
    """The context of a listener; its staple, where it has one, joins `staples`."""
    question = Question.of(credential.chain)
    staple = None if question is None else Staple(question)
    clients = {
        ca.der: ca
        for environment in inbound.environments
        if environment in anchors
        for ca in anchors[environment].all
    }
    try:
        context = server_context(
            credential, tuple(clients.values()), inbound.tls, inbound.ciphers, staple
        )
    except SSL.Error as error:
        reason = f"OpenSSL refuses it with its key: {error}"
        raise ConfigError(
            settings.fault(inbound.name, "certificate", inbound.certificate, reason)
        ) from error
    if staple is not None:
        staples.append(staple)
    return context


def _listener_rules(
    settings: Settings, inbound: Inbound, trust: Trust, upstreams: Upstreams
) -> ListenerRules:
    routes = {
        environment: tuple(_routes(environment, inbound.routes, trust, upstreams))
        for environment in inbound.environments
    }
    return ListenerRules(
        name=inbound.name,
        environments=tuple(
            _environment_rules(settings, environment, trust.anchors[environment])
            for environment in inbound.environments
        ),
        context=trust.contexts[inbound.name],
        revocation={
            environment: RevocationRules(settings.revocation.mode, trust.responders[environment])
            for environment in inbound.environments
        },
        routes=routes,
        check_path=f"{inbound.base_path}/check".encode("ascii"),
        settings=inbound,
    )


def leaving_rules(rules: ListenerRules, generation: Generation) -> ListenerRules:
    """The rules of a listener that a generation has no more, for those whom it still serves.

    Whom a reload denies is denied there too (S15): an environment that any listener still has
    admits whom it admits now.
    """
    served = {
        environment.name: environment
        for listener in generation.listeners.values()
        for environment in listener.environments
    }
    environments = tuple(served.get(each.name, each) for each in rules.environments)
    return evolve(rules, environments=environments)


def _routes(
    environment: str, routes: Iterable[Route], trust: Trust, upstreams: Upstreams
) -> Iterable[TargetRoute]:
    own = _own(environment, routes)
    # The longest prefix first; of two equal ones, that which names the environment.
    own.sort(key=lambda route: (-len(route.prefix), route.environment is None))
    for route in own:
        pools = [
            _pool(_server(environment, each, trust), trust, upstreams) for each in route.backends
        ]
        yield TargetRoute(route.prefix.encode("ascii"), Balancer(pools))


def _pool(server: BackendServer, trust: Trust, upstreams: Upstreams) -> Pool:
    verified = trust.servers.get(server.backend)
    return upstreams.pool(server, None if verified is None else verified.context)


def _environment_rules(settings: Settings, name: str, anchors: Anchors) -> EnvironmentRules:
    environment = settings.environments[name]
    return EnvironmentRules(
        name=name,
        roots=frozenset(ca.der for ca in anchors.roots),
        issuers=frozenset(ca.der for ca in anchors.issuers),
        clients=frozenset(environment.clients),
        addresses=environment.addresses,
        deny=environment.deny,
    )


def _responder(settings: Settings, name: str) -> Responder | None:
    environment = settings.environments[name]
    if environment.ocsp is None:
        return None
    try:
        signers = [each for path in environment.ocsp_signers for each in read_certificates(path)]
    except UnusableFile as error:
        raise ConfigError(
            settings.fault(
                f"environment:{name}", "ocsp_signers", error.path, error.reason, error.remedy
            )
        ) from error
    return Responder(environment.ocsp, tuple(signers))


def _server_contexts(settings: Settings, inbound: Inbound) -> Mapping[Backend, ServerTrust]:
    backends = {backend for route in inbound.routes for backend in route.backends}
    secure = {backend for backend in backends if backend.scheme == "https"}
    try:
        # Read once for all of them, or a file that changes meanwhile would be trusted by halves.
        trusted = {roots: server_trust(roots) for roots in {each.roots for each in secure}}
        return {backend: trusted[backend.roots] for backend in secure}
    except UnusableFile as error:
        raise ConfigError(
            settings.fault(inbound.name, "backend_roots", error.path, error.reason, error.remedy)
        ) from error

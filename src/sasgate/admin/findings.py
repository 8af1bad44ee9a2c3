"""What of a status somebody has to see to, and how soon; pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sasgate.admin.status import Certificate, Finding, Level, RevocationList, Status


# A certificate is critical from here on, or from this part of its life, whichever is shorter.
_CRITICAL_AT = timedelta(days=7)
_CRITICAL_PART = 1 / 12
# A list of which this part of its validity is left, and no newer one has come.
_LIST_PART = 1 / 4
# Of the connections that there may be.
_FULL_PART = 0.8
# Seconds that an event loop may be late.
_LATE = 0.5


def findings(status: Status) -> tuple[Finding, ...]:
    """Everything to see to, the worst first."""
    found = [
        *_disengaged(status),
        *_lists(status),
        *_certificates(status),
        *_servers(status),
        *_responders(status),
        *_process(status),
    ]
    # Stable, so that what belongs together stays together.
    return tuple(sorted(found, key=lambda each: -each.level))


def _critical(key: str, **values: object) -> Finding:
    return Finding(Level.CRITICAL, key, values)


def _warning(key: str, **values: object) -> Finding:
    return Finding(Level.WARNING, key, values)


def _disengaged(status: Status) -> Iterator[Finding]:
    revocation = status.revocation
    for each in revocation.disengaged:
        key = "disengaged_by_hand" if each.by_hand else "disengaged_by_itself"
        cas = ", ".join(each.cas) or None
        yield _critical(
            key,
            cas=cas or "*",
            left=timedelta(seconds=each.left),
            until=each.until,
            who=each.who,
            why=each.why,
            admitted=each.admitted,
        )
    for unknown in revocation.unknown:
        if not unknown.disengaged:
            yield _critical("unknown", ca=unknown.ca, since=unknown.since)


def _lists(status: Status) -> Iterator[Finding]:
    revocation = status.revocation
    for ca in revocation.lacking:
        yield _critical("no_list", ca=ca)
    said: set[tuple[str, ...]] = set()
    for each in revocation.lists:
        cas = each.cas or (each.source,)
        if each.expired and cas not in said:
            said.add(cas)
            yield _critical(
                "list_expired", cas=", ".join(cas), when=each.next_update, number=each.number
            )
        elif _late(each) and cas not in said:
            said.add(cas)
            left = timedelta(seconds=each.expires_in or 0)
            yield _warning("list_late", cas=", ".join(cas), left=left)
        if each.error:
            yield _warning("source_failed", source=each.source, error=each.error)


def _late(each: RevocationList) -> bool:
    if each.expires_in is None or each.this_update is None or each.next_update is None:
        return False
    validity = (each.next_update - each.this_update).total_seconds()
    return each.expires_in < validity * _LIST_PART


def _certificates(status: Status) -> Iterator[Finding]:
    for subject in status.own_revoked:
        yield _critical("own_revoked", subject=subject)
    for each in status.certificates:
        level = certificate_level(each, status.at)
        if level is Level.OK:
            continue
        key = "certificate_ended" if status.at > each.not_after else "certificate_ends"
        left = each.not_after - status.at
        values = {"name": each.name, "subject": each.subject, "when": each.not_after, "left": left}
        yield Finding(level, f"{key}_{each.kind.value}", values)


def certificate_level(certificate: Certificate, now: datetime) -> Level:
    """How soon a certificate has to be renewed; `now` is aware."""
    lifetime = certificate.not_after - certificate.not_before
    left = certificate.not_after - now
    if left <= min(_CRITICAL_AT, lifetime * _CRITICAL_PART):
        return Level.CRITICAL
    return Level.WARNING if now >= certificate.warn_at else Level.OK


def _servers(status: Status) -> Iterator[Finding]:
    for route in status.routes:
        if not route.reachable:
            yield _critical(
                "route_dead",
                environment=route.environment,
                prefix=route.prefix,
                servers=", ".join(route.servers),
            )
    listeners = {each.name for each in status.listeners}
    for each in status.upstreams:
        if each.pool.reachable:
            continue
        values = {"server": each.pool.server, "owner": each.owner, "problem": each.pool.problem}
        if each.owner in listeners:
            yield _critical("sas_unreachable", **values)
        else:
            yield _warning("server_unreachable", **values)


def _responders(status: Status) -> Iterator[Finding]:
    for each in status.revocation.ocsp.responders:
        if each.failures:
            yield _warning(
                "responder_failed", url=each.url, problem=each.problem, failures=each.failures
            )


def _process(status: Status) -> Iterator[Finding]:
    reload, connections = status.configuration.last_reload, status.connections
    if reload is not None and reload.faults:
        yield _warning("reload_refused", when=reload.at, fault=reload.faults[0])
    if connections.inbound >= connections.most * _FULL_PART:
        yield _warning("nearly_full", connections=connections.inbound, most=connections.most)
    if status.process.worst_lag >= _LATE:
        yield _warning("late", lag=f"{status.process.worst_lag:.1f}")

"""A status, as `/status.json` gives it, in lines for a terminal; the first one says all."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from sasgate.admin.words import ENGLISH, length


LEVELS: Mapping[str, int] = MappingProxyType({"ok": 0, "warning": 1, "critical": 2})

_DECISIONS = 5

Data = Mapping[str, Any]


def report(status: Data) -> Iterator[str]:
    """The lines.

    Raises:
        LookupError, TypeError: it is no status.
    """
    yield _summary(status)
    for each in status["findings"]:
        yield f"  {each['level'].upper()}: {each['text']}"
    yield from _process(status)
    yield from _listeners(status)
    yield from _certificates(status["certificates"])
    yield from _revocation(status["revocation"])
    yield from _upstreams(status["upstreams"])
    yield from _decisions(status["decisions"])


def _summary(status: Data) -> str:
    found = status["findings"]
    worst = f"{found[0]['text']}" if found else "all is well"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    requests = sum(each["requests"] for each in status["minutes"])
    refusals = sum(each["refusals"] for each in status["minutes"])
    hour = f"{_counted(requests, 'request')} and {_counted(refusals, 'refusal')} in the last hour"
    return f"SASGATE {status['level'].upper()}: {worst}{more}; {hour}"


def _process(status: Data) -> Iterator[str]:
    process, configuration = status["process"], status["configuration"]
    yield (
        f"process: sasgate {process['version']}, PID {process['pid']}, up"
        f" {length(process['up'], ENGLISH)}, event loop late by at most"
        f" {process['worst_lag'] * 1000:.0f} ms"
    )
    yield f"configuration: {configuration['file']}, generation {configuration['generation']}"
    reload = configuration["last_reload"]
    if reload is not None:
        outcome = "REFUSED" if reload["faults"] else "taken up"
        yield f"  last reload {_instant(reload['at'])}: {outcome}"
        yield from (f"    {fault}" for fault in reload["faults"])


def _listeners(status: Data) -> Iterator[str]:
    connections = status["connections"]
    sides: dict[str, list[Data]] = {"inbound": [], "outbound": [], "admin": []}
    for each in status["listeners"]:
        sides[each["name"].partition(":")[0]].append(each)
    yield (
        f"from SAS's side: {_counted(connections['inbound'], 'connection')} of"
        f" {connections['most']}, {connections['strangers']} not admitted"
    )
    yield from map(_listener, sides["inbound"])
    if sides["outbound"]:
        count = sum(each["connections"] for each in sides["outbound"])
        yield f"from applications, to SAS: {_counted(count, 'connection')}"
        yield from map(_listener, sides["outbound"])
    if sides["admin"]:
        yield "status page and metrics:"
        yield from map(_listener, sides["admin"])


def _listener(listener: Data) -> str:
    where = ", ".join(port["where"] for port in listener["ports"]) or "closed, drains"
    return f"  {listener['name']} at {where}: {_counted(listener['connections'], 'connection')}"


def _certificates(certificates: list[Data]) -> Iterator[str]:
    yield "certificates:"
    for each in certificates:
        days = int(each["days_left"])
        left = f"{days} days left" if each["days_left"] > 0 else "ENDED"
        yield f"  {each['kind']} {each['name']}: {left}, until {_instant(each['not_after'])}"


def _revocation(revocation: Data) -> Iterator[str]:
    yield f"revocation: {revocation['mode']}"
    for each in revocation["lists"]:
        name = ", ".join(each["cas"]) or each["issuer"] or each["source"]
        if each["number"] is None:
            yield f"  list from {each['source']}: NONE YET"
        else:
            word = "EXPIRED" if each["expired"] else "expires"
            yield (
                f"  list of {name}: number {each['number']}, {each['entries']} entries,"
                f" {length(each['age'], ENGLISH)} old, {word} {_instant(each['next_update'])}"
            )
        if each["error"]:
            yield f"    last error: {each['error']}"
    for each in revocation["ocsp"]["responders"]:
        yield (
            f"  OCSP {each['url']}: {_counted(each['answers'], 'answer')},"
            f" {each['without_answer']} without,"
            f" {each['problem'] or 'well'}"
        )
    for each in revocation["disengaged"]:
        who = f"by {each['who']}" if each["by_hand"] else "by itself"
        yield (
            f"  DÉBRAYAGE for {', '.join(each['cas']) or 'all CAs'} {who}:"
            f" {length(each['left'], ENGLISH)} left, {each['admitted']} admitted under it"
        )


def _upstreams(upstreams: list[Data]) -> Iterator[str]:
    yield "servers:"
    for each in upstreams:
        pool = each["pool"]
        yield f"  {pool['server']} for {each['owner']}: {_pool_state(pool)}"


def _pool_state(pool: Data) -> str:
    if not pool["reachable"]:
        return f"UNREACHABLE, {pool['problem']}"
    # A gateway that is older than this command says nothing of it.
    return "reachable" if pool.get("tried", True) else "not called yet"


def _decisions(decisions: list[Data]) -> Iterator[str]:
    if decisions:
        yield "last decisions:"
    for each in decisions[:_DECISIONS]:
        decision = each["decision"]
        yield (
            f"  {_instant(each['last'])} {decision['outcome']} {decision['verify']}"
            f" {decision['peer']} {decision['cn']} ({decision['detail']})"
            f" {_counted(each['count'], 'time')}"
        )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _instant(text: str) -> str:
    """An instant of the data, to the minute."""
    return f"{text[:16].replace('T', ' ')} UTC"

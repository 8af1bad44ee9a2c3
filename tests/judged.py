"""What `admission.judge` is given: a client and rules that fit each other, to be changed."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from sasgate.admission import EnvironmentRules, Presented, Verdict, judge
from sasgate.identity import Identity, NamePair
from sasgate.settings import Address


NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
PAIR = NamePair("sas-agregateur-recette", "499700234190004")
OTHER = NamePair("sas-aggregator-preproduction", "499700343942006")
SAS = ip_address("51.91.149.173")
ELSEWHERE = ip_address("192.0.2.1")
LEAF, ISSUER, ROOT = b"leaf", b"issuer", b"root"


def identity(**changes: Any) -> Identity:
    """A certificate of recette's platform."""
    facts: dict[str, Any] = {
        "common_names": (PAIR.cn,),
        "organizational_units": (PAIR.ou,),
        "subject": f"CN={PAIR.cn},OU={PAIR.ou},O=ANS,C=FR",
        "issuer": "CN=ISSUER,C=FR",
        "issuer_cn": "ISSUER",
        "serial": "1A2B",
        "not_before": NOW - timedelta(days=1),
        "not_after": NOW + timedelta(days=1),
        "client_auth": True,
        "server_auth": False,
        "sha256": "ab" * 32,
        "der": LEAF,
    }
    return Identity(**{**facts, **changes})


def named(pair: NamePair) -> Identity:
    return identity(common_names=(pair.cn,), organizational_units=(pair.ou,))


def presented(who: Identity | None = None, **changes: Any) -> Presented:
    """What a good handshake leaves of a client."""
    facts: dict[str, Any] = {"calls": 3, "chain": (LEAF, ISSUER, ROOT)}
    return Presented(who or identity(), **{**facts, **changes})


def rules(name: str = "recette", **changes: Any) -> EnvironmentRules:
    """An environment that admits that client."""
    facts: dict[str, Any] = {
        "name": name,
        "roots": frozenset({ROOT}),
        "issuers": frozenset({ISSUER}),
        "clients": frozenset({PAIR}),
        "addresses": (ip_network("51.91.149.173"),),
        "deny": (),
    }
    return EnvironmentRules(**{**facts, **changes})


def verdict(
    what: Presented | None = None,
    *environments: EnvironmentRules,
    peer: Address | None = SAS,
    now: datetime = NOW,
) -> Verdict:
    """The judgement of a client (by default a good one) by environments (by default its own)."""
    return judge(what or presented(), peer, environments or (rules(),), now)

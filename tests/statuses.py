"""A status in which all is well, to be changed by tests, and what comes of a change."""

from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve

from sasgate.admin.findings import findings
from sasgate.admin.recorder import Minute, Recent
from sasgate.admin.status import (
    OCSP,
    Certificate,
    Configuration,
    Connections,
    Disengaged,
    Finding,
    Kind,
    Listener,
    Port,
    Process,
    Responder,
    Revocation,
    RevocationList,
    Route,
    Status,
    Upstream,
)
from sasgate.journal import Decision
from sasgate.pool import PoolState


NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)

ADMITTED = Decision(
    "inbound", "production", "51.68.88.222", "admitted", "SUCCESS", "admitted", cn="sas", ou="318"
)


def certificate(days_left: float = 300, lifetime: float = 365, kind: Kind = Kind.SERVER) -> Any:
    end = NOW + days_left * DAY
    return Certificate(
        kind, "inbound", "CN=gate.example", "1F", end - lifetime * DAY, end, days_left
    )


def revocation_list(left: timedelta = 5 * DAY, *, error: str = "") -> RevocationList:
    return RevocationList(
        source="http://crl.example/ACI-EL-ORG.crl",
        cas=("ACI-EL-ORG",),
        issuer="CN=AC IGC-SANTE",
        scope="all certificates",
        number=4711,
        entries=100_000,
        this_update=NOW + left - 6 * DAY,
        next_update=NOW + left,
        age=(6 * DAY - left).total_seconds(),
        expires_in=left.total_seconds(),
        expired=left < timedelta(),
        checked=NOW,
        next_attempt=NOW + DAY,
        error=error,
        error_at=NOW if error else None,
    )


def no_list() -> RevocationList:
    return evolve(
        revocation_list(), cas=(), issuer="", scope="", number=None, entries=None,
        this_update=None, next_update=None, age=None, expires_in=None,
    )  # fmt: skip


def disengaged(**changes: Any) -> Disengaged:
    by_hand = Disengaged(
        cas=(),
        since=NOW - timedelta(hours=1),
        until=NOW + timedelta(hours=3),
        left=3 * 3600.0,
        by_hand=True,
        who="root",
        why="IGC Santé is down",
        without_list=False,
        admitted=7,
    )
    return evolve(by_hand, **changes)


REVOCATION = Revocation(
    mode="crl-or-ocsp",
    admit_for=None,
    lists=(revocation_list(),),
    lacking=(),
    ocsp=OCSP((Responder("http://ocsp.example", 3, 0, 0, "", 0.0, NOW),), 2, 40),
    disengaged=(),
    unknown=(),
    admissions={},
)
REACHABLE = PoolState("http://127.0.0.1:8080", True, "", 0.0, 2)
UNREACHABLE = PoolState("http://127.0.0.1:8080", False, "connection refused", 4.0, 0)

WELL = Status(
    at=NOW,
    process=Process("1.0", 4242, NOW - DAY, 86400.0, 0.001, 0.004),
    configuration=Configuration("/etc/sasgate/prod.ini", 3, 2, 0, None),
    listeners=(Listener("inbound", ("production",), (Port("tcp:443", "0.0.0.0:443"),), 4),),
    connections=Connections(4, 1, 2000, 0),
    certificates=(certificate(),),
    own_revoked=(),
    revocation=REVOCATION,
    upstreams=(Upstream("production", REACHABLE),),
    routes=(Route("inbound", "production", "/", ("http://127.0.0.1:8080",), 1),),
    decisions=(Recent(ADMITTED, 12, NOW),),
    minutes=(Minute(3, 1, 2), Minute(5)),
)


def judged(**changes: Any) -> Status:
    """`WELL` with changes, and what is to be seen to of it."""
    status = evolve(WELL, **changes)
    return evolve(status, findings=findings(status))


def revoking(**changes: Any) -> Status:
    """The same with changes in its part on revocation."""
    return judged(revocation=evolve(REVOCATION, **changes))


def keys(status: Status) -> list[tuple[str, str]]:
    """What is found, by level and key."""
    return [(each.level.name, each.key) for each in status.findings]


def finding(status: Status) -> Finding:
    """The only one."""
    (found,) = status.findings
    return found

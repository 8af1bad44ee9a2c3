"""How the gateway fares at one moment, as a value: what the page, the data and metrics are made of.

Instants are aware, lengths of time in seconds unless they are a `timedelta`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum, IntEnum

from attrs import field, frozen

from sasgate.admin.recorder import Minute, Recent
from sasgate.pool import PoolState


class Level(IntEnum):
    """How bad it is; the numbers are the exit codes that Nagios expects."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


@frozen
class Finding:
    """Something to see to: `key` is that of its words, `values` stand in them."""

    level: Level
    key: str
    values: Mapping[str, object]


class Kind(Enum):
    """Whose a certificate is."""

    SERVER = "server"
    EDITOR = "editor"
    CA = "ca"


# A renewal is called for when this part of the life is left, or this long, whichever is shorter.
WARN_PART = 1 / 3
WARN_AT = timedelta(days=60)


@frozen
class Certificate:
    """A certificate in use; `name` is the listener that presents it, or the CA's file."""

    kind: Kind
    name: str
    subject: str
    serial: str
    not_before: datetime
    not_after: datetime
    days_left: float

    @property
    def warn_at(self) -> datetime:
        """From when on a renewal is called for."""
        lifetime = self.not_after - self.not_before
        return self.not_after - min(lifetime * WARN_PART, WARN_AT)


@frozen
class RevocationList:
    """A source and the list that it last gave, whose facts are None where it has given none.

    `cas` are the names of the CAs that it is of; `age` counts from its issue.
    """

    source: str
    cas: tuple[str, ...]
    issuer: str
    scope: str
    number: int | None
    entries: int | None
    this_update: datetime | None
    next_update: datetime | None
    age: float | None
    expires_in: float | None
    expired: bool
    checked: datetime | None
    next_attempt: datetime | None
    error: str
    error_at: datetime | None


@frozen
class Responder:
    """An OCSP responder: questions since the start, failures since its last answer."""

    url: str
    answers: int
    without_answer: int
    failures: int
    problem: str
    retry_in: float
    answered_at: datetime | None


@frozen
class OCSP:
    """`entries` are certificates that are held, `hits` words that were there at once."""

    responders: tuple[Responder, ...]
    entries: int
    hits: int


@frozen
class Disengaged:
    """Débrayage in force; no `cas` stand for all, `who` and `why` are empty for an automatic one.

    `left` is its clock.
    """

    cas: tuple[str, ...]
    since: datetime
    until: datetime
    left: float
    by_hand: bool
    who: str
    why: str
    without_list: bool
    admitted: int


@frozen
class Unknown:
    """A CA whose certificates' status cannot be known; `since` is None where that was lost."""

    ca: str
    since: datetime | None
    disengaged: bool


@frozen
class Revocation:
    """`lacking` are CAs of which no list is held; `admissions` under débrayage, by CA."""

    mode: str
    admit_for: float | None
    lists: tuple[RevocationList, ...]
    lacking: tuple[str, ...]
    ocsp: OCSP
    disengaged: tuple[Disengaged, ...]
    unknown: tuple[Unknown, ...]
    admissions: Mapping[str, int]


@frozen
class Port:
    """An open port: the endpoint as configured, and where it is bound."""

    listen: str
    where: str


@frozen
class Listener:
    """A listener; one that a reload has removed has no ports, and stays until it is drained."""

    name: str
    environments: tuple[str, ...]
    ports: tuple[Port, ...]
    connections: int


@frozen
class Upstream:
    """A server; `owner` is the environment or the outbound listener whose calls go there."""

    owner: str
    pool: PoolState


@frozen
class Route:
    """Where requests of an environment go; `reachable` counts those of `servers` that answer."""

    listener: str
    environment: str
    prefix: str
    servers: tuple[str, ...]
    reachable: int


@frozen
class Reload:
    """The last reload; `faults` is empty where it was taken up."""

    at: datetime
    faults: tuple[str, ...]


@frozen
class Configuration:
    """The generation in force; `refused` and `taken_up` count reloads."""

    file: str
    generation: int
    taken_up: int
    refused: int
    last_reload: Reload | None


@frozen
class Process:
    """The daemon's process; `up` is in seconds."""

    version: str
    pid: int
    started: datetime
    up: float
    lag: float
    worst_lag: float


@frozen
class Connections:
    """Those of each direction; `strangers` and `most` are of the inbound ones alone.

    `strangers` are not admitted; one that has not said who it is yet counts for no listener.
    """

    inbound: int
    strangers: int
    most: int
    outbound: int


@frozen
class Status:
    """All of it, at one moment; `findings` are the worst first.

    `own_revoked` names the gateway's own certificates that their CA has revoked.
    """

    at: datetime
    process: Process
    configuration: Configuration
    listeners: tuple[Listener, ...]
    connections: Connections
    certificates: tuple[Certificate, ...]
    own_revoked: tuple[str, ...]
    revocation: Revocation
    upstreams: tuple[Upstream, ...]
    routes: tuple[Route, ...]
    decisions: tuple[Recent, ...] = field(repr=False)
    minutes: tuple[Minute, ...] = field(repr=False)
    findings: tuple[Finding, ...] = ()

    @property
    def level(self) -> Level:
        """That of the worst finding."""
        return max((each.level for each in self.findings), default=Level.OK)

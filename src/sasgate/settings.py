"""The configuration as values: what `config.load` returns and everything else reads.

Shapes only. Defaults that ANS publishes come from `environments`; the reading of the ini file
and its faults are in `config`.
"""

from collections.abc import Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from attrs import field, frozen

from sasgate.errors import Fault
from sasgate.identity import NamePair


Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@frozen
class CAFile:
    """A CA certificate on disk (DER or PEM); `sha256` is ANS's pin, or None for an own CA."""

    path: Path
    sha256: str | None


@frozen
class DeniedFingerprint:
    """A certificate refused by the SHA-256 of its DER, lower-case hexadecimal."""

    sha256: str


@frozen
class DeniedSerial:
    """A certificate refused by the CN of its issuer and its serial, upper-case hexadecimal."""

    issuer_cn: str
    serial: str


Denial = DeniedFingerprint | DeniedSerial


@frozen
class Environment:
    """One environment as it is in force: a preset with the file's changes, or an own one.

    `addresses` is None where the filter is off (`any`). `crl` holds URLs, files or folders.
    `sas_roots` None means the system's CAs.
    """

    name: str
    preset: bool
    roots: tuple[CAFile, ...]
    issuers: tuple[CAFile, ...]
    clients: tuple[NamePair, ...]
    addresses: tuple[Network, ...] | None
    deny: tuple[Denial, ...]
    crl: tuple[str, ...]
    ocsp: str | None
    ocsp_signers: tuple[Path, ...]
    url: str | None
    sas_roots: Path | None


@frozen
class Backend:
    """An upstream server: `http` or `https` to host and port, or `unix` to a socket path.

    `roots` (https only) is the file of CAs that its certificate is verified against, None the
    system's.
    """

    scheme: str
    host: str
    port: int
    path: str
    roots: Path | None = None

    @property
    def authority(self) -> str:
        """What stands in `Host` where the request has none."""
        if self.scheme == "unix":
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}[self.scheme]
        return host if self.port == default else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.scheme == "unix" else f"{self.scheme}://{self.authority}"


@frozen
class Route:
    """`prefix` of the raw path (no trailing `/` but for `/` itself), for one environment or all."""

    environment: str | None
    prefix: str
    backends: tuple[Backend, ...]


class TLSVersion(Enum):
    """The only versions that can be asked for."""

    V1_2 = "1.2"
    V1_3 = "1.3"


@frozen
class Listen:
    """One endpoint: `endpoint` in Twisted's syntax without `haproxy:`, which is `proxied`."""

    endpoint: str
    proxied: bool

    def __str__(self) -> str:
        return f"haproxy:{self.endpoint}" if self.proxied else self.endpoint


@frozen
class Inbound:
    """A listener that SAS calls.

    `name` is `inbound` or `inbound:NAME`, as in the file. `routes` holds `backend` as a route `/`
    for all environments. `check` is None for a light connect, else the path that must answer 2xx.
    """

    name: str
    environments: tuple[str, ...]
    listen: tuple[Listen, ...]
    certificate: Path
    key: Path
    routes: tuple[Route, ...]
    base_path: str
    check: str | None
    proxies: tuple[Network, ...]
    tls: tuple[TLSVersion, ...]
    ciphers: str


@frozen
class Outbound:
    """A local listener whose calls go to SAS; `proxy` is `host:port` of an egress proxy."""

    name: str
    environment: str
    listen: tuple[Listen, ...]
    certificate: Path
    key: Path
    proxy: str | None
    socket_mode: int
    socket_owner: str | None


class RevocationMode(Enum):
    """Which words on revocation are asked for (design, "Modes")."""

    CRL = "crl"
    OCSP = "ocsp"
    CRL_OR_OCSP = "crl-or-ocsp"
    CRL_AND_OCSP = "crl-and-ocsp"
    OFF = "off"


class OCSPNonce(Enum):
    """Whether a nonce is sent, and whether an answer without it is taken."""

    NO = "no"
    YES = "yes"
    REQUIRED = "required"


@frozen
class Revocation:
    """`refresh` in seconds or None for `auto`; `admit_for` in seconds, None where refused."""

    mode: RevocationMode
    refresh: float | None
    admit_for: float | None
    proxy: str | None
    ocsp_hash: str
    ocsp_nonce: OCSPNonce
    export_pem: Path | None
    export_hash_dir: Path | None


@frozen
class Limits:
    """Times in seconds, sizes in bytes, rates in bytes a second (design, "Limits")."""

    handshake: float = 10.0
    head_time: float = 10.0
    head_size: int = 16 * 1024
    head_fields: int = 100
    body_idle: float = 20.0
    body_rate: int = 500
    keep_alive: float = 60.0
    connection_age: float = 3600.0
    connections: int = 2000
    connections_per_address: int = 200
    connect: float = 3.0
    answer: float = 6.5
    outbound_answer: float = 30.0
    crl_time: float = 30.0
    crl_size: int = 64 * 1024 * 1024
    ocsp_time: float = 3.0
    ocsp_size: int = 64 * 1024
    ocsp_cache: float = 3600.0
    drain: float = 30.0


class LogFormat(Enum):
    """Lines for people, or JSON lines."""

    TEXT = "text"
    JSON = "json"


@frozen
class Log:
    """`full_paths` False masks the last path segment (FHIR URLs carry identifiers)."""

    format: LogFormat = LogFormat.TEXT
    full_paths: bool = False


@frozen
class Settings:
    """A whole, valid configuration.

    `path` is the file it came from; `lines` says where in it each (section, key) stands.
    `environments` are those that a listener uses.
    """

    path: Path
    state: Path
    admin: str | None
    environments: Mapping[str, Environment]
    inbounds: tuple[Inbound, ...]
    outbounds: tuple[Outbound, ...]
    revocation: Revocation
    limits: Limits
    log: Log
    lines: Mapping[tuple[str, str], int] = field(factory=dict, eq=False, repr=False)

    def fault(self, section: str, key: str, value: object, reason: str, remedy: str = "") -> Fault:
        """A fault of this file at `[section] key`; an absent key is named without a line."""
        line = self.lines.get((section, key))
        return Fault(self.path, line, section, key, str(value), reason, remedy)

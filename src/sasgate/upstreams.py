"""The live pools, one a server, found by their settings; they survive where those do."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen
from OpenSSL import SSL
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
)
from twisted.internet.interfaces import IStreamClientEndpoint

from sasgate.addresses import parse_peer
from sasgate.deadlines import Deadlines
from sasgate.egress import Tunnel
from sasgate.http1 import HeadLimits
from sasgate.pool import Pool, PoolState
from sasgate.settings import Backend, Limits
from sasgate.tls_transport import OverTLS
from sasgate.upstream_tls import VerifiedServer


@frozen
class BackendServer:
    """A backend as callers of one environment reach it.

    `made_of` stands for the CAs that it is verified by, empty without TLS: a connection that others
    vouched for is not used.
    """

    environment: str
    backend: Backend
    made_of: str = ""


@frozen
class SASServer:
    """SAS as one outbound listener reaches it; `proxy` is `host:port` of an egress proxy.

    `made_of` stands for the certificate and the CAs: a connection of another is not used (S54).
    """

    listener: str
    host: str
    port: int
    proxy: str | None
    made_of: str

    @property
    def authority(self) -> str:
        """What stands in `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _HTTPS else f"{host}:{self.port}"


_HTTPS = 443
Server = BackendServer | SASServer


class Upstreams:
    """Pools by what they lead to; made when they are first asked for.

    Callers of different environments never share a connection: whatever a server leaves on one
    reaches nobody else's caller (S45).
    """

    def __init__(self, reactor: Any, deadlines: Deadlines, limits: Limits) -> None:
        self._reactor = reactor
        self._deadlines = deadlines
        self._limits = limits
        self._pools: dict[Server, Pool] = {}

    def pool(self, server: BackendServer, context: SSL.Context | None) -> Pool:
        """The pool of an environment's server; `context` is for one that is reached by TLS."""
        if server not in self._pools:
            backend = server.backend
            self._pools[server] = self._new_pool(
                str(backend),
                backend.authority,
                self._endpoint(backend, context),
                secure=context is not None,
            )
        return self._pools[server]

    def sas(self, server: SASServer, context: SSL.Context) -> Pool:
        """The pool of connections to SAS."""
        if server not in self._pools:
            timeout = self._limits.connect
            plain: IStreamClientEndpoint
            if server.proxy is None:
                plain = HostnameEndpoint(self._reactor, server.host, server.port, timeout)
            else:
                at = urlsplit(f"//{server.proxy}")
                proxy = HostnameEndpoint(self._reactor, at.hostname or "", at.port or 0, timeout)
                plain = Tunnel(self._reactor, proxy, server.host, server.port, timeout)
            self._pools[server] = self._new_pool(
                f"https://{server.authority}",
                server.authority,
                OverTLS(plain, VerifiedServer(context, server.host)),
                secure=True,
            )
        return self._pools[server]

    @property
    def states(self) -> Iterable[tuple[str, PoolState]]:
        """How it goes with each server, with the environment or the listener that it is for."""
        for key, pool in self._pools.items():
            yield key.listener if isinstance(key, SASServer) else key.environment, pool.state

    def follow(self, limits: Limits) -> None:
        """Take up other limits, for connections to come."""
        self._limits = limits
        for pool in self._pools.values():
            pool.connect_time = limits.connect
            pool.head_limits = self._head_limits

    @property
    def _head_limits(self) -> HeadLimits:
        return HeadLimits(self._limits.head_size * 4, self._limits.head_fields * 2)

    def keep_only(self, wanted: Iterable[Server]) -> None:
        """Close the pools of all others; exchanges under way end, and no other follows."""
        for key in self._pools.keys() - set(wanted):
            self._pools.pop(key).close()

    def _new_pool(
        self, name: str, authority: str, endpoint: IStreamClientEndpoint, *, secure: bool
    ) -> Pool:
        return Pool(
            name,
            authority,
            endpoint,
            self._deadlines,
            self._head_limits,
            connect_time=self._limits.connect,
            secure=secure,
        )

    def _endpoint(self, backend: Backend, context: SSL.Context | None) -> IStreamClientEndpoint:
        timeout = self._limits.connect
        if backend.scheme == "unix":
            return UNIXClientEndpoint(self._reactor, backend.path, timeout)
        plain = self._tcp(backend, timeout)
        if context is None:
            return plain
        return OverTLS(plain, VerifiedServer(context, backend.host))

    def _tcp(self, backend: Backend, timeout: float) -> IStreamClientEndpoint:
        address = parse_peer(backend.host)
        if address is None:
            return HostnameEndpoint(self._reactor, backend.host, backend.port, timeout)
        endpoint = TCP4ClientEndpoint if address.version == 4 else TCP6ClientEndpoint
        return endpoint(self._reactor, str(address), backend.port, timeout)

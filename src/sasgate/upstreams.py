"""The live pools, one a server, found by their settings; they survive where those do."""

from collections.abc import Iterable
from typing import Any

from OpenSSL import SSL
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint

from sasgate.addresses import parse_peer
from sasgate.deadlines import Deadlines
from sasgate.http1 import HeadLimits
from sasgate.pool import Pool
from sasgate.settings import Backend, Limits
from sasgate.upstream_tls import VerifiedServer


class Upstreams:
    """Pools by environment and `Backend`; a pool is made when it is first asked for.

    Callers of different environments never share a connection: whatever a server leaves on one
    reaches nobody else's caller (S45).
    """

    def __init__(self, reactor: Any, deadlines: Deadlines, limits: Limits) -> None:
        self._reactor = reactor
        self._deadlines = deadlines
        self._limits = limits
        self._pools: dict[tuple[str, Backend], Pool] = {}

    def pool(self, environment: str, backend: Backend, context: SSL.Context | None) -> Pool:
        """The pool of an environment's server; `context` is for one that is reached by TLS."""
        key = environment, backend
        if key not in self._pools:
            self._pools[key] = Pool(
                str(backend),
                backend.authority,
                self._endpoint(backend, context),
                self._deadlines,
                HeadLimits(self._limits.head_size * 4, self._limits.head_fields * 2),
                connect_time=self._limits.connect,
                secure=context is not None,
            )
        return self._pools[key]

    def keep_only(self, wanted: Iterable[tuple[str, Backend]]) -> None:
        """Close the pools of all other environments and servers."""
        for key in self._pools.keys() - set(wanted):
            self._pools.pop(key).close()

    def _endpoint(self, backend: Backend, context: SSL.Context | None) -> IStreamClientEndpoint:
        timeout = self._limits.connect
        if backend.scheme == "unix":
            return UNIXClientEndpoint(self._reactor, backend.path, timeout)
        plain = self._tcp(backend, timeout)
        if context is None:
            return plain
        secure: IStreamClientEndpoint = wrapClientTLS(VerifiedServer(context, backend.host), plain)
        return secure

    def _tcp(self, backend: Backend, timeout: float) -> IStreamClientEndpoint:
        address = parse_peer(backend.host)
        if address is None:
            return HostnameEndpoint(self._reactor, backend.host, backend.port, timeout)
        endpoint = TCP4ClientEndpoint if address.version == 4 else TCP6ClientEndpoint
        return endpoint(self._reactor, str(address), backend.port, timeout)

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
    """Pools by `Backend`; a pool is made when it is first asked for."""

    def __init__(self, reactor: Any, deadlines: Deadlines, limits: Limits) -> None:
        self._reactor = reactor
        self._deadlines = deadlines
        self._limits = limits
        self._pools: dict[Backend, Pool] = {}

    def pool(self, backend: Backend, context: SSL.Context | None) -> Pool:
        """The pool of a server; `context` is for one that is reached by TLS."""
        if backend not in self._pools:
            self._pools[backend] = Pool(
                str(backend),
                backend.authority,
                self._endpoint(backend, context),
                self._deadlines,
                HeadLimits(self._limits.head_size * 4, self._limits.head_fields * 2),
                connect_time=self._limits.connect,
                secure=context is not None,
            )
        return self._pools[backend]

    def keep_only(self, backends: Iterable[Backend]) -> None:
        """Close the pools of all other servers."""
        for backend in self._pools.keys() - set(backends):
            self._pools.pop(backend).close()

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

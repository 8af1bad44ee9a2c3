"""Whether backends answer: a light look, kept for a second, never one a request."""

from typing import Any
from weakref import WeakKeyDictionary

from attrs import frozen
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from sasgate.pool import Balancer, OneConnection, Pool


_KEPT = 1.0


@frozen
class _Look:
    at: float
    alive: Deferred[bool]


class Health:
    """Looks at servers; all who ask within a second share one look.

    `check` is None for a mere connect, else the path whose answer must be 2xx; `timeout` in
    seconds bounds either.
    """

    _log = Logger()

    def __init__(self, reactor: Any, check: str | None, timeout: float) -> None:
        self._reactor = reactor
        self._check = check
        self._timeout = timeout
        # Weakly: a server that a reload has taken away is forgotten with its pool.
        self._looks: WeakKeyDictionary[Pool, _Look] = WeakKeyDictionary()

    async def available(self, balancers: tuple[Balancer, ...]) -> bool:
        """Whether each of these routes has a server that answers."""
        pools = {pool for balancer in balancers for pool in balancer.pools}
        alive = dict(
            zip(pools, await gatherResults([self._alive(pool) for pool in pools]), strict=True)
        )
        return bool(balancers) and all(
            any(alive[pool] for pool in balancer.pools) for balancer in balancers
        )

    def _alive(self, pool: Pool) -> Deferred[bool]:
        now = self._reactor.seconds()
        look = self._looks.get(pool)
        if look is None or (look.alive.called and now - look.at >= _KEPT):
            look = _Look(now, Deferred.fromCoroutine(self._look(pool)))
            self._looks[pool] = look
        shared: Deferred[bool] = Deferred()

        def tell(alive: bool) -> bool:
            shared.callback(alive)
            return alive

        look.alive.addCallback(tell)
        return shared

    async def _look(self, pool: Pool) -> bool:
        try:
            if self._check is None:
                return await self._connects(pool)
            return await self._answers(pool, self._check)
        except Exception as error:
            self._log.debug("{server} is not available: {reason}", server=pool.name, reason=error)
            return False

    async def _connects(self, pool: Pool) -> bool:
        visit = _Visit(secure=pool.secure)
        connecting = pool.endpoint.connect(OneConnection(visit))
        await connecting.addTimeout(self._timeout, self._reactor)
        try:
            await visit.reached.addTimeout(self._timeout, self._reactor)
        finally:
            visit.leave(self._timeout, self._reactor)
        return True

    async def _answers(self, pool: Pool, path: str) -> bool:
        agent = Agent.usingEndpointFactory(self._reactor, _Fixed(pool.endpoint))
        response = await HTTPClient(agent).get(
            f"http://{pool.authority}{path}",
            timeout=self._timeout,
            reactor=self._reactor,
            allow_redirects=False,
            unbuffered=True,
        )
        response.deliverBody(_Hangup())
        return bool(200 <= response.code < 300)


@implementer(IHandshakeListener)
class _Visit(Protocol):
    """Says nothing; `reached` fires once a server is there and, with TLS, proved who it is."""

    transport: Any

    def __init__(self, *, secure: bool) -> None:
        self.reached: Deferred[None] = Deferred()
        self._gone: Deferred[None] = Deferred()
        self._secure = secure

    def connectionMade(self) -> None:
        """All is known where there is no TLS."""
        if not self._secure:
            self.reached.callback(None)

    def handshakeCompleted(self) -> None:
        """Named by Twisted."""
        if not self.reached.called:
            self.reached.callback(None)

    def leave(self, timeout: float, clock: IReactorTime) -> None:
        """Close; a server that does not close its side of TLS has `timeout` seconds for it."""
        self.transport.loseConnection()
        self._gone.addTimeout(timeout, clock).addErrback(self._drop)

    def _drop(self, failure: Failure) -> None:
        del failure
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """Nobody is there, or not the right server."""
        if not self.reached.called:
            self.reached.errback(reason)
        if not self._gone.called:
            self._gone.callback(None)


class _Hangup(Protocol):
    """Takes no body: the head said enough, and the body may have no end."""

    transport: Any

    def connectionMade(self) -> None:
        """Close."""
        self.transport.loseConnection()


@implementer(IAgentEndpointFactory)
class _Fixed:
    """Whatever the URL says, the connection goes to the server that is looked at."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: object) -> IStreamClientEndpoint:
        """The one endpoint; named by Twisted."""
        del uri
        return self._endpoint

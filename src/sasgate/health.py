"""Whether backends answer: a light look, kept for a second, never one a request."""

from typing import Any

from attrs import frozen
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
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
        self._looks: dict[Pool, _Look] = {}

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
        protocol: Any = Protocol()
        connecting = pool.endpoint.connect(OneConnection(protocol))
        await connecting.addTimeout(self._timeout, self._reactor)
        protocol.transport.loseConnection()
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

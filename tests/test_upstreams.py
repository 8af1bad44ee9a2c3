"""The live pools: one an environment and server, made once, closed when nobody wants them."""

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from sasgate.deadlines import Deadlines
from sasgate.settings import Backend, Limits
from sasgate.upstream_tls import client_context
from sasgate.upstreams import BackendServer, Upstreams


HTTP = Backend("http", "127.0.0.1", 8080, "")


class Held:
    """Upstreams on a reactor that only records what it is asked for."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.upstreams = Upstreams(self.reactor, Deadlines(self.reactor), Limits(connect=3.0))

    def connect(self, backend: Backend) -> None:
        context = client_context(None) if backend.scheme == "https" else None
        pool = self.upstreams.pool(BackendServer("recette", backend), context)
        Deferred.fromCoroutine(pool.connect()).addErrback(lambda _: None)


class TestPools:
    def test_a_pool_is_made_once(self) -> None:
        upstreams = Held().upstreams
        assert upstreams.pool(BackendServer("recette", HTTP), None) is upstreams.pool(
            BackendServer("recette", HTTP), None
        )

    @pytest.mark.parametrize(
        ("environment", "backend"),
        [
            ("preproduction", HTTP),
            ("recette", Backend("http", "127.0.0.1", 8081, "")),
            ("recette", Backend("https", "127.0.0.1", 8080, "")),
            ("recette", Backend("http", "127.0.0.1", 8080, "", Path("roots.pem"))),
        ],
    )
    def test_another_environment_or_server_has_its_own(
        self, environment: str, backend: Backend
    ) -> None:
        upstreams = Held().upstreams
        assert upstreams.pool(BackendServer("recette", HTTP), None) is not upstreams.pool(
            BackendServer(environment, backend), None
        )

    def test_other_cas_have_their_own(self) -> None:
        """A connection that was verified by the old ones is not used once they are replaced."""
        upstreams, context = Held().upstreams, client_context(None)
        backend = Backend("https", "127.0.0.1", 8443, "")
        pools = {
            upstreams.pool(BackendServer("recette", backend, each), context) for each in ("a", "b")
        }
        assert len(pools) == 2

    def test_those_that_are_wanted_no_longer_are_made_anew(self) -> None:
        upstreams = Held().upstreams
        kept, gone = (
            upstreams.pool(BackendServer(each, HTTP), None) for each in ("recette", "preproduction")
        )
        upstreams.keep_only([BackendServer("recette", HTTP)])
        assert upstreams.pool(BackendServer("recette", HTTP), None) is kept
        assert upstreams.pool(BackendServer("preproduction", HTTP), None) is not gone

    def test_answers_may_have_larger_heads_than_requests(self) -> None:
        limits = Held().upstreams.pool(BackendServer("recette", HTTP), None).head_limits
        assert (limits.size, limits.fields) == (64 * 1024, 200)


class TestEndpoints:
    @pytest.mark.parametrize(
        ("host", "connected"),
        [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("0:0:0:0:0:0:0:1", "::1")],
    )
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_an_address_is_connected_to_as_it_is(
        self, scheme: str, host: str, connected: str
    ) -> None:
        held = Held()
        held.connect(Backend(scheme, host, 8080, ""))
        ((address, port, _, timeout, _),) = held.reactor.tcpClients
        assert (address, port, timeout) == (connected, 8080, 3.0)

    def test_a_unix_socket_is_connected_to_by_its_path(self) -> None:
        held = Held()
        held.connect(Backend("unix", "", 0, "/run/backend.sock"))
        ((path, _, timeout, _),) = held.reactor.unixClients
        assert (path, timeout) == ("/run/backend.sock", 3.0)

    def test_only_https_waits_for_a_handshake(self) -> None:
        upstreams = Held().upstreams
        secure = Backend("https", "127.0.0.1", 8443, "")
        assert upstreams.pool(BackendServer("recette", secure), client_context(None)).secure
        assert not upstreams.pool(BackendServer("recette", HTTP), None).secure

"""Whether backends answer: a light look, shared by all who ask within a second."""

import gc
from weakref import ref

import pytest
from twisted.internet.defer import Deferred

from pooled import Pooled
from sasgate.health import Health
from sasgate.pool import Balancer, Pool
from wires import pass_time


pytestmark = pytest.mark.usefixtures("no_failure_logged")

DEAD = ConnectionRefusedError("dead")


class Looked:
    """Health of some servers, each of them alone on a route unless said otherwise."""

    def __init__(self, number: int = 1, check: str | None = None, *, secure: bool = False) -> None:
        self.pooled = [Pooled(secure=secure) for _ in range(number)]
        self.clock = self.pooled[0].clock
        self.servers = [each.server for each in self.pooled]
        self.health = Health(self.clock, check, 3.0)
        self.routes = tuple(Balancer([each.pool]) for each in self.pooled)
        self.one_route = (Balancer([each.pool for each in self.pooled]),)

    def ask(self, routes: tuple[Balancer, ...] | None = None) -> list[bool]:
        """What is said, once it is."""
        said: list[bool] = []
        routes = self.routes if routes is None else routes
        Deferred.fromCoroutine(self.health.available(routes)).addCallback(said.append)
        return said

    def pass_time(self, seconds: float) -> None:
        pass_time(self.clock, seconds)

    @property
    def attempts(self) -> list[int]:
        return [server.attempts for server in self.servers]


class TestRoutes:
    def test_a_server_that_takes_a_connection_is_available(self) -> None:
        assert Looked().ask() == [True]

    def test_one_that_does_not_is_not(self) -> None:
        looked = Looked()
        looked.servers[0].refuses = DEAD
        assert looked.ask() == [False]

    def test_every_route_needs_a_server(self) -> None:
        looked = Looked(3)
        looked.servers[1].refuses = DEAD
        assert looked.ask() == [False]

    def test_one_server_of_a_route_is_enough(self) -> None:
        looked = Looked(3)
        looked.servers[0].refuses = looked.servers[2].refuses = DEAD
        assert looked.ask(looked.one_route) == [True]

    def test_a_route_whose_servers_are_all_dead_is_not_available(self) -> None:
        looked = Looked(2)
        for server in looked.servers:
            server.refuses = DEAD
        assert looked.ask(looked.one_route) == [False]

    def test_no_route_at_all_is_not_available(self) -> None:
        assert Looked().ask(()) == [False]

    def test_a_server_of_several_routes_is_looked_at_once(self) -> None:
        looked = Looked()
        assert looked.ask((*looked.routes, *looked.one_route)) == [True]
        assert looked.attempts == [1]


class TestSharing:
    """Never one look a request."""

    def test_a_look_is_kept_for_a_second(self) -> None:
        looked = Looked()
        for _ in range(100):
            assert looked.ask() == [True]
        looked.pass_time(0.9)
        assert looked.ask() == [True]
        assert looked.attempts == [1]

    def test_and_no_longer(self) -> None:
        looked = Looked()
        looked.ask()
        looked.servers[0].refuses = DEAD
        looked.pass_time(1)
        assert looked.ask() == [False]
        assert looked.attempts == [2]

    def test_bad_news_is_kept_no_longer_either(self) -> None:
        looked = Looked()
        looked.servers[0].refuses = DEAD
        looked.ask()
        looked.servers[0].refuses = None
        assert looked.ask() == [False]
        looked.pass_time(1)
        assert looked.ask() == [True]

    def test_all_who_ask_during_a_look_share_it(self) -> None:
        looked = Looked()
        looked.servers[0].mute = True
        said = [looked.ask() for _ in range(10)]
        looked.pass_time(1.5)
        said.append(looked.ask())
        looked.servers[0].answer()
        assert said == [[True]] * 11
        assert looked.attempts == [1]

    def test_nobody_is_given_the_answer_of_another_servers_look(self) -> None:
        looked = Looked(2)
        looked.servers[1].refuses = DEAD
        assert looked.ask(looked.routes[:1]) == [True]
        assert looked.ask(looked.routes[1:]) == [False]


class TestConnecting:
    def test_the_connection_is_closed_again_and_nothing_sent(self) -> None:
        looked = Looked()
        looked.ask()
        wire = looked.servers[0].wire
        assert wire.closing
        assert wire.take() == b""

    def test_a_server_that_does_not_answer_is_not_available(self) -> None:
        looked = Looked()
        looked.servers[0].mute = True
        said = looked.ask()
        looked.pass_time(2.9)
        assert said == []
        looked.pass_time(0.1)
        assert said == [False]

    def test_a_look_does_not_count_as_a_try_of_the_pool(self) -> None:
        looked = Looked()
        looked.servers[0].refuses = DEAD
        looked.ask()
        assert looked.pooled[0].pool.available()


class TestSecureServers:
    """S52: one that every request would refuse is not available."""

    def test_a_server_is_available_once_it_is_verified(self) -> None:
        looked = Looked(secure=True)
        said = looked.ask()
        assert said == []
        looked.servers[0].wire.protocol.handshakeCompleted()
        assert said == [True]
        assert looked.servers[0].open == []

    def test_one_that_fails_in_its_handshake_is_not(self) -> None:
        looked = Looked(secure=True)
        said = looked.ask()
        looked.servers[0].wire.lose(OSError("certificate verify failed"))
        assert said == [False]

    def test_nor_is_one_that_does_not_finish_it(self) -> None:
        looked = Looked(secure=True)
        said = looked.ask()
        looked.pass_time(3)
        assert said == [False]
        assert looked.servers[0].open == []

    def test_one_that_does_not_close_its_side_is_dropped(self) -> None:
        looked = Looked(secure=True)
        looked.ask()
        looked.servers[0].wire.protocol.handshakeCompleted()
        looked.pass_time(3)
        assert looked.servers[0].wire.lost


class TestAsking:
    """`check = GET /path`: an answer of 2xx is available."""

    def asked(self) -> tuple[Looked, list[bool]]:
        looked = Looked(check="/health?deep=1")
        return looked, looked.ask()

    def test_the_path_is_asked_for(self) -> None:
        looked, _ = self.asked()
        raw = looked.servers[0].wire.take()
        assert raw.startswith(b"GET /health?deep=1 HTTP/1.1\r\n")
        assert b"\r\nHost: a\r\n" in raw

    @pytest.mark.parametrize("status", [200, 204, 299])
    def test_2xx_is_available(self, status: int) -> None:
        looked, said = self.asked()
        looked.servers[0].wire.send(b"HTTP/1.1 %d a\r\nContent-Length: 0\r\n\r\n" % status)
        assert said == [True]

    @pytest.mark.parametrize("status", [300, 301, 304, 400, 401, 404, 500, 503])
    def test_all_else_is_not(self, status: int) -> None:
        looked, said = self.asked()
        looked.servers[0].wire.send(
            b"HTTP/1.1 %d a\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n" % status
        )
        assert said == [False]
        assert looked.attempts == [1]

    def test_an_answer_that_is_no_http_is_not(self) -> None:
        looked, said = self.asked()
        looked.servers[0].wire.send(b"SSH-2.0-OpenSSH_9.2\r\n")
        assert said == [False]

    def test_a_close_is_not(self) -> None:
        looked, said = self.asked()
        looked.servers[0].wire.close()
        assert said == [False]

    def test_no_answer_in_time_is_not_and_the_connection_is_given_up(self) -> None:
        looked, said = self.asked()
        looked.pass_time(3)
        assert said == [False]
        assert looked.servers[0].open == []

    @pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
                                      b"HTTP/1.1 200 OK\r\n\r\n"])  # fmt: skip
    def test_a_body_without_end_leaves_no_connection_behind(self, head: bytes) -> None:
        looked, _ = self.asked()
        looked.servers[0].wire.send(head + b"up")
        looked.pass_time(10)
        assert looked.servers[0].open == []


def test_s56_a_server_that_a_reload_has_taken_away_is_forgotten() -> None:
    looked, gone = Looked(), Pooled()
    pool: ref[Pool] = ref(gone.pool)
    assert looked.ask((*looked.routes, Balancer([gone.pool]))) == [True]
    del gone
    gc.collect()
    assert pool() is None

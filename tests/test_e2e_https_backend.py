"""Backends that are reached by TLS: only the server of that name, or no byte to it (S52)."""

import contextlib
import hashlib
import signal
import ssl
import threading
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from gateways import gateway, resident
from raw_backend import Peer, RawBackend, echo
from raw_client import PATIENCE, Caller, request
from sasgate.lab.pki import Lab


MIB = 1 << 20


def tls(lab: Lab, server: str, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*lab.server_paths(server))
    if version is not None:
        context.maximum_version = context.minimum_version = version
        if version < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def inbound(lab: Lab, backend: RawBackend, host: str = "localhost") -> dict[str, object]:
    return {
        "backend": f"https://{host}:{backend.port}",
        "backend_roots": lab.public_root,
    }


def mute(peer: Peer) -> None:
    """Take all and say nothing."""
    with contextlib.suppress(ConnectionError):
        while peer.some():
            pass


class TestGood:
    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls, lab: Lab) -> Iterator[RawBackend]:
        with RawBackend(tls=tls(lab, "server")) as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def caller(
        cls, lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Caller]:
        folder = tmp_path_factory.mktemp("gateway")
        with gateway(lab, folder, inbound(lab, backend)) as process:
            yield Caller(lab, process.port())

    @pytest.fixture(autouse=True)
    def _afresh(self, backend: RawBackend) -> Iterator[None]:
        backend.follows(echo)
        yield
        assert backend.faults == []

    def test_requests_pass_and_share_a_connection(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        for number in range(5):
            assert caller.get(f"/{number}").body == b"/%d" % number
        assert backend.accepted == 1
        assert backend.requests[0].values("X-SSL-Client-Verify") == ["SUCCESS"]

    def test_large_bodies_pass_both_ways(self, caller: Caller, backend: RawBackend) -> None:
        body = b"0123456789abcdef" * (MIB // 2)

        def script(peer: Peer) -> None:
            while (seen := peer.request()) is not None:
                peer.answer(seen.body)

        backend.follows(script)
        answer = caller.ask(request("PUT", "/", body=body))
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()

    def test_a_connection_that_the_server_closed_meanwhile_is_not_used(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        for number in range(5):
            assert caller.ask(request("POST", f"/{number}", body=b"x")).status == 200
            backend.drop()
        assert [seen.target for seen in backend.requests] == [f"/{each}" for each in range(5)]

    def test_a_connection_that_the_server_closed_in_order_is_not_used(
        self, caller: Caller, backend: RawBackend
    ) -> None:
        """By TLS's own end alone: TCP stays open."""
        told = threading.Event()

        def script(peer: Peer) -> None:
            peer.request()
            peer.answer(b"last")
            peer.end_tls()
            told.set()
            peer.ended()

        backend.follows(script)
        for _ in range(3):
            told.clear()
            assert caller.get("/").body == b"last"
            assert told.wait(PATIENCE)

    @pytest.mark.parametrize("in_order", [True, False])
    def test_s45_a_body_until_close_ends_by_tls_alone(
        self, caller: Caller, backend: RawBackend, in_order: bool
    ) -> None:
        def script(peer: Peer) -> None:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
            if in_order:
                peer.end_tls()

        backend.follows(script)
        with caller.wire() as wire:
            wire.send(request("GET", "/"))
            if in_order:
                assert wire.answer().body == b"hello"
            else:
                with pytest.raises((OSError, HTTPException)):
                    wire.answer()

    def test_s48_a_slow_reader_stops_the_read_from_the_backend(
        self, lab: Lab, tmp_path: Path, backend: RawBackend
    ) -> None:
        size = 256 * MIB
        taken: list[int] = []
        stuck = threading.Event()

        def script(peer: Peer) -> None:
            if peer.request() is None:
                return
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            taken.append(peer.sent_until_stuck(bytes(65536), size))
            stuck.set()

        with gateway(lab, tmp_path, inbound(lab, backend)) as process:
            caller = Caller(lab, process.port())
            caller.get("/")
            before = resident(process)
            backend.follows(script)
            with caller.wire() as wire:
                wire.send(request("GET", "/"))
                assert stuck.wait(PATIENCE)
                assert taken[0] < 64 * MIB
                assert resident(process) - before < 40 * MIB

    def test_the_address_may_stand_for_the_name(
        self, lab: Lab, tmp_path: Path, backend: RawBackend
    ) -> None:
        with gateway(lab, tmp_path, inbound(lab, backend, "127.0.0.1")) as process:
            assert Caller(lab, process.port()).get("/a").body == b"/a"

    def test_check_looks_at_it(self, caller: Caller, backend: RawBackend) -> None:
        assert caller.get("/check").json == {"status": "available"}
        assert backend.requests == []


def test_a_ca_that_is_taken_away_vouches_for_no_connection_after_a_reload(
    lab: Lab, tmp_path: Path
) -> None:
    """S52: the same file with other CAs in it; nor is a connection used that is kept."""
    roots = tmp_path / "roots.pem"
    roots.write_bytes(lab.public_root.read_bytes())
    with RawBackend(tls=tls(lab, "server")) as backend:
        settings = {**inbound(lab, backend), "backend_roots": roots}
        with gateway(lab, tmp_path, settings) as process:
            caller = Caller(lab, process.port())
            assert caller.get("/before").status == 200
            roots.write_bytes(lab.ca_path("ACR-EL-TEST").read_bytes())
            process.send_signal(signal.SIGHUP)
            process.wait_for("reloaded ")
            assert caller.get("/after").status == 502
        assert [seen.target for seen in backend.requests] == ["/before"]


class TestBad:
    """502, no byte of HTTP to whoever it is, and a check that says so."""

    def assert_refused(self, lab: Lab, folder: Path, server: RawBackend, **changes: object) -> None:
        settings = {**inbound(lab, server), **changes}
        with gateway(lab, folder, settings) as process:
            caller = Caller(lab, process.port())
            answer = caller.get("/")
            assert (answer.status, answer.json) == (502, {"status": "KO: backend failed"})
            assert caller.ask(request("POST", "/", body=b"x")).status == 502
            assert caller.get("/check").status == 503
            process.wait_for("cannot be reached")
            assert "Traceback" not in process.log
        assert server.requests == []
        assert server.faults == []

    @pytest.mark.parametrize("server", ["expired", "no-san", "other-name", "client-auth"])
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_s52_another_certificate(
        self, lab: Lab, tmp_path: Path, server: str, version: ssl.TLSVersion
    ) -> None:
        with RawBackend(tls=tls(lab, server, version)) as backend:
            self.assert_refused(lab, tmp_path, backend)

    @pytest.mark.parametrize("server", ["no-san", "other-name", "client-auth"])
    def test_s52_another_certificate_for_an_address(
        self, lab: Lab, tmp_path: Path, server: str
    ) -> None:
        with RawBackend(tls=tls(lab, server)) as backend:
            self.assert_refused(lab, tmp_path, backend, backend=backend.url)

    def test_s52_another_root(self, lab: Lab, tmp_path: Path) -> None:
        other = lab.ca_path("ACR-EL-TEST")
        with RawBackend(tls=tls(lab, "server")) as backend:
            self.assert_refused(lab, tmp_path, backend, backend_roots=other)

    def test_s52_the_systems_roots_do_not_know_it(self, lab: Lab, tmp_path: Path) -> None:
        with RawBackend(tls=tls(lab, "server")) as backend:
            url = f"https://localhost:{backend.port}"
            with gateway(lab, tmp_path, {"backend": url}) as process:
                assert Caller(lab, process.port()).get("/").status == 502
            assert backend.requests == []

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
    def test_s52_an_older_version(self, lab: Lab, tmp_path: Path) -> None:
        with RawBackend(tls=tls(lab, "server", ssl.TLSVersion.TLSv1_1)) as backend:
            self.assert_refused(lab, tmp_path, backend)

    def test_s52_no_tls_at_all(self, lab: Lab, tmp_path: Path) -> None:
        with RawBackend(lambda peer: peer.send(b"HTTP/1.1 200 OK\r\n\r\n")) as backend:
            self.assert_refused(lab, tmp_path, backend)

    def test_s52_a_server_that_hangs_in_the_handshake(self, lab: Lab, tmp_path: Path) -> None:
        left = threading.Semaphore(0)

        def script(peer: Peer) -> None:
            mute(peer)
            left.release()

        limits = {"connect": "500 ms", "answer": "2 s"}
        with (
            RawBackend(script) as backend,
            gateway(lab, tmp_path, inbound(lab, backend), limits=limits) as process,
        ):
            caller = Caller(lab, process.port())
            answer = caller.get("/")
            assert (answer.status, answer.json) == (504, {"status": "KO: backend too late"})
            assert left.acquire(timeout=PATIENCE)
            assert caller.get("/check").status == 503
            assert left.acquire(timeout=PATIENCE)

    def test_the_next_server_is_asked_where_one_hangs_in_its_handshake(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        with RawBackend(mute) as deaf, RawBackend(tls=tls(lab, "server")) as good:
            urls = f"https://localhost:{deaf.port} https://localhost:{good.port}"
            settings = {**inbound(lab, good), "backend": urls}
            with gateway(lab, tmp_path, settings, limits={"connect": "500 ms"}) as process:
                caller = Caller(lab, process.port())
                for _ in range(4):
                    assert caller.ask(request("POST", "/a", body=b"x")).body == b"/a"

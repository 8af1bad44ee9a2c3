"""A revoked client of a real twistd: refused on every new connection, and cut on those it has.

That something happens at once is shown by its place in the log, and not by a clock: the
connection is cut before the list is said to be in force, and before the reload is said to be done.
"""

import re
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field, frozen

from calling import TLS_1_2, TLS_1_3, VERSIONS, connected, raw
from openssl import curl, s_client
from openssl_ca import OpenSSLCA
from raw_backend import Peer, RawBackend
from raw_client import Wire, request
from revoking_processes import (
    ADMITTED,
    GET,
    OURS,
    REVOKED,
    TEST_CAS,
    Door,
    Gateway,
    PublisherProcess,
    gateway_on,
    write_configuration,
)
from sasgate.identity import Identity
from sasgate.lab import trees
from sasgate.lab.lists import sign_list
from sasgate.lab.pki import Lab
from sasgate.lab.switches import ListMode
from sasgate.lab.tls_stream import TLSStream


CUT = r"audit#\w+\] cut FAILED:revoked .* serial={serial} "
IN_FORCE = r"list \d+ of .*ORGANISATIONS.* is in force"


@define(eq=False)
class Server:
    """A backend that answers `/held` when told to, and `/cut` never."""

    released: threading.Event = field(factory=threading.Event)
    cut: threading.Event = field(factory=threading.Event)

    def __call__(self, peer: Peer) -> None:
        while (seen := peer.request()) is not None:
            if seen.target == "/cut":
                if peer.ended():
                    self.cut.set()
                return
            if seen.target == "/held":
                assert self.released.wait(30)
            peer.answer()


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend(Server()) as server:
        yield server


@pytest.fixture(scope="module")
def publisher(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublisherProcess]:
    with PublisherProcess(lab, tmp_path_factory.mktemp("publisher")) as process:
        yield process


@pytest.fixture(scope="module")
def by_url(
    lab: Lab,
    backend: RawBackend,
    publisher: PublisherProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """A gateway that fetches its lists from the publisher."""
    ini = write_configuration(
        lab,
        tmp_path_factory.mktemp("by-url"),
        backend.url,
        {"test": Door({"crl": publisher.lists()})},
        revocation={"mode": "crl"},
        # Nothing but a cut ends an exchange before the server's or the test's patience does.
        limits={"answer": "2m"},
    )
    with gateway_on(ini, lab) as gateway:
        gateway.refresh()
        yield gateway


@define
class Office:
    """A CA's own desk: OpenSSL makes the list that the gateway reads from a file."""

    ca: OpenSSLCA
    path: Path

    def publish(self) -> None:
        self.path.write_bytes(self.ca.list(pem=True))

    def revoke(self, client: str) -> None:
        self.ca.revoke(client)
        self.publish()


@pytest.fixture(scope="module")
def office(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Office:
    folder = tmp_path_factory.mktemp("office")
    office = Office(OpenSSLCA(lab, folder), folder / "published.pem")
    office.publish()
    return office


@pytest.fixture(scope="module")
def by_file(
    lab: Lab, backend: RawBackend, office: Office, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that reads OpenSSL's list from a file, which is rewritten."""
    folder = tmp_path_factory.mktemp("by-file")
    root = folder / "root.crl"
    root.write_bytes(sign_list(lab.authorities[trees.ROOT_TEST]))
    ini = write_configuration(
        lab,
        folder,
        backend.url,
        {"test": Door({"crl": f"{root} {office.path}"})},
        revocation={"mode": "crl"},
    )
    with gateway_on(ini, lab) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def unrevoked() -> Iterator[str]:
    """Clients that no test has revoked yet."""
    return iter(OURS)


def serial(lab: Lab, client: str) -> str:
    return Identity.read(lab.clients[client].certificate).serial


class Offering:
    """A client's context that offers a session."""

    def __init__(self, context: ssl.SSLContext, session: ssl.SSLSession | None) -> None:
        self._context = context
        self._session = session

    def wrap_bio(self, *bios: ssl.MemoryBIO, **more: Any) -> ssl.SSLObject:
        return self._context.wrap_bio(*bios, session=self._session, **more)


@frozen
class Source:
    """A gateway, and how a client is put on the list that it looks at."""

    gateway: Gateway
    revoke: Callable[[str], object]


@frozen
class Client:
    """A client with what it had before it was revoked; `other` is an innocent one's connection."""

    gateway: Gateway
    name: str
    context: ssl.SSLContext
    session: ssl.SSLSession | None
    saved: Path
    live: Wire
    other: Wire


def call(
    gateway: Gateway, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[int, bytes, TLSStream]:
    """One call that offers a session; the stream tells what became of it."""
    offering: Any = Offering(context, session)
    port = gateway.process.port("inbound:test")
    with TLSStream(connected(port), offering, "localhost") as stream:
        status, received = raw(stream, request("GET", "/again", "Connection: close"))
        return status, received, stream


class TestRevokedClient:
    """S14: what a list refuses that came after the client was admitted."""

    @pytest.fixture(scope="class", params=["fetched", "by-openssl"])
    @classmethod
    def source(
        cls,
        request: pytest.FixtureRequest,
        by_url: Gateway,
        by_file: Gateway,
        publisher: PublisherProcess,
        office: Office,
    ) -> Source:
        if request.param == "fetched":
            return Source(by_url, publisher.board.revoke)
        return Source(by_file, office.revoke)

    @pytest.fixture(scope="class", params=VERSIONS, ids=lambda version: version.name)
    @classmethod
    def client(
        cls,
        request: pytest.FixtureRequest,
        lab: Lab,
        source: Source,
        unrevoked: Iterator[str],
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Client]:
        gateway, version, name = source.gateway, request.param, next(unrevoked)
        context = ssl.create_default_context(cafile=lab.public_root)
        context.load_cert_chain(lab.path_of(name))
        context.minimum_version = context.maximum_version = version
        saved = tmp_path_factory.mktemp("saved") / "session.pem"
        option = {TLS_1_2: "-tls1_2", TLS_1_3: "-tls1_3"}[version]
        port = gateway.process.port("inbound:test")
        assert "HTTP/1.1 200" in s_client(lab, port, option, "-sess_out", saved, client=name)
        with (
            gateway.caller(name).wire(version) as live,
            gateway.caller().wire(version) as other,
        ):
            assert live.ask(GET).status == other.ask(GET).status == 200
            session = call(gateway, context)[2].tls.session
            source.revoke(name)
            gateway.refresh()
            yield Client(gateway, name, context, session, saved, live, other)

    def test_s14_its_live_connection_has_ended(self, client: Client) -> None:
        assert client.live.ended()

    def test_s14_a_new_handshake_is_refused(self, client: Client, backend: RawBackend) -> None:
        before = len(backend.requests)
        status, received, _ = call(client.gateway, client.context)
        assert status == 401
        assert b'"FAILED:revoked"' in received
        assert len(backend.requests) == before

    def test_s14_a_saved_session_is_not_resumed(self, client: Client) -> None:
        status, received, stream = call(client.gateway, client.context, client.session)
        assert stream.tls.session_reused is False
        assert status == 401
        assert b'"FAILED:revoked"' in received

    def test_s14_openssl_does_not_come_back_with_what_it_saved(
        self, lab: Lab, client: Client
    ) -> None:
        """Of 1.2 there was nothing to save."""
        resuming = ("-sess_in", client.saved) if client.saved.exists() else ()
        version = client.context.maximum_version
        assert bool(resuming) is (version is TLS_1_3)
        option = {TLS_1_2: "-tls1_2", TLS_1_3: "-tls1_3"}[version]
        port = client.gateway.process.port("inbound:test")
        said = s_client(lab, port, option, *resuming, client=client.name)
        assert re.findall(r"^(New|Reused), ", said, re.MULTILINE) == ["New"]
        assert '"FAILED:revoked"' in said

    def test_s14_curl_is_refused(self, lab: Lab, client: Client) -> None:
        port = client.gateway.process.port("inbound:test")
        said = curl(lab, f"https://localhost:{port}/again", client=client.name)
        assert said.startswith("HTTP/1.1 401 ")
        assert '"FAILED:revoked"' in said

    def test_s15_another_client_goes_on_on_the_same_connection(self, client: Client) -> None:
        assert client.other.ask(GET).status == 200


@frozen
class Cut:
    """What became of two exchanges under way when the client of one was revoked."""

    live: Wire
    answer: int
    server_left: bool
    lines: list[str]
    serial: str

    def line(self, pattern: str) -> int:
        """The number of the only line that holds a pattern."""
        (found,) = (i for i, line in enumerate(self.lines) if re.search(pattern, line))
        return found


class TestExchangeUnderWay:
    """S15: revoked by a list, or denied by a reload, while its server works on an answer."""

    @pytest.fixture(scope="class", params=["list", "deny"])
    @classmethod
    def cut(
        cls,
        request: pytest.FixtureRequest,
        by_url: Gateway,
        backend: RawBackend,
        publisher: PublisherProcess,
        unrevoked: Iterator[str],
    ) -> Iterator[Cut]:
        name, server, ini = next(unrevoked), Server(), by_url.ini.read_text()
        backend.follows(server)
        with by_url.caller(name).wire() as live, by_url.caller().wire() as other:
            live.send(b"GET /cut HTTP/1.1\r\nHost: x\r\n\r\n")
            other.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
            backend.wait_until(lambda: len(backend.requests) == 2)
            before = len(by_url.process.lines)
            if request.param == "list":
                publisher.board.revoke(name)
                by_url.refresh()
                by_url.process.wait_for(IN_FORCE, after=before)
            else:
                leaf = Identity.read(by_url.lab.clients[name].certificate)
                by_url.ini.write_text(f"{ini}\n".replace("crl =", f"deny = {leaf.sha256}\ncrl ="))
                by_url.reload()
            left = server.cut.wait(30)
            server.released.set()
            answer = other.answer().status
            lines = by_url.process.lines[before:]
            yield Cut(live, answer, left, lines, serial(by_url.lab, name))
        by_url.ini.write_text(ini)
        by_url.reload()

    def test_s15_its_connection_ends_without_an_answer(self, cut: Cut) -> None:
        assert cut.live.ended()

    def test_s15_its_server_is_left(self, cut: Cut) -> None:
        assert cut.server_left

    def test_s15_it_is_cut_before_anything_else_happens(self, cut: Cut) -> None:
        """Before the list is said to be in force, or the configuration to be reloaded."""
        done = cut.line(rf"{IN_FORCE}|reloaded ")
        assert cut.line(CUT.format(serial=cut.serial)) < done

    def test_s15_another_clients_exchange_is_answered_after_that(self, cut: Cut) -> None:
        assert cut.answer == 200


class TestWhileAListIsLoaded:
    def test_s15_whoever_connects_meanwhile_is_judged_by_it(
        self,
        by_url: Gateway,
        backend: RawBackend,
        publisher: PublisherProcess,
        unrevoked: Iterator[str],
    ) -> None:
        """A long list, and connections from before its download until it is in force."""
        name = next(unrevoked)
        backend.follows(Server())
        publisher.board.revoke(name)
        publisher.board.lists(ListMode.HUGE, trees.ORG_TEST, filler=100_000)
        wires: deque[Wire] = deque()
        with ExitStack() as stack:
            statuses = set()
            refreshing = by_url.begin_refresh()
            while refreshing.is_alive():
                wires.append(stack.enter_context(by_url.caller(name).wire()))
                statuses.add(_status(wires[-1]))
                if len(wires) > 40:
                    wires.popleft().close()
            refreshing.join()
            assert statuses >= {200}
            assert {_status(wire) for wire in wires} <= {401, None}
        assert by_url.word() == ADMITTED
        publisher.board.lists(ListMode.GOOD, trees.ORG_TEST)


def _status(wire: Wire) -> int | None:
    try:
        return wire.ask(GET).status
    except OSError:
        return None


class TestRefusedReload:
    """S15: a configuration that cannot be used cuts nobody, not even whom it would deny."""

    @pytest.fixture(params=["a key that is none", "a list that is absent"])
    def faulty(self, request: pytest.FixtureRequest, tmp_path: Path) -> str:
        if request.param == "a key that is none":
            return "ocps = http://127.0.0.1/\n"
        return f"crl = {tmp_path / 'absent.crl'}\n"

    def test_s15_leaves_everything(
        self, lab: Lab, by_url: Gateway, backend: RawBackend, faulty: str
    ) -> None:
        backend.follows(Server())
        text = by_url.ini.read_text()
        leaf = Identity.read(lab.clients["recette"].certificate)
        kept = "" if faulty.startswith("crl") else re.search(r"crl = .*\n", text)
        lists = kept[0] if kept else ""
        changed = re.sub(r"crl = .*\n", f"deny = {leaf.sha256}\n{faulty}{lists}", text)
        with by_url.caller().wire() as live:
            assert live.ask(GET).status == 200
            by_url.ini.write_text(changed)
            by_url.reload("reload refused: ")
            by_url.ini.write_text(text)
            assert live.ask(GET).status == 200
        assert by_url.word() == ADMITTED


class TestRevokedAuthority:
    def test_s15_the_clients_of_a_revoked_ca_are_cut(
        self, lab: Lab, backend: RawBackend, tmp_path: Path
    ) -> None:
        """And refused as revoked, although no list has them."""
        authorities = {each: lab.authorities[each] for each in TEST_CAS}
        paths = {each: tmp_path / f"{each}.crl" for each in TEST_CAS}
        for each, path in paths.items():
            path.write_bytes(sign_list(authorities[each]))
        root = OpenSSLCA(lab, tmp_path / "root", trees.ROOT_TEST)
        ini = write_configuration(
            lab,
            tmp_path / "gateway",
            backend.url,
            {"test": Door({"crl": " ".join(map(str, paths.values()))})},
            revocation={"mode": "crl"},
        )
        backend.follows(Server())
        with gateway_on(ini, lab) as gateway, gateway.caller().wire() as live:
            assert live.ask(GET).status == 200
            root.revoke_file(lab.directory / "authorities" / f"{trees.ORG_TEST}.pem")
            paths[trees.ROOT_TEST].write_bytes(root.list())
            gateway.refresh()
            assert live.ended()
            assert gateway.word() == REVOKED

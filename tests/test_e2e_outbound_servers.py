"""Whom the gateway takes for SAS, and what it sends through an egress proxy (S52)."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from applications import Application, local_url, outcome, write_outbound
from processes import GatewayProcess
from raw_backend import Peer, RawBackend
from sasgate.lab import trees
from sasgate.lab.authority import Authority, Credential, new_key
from sasgate.lab.names import CN, name
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Template, key_usage
from sasgate.lab.sas_server import SASServer


NOT_SENT = "Nothing of the request was sent: it may be sent again."
HERE = x509.DNSName("localhost")
ADDRESS = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH


def template(*names: x509.GeneralName, **changes: Any) -> Template:
    good = Template(
        name((CN, "localhost")),
        not_before=timedelta(days=-1),
        not_after=timedelta(days=30),
        key_usage=key_usage("digital_signature", "key_encipherment"),
        usages=(SERVER_AUTH,),
        alternative_names=names,
    )
    return evolve(good, **changes)


# By what is wrong with them; SAS is called by its name, or by its address.
WRONG: Mapping[str, tuple[str, Template]] = {
    "no-san": ("localhost", template()),
    "other-name": ("localhost", template(x509.DNSName("other.example"))),
    "longer-name": ("localhost", template(x509.DNSName("localhost.evil.example"))),
    "expired": ("localhost", template(HERE, not_after=timedelta(hours=-1))),
    "not-yet-valid": ("localhost", template(HERE, not_before=timedelta(hours=1))),
    "client-auth": ("localhost", template(HERE, usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))),
    "empty-usage": ("localhost", template(HERE, usages=())),
    "no-usage": (
        "localhost",
        template(HERE, without=frozenset({ExtensionOID.EXTENDED_KEY_USAGE})),
    ),
    "any-name": ("localhost", template(x509.DNSName("*"))),
    "below": ("localhost", template(x509.DNSName("*.localhost"))),
    "address-only": ("localhost", template(ADDRESS)),
    "name-only": ("127.0.0.1", template(HERE)),
    "address-as-name": ("127.0.0.1", template(x509.DNSName("127.0.0.1"))),
    "other-address": (
        "127.0.0.1",
        template(x509.IPAddress(ipaddress.ip_address("127.0.0.2"))),
    ),
}
SELF_SIGNED, OTHER_CA, NO_CHAIN = "self-signed", "other-ca", "no-intermediate"
GOOD = "good"


def credentials(lab: Lab) -> Iterator[tuple[str, str, Credential]]:
    key = new_key()
    public, now = lab.authorities[trees.PUBLIC], lab.created
    for each, (host, wrong) in WRONG.items():
        yield each, host, public.issue(wrong, key, now=now)
    right = template(HERE)
    yield SELF_SIGNED, "localhost", Authority.found("x", right, key, now=now).credential
    # The CA of clients, which the gateway knows: not for servers.
    yield OTHER_CA, "localhost", lab.authorities[trees.ORG_TEST].issue(right, key, now=now)
    yield NO_CHAIN, "localhost", evolve(public.issue(right, key, now=now), chain=())
    yield GOOD, "localhost", public.issue(right, key, now=now)


@pytest.fixture(scope="module")
def running(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, SASServer], GatewayProcess]]:
    """One server for each certificate, and one gateway that leads to all of them."""
    servers, urls = {}, {}
    with ExitStack() as stack:
        for each, host, credential in credentials(lab):
            servers[each] = stack.enter_context(SASServer(lab, credential=credential))
            urls[each] = f"https://{host}:{servers[each].port}"
        ini = write_outbound(lab, tmp_path_factory.mktemp("servers"), urls)
        yield servers, stack.enter_context(GatewayProcess(ini))


class TestServers:
    @pytest.mark.parametrize("wrong", [*WRONG, SELF_SIGNED, OTHER_CA, NO_CHAIN])
    def test_a_wrong_server_gets_no_byte_of_the_request(
        self, running: tuple[dict[str, SASServer], GatewayProcess], wrong: str
    ) -> None:
        """S52: nor does it see our certificate."""
        servers, gateway = running
        text = outcome(Application(gateway, wrong).ask(), 502)
        assert "certificate verify failed" in text
        assert text.endswith(NOT_SENT)
        servers[wrong].wait_until(lambda: not servers[wrong]._sockets)
        assert servers[wrong].connections >= 1
        assert servers[wrong].handshakes == 0
        assert servers[wrong].calls == []

    def test_the_right_one_gets_it(
        self, running: tuple[dict[str, SASServer], GatewayProcess]
    ) -> None:
        assert Application(running[1], GOOD).ask().status == 201


def relay(peer: Peer) -> None:
    """A proxy as they are: opens what CONNECT asks for, and carries bytes to and fro."""
    head = peer.head()
    assert head is not None
    peer._backend.record(head)
    host, _, port = head.target.rpartition(":")
    with socket.create_connection((host, int(port))) as server:
        peer.send(b"HTTP/1.0 200 Connection established\r\nProxy-Agent: test\r\n\r\n")

        def back() -> None:
            with suppress(OSError):  # either end may leave at any moment
                while data := server.recv(65536):
                    peer.send(data)
                peer._socket.shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=back, daemon=True)
        thread.start()
        while data := peer.some():
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)
        thread.join()


def listens(peer: Peer) -> None:
    while peer.some():
        pass


def says(data: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(data)
        listens(peer)

    return script


def cuts(peer: Peer) -> None:
    peer.head()
    peer.send(b"HTTP/1.1 200 Connec")


def resets(peer: Peer) -> None:
    peer.head()
    peer.reset()


HOSTILE: Mapping[str, tuple[Callable[[Peer], None], int, str]] = {
    "garbage": (says(b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n"), 502, "malformed"),
    "huge": (says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20)), 502, "malformed"),
    "no-end": (says(b"x" * (1 << 20)), 502, "malformed"),
    "407": (
        says(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"),
        502,
        "the proxy refuses: 407 Proxy Authentication Required",
    ),
    "403": (
        says(b"HTTP/1.1 403 \x1b[31mForbidden\r\nContent-Length: 2\r\n\r\nno"),
        502,
        "the proxy",
    ),
    "101": (says(b"HTTP/1.1 101 Up\r\n\r\n"), 502, "the proxy"),
    "302": (says(b"HTTP/1.1 302 Found\r\nLocation: http://a/\r\n\r\n"), 502, "302 Found"),
    "leftover": (says(b"HTTP/1.1 200 OK\r\n\r\nhello"), 502, "the proxy sends bytes of its own"),
    "cut": (cuts, 502, "no answer from the proxy: the peer left"),
    "reset": (resets, 502, "no answer from the proxy: the peer left"),
    "silent": (listens, 504, "the proxy opens no connection in time"),
    "not-tls": (says(b"HTTP/1.1 200 OK\r\n\r\n"), 504, "no connection in time"),
}


@pytest.fixture(scope="module")
def proxied(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SASServer, RawBackend, GatewayProcess]]:
    with ExitStack() as stack:
        sas = stack.enter_context(SASServer(lab))
        proxy = stack.enter_context(RawBackend(relay))
        proxies = {
            each: stack.enter_context(RawBackend(script))
            for each, (script, _, _) in HOSTILE.items()
        }
        proxies[GOOD] = proxy
        ini = write_outbound(
            lab,
            tmp_path_factory.mktemp("proxied"),
            dict.fromkeys(proxies, local_url(sas)),
            listeners={
                each: {"proxy": f"http://127.0.0.1:{proxy.port}"} for each, proxy in proxies.items()
            },
            limits={"connect": 1},
        )
        yield sas, proxy, stack.enter_context(GatewayProcess(ini))


class TestProxies:
    def test_sas_is_called_through_the_proxy_and_verified_behind_it(
        self, proxied: tuple[SASServer, RawBackend, GatewayProcess]
    ) -> None:
        sas, proxy, gateway = proxied
        assert Application(gateway, GOOD).ask().status == 201
        (seen,) = proxy.requests
        assert seen.line == f"CONNECT localhost:{sas.port} HTTP/1.1"
        assert seen.fields == (("Host", f"localhost:{sas.port}"),)
        assert sas.names == ["localhost"]
        assert sas.calls[-1].certificates == 2

    def test_its_connections_are_kept_as_any(
        self, proxied: tuple[SASServer, RawBackend, GatewayProcess]
    ) -> None:
        sas, _, gateway = proxied
        app = Application(gateway, GOOD)
        app.ask()
        before = sas.connections
        for _ in range(5):
            assert app.ask().status == 201
        assert sas.connections == before

    @pytest.mark.parametrize("kind", HOSTILE)
    def test_a_proxy_that_opens_no_tunnel(
        self, proxied: tuple[SASServer, RawBackend, GatewayProcess], kind: str
    ) -> None:
        _, status, words = HOSTILE[kind]
        text = outcome(Application(proxied[2], kind).ask(), status)
        assert words in text
        assert text.endswith(NOT_SENT)
        assert "\x1b" not in text


def test_a_server_that_refuses_our_certificate_by_an_alert_is_told_as_such(
    lab: Lab, tmp_path: Path
) -> None:
    """In TLS 1.3 the alert comes after the handshake, when the request is under way."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*lab.server_paths())
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(lab.public_root)
    with RawBackend(tls=context) as server:
        ini = write_outbound(lab, tmp_path, {"a": f"https://localhost:{server.port}"})
        with GatewayProcess(ini) as gateway:
            text = outcome(Application(gateway, "a").ask(), 502)
    assert "alert unknown ca" in text
    assert server.requests == []

"""The peers of the benches do what they are measured for, and refuse whom sasgate refuses."""

import base64
import os
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from bench.client import Connection, dial
from bench.contenders import Contender, How, gateway
from bench.crl.lists import REVOKED, Lists
from bench.machine import cpu_seconds
from bench.peers.everyone import ALL, PROGRAMS, PROXIES
from raw_backend import RawBackend, Seen
from sasgate.environments import RECETTE
from sasgate.lab.pki import Lab
from sasgate.lab.processes import Ending


OURS = re.compile(r"x-ssl-|x-sas-|x-forwarded-|x-request-id|client-cert")
VERSIONS = ("1.2", "1.3")
CORE = min(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def application() -> Iterator[RawBackend]:
    """A backend that records what arrives."""
    with RawBackend() as backend:
        yield backend


@pytest.fixture(scope="module")
def lists(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lists:
    """Of three entries, of which one is the client `REVOKED`."""
    return Lists.write(lab, tmp_path_factory.mktemp("lists"), 3)


@pytest.fixture(scope="module")
def started(
    lab: Lab, lists: Lists, application: RawBackend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, str], Contender]]:
    """Starts a peer by name and version of TLS, on one core; once."""
    pem, running = lists.pem(lists.org.with_suffix(".pem")), dict[tuple[str, str], Contender]()

    with ExitStack() as stack:

        def start(name: str, tls: str) -> Contender:
            if PROGRAMS[name].found() is None:
                pytest.skip(f"{name} is not installed: apt-get install {PROGRAMS[name].package}")
            if (name, tls) not in running:
                folder, how = tmp_path_factory.mktemp("peer") / "peer", How(tls=tls, core=CORE)
                running[name, tls] = stack.enter_context(
                    ALL[name](lab, pem, application.port, folder, Ending(), how=how)
                )
            return running[name, tls]

        yield start


@pytest.fixture(params=[(name, tls) for name in ALL for tls in VERSIONS], ids=" ".join)
def peer(request: pytest.FixtureRequest, started: Callable[[str, str], Contender]) -> Contender:
    """Each of them, with each version of TLS."""
    return started(*request.param)


@pytest.fixture(params=[(name, tls) for name in PROXIES for tls in VERSIONS], ids=" ".join)
def proxy(request: pytest.FixtureRequest, started: Callable[[str, str], Contender]) -> Contender:
    """Those that read HTTP."""
    return started(*request.param)


def seen_after_call(peer: Contender, lab: Lab, application: RawBackend) -> Seen:
    assert peer.caller(lab).status() == 200
    return application.requests[-1]


def answered(context: ssl.SSLContext, peer: Contender) -> int | None:
    """The status, or None where the handshake ended without one."""
    try:
        with context.wrap_socket(dial(peer.port), server_hostname="localhost") as tls:
            return Connection(tls).exchange()[0]
    except (ssl.SSLError, ConnectionError):
        return None


def turned_away(peer: Contender, lab: Lab, client: str) -> bool:
    """Whether a client is refused: by an answer, or in the handshake, or right after it."""
    try:
        status = peer.caller(lab, client).status()
    except ConnectionRefusedError:
        # Nobody is there to refuse anybody.
        raise
    except OSError:
        return True
    return status in {400, 401, 403}


def headers(seen: Seen) -> dict[str, str]:
    """Those that a gateway sets, names in lower case; none of them twice."""
    found = [(name.lower(), value) for name, value in seen.fields if OURS.match(name.lower())]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_the_admitted_client_reaches_the_backend(peer: Contender, lab: Lab) -> None:
    assert peer.caller(lab).status() == 200


@pytest.mark.parametrize("client", [REVOKED, "wrong-cn", "cn-in-o", "expired", "other-ca"])
def test_others_are_turned_away(peer: Contender, lab: Lab, client: str) -> None:
    assert turned_away(peer, lab, client)


def test_another_organization_is_turned_away(proxy: Contender, lab: Lab) -> None:
    assert turned_away(proxy, lab, "wrong-ou")


def test_who_has_no_certificate_is_turned_away(peer: Contender, lab: Lab) -> None:
    bare = ssl.create_default_context(cafile=lab.public_root)
    assert answered(bare, peer) in {None, 401, 403}


def test_the_backend_is_told_who_calls(proxy: Contender, lab: Lab, application: RawBackend) -> None:
    told = headers(seen_after_call(proxy, lab, application))
    certificate = lab.clients[RECETTE.name].certificate
    assert told["x-ssl-client-verify"] == "SUCCESS"
    assert told["x-ssl-client-cn"] == RECETTE.client_cn
    assert told["x-ssl-client-ou"] == RECETTE.client_ou
    assert told["x-ssl-client-s-dn"].startswith(f"CN={RECETTE.client_cn},OU=")
    assert "ELEMENTAIRE ORGANISATIONS" in told["x-ssl-client-i-dn"]
    assert int(told["x-ssl-client-serial"], 16) == certificate.serial_number
    assert told["x-sas-environment"] == "bench"
    assert told["x-forwarded-for"] == "127.0.0.1"
    assert told["x-forwarded-proto"] == "https"
    assert told["x-forwarded-host"] == "localhost"
    assert len(told["x-request-id"]) >= 20
    der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
    assert der in re.sub(r"\s", "", unquote(told["client-cert"]))


def test_connections_to_the_backend_are_kept(
    proxy: Contender, lab: Lab, application: RawBackend
) -> None:
    first = seen_after_call(proxy, lab, application)
    assert seen_after_call(proxy, lab, application).connection == first.connection


def test_no_session_is_resumed(peer: Contender, lab: Lab) -> None:
    context = peer.caller(lab).context
    with context.wrap_socket(dial(peer.port), server_hostname="localhost") as first:
        assert Connection(first).exchange()[0] == 200
        session = first.session
    again = context.wrap_socket(dial(peer.port), server_hostname="localhost", session=session)
    with again:
        assert Connection(again).exchange()[0] == 200
        assert not again.session_reused


def test_each_of_its_threads_is_on_one_core(peer: Contender) -> None:
    threads = [int(each.name) for pid in peer.pids for each in Path(f"/proc/{pid}/task").iterdir()]
    assert {frozenset(os.sched_getaffinity(each)) for each in threads} == {frozenset({CORE})}


@pytest.mark.parametrize("tls", VERSIONS)
@pytest.mark.parametrize("name", ALL)
def test_it_speaks_the_version_of_tls_that_was_chosen_alone(
    name: str, tls: str, started: Callable[[str, str], Contender], lab: Lab
) -> None:
    for spoken in VERSIONS:
        context = started(name, tls).caller(lab).context
        only = getattr(ssl.TLSVersion, f"TLSv{spoken.replace('.', '_')}")
        context.minimum_version = context.maximum_version = only
        assert answered(context, started(name, tls)) == (200 if spoken == tls else None)


def test_its_openssl_is_named(peer: Contender) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\w*", peer.openssl)


def test_cpu_of_children_is_counted(
    lab: Lab, lists: Lists, application: RawBackend, tmp_path: Path
) -> None:
    if PROGRAMS["Apache"].found() is None:
        pytest.skip("Apache is not installed: apt-get install apache2")
    pem = lists.pem(tmp_path / "lists.pem")
    with ALL["Apache"](lab, pem, application.port, tmp_path / "apache", Ending()) as apache:
        parent, whole = cpu_seconds(apache.pid), apache.cpu_seconds()
        for _ in range(5):
            apache.caller(lab).status()
        assert len(apache.pids) == 2
        # The parent sleeps; what was done, its child did.
        assert apache.cpu_seconds() - whole > 4 * (cpu_seconds(apache.pid) - parent)


def test_the_gateway_sets_the_headers_that_the_others_set(
    lab: Lab, lists: Lists, application: RawBackend, tmp_path: Path
) -> None:
    pair = (lists.root, lists.org)
    with gateway(lab, pair, application.port, tmp_path / "gateway", Ending()) as ours:
        mine = headers(seen_after_call(ours, lab, application))
    pem = lists.pem(tmp_path / "lists.pem")
    for name, start in PROXIES.items():
        if PROGRAMS[name].found() is None:
            pytest.skip(f"{name} is not installed: apt-get install {PROGRAMS[name].package}")
        with start(lab, pem, application.port, tmp_path / name, Ending()) as other:
            theirs = headers(seen_after_call(other, lab, application))
        assert theirs.keys() == mine.keys()
        varying = {"x-request-id", "client-cert"}
        assert {k: v for k, v in theirs.items() if k not in varying} == {
            k: v for k, v in mine.items() if k not in varying
        }

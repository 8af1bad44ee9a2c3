"""SAS as a client: what it sends, what it presents, and how it tells refusals apart."""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Thread

import pytest
from attrs import define, evolve, field
from cryptography import x509

from sasgate.lab import platform
from sasgate.lab.pki import Lab
from sasgate.lab.platform import Failure, NoResponse, Platform, Response, Result


NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n\r\nhi"
CLOSING = OK.replace(b"X-A: 1", b"Connection: close")


@define
class Seen:
    """What the server saw of its clients."""

    requests: list[bytes] = field(factory=list)
    leaves: list[bytes | None] = field(factory=list)
    versions: list[str | None] = field(factory=list)
    chains: list[int] = field(factory=list)
    protocols: list[str | None] = field(factory=list)


Talk = Callable[[ssl.SSLSocket, Seen], None]


def answering(*answers: bytes) -> Talk:
    """Read a request's head, send an answer, as often as there are answers."""

    def talk(connection: ssl.SSLSocket, seen: Seen) -> None:
        for answer in answers:
            seen.requests.append(head_of(connection))
            connection.sendall(answer)

    return talk


def head_of(connection: ssl.SSLSocket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            break
        head += piece
    return head


def reset(connection: ssl.SSLSocket, seen: Seen) -> None:
    seen.requests.append(head_of(connection))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def cut_short(connection: ssl.SSLSocket, seen: Seen) -> None:
    answering(OK[:-1])(connection, seen)
    connection.unwrap()


def handshaken(context: ssl.SSLContext, plain: socket.socket) -> ssl.SSLSocket:
    """A connection; where the handshake fails, its end waits until the client has left.

    Closed over what the client went on to send, it would be reset, and the alert lost.
    """
    connection = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    try:
        connection.do_handshake()
    except OSError:
        with socket.socket(fileno=connection.detach()) as refused:
            while refused.recv(65536):
                pass
        raise
    return connection


@contextmanager
def serving(context: ssl.SSLContext, talk: Talk) -> Iterator[tuple[int, Seen]]:
    """A TLS server for one connection after another; yields its port and what it saw."""
    seen = Seen()

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with handshaken(context, plain) as connection:
                    seen.leaves.append(connection.getpeercert(binary_form=True))
                    seen.versions.append(connection.version())
                    seen.protocols.append(connection.selected_alpn_protocol())
                    talk(connection, seen)
            except OSError:
                plain.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], seen
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def context(lab: Lab) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*lab.server_paths())
    for name in ("ACR-EL-TEST", "ACI-EL-ORG-TEST"):
        made.load_verify_locations(cadata=lab.authorities[name].der)
    made.verify_mode = ssl.CERT_OPTIONAL
    made.set_alpn_protocols(["h2", "http/1.1"])
    return made


@pytest.fixture
def sas(lab: Lab) -> Platform:
    return Platform("127.0.0.1", 0, lab.public_root, lab.path_of("recette"))


def status(result: Result) -> int | Failure:
    return result.status if isinstance(result, Response) else result.failure


class TestCalls:
    """The specification's calls."""

    @pytest.mark.parametrize("raw", [False, True])
    def test_a_slot_search_is_as_long_as_the_platforms(self, raw: bool) -> None:
        path = platform.slots(NOW, raw=raw).path
        assert 1350 < len(path) < 1650
        assert path.count("start=") == 2
        assert "_include:iterate=" in path
        assert path.count("|" if raw else "%7C") == 25
        assert path.isascii()

    def test_there_are_six_calls_and_each_accepts_json(self) -> None:
        calls = platform.all_calls(NOW)
        assert [(call.method, call.path.partition("?")[0]) for call in calls] == [
            ("GET", "/check"),
            ("GET", "/metadata"),
            ("GET", "/Slot"),
            ("GET", "/Schedule"),
            ("POST", "/Practitioner"),
            ("PUT", "/Practitioner"),
        ]
        assert all(dict(call.headers)["Accept"].startswith("application/json") for call in calls)
        assert all((call.body is not None) == (call.method in {"POST", "PUT"}) for call in calls)


def test_the_answer_is_given_whole(context: ssl.SSLContext, sas: Platform) -> None:
    with serving(context, answering(OK)) as (port, seen):
        result = evolve(sas, port=port).send(platform.metadata())
    assert isinstance(result, Response)
    assert (result.status, result.body, result.header("x-a")) == (200, b"hi", "1")
    assert seen.requests[0].startswith(b"GET /metadata HTTP/1.1\r\n")
    assert b"Accept: application/json+fhir\r\n" in seen.requests[0]


def test_the_base_path_stands_before_each_call(context: ssl.SSLContext, sas: Platform) -> None:
    with serving(context, answering(OK)) as (port, seen):
        evolve(sas, port=port, base="/ans/v1").send(platform.slots(NOW, raw=True))
    assert seen.requests[0].startswith(b"GET /ans/v1/Slot?_include=Slot:schedule&")


@pytest.mark.parametrize("chain", [False, True])
def test_the_client_presents_the_leaf_it_was_given(
    chain: bool, context: ssl.SSLContext, sas: Platform, lab: Lab
) -> None:
    client = lab.path_of("recette", chain=chain)
    with serving(context, answering(OK)) as (port, seen):
        evolve(sas, port=port, client=client).send(platform.check())
    assert seen.leaves[0] is not None
    leaf = x509.load_der_x509_certificate(seen.leaves[0])
    assert leaf == lab.clients["recette"].certificate


def test_the_client_can_present_nothing(context: ssl.SSLContext, sas: Platform) -> None:
    with serving(context, answering(OK)) as (port, seen):
        result = evolve(sas, port=port, client=None).send(platform.check())
    assert status(result) == 200
    assert seen.leaves == [None]


@pytest.mark.parametrize(("chain", "expected"), [(False, Failure.ALERT), (True, 200)])
def test_the_intermediate_is_sent_with_the_chain_file_alone(
    chain: bool, expected: int | Failure, lab: Lab, sas: Platform
) -> None:
    """A server that knows the root alone tells the two apart."""
    root_alone = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    root_alone.load_cert_chain(*lab.server_paths())
    root_alone.load_verify_locations(cadata=lab.authorities["ACR-EL-TEST"].der)
    root_alone.verify_mode = ssl.CERT_REQUIRED
    client = lab.path_of("recette", chain=chain)
    with serving(root_alone, answering(OK)) as (port, _):
        result = evolve(sas, port=port, client=client).send(platform.check())
    assert status(result) == expected


@pytest.mark.parametrize(
    ("version", "name"),
    [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")],
)
def test_the_tls_version_can_be_chosen(
    version: ssl.TLSVersion, name: str, context: ssl.SSLContext, sas: Platform
) -> None:
    with serving(context, answering(OK)) as (port, seen):
        evolve(sas, port=port, version=version).send(platform.check())
    assert seen.versions == [name]


def test_a_version_that_the_server_refuses_is_an_alert(
    context: ssl.SSLContext, sas: Platform
) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with serving(context, answering(OK)) as (port, _):
        result = evolve(sas, port=port, version=ssl.TLSVersion.TLSv1_1).send(platform.check())
    assert status(result) is Failure.ALERT


def test_http_1_1_is_the_only_protocol_offered(context: ssl.SSLContext, sas: Platform) -> None:
    with serving(context, answering(OK)) as (port, seen):
        evolve(sas, port=port).send(platform.check())
    assert seen.protocols == ["http/1.1"]


def test_a_session_uses_one_connection(context: ssl.SSLContext, sas: Platform) -> None:
    with (
        serving(context, answering(OK, OK)) as (port, seen),
        evolve(sas, port=port).session() as session,
    ):
        assert [status(session.send(platform.check())) for _ in range(2)] == [200, 200]
        assert session.open
        assert len(seen.leaves) == 1


def test_a_session_connects_again_over_tls_after_the_gateway_closed(
    context: ssl.SSLContext, sas: Platform
) -> None:
    with (
        serving(context, answering(CLOSING)) as (port, seen),
        evolve(sas, port=port).session() as session,
    ):
        assert status(session.send(platform.check())) == 200
        assert not session.open
        assert status(session.send(platform.check())) == 200
        assert seen.versions == ["TLSv1.3", "TLSv1.3"]


def lingering(*words: bytes) -> Talk:
    """Answer, say `words`, and wait for the client's end."""

    def talk(connection: ssl.SSLSocket, seen: Seen) -> None:
        answering(OK)(connection, seen)
        for word in words:
            connection.sendall(word)
        while connection.recv(65536):
            pass

    return talk


@pytest.mark.parametrize(
    ("talk", "within", "cut"),
    [
        (answering(OK), 5.0, True),
        (answering(CLOSING), 5.0, True),
        (lingering(), 0.1, False),
        (lingering(b"HTTP/1.1 408 Too Late\r\n"), 5.0, False),
    ],
    ids=["closed", "closed as announced", "kept", "told"],
)
def test_a_session_tells_whether_its_connection_was_cut(
    talk: Talk, within: float, cut: bool, context: ssl.SSLContext, sas: Platform
) -> None:
    with (
        serving(context, talk) as (port, _),
        evolve(sas, port=port).session() as session,
    ):
        assert status(session.send(platform.check())) == 200
        assert session.is_cut(within) is cut


def test_a_raw_socket_sends_what_no_client_would(context: ssl.SSLContext, sas: Platform) -> None:
    with (
        serving(context, answering(OK)) as (port, seen),
        evolve(sas, port=port).dial() as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\nbare: lf\r\n\r\n")
        assert connection.recv(4) == b"HTTP"
        assert seen.requests == [b"GET / HTTP/1.1\nbare: lf\r\n\r\n"]


@pytest.mark.parametrize(
    ("talk", "failure"),
    [
        (reset, Failure.RESET),
        (answering(b""), Failure.CLOSED),
        (answering(b"SSH-2.0-x\r\n\r\n"), Failure.NOT_HTTP),
        (answering(OK[:-1]), Failure.CLOSED),
        (cut_short, Failure.CLOSED),
    ],
    ids=["reset", "closed", "not HTTP", "cut by TCP", "cut by TLS"],
)
def test_each_end_without_an_answer_has_its_name(
    talk: Talk, failure: Failure, context: ssl.SSLContext, sas: Platform
) -> None:
    """ANS's kit counts a 4xx as a pass, and a reset or an early end as a failure."""
    with serving(context, talk) as (port, _):
        result = evolve(sas, port=port).send(platform.check())
    assert isinstance(result, NoResponse)
    assert result.failure is failure
    assert result.detail


def test_a_mute_server_is_a_timeout(context: ssl.SSLContext, sas: Platform) -> None:
    def mute(connection: ssl.SSLSocket, _: Seen) -> None:
        while connection.recv(65536):
            pass

    with serving(context, mute) as (port, _):
        result = evolve(sas, port=port, timeout=0.1).send(platform.check())
    assert status(result) is Failure.TIMEOUT


def test_a_port_where_nobody_listens_is_refused(sas: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert status(evolve(sas, port=port).send(platform.check())) is Failure.REFUSED


@pytest.mark.parametrize("server", ["expired", "other-name", "no-san", "client-auth"])
def test_a_server_that_may_not_be_trusted_gets_no_request(
    server: str, lab: Lab, sas: Platform
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*lab.server_paths(server))
    with serving(context, answering(OK)) as (port, seen):
        result = evolve(sas, port=port).send(platform.check())
    assert status(result) is Failure.UNTRUSTED
    assert seen.requests in ([], [b""])

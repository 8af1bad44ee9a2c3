"""Whatever both ends do, and however the network cuts the bytes: in order, told once, no more."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone

from sasgate.lab.pki import Lab
from tls_ends import VERSIONS, Ends, Inner, Socket
from tls_memory import client_context


SIDES = st.sampled_from(["server", "client"])
SIZES = st.sampled_from([0, 1, 2, 100, 16384, 16385, 70_000])
MOVES = st.sampled_from([1, 5, 21, 700, 1 << 16])
ACTS = st.one_of(
    st.tuples(st.just("write"), SIDES, SIZES),
    st.tuples(st.just("carry"), SIDES, MOVES),
    st.tuples(st.sampled_from(["lose", "abort", "pause", "resume", "cut"]), SIDES, st.just(0)),
)
# So that most examples come as far as data, and not all are over at once.
BEFORE = st.one_of(st.just(0), st.just(100))


class Side:
    """One end, and what was written there as long as it might."""

    def __init__(self, transport: Any, inner: Inner, wire: Socket) -> None:
        self.transport, self.inner, self.wire = transport, inner, wire
        self.written = b""
        self.closed = self.aborted = False

    def do(self, act: str, much: int) -> None:
        match act:
            case "write":
                data = bytes((len(self.written) + i) % 251 for i in range(much))
                if not (self.closed or self.aborted or self.inner.ends):
                    self.written += data
                self.transport.write(data)
            case "lose":
                self.closed = True
                self.transport.loseConnection()
            case "abort":
                self.aborted = True
                self.transport.abortConnection()
            case "pause":
                self.transport.pauseProducing()
            case "resume":
                self.transport.resumeProducing()
            case "cut":
                self.wire.lose(ConnectionDone())
                self.wire.far.finished = True
                self.wire.finished = True
            case "carry":
                self.wire.carry(much)


def play(ends: Ends, before: int, acts: list[tuple[str, str, int]]) -> tuple[Side, Side]:
    for _ in range(before):
        ends.up.carry()
        ends.down.carry()
    server = Side(ends.server, ends.serving, ends.down)
    client = Side(ends.client, ends.calling, ends.up)
    for act, side, much in acts:
        (server if side == "server" else client).do(act, much)
    return server, client


@pytest.fixture(scope="module")
def contexts(lab: Lab) -> dict[int, tuple[SSL.Context, SSL.Context]]:
    certificate, key = lab.server_paths()
    made = {}
    for version in VERSIONS:
        serving, calling = SSL.Context(SSL.TLS_SERVER_METHOD), client_context(lab)
        serving.use_certificate_chain_file(str(certificate))
        serving.use_privatekey_file(str(key))
        serving.set_max_proto_version(version)
        made[version] = (serving, calling)
    return made


@pytest.mark.parametrize("version", VERSIONS, ids=["TLS 1.2", "TLS 1.3"])
@settings(max_examples=60)
@given(before=BEFORE, acts=st.lists(ACTS, max_size=25))
def test_whatever_happens(
    contexts: dict[int, tuple[SSL.Context, SSL.Context]],
    version: int,
    before: int,
    acts: list[tuple[str, str, int]],
) -> None:
    ends = Ends(*contexts[version])
    both = play(ends, before, acts)
    for side in both:
        side.do("resume", 0)
    ends.carry()
    for side in both:
        side.wire.lose(ConnectionDone())
    for side, far in (both, both[::-1]):
        # Once, and last: the end asserts both.
        end = side.inner.end
        assert far.written.startswith(side.inner.received)
        if isinstance(end, ConnectionDone):
            assert side.closed or far.closed
            assert side.closed or side.inner.received == far.written


@pytest.mark.parametrize("version", VERSIONS, ids=["TLS 1.2", "TLS 1.3"])
@settings(max_examples=40)
@given(up=st.lists(SIZES, max_size=5), down=st.lists(SIZES, max_size=5), moves=st.lists(MOVES))
def test_all_that_was_written_before_a_close_arrives(
    contexts: dict[int, tuple[SSL.Context, SSL.Context]],
    version: int,
    up: list[int],
    down: list[int],
    moves: list[int],
) -> None:
    ends = Ends(*contexts[version])
    acts = [("write", "client", size) for size in up] + [("write", "server", size) for size in down]
    server, client = play(ends, 0, acts)
    for most in moves:
        ends.up.carry(most)
        ends.down.carry(most)
    ends.carry()
    client.do("lose", 0)
    ends.carry()
    assert server.inner.received == client.written
    assert client.inner.received == server.written
    assert isinstance(server.inner.end, ConnectionDone)
    assert isinstance(client.inner.end, ConnectionDone)

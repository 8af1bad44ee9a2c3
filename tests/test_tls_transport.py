"""TLS of our own between socket and protocol: what arrives, what ends it, and who is told."""

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.logger import LogEvent

from key_updates import KeyUpdater
from memory_gateway import MemoryGateway
from sasgate.lab.pki import Lab
from sasgate.tls_transport import TLSTransport
from tls_ends import VERSIONS, Ends, Inner, Socket, begins
from tls_memory import client_context


Make = Callable[..., Ends]


@pytest.fixture
def serving(lab: Lab) -> SSL.Context:
    certificate, key = lab.server_paths()
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_options(SSL.OP_NO_RENEGOTIATION)
    context.use_certificate_chain_file(str(certificate))
    context.use_privatekey_file(str(key))
    return context


@pytest.fixture(params=VERSIONS, ids=["TLS 1.2", "TLS 1.3"])
def make(request: pytest.FixtureRequest, lab: Lab, serving: SSL.Context) -> Make:
    """Makes both ends of a connection in one version, not yet shaken."""
    calling = client_context(lab)
    calling.set_max_proto_version(request.param)

    def ends(serves: Inner | None = None, calls: Inner | None = None) -> Ends:
        return Ends(serving, calling, serves, calls)

    return ends


def lose(inner: Inner) -> None:
    inner.transport.loseConnection()


def abort(inner: Inner) -> None:
    inner.transport.abortConnection()


def fail(_: Inner) -> None:
    raise ZeroDivisionError


class TestBytes:
    @pytest.mark.parametrize("size", [0, 1, 16384, 16385, 65536, 1 << 20])
    def test_arrive_whole_whatever_their_number(self, make: Make, size: int) -> None:
        ends = make().carry()
        data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        ends.client.write(data)
        ends.server.write(data[::-1])
        ends.carry()
        assert ends.serving.received == data
        assert ends.calling.received == data[::-1]

    def test_arrive_byte_by_byte(self, make: Make) -> None:
        ends = make()
        ends.client.writeSequence([b"so", b"on"])
        ends.carry(1)
        assert ends.serving.received == b"soon"

    def test_written_before_the_handshake_is_over_come_after_it_in_order(self, make: Make) -> None:
        ends = make(Inner(made=lambda inner: inner.transport.write(b"first ")))
        ends.server.write(b"second")
        ends.carry()
        assert ends.calling.received == b"first second"

    def test_of_a_record_each_arrive_as_they_are(self, make: Make) -> None:
        ends = make().carry()
        for _ in range(3000):
            ends.client.write(b"x")
        ends.carry()
        assert ends.serving.received == b"x" * 3000

    def test_leave_before_the_close(self, make: Make) -> None:
        ends = make().carry()
        ends.server.write(b"x" * (1 << 20))
        ends.server.loseConnection()
        ends.server.write(b"too late")
        assert not ends.down.closing
        ends.carry()
        assert ends.calling.received == b"x" * (1 << 20)
        assert isinstance(ends.calling.end, ConnectionDone)

    def test_come_before_the_end_that_comes_in_the_same_segment(self, make: Make) -> None:
        ends = make().carry()
        ends.client.write(b"all")
        ends.client.loseConnection()
        ends.down.receive(ends.up.out)
        ends.down.end()
        assert ends.serving.received == b"all"
        assert isinstance(ends.serving.end, ConnectionDone)

    def test_cost_openssl_no_more_memory_than_a_record(self, make: Make) -> None:
        """OpenSSL's buffers never shrink: what lies in them at once is kept until the end."""
        ends = make().carry()
        sent: list[int] = []
        tls = ends.server.getHandle()
        ends.server._tls = Spy(tls, sent)  # type: ignore[assignment]
        ends.server.write(b"x" * (1 << 20))
        assert max(sent) <= 1
        ends.carry()
        assert len(ends.calling.received) == 1 << 20


class Spy:
    """A connection that counts the records sealed and not yet taken out."""

    def __init__(self, tls: SSL.Connection, most: list[int]) -> None:
        self._tls, self._most, self._inside = tls, most, 0

    def send(self, data: Any) -> int:
        self._inside += 1
        self._most.append(self._inside)
        return self._tls.send(data)

    def bio_read(self, most: int) -> bytes:
        self._inside = 0
        return self._tls.bio_read(most)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tls, name)


class TestEnds:
    """An end that TLS was not told of is no end in order, on either side (truncation)."""

    @pytest.mark.parametrize("side", ["serving", "calling"])
    def test_a_socket_that_closes_without_tls(self, make: Make, side: str) -> None:
        ends = make().carry()
        ends.client.write(b"half")
        ends.server.write(b"half")
        ends.carry()
        (ends.down if side == "serving" else ends.up).end()
        inner = getattr(ends, side)
        assert inner.received == b"half"
        assert isinstance(inner.end, ConnectionLost)

    def test_in_the_middle_of_a_record(self, make: Make) -> None:
        ends = make().carry()
        ends.client.write(b"x")
        ends.client.loseConnection()
        ends.down.receive(ends.up.out[:-1])
        ends.down.end()
        assert isinstance(ends.serving.end, ConnectionLost)

    @pytest.mark.parametrize("count", [0, 1])
    def test_in_the_handshake(self, make: Make, count: int) -> None:
        ends = make()
        for _ in range(count):
            ends.up.carry()
        ends.down.end()
        assert isinstance(ends.serving.end, ConnectionLost)
        assert "shaken" not in ends.serving.told

    def test_after_our_own_close_to_which_the_peer_says_nothing(self, make: Make) -> None:
        ends = make().carry()
        ends.server.loseConnection()
        ends.down.end()
        assert isinstance(ends.serving.end, ConnectionLost)

    def test_our_close_is_in_order_once_the_peer_closes_too(self, make: Make) -> None:
        ends = make().carry()
        ends.server.loseConnection()
        assert not ends.down.closing
        ends.carry()
        assert isinstance(ends.serving.end, ConnectionDone)
        assert isinstance(ends.calling.end, ConnectionDone)

    def test_both_close_at_once(self, make: Make) -> None:
        ends = make().carry()
        ends.server.loseConnection()
        ends.client.loseConnection()
        ends.carry()
        assert isinstance(ends.serving.end, ConnectionDone)
        assert isinstance(ends.calling.end, ConnectionDone)

    def test_a_peer_that_goes_on_sending_is_heard_until_it_closes(self, make: Make) -> None:
        ends = make().carry()
        ends.server.loseConnection()
        ends.client.write(b"still")
        ends.carry()
        assert ends.serving.received == b"still"

    def test_a_mute_peer_is_dropped_by_an_abort(self, make: Make) -> None:
        ends = make().carry()
        ends.server.loseConnection()
        ends.server.abortConnection()
        ends.down.carry()
        assert isinstance(ends.serving.end, ConnectionAborted)

    def test_bytes_behind_the_peers_close_are_nobodys(self, make: Make) -> None:
        ends = make().carry()
        ends.client.loseConnection()
        ends.down.receive(ends.up.out + b"\x17\x03\x03\x00\x01x")
        assert ends.serving.received == b""
        ends.carry()
        assert isinstance(ends.serving.end, ConnectionDone)

    def test_a_record_that_was_changed_ends_it(self, make: Make) -> None:
        ends = make().carry()
        ends.client.write(b"x" * 100)
        ends.up.out = ends.up.out[:-1] + bytes([ends.up.out[-1] ^ 1])
        ends.carry()
        assert isinstance(ends.serving.end, SSL.Error)
        assert ends.serving.received == b""

    def test_the_peers_alert_is_the_reason(self, make: Make) -> None:
        """The client refuses the server's name of a CA it does not know."""
        ends = make()
        ends.client.getHandle().set_verify(SSL.VERIFY_PEER, lambda *_: False)
        ends.carry()
        assert "verify failed" in str(ends.calling.end)
        assert "alert" in str(ends.serving.end)

    @pytest.mark.parametrize(
        "data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 64, b"SSH-2.0-x\r\n", b"\xff" * 9]
    )
    def test_what_is_no_tls_is_told_so_and_closed(self, make: Make, data: bytes) -> None:
        ends = make()
        ends.down.receive(data)
        assert ends.down.closing
        assert not ends.down.out.startswith(b"HTTP")
        ends.carry()
        assert isinstance(ends.serving.end, SSL.Error)
        assert ends.serving.told == ["made", "lost"]

    def test_bytes_behind_a_client_hello_end_it(self, make: Make) -> None:
        ends = make()
        ends.down.receive(ends.up.out + b"\x17\x03\x03\x00\x10" + b"x" * 16)
        assert ends.down.closing
        assert ends.serving.received == b""


class TestReentrancy:
    @pytest.mark.parametrize("when", ["made", "shaken", "data"])
    @pytest.mark.parametrize("do", [lose, abort])
    def test_an_end_from_within_is_told_once_and_nothing_follows_an_abort(
        self, make: Make, when: str, do: Callable[[Inner], None]
    ) -> None:
        ends = make(Inner(**{when: do})).carry()
        ends.client.write(b"x")
        ends.client.write(b"y")
        ends.carry()
        told = ends.serving.told
        assert told[-1] == "lost"
        assert told.count("lost") == 1
        if do is abort or when == "made":
            assert told[-2] == when
            assert told.count(when) == 1

    def test_a_close_while_the_handshake_goes_on_is_an_abort(self, make: Make) -> None:
        ends = make()
        ends.client.write(b"never")
        ends.client.loseConnection()
        ends.carry()
        assert isinstance(ends.calling.end, ConnectionAborted)
        assert ends.serving.received == b""

    def test_an_answer_from_within_is_sent(self, make: Make) -> None:
        ends = make(Inner(data=lambda inner: inner.transport.write(inner.received)))
        ends.client.write(b"echo")
        ends.carry()
        assert ends.calling.received == b"echo"

    @pytest.mark.parametrize("do", [lose, abort, lambda inner: inner.transport.write(b"x")])
    def test_who_is_told_of_the_end_may_do_anything(
        self, make: Make, do: Callable[[Inner], None]
    ) -> None:
        ends = make(Inner(lost=do)).carry()
        ends.down.end()
        assert ends.serving.told.count("lost") == 1

    def test_an_abort_by_a_producer_that_is_paused_goes_before_the_handshake_is_told(
        self, make: Make
    ) -> None:
        serving = Inner()
        ends = make(serving)
        ends.server.write(b"early")
        write = ends.down.write

        def full(data: bytes) -> None:
            write(data)
            if ends.server._early == [] and ends.server._state.value == "open":
                ends.server.abortConnection()

        ends.down.write = full  # type: ignore[method-assign]
        ends.carry()
        assert "shaken" not in serving.told

    def test_paused_reads_nothing_and_resumed_everything(self, make: Make) -> None:
        ends = make().carry()
        ends.server.pauseProducing()
        ends.client.write(b"x")
        assert ends.carry().serving.received == b""
        ends.server.resumeProducing()
        assert ends.carry().serving.received == b"x"

    def test_paused_in_the_handshake_it_waits(self, make: Make) -> None:
        ends = make()
        ends.server.pauseProducing()
        assert "shaken" not in ends.carry().serving.told
        ends.server.resumeProducing()
        assert "shaken" in ends.carry().serving.told

    def test_resumed_after_the_end_nothing_happens(self, make: Make) -> None:
        ends = make().carry()
        ends.server.pauseProducing()
        ends.server.abortConnection()
        ends.server.resumeProducing()
        ends.client.write(b"x")
        assert ends.carry().serving.received == b""

    def test_no_producer_keeps_a_failed_connection_open(self, make: Make) -> None:
        ends = make()
        ends.server.registerProducer(object(), True)
        ends.down.receive(b"garbage that is no TLS")
        assert ends.down.producer is None


class TestFailuresOfOurOwn:
    """S3: an exception of ours ends the connection, and is logged."""

    def test_no_connection_can_be_made(self, logged: list[LogEvent]) -> None:
        def begin() -> SSL.Connection:
            raise ZeroDivisionError

        inner = Inner()
        transport = TLSTransport(begin, inner)
        wire = Socket(transport)
        transport.makeConnection(wire)
        transport.dataReceived(b"x")
        assert wire.closing
        wire.end()
        assert isinstance(inner.end, ZeroDivisionError)
        assert inner.told == ["lost"]
        assert sum("log_failure" in event for event in logged) == 1

    @pytest.mark.parametrize(
        "set_callback",
        [
            lambda context, broken: context.set_verify(SSL.VERIFY_PEER, broken),
            lambda context, broken: context.set_alpn_select_callback(broken),
            lambda context, broken: context.set_ocsp_server_callback(broken),
        ],
        ids=["verify", "ALPN", "staple"],
    )
    def test_a_callback_of_openssl(
        self,
        lab: Lab,
        serving: SSL.Context,
        set_callback: Callable[[SSL.Context, Any], None],
        logged: list[LogEvent],
    ) -> None:
        def broken(*_: object) -> Any:
            raise ZeroDivisionError

        set_callback(serving, broken)
        calling = client_context(lab, lab.clients["recette"])
        calling.set_alpn_protos([b"http/1.1"])
        ends = Ends(serving, calling)
        ends.client.write(b"x")
        ends.carry()
        assert isinstance(ends.serving.end, ZeroDivisionError)
        assert ends.serving.told == ["made", "lost"]
        assert sum("log_failure" in event for event in logged) == 1

    def test_the_inner_side_when_it_is_made(self, make: Make, logged: list[LogEvent]) -> None:
        ends = make(Inner(made=fail)).carry()
        assert ends.serving.told == ["made", "lost"]
        assert isinstance(ends.serving.end, ZeroDivisionError)
        assert sum("log_failure" in event for event in logged) == 1

    @pytest.mark.parametrize("when", ["shaken", "data"])
    def test_the_inner_sides_later_are_the_reactors(self, make: Make, when: str) -> None:
        """Which logs them and closes the connection, as those of every protocol."""
        ends = make(Inner(**{when: fail}))
        ends.client.write(b"x")
        with pytest.raises(ZeroDivisionError):
            ends.carry()


class TestWhatTLSAnswers:
    def test_a_flight_longer_than_what_is_read_at_once_leaves_whole(self, lab: Lab) -> None:
        certificate, key = lab.server_paths()
        serving = SSL.Context(SSL.TLS_SERVER_METHOD)
        serving.use_certificate_file(str(certificate))
        serving.use_privatekey_file(str(key))
        extra = lab.authorities["LAB-PUBLIC"].certificate
        size = len(extra.public_bytes(Encoding.DER))
        for _ in range(3 * 65536 // size // 2):
            serving.add_extra_chain_cert(extra)
        ends = Ends(serving, client_context(lab))
        ends.up.carry()
        assert len(ends.down.out) > 65536
        assert "shaken" in ends.carry().calling.told

    def test_renegotiation_is_refused_and_the_rest_goes_on(
        self, lab: Lab, serving: SSL.Context
    ) -> None:
        calling = client_context(lab)
        calling.set_max_proto_version(SSL.TLS1_2_VERSION)
        ends = Ends(serving, calling).carry()
        ends.client.getHandle().renegotiate()
        ends.client.write(b"x")
        ends.carry()
        assert ends.serving.told.count("shaken") == 1

    def test_keys_change_on_both_sides(self, serving: SSL.Context) -> None:
        far = KeyUpdater()
        inner, wire = shaken(far, serving)
        far.change_keys(1)
        wire.receive(far.sent())
        inner.transport.write(b"under new keys")
        assert far.receive(wire.take()) == b"under new keys"

    def test_a_peer_that_takes_no_answers_is_dropped(self, serving: SSL.Context) -> None:
        """A change of keys costs 27 bytes, and so does its answer, which is kept until taken."""
        far = KeyUpdater()
        inner, wire = shaken(far, serving)
        far.change_keys(2000)
        wire.receive(far.sent())
        assert not wire.aborted
        far.change_keys(2000)
        wire.receive(far.sent())
        assert wire.aborted
        wire.carry()
        assert isinstance(inner.end, ConnectionAborted)

    def test_one_that_takes_them_may_change_keys_for_ever(
        self, serving: SSL.Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        far = KeyUpdater()
        _, wire = shaken(far, serving)
        monkeypatch.setattr("sasgate.tls_transport.send", lambda *_: True)
        for _ in range(5):
            far.change_keys(1000)
            wire.receive(far.sent())
        assert not wire.aborted

    def test_one_that_takes_them_late_is_not_counted_on(
        self, serving: SSL.Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        far = KeyUpdater()
        _, wire = shaken(far, serving)
        for number in range(6):
            taken = number % 2 == 1
            monkeypatch.setattr("sasgate.tls_transport.send", lambda *_, taken=taken: taken)
            far.change_keys(2000)
            wire.receive(far.sent())
        assert not wire.aborted

    def test_an_answer_that_was_taken_earns_no_credit(
        self, serving: SSL.Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        far = KeyUpdater()
        inner, wire = shaken(far, serving)
        inner.transport.write(b"x" * (1 << 20))
        for taken in (True, False):
            monkeypatch.setattr("sasgate.tls_transport.send", lambda *_, taken=taken: taken)
            far.change_keys(2500)
            wire.receive(far.sent())
        assert wire.aborted

    def test_what_waits_of_an_answer_is_none_of_tlss(self, serving: SSL.Context) -> None:
        """A client that reads slowly may change keys all the same."""
        far = KeyUpdater()
        inner, wire = shaken(far, serving)
        inner.transport.write(b"x" * (1 << 20))
        far.change_keys(1)
        wire.receive(far.sent())
        assert not wire.aborted


def shaken(far: KeyUpdater, context: SSL.Context) -> tuple[Inner, Socket]:
    """What serves a client that is not ours."""
    inner = Inner()
    transport = TLSTransport(begins(context, client=False), inner)
    wire = Socket(transport)
    wire.far = Socket(Protocol())
    transport.makeConnection(wire)
    while not far.shake() or "shaken" not in inner.told:
        wire.receive(far.sent())
        far.receive(wire.take())
    far.receive(wire.take())
    return inner, wire


class TestFreedom:
    """A connection that is over is freed at once, and not by a collection years later."""

    @pytest.fixture(autouse=True)
    def _without_collection(self) -> Iterator[None]:
        gc.collect()
        gc.disable()
        yield
        gc.enable()

    @pytest.mark.parametrize("how", ["closed", "cut", "aborted", "garbage"])
    def test_of_what_is_over(self, make: Make, how: str) -> None:
        ends = make().carry()
        match how:
            case "closed":
                ends.client.loseConnection()
            case "cut":
                ends.down.end()
                ends.up.end()
            case "aborted":
                ends.server.abortConnection()
            case _:
                ends.down.receive(b"no record")
        ends.carry()
        for each in (ends.serving, ends.calling):
            assert each.told[-1] == "lost"
            each.ends.clear()  # an exception knows where it was raised
        left = [weakref.ref(each) for each in (ends.server, ends.serving, ends.client)]
        del ends, each
        assert [ref() for ref in left] == [None] * 3

    def test_of_a_client_of_the_gateway(self, lab: Lab, tmp_path: Path) -> None:
        caller = MemoryGateway(lab, tmp_path).call("recette")
        wire, transport = caller.wire, caller.wire.protocol
        left = [weakref.ref(each) for each in (transport, transport.inner, transport.inner.site)]
        wire.close()
        # As every socket of Twisted does.
        wire.protocol = wire._producer = None
        del transport
        assert [ref() for ref in left] == [None] * 3

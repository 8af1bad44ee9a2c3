"""The outbound side in memory: places, faults in FHIR, what the journal is told (S52, S53)."""

import json
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.logger import LogEvent

from applications import write_outbound
from front import answers
from memory_gateway import KeptJournal
from sasgate.browsers import Way
from sasgate.client_connection import ClientConnection
from sasgate.config import load
from sasgate.deadlines import Deadlines
from sasgate.generation import load_trust
from sasgate.http1 import HeadLimits
from sasgate.lab.pki import Lab
from sasgate.local_listener import way_to
from sasgate.outbound import OutboundSite, Shared, _origin_form, tell_refusal
from sasgate.outbound_rules import OutboundRules
from sasgate.places import Places
from sasgate.pool import Balancer, Pool
from sasgate.repeats import Repeats
from sasgate.settings import Limits, Listen
from sasgate.surroundings import Surroundings
from strict_http import read_strictly
from wires import Server, Wire, pass_time


pytestmark = pytest.mark.usefixtures("no_failure_logged")

GET = b"GET /fhir HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
NOT_SENT = "Nothing of the request was sent: it may be sent again."
HERE = ip_address("127.0.0.1")
MAYBE_SENT = "The request may have arrived: look before you send it again."


@pytest.fixture(scope="module")
def rules(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> OutboundRules:
    """Those of a configuration; the balancer is each test's own."""
    folder = tmp_path_factory.mktemp("rules")
    settings = load(write_outbound(lab, folder, {"a": "https://sas.example"}))
    trust = load_trust(settings, datetime.now(UTC)).outbounds["outbound:a"]
    (outbound,) = settings.outbounds
    return OutboundRules(
        outbound.name, "own-a", b"sas.example", trust.identity, Balancer([]), outbound
    )


class Applications:
    """Connections of applications to one listener with two places and a queue of two."""

    def __init__(self, rules: OutboundRules, **limits: Any) -> None:
        self.clock = Clock()
        self.limits = evolve(Limits(), answer=30.0, **limits)
        deadlines = Deadlines(self.clock)
        deadlines.start()
        self.sas = Server(self.clock)
        pool = Pool("https://sas", "sas", self.sas, deadlines, HeadLimits(), connect_time=3.0)
        self.rules = evolve(rules, balancer=Balancer([pool]))
        self.journal = KeptJournal()
        self.surroundings = Surroundings(
            reactor=self.clock,
            wall=lambda: datetime.now(UTC),
            journal=self.journal,  # type: ignore[arg-type]
            deadlines=deadlines,
            limits=self.limits,
            checks=None,  # type: ignore[arg-type]
        )
        self.places = Places(2, 2)
        self.refusals = Repeats(self.clock, tell_refusal)
        self.way = Way.LOOPBACK
        self._deadlines = deadlines

    def site(self) -> OutboundSite:
        shared = Shared(self.places, self.refusals)
        return OutboundSite(lambda: self.rules, HERE, self.way, self.surroundings, shared)

    def call(self, data: bytes = GET) -> Wire:
        connection = ClientConnection(
            self.site(), self._deadlines, self.limits, self.clock.seconds(), secure=False
        )
        wire = Wire(connection, self.clock, lingers=False)
        connection.makeConnection(wire)
        wire.send(data)
        return wire

    def pass_time(self, seconds: float) -> None:
        pass_time(self.clock, seconds)

    @property
    def free(self) -> int:
        return self.places._free


@pytest.fixture
def apps(rules: OutboundRules) -> Applications:
    return Applications(rules)


def fault(wire: Wire, status: int) -> str:
    ((came, body),) = answers(wire.take())
    assert came == status, body
    text: str = json.loads(body)["issue"][0]["diagnostics"]
    return text


class TestPlaces:
    def test_the_next_call_waits_until_one_is_over(self, apps: Applications) -> None:
        first, _, third = apps.call(), apps.call(), apps.call()
        assert apps.sas.attempts == 2
        apps.sas.wires[0].take()
        apps.sas.wires[0].send(OK)
        assert answers(first.take()) == [(200, b"hi")]
        # On the connection that is free now, and on no other.
        assert apps.sas.attempts == 2
        apps.sas.wires[0].send(OK)
        assert answers(third.take()) == [(200, b"hi")]

    def test_beyond_the_queue_is_told_so(self, apps: Applications) -> None:
        for _ in range(4):
            apps.call()
        text = fault(apps.call(), 503)
        assert text.startswith("sasgate, 503 Service Unavailable: too many calls to SAS")
        assert text.endswith(NOT_SENT)
        assert apps.sas.attempts == 2

    def test_one_who_leaves_the_queue_makes_room_and_is_never_sent(
        self, apps: Applications
    ) -> None:
        for _ in range(3):
            apps.call()
        apps.call(b"GET /left HTTP/1.1\r\nHost: localhost\r\n\r\n").close()
        apps.call()
        for wire in apps.sas.wires * 2:
            wire.send(OK)
        targets = [read.target for wire in apps.sas.wires for read in read_strictly(wire.take())]
        assert targets == [b"/fhir"] * 4

    def test_the_queue_has_a_time_limit(self, apps: Applications) -> None:
        apps.sas.mute = True
        waiting = [apps.call() for _ in range(3)][2]
        apps.pass_time(30)
        assert fault(waiting, 504).endswith(NOT_SENT)

    @pytest.mark.parametrize("ending", ["answer", "refused", "death", "left", "late", "malformed"])
    def test_every_ending_gives_the_place_back(self, apps: Applications, ending: str) -> None:
        apps.sas.refuses = Refused() if ending == "refused" else None
        wire = apps.call()
        if ending == "answer":
            apps.sas.wire.send(OK)
        elif ending == "death":
            apps.sas.wire.close()
        elif ending == "left":
            wire.close()
        elif ending == "late":
            apps.pass_time(30)
        elif ending == "malformed":
            apps.sas.wire.send(b"nonsense\r\n\r\n")
        assert apps.free == 2
        assert len(apps.journal.accesses) == 1

    def test_a_refused_form_takes_no_place(self, apps: Applications) -> None:
        for data in (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", b"GET a HTTP/1.1\r\n\r\n"):
            apps.call(data)
        assert apps.free == 2
        assert apps.sas.attempts == 0


PAGES = {
    "form": "Host: localhost\r\nOrigin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n",
    "image": "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
    "sandbox": "Host: localhost\r\nOrigin: null\r\n",
    "rebound": "Host: evil.example:8081\r\nOrigin: http://evil.example:8081\r\n",
}


def of_page(lines: str, method: str = "POST") -> bytes:
    length = "Content-Type: text/plain\r\nContent-Length: 2\r\n"
    return f"{method} /fhir HTTP/1.1\r\n{lines}{length}\r\n{{}}".encode()


class TestPages:
    """S53: a web page that a browser of this host shows reaches the port, and not SAS."""

    @pytest.mark.parametrize("lines", PAGES.values(), ids=PAGES)
    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
    def test_nothing_of_its_request_is_sent(
        self, apps: Applications, lines: str, method: str
    ) -> None:
        text = fault(apps.call(of_page(lines, method)), 403)
        assert text.startswith("sasgate, 403 Forbidden: ")
        assert "Call from a program" in text
        assert text.endswith(NOT_SENT)
        assert (apps.sas.attempts, apps.free) == (0, 2)

    def test_the_journal_says_why(self, apps: Applications, logged: list[LogEvent]) -> None:
        apps.call(of_page(PAGES["form"]))
        (access,) = apps.journal.accesses
        assert (access.status, access.backend) == (403, "")
        assert "Sec-Fetch-Site" in access.error
        assert [event for event in logged if "meaning" in event] == []

    def test_no_page_of_another_origin_may_read_the_refusal(self, apps: Applications) -> None:
        assert b"access-control" not in apps.call(of_page(PAGES["form"])).take().lower()

    @pytest.mark.parametrize("lines", PAGES.values(), ids=PAGES)
    def test_by_a_socket_no_browser_comes(self, apps: Applications, lines: str) -> None:
        apps.way = Way.SOCKET
        apps.call(of_page(lines))
        assert apps.sas.attempts == 1

    def test_by_the_network_names_are_not_known(self, apps: Applications) -> None:
        apps.way = Way.NETWORK
        apps.call(of_page(PAGES["rebound"]))
        assert apps.sas.attempts == 1


class TestWays:
    @pytest.mark.parametrize(
        ("listen", "way"),
        [
            ("tcp:8081:interface=127.0.0.1", Way.LOOPBACK),
            ("tcp:8081:interface=localhost", Way.LOOPBACK),
            (r"tcp:8081:interface=\:\:1", Way.LOOPBACK),
            ("unix:/run/sas.sock", Way.SOCKET),
            ("systemd:domain=UNIX:index=0", Way.SOCKET),
            ("tcp:8081", Way.NETWORK),
            ("tcp:8081:interface=10.0.0.5", Way.NETWORK),
            ("systemd:domain=INET:index=0", Way.NETWORK),
        ],
    )
    def test_by_what_is_listened_on(self, listen: str, way: Way) -> None:
        assert way_to(Listen(listen, proxied=False)) is way


CHUNKED = b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
KILOBYTE = b"400\r\n" + b"x" * 1024 + b"\r\n"


class TestSlowUploads:
    """S48: a place to SAS is held for half of an answer's time by a body that comes slowly."""

    def trickle(self, apps: Applications, wires: list[Wire], seconds: int) -> None:
        for _ in range(seconds):
            for wire in wires:
                wire.send(KILOBYTE)
            apps.pass_time(1)

    def test_they_give_their_places_up_for_whoever_waits(self, apps: Applications) -> None:
        slow = [apps.call(CHUNKED), apps.call(CHUNKED)]
        waiting = apps.call()
        self.trickle(apps, slow, 14)
        assert (apps.free, waiting.take()) == (0, b"")
        self.trickle(apps, slow, 1)
        for wire in slow:
            text = fault(wire, 408)
            assert "the request's body takes too long" in text
            assert text.endswith(MAYBE_SENT)
        apps.sas.wires[-1].send(OK)
        assert answers(waiting.take()) == [(200, b"hi")]
        assert apps.free == 2

    def test_it_goes_with_the_configured_time(self, rules: OutboundRules) -> None:
        apps = Applications(rules, outbound_answer=60.0)
        wire = apps.call(CHUNKED)
        self.trickle(apps, [wire], 29)
        assert wire.take() == b""
        self.trickle(apps, [wire], 1)
        fault(wire, 408)

    def test_what_sas_takes_slowly_is_not_the_applications_doing(self, apps: Applications) -> None:
        size = 1024 * 1024
        head = b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
        wire = apps.call(head + b"x" * size)
        for _ in range(10):
            apps.pass_time(5)
            apps.sas.wire.take()
        assert apps.clock.seconds() > 30
        apps.sas.wire.send(OK)
        assert answers(wire.take()) == [(200, b"hi")]

    def test_the_time_before_goes_on_after_sas_was_slow(self, apps: Applications) -> None:
        wire = apps.call(CHUNKED)
        self.trickle(apps, [wire], 10)
        for _ in range(100):
            wire.send(KILOBYTE)
        apps.pass_time(19)
        apps.sas.wire.take()
        self.trickle(apps, [wire], 4)
        assert wire.take() == b""
        self.trickle(apps, [wire], 1)
        fault(wire, 408)

    def test_the_answers_time_is_not_the_bodys(self, apps: Applications) -> None:
        wire = apps.call(CHUNKED + KILOBYTE + b"0\r\n\r\n")
        apps.pass_time(29)
        apps.sas.wire.send(OK)
        assert answers(wire.take()) == [(200, b"hi")]


class TestSent:
    """What is said of the request is so."""

    def test_nothing_was_where_nobody_was_reached(self, apps: Applications) -> None:
        apps.sas.refuses = Refused()
        assert fault(apps.call(), 502).endswith(NOT_SENT)

    def test_it_may_have_been_where_sas_died(self, apps: Applications) -> None:
        wire = apps.call()
        apps.sas.wire.close()
        assert fault(wire, 502).endswith(MAYBE_SENT)
        assert apps.sas.attempts == 1

    def test_it_may_have_been_where_sas_is_late(self, apps: Applications) -> None:
        wire = apps.call()
        apps.pass_time(30)
        assert fault(wire, 504).endswith(MAYBE_SENT)

    def test_it_may_have_been_where_the_body_does_not_come(self, apps: Applications) -> None:
        wire = apps.call(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx")
        apps.pass_time(15)
        assert fault(wire, 408).endswith(MAYBE_SENT)

    def test_a_kept_connection_that_ended_unseen_is_not_used(self, apps: Applications) -> None:
        wire = apps.call()
        apps.sas.wire.send(OK)
        wire.take()
        apps.sas.wires[0].take()
        apps.sas.wires[0].send_unseen()
        again = apps.call()
        assert apps.sas.wires[0].take() == b""
        apps.sas.wires[1].send(OK)
        assert answers(again.take()) == [(200, b"hi")]

    def test_what_was_sent_on_a_kept_connection_is_not_sent_again(self, apps: Applications) -> None:
        wire = apps.call()
        apps.sas.wire.send(OK)
        wire.take()
        again = apps.call()
        apps.sas.wire.close()
        assert fault(again, 502).endswith(MAYBE_SENT)
        assert apps.sas.attempts == 1


class TestFaults:
    @pytest.mark.parametrize("status", [400, 405, 408, 414, 417, 431, 500, 501, 502, 503, 504])
    @pytest.mark.parametrize("sent", [False, True])
    def test_each_is_told_with_its_status(
        self, apps: Applications, status: int, sent: bool
    ) -> None:
        reply = apps.site().failure(status, "a backend {x} %s", sent=sent)
        assert reply.content_type == b"application/fhir+json"
        text = json.loads(reply.body)["issue"][0]["diagnostics"]
        assert text.startswith(f"sasgate, {status} {HTTPStatus(status).phrase}: ")
        assert "a SAS {x} %s" in text
        assert text.endswith(MAYBE_SENT) == sent


class TestJournal:
    def test_an_answer_of_sas_is_one_access_event(self, apps: Applications) -> None:
        apps.call()
        apps.sas.wire.send(OK)
        (access,) = apps.journal.accesses
        assert (access.listener, access.environment) == ("outbound:a", "own-a")
        assert (access.status, access.backend, access.peer) == (200, "https://sas", "127.0.0.1")

    @pytest.mark.parametrize(("status", "lines"), [(401, 1), (403, 1), (200, 0), (404, 0)])
    def test_a_refusal_by_sas_is_explained_in_one_line(
        self, apps: Applications, logged: list[LogEvent], status: int, lines: int
    ) -> None:
        apps.call()
        apps.sas.wire.send(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        told = [event for event in logged if "meaning" in event]
        assert len(told) == lines
        for event in told:
            assert "CN=sas-agregateur-test-ACME OU=300000000000017" in event["presented"]

    def test_refusals_that_repeat_themselves_are_counted(
        self, apps: Applications, logged: list[LogEvent]
    ) -> None:
        for status in [401] * 50 + [403]:
            wire = apps.call()
            apps.sas.open[-1].send(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
            wire.close()
        assert [event["status"] for event in logged if "meaning" in event] == [401, 403]
        apps.pass_time(60)
        (event,) = [event for event in logged if event.get("times")]
        assert (event["status"], event["times"]) == (401, ", 49 times more in 60 s")

    def test_a_refusal_that_is_cut_short_is_a_fault(
        self, apps: Applications, logged: list[LogEvent]
    ) -> None:
        apps.call()
        apps.sas.wire.send(b"HTTP/1.1 401 X\r\nContent-Length: 9\r\n\r\nx")
        apps.sas.wire.close()
        assert [event for event in logged if "meaning" in event] == []


class TestTargets:
    """S53: whatever a target names, what goes to SAS is a path."""

    @given(st.binary(max_size=60))
    def test_any(self, target: bytes) -> None:
        form = _origin_form(b"OPTIONS", target)
        assert form is None or form.startswith(b"/") or form == b"*"

    def test_the_asterisk_is_for_options_alone(self) -> None:
        assert _origin_form(b"OPTIONS", b"*") == b"*"
        assert _origin_form(b"GET", b"*") is None

    @given(path=st.from_regex(rb"/[!-~]*", fullmatch=True))
    def test_a_path_is_left_as_it_is(self, path: bytes) -> None:
        assert _origin_form(b"GET", path) == path

    @given(
        server=st.from_regex(rb"[a-z@:.\[\]\\%]*", fullmatch=True),
        rest=st.from_regex(rb"([/?][!-~]*)?", fullmatch=True),
    )
    def test_a_server_is_left_out(self, server: bytes, rest: bytes) -> None:
        form = _origin_form(b"GET", b"http://" + server + rest)
        assert form == (rest if rest.startswith(b"/") else b"/" + rest)

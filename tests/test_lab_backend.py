"""The editor's backend in small: what it answers, and that its record hides nothing."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection

import pytest
from attrs import frozen
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from sasgate.lab import fhir, platform
from sasgate.lab.backend import Backend
from sasgate.lab.platform import Call


NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@frozen
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection to a backend in memory."""

    def __init__(self, backend: Backend) -> None:
        self.transport = StringTransport()
        self.channel = backend.buildProtocol(None)
        self.channel.makeConnection(self.transport)

    def send(self, raw: bytes) -> None:
        self.channel.dataReceived(raw)

    def answer(self) -> Answered:
        head, _, body = self.transport.value().partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return Answered(int(status.split()[1]), headers, body)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backend(clock: Clock) -> Backend:
    return Backend(clock)


def raw(call: Call) -> bytes:
    body = call.body or b""
    fields = "".join(f"{name}: {value}\r\n" for name, value in call.headers)
    length = f"Content-Length: {len(body)}\r\n"
    head = f"{call.method} {call.path} HTTP/1.1\r\nHost: x\r\n{fields}{length}\r\n"
    return head.encode("latin-1") + body


def ask(backend: Backend, call: Call) -> Answered:
    connection = Connection(backend)
    connection.send(raw(call))
    return connection.answer()


@pytest.mark.parametrize("spelling", [False, True])
def test_a_slot_search_is_answered_with_slots_of_its_interval(
    spelling: bool, backend: Backend
) -> None:
    answer = ask(backend, platform.slots(NOW, raw=spelling))
    bundle = json.loads(answer.body)
    slots = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Slot"]
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json+fhir")
    assert (bundle["type"], bundle["total"]) == ("searchset", len(slots))
    assert len(slots) == 2
    assert all(datetime.fromisoformat(slot["start"]) > NOW for slot in slots)


def test_an_interval_too_short_for_a_slot_has_none(backend: Backend) -> None:
    path = "/Slot?start=ge2026-03-04T05:06:07Z&start=le2026-03-04T05:06:08Z"
    bundle = json.loads(ask(backend, Call("GET", path)).body)
    assert (bundle["total"], bundle["entry"]) == (0, [])


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?start=ge2026-03-04",
        "?start=ge2026-03-04&start=ge2026-03-05",
        "?start=geyesterday&start=le2026-03-05",
        "?start=ge2026-03-04&start=le2026-03-05T00:00:00Z",
    ],
)
def test_a_slot_search_without_an_interval_is_an_operation_outcome(
    query: str, backend: Backend
) -> None:
    answer = ask(backend, Call("GET", f"/Slot{query}"))
    assert answer.status == 400
    assert json.loads(answer.body)["resourceType"] == "OperationOutcome"


def test_every_call_of_the_platform_but_check_succeeds(backend: Backend) -> None:
    """`check` is the gateway's own."""
    calls = [call for call in platform.all_calls(NOW) if call != platform.check()]
    assert [ask(backend, call).status for call in calls] == [200, 200, 200, 201, 200]


def test_a_created_practitioner_has_a_location(backend: Backend) -> None:
    answer = ask(backend, platform.create_practitioner())
    assert answer.headers["location"] == f"/practitioner/{json.loads(answer.body)['id']}"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"resourceType": "Patient"}'])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_is_no_practitioner_is_refused(method: str, body: bytes, backend: Backend) -> None:
    call = Call(method, "/Practitioner?identifier=a%7Cb", body=body)
    assert ask(backend, call).status == 400


def test_an_update_without_identifier_is_refused(backend: Backend) -> None:
    body = fhir.encode(fhir.practitioner())
    assert ask(backend, Call("PUT", "/Practitioner", body=body)).status == 400


@pytest.mark.parametrize(
    "call", [Call("GET", "/"), Call("DELETE", "/Slot"), Call("GET", "/check"), Call("GET", "/x")]
)
def test_anything_else_is_not_found(call: Call, backend: Backend) -> None:
    assert ask(backend, call).status == 404


def test_any_base_path_will_do(backend: Backend) -> None:
    assert ask(backend, Call("GET", "/ans/sas/fhir//metadata")).status == 200


def test_echo_says_what_arrived(backend: Backend) -> None:
    call = Call("POST", "/echo?a=%2F", (("X-One", "1"),), b"12345")
    echo = json.loads(ask(backend, call).body)
    assert (echo["method"], echo["uri"], echo["body_length"]) == ("POST", "/echo?a=%2F", 5)


def test_the_record_keeps_case_order_and_repetitions_of_header_names(backend: Backend) -> None:
    """S37: a rewritten name would hide which of two fields a backend sees."""
    fields = (("x_ssl_client_cn", "1"), ("X-SSL-Client-CN", "2"), ("x-ssl-client-cn", "3"))
    ask(backend, Call("GET", "/metadata", fields))
    [received] = backend.recorded
    assert received.headers[1:4] == fields
    assert received.values("X-Ssl-Client-Cn") == ("2", "3")


def test_the_record_holds_refused_requests_and_bodies_too(backend: Backend) -> None:
    ask(backend, Call("POST", "/nowhere", body=b"evil"))
    assert [(each.uri, each.body) for each in backend.recorded] == [("/nowhere", b"evil")]


def test_two_requests_in_one_segment_are_recorded_as_two(backend: Backend) -> None:
    """S40: a smuggled request must show."""
    connection = Connection(backend)
    connection.send(raw(Call("GET", "/echo?1")) + raw(Call("GET", "/echo?2", (("X-A", "b"),))))
    assert [each.uri for each in backend.recorded] == ["/echo?1", "/echo?2"]
    assert [each.values("x-a") for each in backend.recorded] == [(), ("b",)]


def test_the_record_can_be_read_over_http_and_does_not_record_that(backend: Backend) -> None:
    ask(backend, Call("GET", "/echo"))
    for _ in range(2):
        recorded = json.loads(ask(backend, Call("GET", "/recorded")).body)
        assert [each["uri"] for each in recorded] == ["/echo"]


def test_the_record_can_be_forgotten(backend: Backend) -> None:
    ask(backend, Call("GET", "/echo"))
    ask(backend, Call("DELETE", "/recorded"))
    assert backend.recorded == []


def test_status_can_be_chosen(backend: Backend) -> None:
    assert ask(backend, Call("GET", "/status?code=503")).status == 503


def test_slow_answers_when_its_time_has_come(backend: Backend, clock: Clock) -> None:
    connection = Connection(backend)
    connection.send(raw(Call("GET", "/slow?seconds=8")))
    clock.advance(7.9)
    assert connection.transport.value() == b""
    clock.advance(0.2)
    assert connection.answer().status == 200


def test_slow_is_forgotten_when_the_client_leaves(backend: Backend, clock: Clock) -> None:
    connection = Connection(backend)
    connection.send(raw(Call("GET", "/slow?seconds=8")))
    connection.channel.connectionLost(Failure(ConnectionDone()))
    clock.advance(9)
    assert connection.transport.value() == b""


def test_slow_for_no_time_at_all_is_refused(backend: Backend) -> None:
    assert ask(backend, Call("GET", "/slow?seconds=long")).status == 400


@pytest.fixture(scope="module")
def process() -> Iterator[int]:
    """The port of a backend in a process of its own."""
    command = [sys.executable, "-m", "sasgate.lab.backend", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield int(running.stdout.readline())
        finally:
            running.terminate()


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("chunked", ["", "&chunked=1"])
@pytest.mark.parametrize("size", [0, 1, 65536, 1_000_000])
def test_stream_sends_so_many_bytes(size: int, chunked: str, process: int) -> None:
    status, body = get(process, f"/stream?bytes={size}{chunked}")
    assert (status, len(body)) == (200, size)


def test_stream_of_no_number_is_refused(process: int) -> None:
    assert get(process, "/stream?bytes=-1")[0] == 400


def test_the_process_serves_and_says_its_port_first(process: int) -> None:
    assert get(process, "/metadata")[0] == 200


def test_a_port_that_is_taken_is_said_without_a_traceback(process: int) -> None:
    command = [sys.executable, "-m", "sasgate.lab.backend", "--port", str(process)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert str(process) in done.stderr
    assert "Traceback" not in done.stderr
    assert "--port 0" in done.stderr


def test_the_command_says_where_it_is() -> None:
    command = [sys.executable, "-m", "sasgate", "lab", "backend", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            said = running.stdout.readline()
            assert said.startswith("the backend is at http://127.0.0.1:")
            assert get(int(said.rpartition(":")[2]), "/metadata")[0] == 200
        finally:
            running.terminate()

"""Heads as they leave the gateway, on either side."""

import re

import pytest

from field_names import HOP_BY_HOP, READ_BY_BACKENDS, SET_BY_THE_GATEWAY
from sasgate.chunked import LAST_CHUNK
from sasgate.headers import Kind
from sasgate.heads import interim_head, reply_head, request_head, response_head
from sasgate.http1 import (
    Framing,
    HeadLimits,
    RequestHead,
    RequestReader,
    ResponseHead,
    ResponseReader,
)
from sasgate.pool import Balancer
from sasgate.site import Forward, Reply
from strict_http import read_strictly


OURS = b"X-SSL-Client-CN: sas\r\nX-Request-ID: 1\r\n"


def request(*lines: bytes, line: bytes = b"GET /a HTTP/1.1") -> RequestHead:
    reader = RequestReader(HeadLimits())
    reader.receive(b"\r\n".join([line, b"Host: sas.example", *lines]) + b"\r\n\r\n")
    head = reader.head()
    assert head is not None
    return head


def passed_on(*lines: bytes, line: bytes = b"GET /a HTTP/1.1") -> dict[bytes, list[bytes]]:
    """The fields, in lower case, that a server gets of a request with these lines."""
    head = request(*lines, line=line)
    end = LAST_CHUNK if head.framing is Framing.CHUNKED else b""
    (read,) = read_strictly(to_server(head) + end)
    return {name: read.values(name) for name, _ in read.fields}


def to_server(head: RequestHead, drop: frozenset[Kind] = frozenset({Kind.GATEWAY})) -> bytes:
    plan = Forward(Balancer(()), b"/b", b"backend:1", OURS, drop, 1.0)
    return request_head(head, plan)


ALWAYS = {b"host": [b"backend:1"], b"x-ssl-client-cn": [b"sas"], b"x-request-id": [b"1"]}


class TestToTheServer:
    def test_method_target_and_host_are_those_of_the_plan(self) -> None:
        assert to_server(request()) == b"GET /b HTTP/1.1\r\nHost: backend:1\r\n" + OURS + b"\r\n"

    def test_a_request_of_http_1_0_goes_on_as_1_1(self) -> None:
        assert to_server(request(line=b"GET /a HTTP/1.0")).startswith(b"GET /b HTTP/1.1\r\n")

    def test_other_fields_pass_as_they_came_and_in_their_order(self) -> None:
        raw = to_server(request(b"accept: a", b"X-B:  c\t", b"Accept: d", b"X-C:"))
        assert raw == (
            b"GET /b HTTP/1.1\r\nHost: backend:1\r\naccept: a\r\nX-B: c\r\nAccept: d\r\nX-C: \r\n"
            + OURS
            + b"\r\n"
        )

    @pytest.mark.parametrize("name", HOP_BY_HOP)
    def test_hop_by_hop_fields_stop_here(self, name: bytes) -> None:
        """RFC 9110, 7.6.1."""
        assert passed_on(name + b": a") == ALWAYS

    @pytest.mark.parametrize("line", [b"Connection: keep-alive", b"Expect: 100-continue"])
    def test_what_is_between_the_client_and_the_gateway_stops_here(self, line: bytes) -> None:
        assert passed_on(line) == ALWAYS

    @pytest.mark.parametrize("name", SET_BY_THE_GATEWAY + READ_BY_BACKENDS)
    def test_a_clients_own_copy_is_removed(self, name: bytes) -> None:
        """S37."""
        lines = [
            each + b": me"
            for each in (name, name.lower(), name.replace(b"-", b"_"), name.replace(b"-", b"."))
        ]
        assert passed_on(*lines, *lines) == ALWAYS

    def test_they_pass_where_the_plan_drops_nothing(self) -> None:
        """Outbound, the application's own fields are its own affair."""
        head = request(b"Forwarded: for=a")
        assert b"\r\nForwarded: for=a\r\n" in to_server(head, frozenset())

    @pytest.mark.parametrize(
        "name", [b"Content_Length", b"content.length", b"Transfer_Encoding", b"Transfer~Encoding"]
    )
    def test_a_near_spelling_of_a_framing_field_is_removed(self, name: bytes) -> None:
        """S40."""
        assert passed_on(name + b": 5") == ALWAYS

    def test_what_connection_names_stops_here(self) -> None:
        """RFC 9110, 7.6.1."""
        lines = b"X-A: 1", b"X-B: 2", b"X-C: 3", b"Connection: x-a , close", b"connection: X-B"
        assert passed_on(*lines) == {**ALWAYS, b"x-c": [b"3"]}

    @pytest.mark.parametrize(
        "named",
        [b"X-SSL-Client-CN", b"x-request-id, close", b"X_SSL_Client_CN", b"Host", b"Content-Length",
         b"Transfer-Encoding"],
    )  # fmt: skip
    def test_connection_removes_nothing_of_ours(self, named: bytes) -> None:
        """S38."""
        lines = b"Connection: " + named, b"Content-Length: 0"
        assert passed_on(*lines) == {**ALWAYS, b"content-length": [b"0"]}

    def test_connection_does_not_remove_a_chunked_body(self) -> None:
        """S38, S40."""
        lines = b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked"
        assert passed_on(*lines, line=b"POST /a HTTP/1.1")[b"transfer-encoding"] == [b"chunked"]

    @pytest.mark.parametrize("value", [b"0", b"000", b" 0 "])
    def test_a_length_is_written_anew(self, value: bytes) -> None:
        assert passed_on(b"content-length:" + value)[b"content-length"] == [b"0"]

    def test_a_coding_is_written_anew(self) -> None:
        raw = to_server(request(b"TRANSFER-encoding: CHUNKED"))
        assert re.findall(rb"(?i)transfer-encoding: .*", raw) == [b"Transfer-Encoding: chunked\r"]

    @pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS"])
    def test_after_a_body_that_means_nothing_the_server_is_to_close(self, method: bytes) -> None:
        """S40: a server that does not read it would take it for the next request."""
        head = request(b"Content-Length: 5", line=method + b" /a HTTP/1.1")
        assert b"\r\nConnection: close\r\n" in to_server(head)

    @pytest.mark.parametrize(
        ("method", "length"), [(b"POST", b"5"), (b"PUT", b"5"), (b"PATCH", b"5"), (b"GET", b"0")]
    )
    def test_after_any_other_it_need_not(self, method: bytes, length: bytes) -> None:
        head = request(b"Content-Length: " + length, line=method + b" /a HTTP/1.1")
        assert b"Connection" not in to_server(head)


def response(
    *lines: bytes, line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET"
) -> ResponseHead:
    reader = ResponseReader(HeadLimits())
    reader.receive(b"\r\n".join([line, *lines]) + b"\r\n\r\n")
    head = reader.head(method)
    assert head is not None
    return head


def to_client(
    head: ResponseHead,
    asked: RequestHead | None = None,
    *,
    chunked: bool = False,
    keep: bool = True,
) -> list[bytes]:
    """The lines of the head that a client gets."""
    raw = response_head(head, asked or request(), chunked=chunked, keep=keep)
    assert raw.endswith(b"\r\n\r\n")
    return raw[:-4].split(b"\r\n")


class TestToTheClient:
    def test_a_response_is_http_1_1_whatever_the_server_speaks(self) -> None:
        """RFC 9110, 6.2."""
        head = response(b"Content-Length: 1", line=b"HTTP/1.0 404 Not Found")
        assert to_client(head) == [b"HTTP/1.1 404 Not Found", b"Content-Length: 1"]

    def test_the_reason_is_passed_on_even_if_empty(self) -> None:
        assert to_client(response(line=b"HTTP/1.1 204"))[0] == b"HTTP/1.1 204 "

    def test_other_fields_pass_as_they_came_and_in_their_order(self) -> None:
        lines = [b"Set-Cookie: a", b"ETag: b", b"set-cookie: c", b"X-Request-ID: theirs"]
        head = response(*lines, b"Content-Length: 0")
        assert to_client(head)[1:] == [*lines, b"Content-Length: 0"]

    @pytest.mark.parametrize(
        "line", [b"Keep-Alive: a", b"Trailer: a", b"Upgrade: a", b"Proxy-Authenticate: a",
                 b"Connection: close", b"Content_Length: 5", b"Transfer.Encoding: chunked"],
    )  # fmt: skip
    def test_hop_by_hop_fields_stop_here(self, line: bytes) -> None:
        assert to_client(response(line, b"Content-Length: 0"))[1:] == [b"Content-Length: 0"]

    def test_what_connection_names_stops_here(self) -> None:
        head = response(b"X-A: 1", b"Connection: X-A", b"X-B: 2", b"Content-Length: 0")
        assert to_client(head)[1:] == [b"X-B: 2", b"Content-Length: 0"]

    def test_a_body_of_unknown_length_is_chunked(self) -> None:
        head = response(b"Transfer-Encoding: chunked")
        assert to_client(head, chunked=True)[1:] == [b"Transfer-Encoding: chunked"]
        assert to_client(head, chunked=False)[1:] == []

    @pytest.mark.parametrize("status", [b"200", b"304"])
    def test_an_answer_to_head_keeps_its_length(self, status: bytes) -> None:
        """RFC 9110, 8.6."""
        head = response(b"Content-Length: 5", line=b"HTTP/1.1 " + status, method=b"HEAD")
        assert to_client(head, request(line=b"HEAD / HTTP/1.1"))[1:] == [b"Content-Length: 5"]

    def test_a_304_keeps_its_length(self) -> None:
        assert to_client(response(b"Content-Length: 5", line=b"HTTP/1.1 304"))[1:] == [
            b"Content-Length: 5"
        ]

    def test_a_204_has_none(self) -> None:
        """RFC 9110, 8.6."""
        assert to_client(response(b"Content-Length: 5", line=b"HTTP/1.1 204"))[1:] == []

    @pytest.mark.parametrize(
        ("version", "keep", "lines"),
        [
            (b"1.1", True, []),
            (b"1.1", False, [b"Connection: close"]),
            (b"1.0", True, [b"Connection: keep-alive"]),
            (b"1.0", False, [b"Connection: close"]),
        ],
    )
    def test_connection_is_said_where_the_version_would_say_otherwise(
        self, version: bytes, keep: bool, lines: list[bytes]
    ) -> None:
        """9.3 of RFC 9112."""
        asked = request(line=b"GET / HTTP/" + version)
        head = response(b"Content-Length: 0")
        assert to_client(head, asked, keep=keep)[1:] == [b"Content-Length: 0", *lines]

    def test_an_interim_response_has_no_framing(self) -> None:
        head = response(b"Link: </a>", b"Content-Length: 5", line=b"HTTP/1.1 103 Early Hints")
        assert interim_head(head) == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


class TestOwnAnswers:
    def test_an_answer_of_the_gateways_own_is_framed_by_its_length(self) -> None:
        assert reply_head(Reply(401, b"{}"), request(), keep=False) == (
            b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\nConnection: close\r\n\r\n"
        )

    def test_it_may_leave_the_connection_open(self) -> None:
        assert b"Connection" not in reply_head(Reply(404, b"{}"), request(), keep=True)

    def test_after_a_malformed_request_it_never_does(self) -> None:
        assert b"\r\nConnection: close\r\n" in reply_head(Reply(400, b""), None, keep=True)

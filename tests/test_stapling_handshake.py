"""What a handshake sends along, in memory: stapling neither admits, refuses nor delays anybody."""

from datetime import timedelta
from pathlib import Path

import pytest
from attrs import define
from OpenSSL import SSL
from twisted.logger import LogEvent

from sasgate.lab import trees
from sasgate.lab.ocsp_answers import Saying
from sasgate.lab.pki import Lab
from sasgate.settings import TLSVersion
from sasgate.stapling import Staple
from sasgate.tls import server_context
from sasgate.trust import CA, Credential
from stapled import OwnWorld
from tls_memory import Ends, client_context, ends


Code = SSL.X509VerificationCodes
each_version = pytest.mark.parametrize(
    "version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"]
)


@define
class Asking:
    """A client that asks for the word on the server's certificate, and what it was given."""

    given: list[bytes]
    pair: Ends


def asking(
    lab: Lab, server: SSL.Context, version: int, client: str = "recette", *, asks: bool = True
) -> Asking:
    given: list[bytes] = []

    def look(*seen: object) -> bool:
        body = seen[1]
        assert isinstance(body, bytes)
        given.append(body)
        return True

    context = client_context(lab, lab.clients[client])
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.set_ocsp_client_callback(look)
    pair = ends(server, context)
    if asks:
        pair.client.request_ocsp()
    pair.shake()
    return Asking(given, pair)


def server(lab: Lab, staple: Staple | None) -> SSL.Context:
    own = lab.servers["stapling"]
    credential = Credential((own.certificate, *own.chain), own.key)
    anchors = [lab.authorities[each] for each in (trees.ROOT_TEST, trees.ORG_TEST)]
    clients = [CA(Path(each.name), each.certificate, each.der, "") for each in anchors]
    return server_context(credential, clients, list(TLSVersion), "ECDHE+AESGCM", staple)


def holding(lab: Lab, body: bytes) -> Staple:
    return Staple(OwnWorld(lab).question, lambda: body)


def broken(lab: Lab) -> Staple:
    def source() -> bytes:
        raise ZeroDivisionError

    return Staple(OwnWorld(lab).question, source)


@each_version
def test_whoever_asks_is_given_the_answer_that_is_held(lab: Lab, version: int) -> None:
    body = OwnWorld(lab).answer()
    assert asking(lab, server(lab, holding(lab, body)), version).given == [body]


@each_version
def test_whoever_does_not_ask_is_given_nothing(lab: Lab, version: int) -> None:
    staple = holding(lab, OwnWorld(lab).answer())
    assert asking(lab, server(lab, staple), version, asks=False).given == []


@each_version
def test_without_an_answer_the_handshake_goes_on(lab: Lab, version: int) -> None:
    assert asking(lab, server(lab, Staple(OwnWorld(lab).question)), version).given == [b""]


@each_version
def test_without_a_responder_too(lab: Lab, version: int) -> None:
    assert asking(lab, server(lab, None), version).given == [b""]


@each_version
def test_the_answer_is_looked_up_at_each_handshake(lab: Lab, version: int) -> None:
    bodies = [OwnWorld(lab).answer(Saying(next_update=timedelta(hours=each))) for each in (1, 2)]
    waiting = iter(bodies)
    context = server(lab, Staple(OwnWorld(lab).question, lambda: next(waiting)))
    assert [asking(lab, context, version).given for _ in bodies] == [[each] for each in bodies]


@each_version
def test_s3_an_error_in_it_refuses_nobody(lab: Lab, version: int, logged: list[LogEvent]) -> None:
    made = asking(lab, server(lab, broken(lab)), version)
    assert (made.given, made.pair.record.faults) == ([b""], [])
    assert [event["log_failure"].type for event in logged] == [ZeroDivisionError]


@each_version
def test_s3_and_admits_nobody(lab: Lab, version: int) -> None:
    record = asking(lab, server(lab, broken(lab)), version, "expired").pair.record
    assert Code.ERR_CERT_HAS_EXPIRED in {fault.errno for fault in record.faults}


@each_version
def test_s2_nor_does_an_answer(lab: Lab, version: int) -> None:
    staple = holding(lab, OwnWorld(lab).answer())
    record = asking(lab, server(lab, staple), version, "expired").pair.record
    assert Code.ERR_CERT_HAS_EXPIRED in {fault.errno for fault in record.faults}

"""Every client of the catalogue against a real twistd: what it is answered, and what it reaches."""

import json
import ssl
import warnings
from collections.abc import Callable

import pytest
from cryptography import x509

from calling import (
    CHECK,
    SLOT,
    VERSIONS,
    answered,
    platform,
    raw,
    refusal_in,
)
from processes import BackendProcess, GatewayProcess
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.client import ADMITTED, MALFORMED, UNTRUSTED, Client, Listener
from sasgate.lab.pki import Lab
from sasgate.lab.platform import Call, Platform, Response, create_practitioner


CLIENTS = list(CATALOGUE.values())
REFUSED = [client for client in CLIENTS if client.answer != ADMITTED]
GOOD = [client for client in CLIENTS if client.answer == ADMITTED]
KO = {401: "KO:Unauthorized", 403: "KO:Forbidden"}

each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
each_refused = pytest.mark.parametrize("client", REFUSED, ids=lambda client: client.name)
each_good = pytest.mark.parametrize("client", GOOD, ids=lambda client: client.name)
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
leaf_or_chain = pytest.mark.parametrize("chain", [False, True], ids=["leaf", "chain"])

Calling = Callable[..., Platform]


@pytest.fixture
def calling(lab: Lab, gateway: GatewayProcess) -> Calling:
    """Who calls, on the listener where the catalogue expects it."""

    def make(client: Client, **more: object) -> Platform:
        return platform(lab, gateway.port(client.listener.value), client.name, **more)

    return make


@pytest.fixture
def nothing_arrives(backend: BackendProcess) -> BackendProcess:
    backend.forget()
    return backend


def cn_of(lab: Lab, client: Client) -> str:
    """What a refusal tells of the subject: its CN, cut where a certificate holds too much."""
    if client.answer == MALFORMED:
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # lengths that RFC 5280 does not allow
        subject = lab.clients[client.name].certificate.subject
    values = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    shown = ", ".join(str(each.value) for each in values)
    return shown if len(shown) <= 256 else shown[:256] + "…"


@each_refused
def test_a_refused_client_is_told_why(lab: Lab, calling: Calling, client: Client) -> None:
    response = answered(calling(client).send(SLOT))
    assert refusal_in(response) == {
        "status": KO[client.answer.status],
        "verify": client.answer.verify,
        "CN": cn_of(lab, client),
    }


@each_refused
@each_version
@leaf_or_chain
def test_a_refused_client_reaches_nothing(
    calling: Calling,
    nothing_arrives: BackendProcess,
    client: Client,
    version: ssl.TLSVersion,
    chain: bool,
) -> None:
    """S2, S4 to S9, S11, S39."""
    response = answered(calling(client, version=version, chain=chain).send(SLOT))
    assert response.status == client.answer.status
    assert refusal_in(response)["verify"] == client.answer.verify
    assert nothing_arrives.recorded() == []


@each_good
@each_version
@leaf_or_chain
def test_a_good_client_gets_the_backends_answer(
    calling: Calling,
    nothing_arrives: BackendProcess,
    client: Client,
    version: ssl.TLSVersion,
    chain: bool,
) -> None:
    """S6, S10: whatever the string types and the rest of the name."""
    response = answered(calling(client, version=version, chain=chain).send(SLOT))
    assert response.status == 200
    assert json.loads(response.body)["resourceType"] == "Bundle"
    (arrived,) = nothing_arrives.recorded()
    assert arrived["uri"] == SLOT.path


@each_refused
def test_check_answers_403_to_every_failed_authentication(
    calling: Calling, nothing_arrives: BackendProcess, client: Client
) -> None:
    """Specification, 2.4."""
    response = answered(calling(client).send(CHECK))
    body = refusal_in(response)
    assert (response.status, body["status"]) == (403, "KO:Forbidden")
    assert body["verify"] == client.answer.verify
    assert nothing_arrives.recorded() == []


@each_good
def test_check_answers_200_to_a_good_client(
    calling: Calling, nothing_arrives: BackendProcess, client: Client
) -> None:
    response = answered(calling(client).send(CHECK))
    assert (response.status, json.loads(response.body)) == (200, {"status": "available"})
    assert nothing_arrives.recorded() == []


@each_client
def test_http_1_0_without_host_gets_the_same_answer(
    calling: Calling, nothing_arrives: BackendProcess, client: Client
) -> None:
    """S41: the form of a request changes no decision."""
    with calling(client).dial() as stream:
        status, received = raw(stream, b"GET /metadata HTTP/1.0\r\n\r\n")
    assert status == client.answer.status
    assert len(nothing_arrives.recorded()) == (1 if client.answer == ADMITTED else 0)
    assert b"\r\nConnection: close\r\n" in received


@each_refused
def test_a_refused_upload_is_answered_and_not_reset(
    calling: Calling, nothing_arrives: BackendProcess, client: Client
) -> None:
    """The body is thrown away, so that the answer arrives; ANS's kit fails on a reset."""
    big = create_practitioner()
    response = answered(calling(client).send(Call("POST", big.path, big.headers, b"x" * 300_000)))
    assert response.status == client.answer.status
    assert nothing_arrives.recorded() == []


class TestWithoutCertificate:
    @pytest.fixture(params=list(Listener), ids=lambda listener: listener.value)
    def nobody(self, request: pytest.FixtureRequest, lab: Lab, gateway: GatewayProcess) -> Calling:
        def make(**more: object) -> Platform:
            return platform(lab, gateway.port(request.param.value), None, **more)

        return make

    @each_version
    def test_the_handshake_ends_and_the_answer_is_a_401(
        self, nobody: Calling, nothing_arrives: BackendProcess, version: ssl.TLSVersion
    ) -> None:
        """ANS's TLS probe has no certificate and must get some HTTP answer in each version."""
        response = answered(nobody(version=version).send(SLOT))
        assert response.status == 401
        assert refusal_in(response) == {"status": KO[401], "verify": "NONE", "CN": ""}
        assert nothing_arrives.recorded() == []

    def test_check_is_a_403(self, nobody: Calling) -> None:
        response = answered(nobody().send(CHECK))
        assert response.status == 403
        assert refusal_in(response) == {"status": KO[403], "verify": "NONE", "CN": ""}

    @pytest.mark.parametrize(
        "path", ["/", "/metadata", "/no/such/path", "/check/x", "/.well-known/"]
    )
    def test_every_path_needs_a_certificate(self, nobody: Calling, path: str) -> None:
        """S16, S43."""
        assert answered(nobody().send(Call("GET", path))).status == 401


class TestOtherListener:
    """S9: a right client is a stranger on another environment's listener."""

    @each_good
    def test_the_right_ca_on_the_other_trees_listener_is_a_401(
        self, lab: Lab, gateway: GatewayProcess, nothing_arrives: BackendProcess, client: Client
    ) -> None:
        other = next(each for each in Listener if each is not client.listener)
        response = answered(platform(lab, gateway.port(other.value), client.name).send(SLOT))
        assert response.status == 401
        assert refusal_in(response)["verify"] == UNTRUSTED.verify
        assert nothing_arrives.recorded() == []

    @each_version
    def test_sending_the_chain_along_does_not_help(
        self, lab: Lab, gateway: GatewayProcess, version: ssl.TLSVersion
    ) -> None:
        port = gateway.port(Listener.TEST.value)
        caller = platform(lab, port, "production", chain=True, version=version)
        assert answered(caller.send(SLOT)).status == 401


class TestConnection:
    def test_it_stays_with_the_verdict_of_its_handshake(
        self, lab: Lab, gateway: GatewayProcess
    ) -> None:
        with platform(lab, gateway.port()).session() as session:
            assert [answered(session.send(SLOT)).status for _ in range(3)] == [200] * 3
            assert session.open

    def test_it_is_closed_in_order_after_a_refusal(
        self, lab: Lab, gateway: GatewayProcess, nothing_arrives: BackendProcess
    ) -> None:
        """What follows a refused request on the connection is never looked at."""
        with platform(lab, gateway.port(), "wrong-cn").dial() as stream:
            request = b"GET /metadata HTTP/1.1\r\nHost: x\r\n\r\n"
            status, received = raw(stream, request * 3)
        assert status == 403
        assert received.count(b"HTTP/1.1 ") == 1
        assert nothing_arrives.recorded() == []

    def test_clients_at_the_same_time_each_keep_their_own_verdict(
        self, lab: Lab, gateway: GatewayProcess
    ) -> None:
        names = ["recette", "wrong-cn", "preproduction", "expired", "self-signed"]
        streams = [platform(lab, gateway.port(), name).dial() for name in names]
        for stream in reversed(streams):
            stream.sendall(b"GET /metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        statuses = [raw(stream, b"")[0] for stream in streams]
        for stream in streams:
            stream.close()
        assert statuses == [CATALOGUE[name].answer.status for name in names]

    def test_the_backend_is_told_who_it_is(
        self, lab: Lab, gateway: GatewayProcess, nothing_arrives: BackendProcess
    ) -> None:
        answered(platform(lab, gateway.port(), "preproduction").send(SLOT))
        (arrived,) = nothing_arrives.recorded()
        said = dict(arrived["headers"])
        assert said["X-SSL-Client-Verify"] == "SUCCESS"
        assert said["X-SAS-Environment"] == "lab-preproduction"
        assert said["X-SSL-Client-CN"] == "sas-aggregator-preproduction"


def test_a_refusal_tells_nothing_but_the_callers_own_name(
    lab: Lab, gateway: GatewayProcess
) -> None:
    """S46: no version, path, stack, issuer or configured name."""
    for client in (None, "wrong-cn", "self-signed", "expired", "ssl-serv"):
        response: Response = answered(platform(lab, gateway.port(), client).send(SLOT))
        text = response.body.decode() + str(response.headers)
        for leak in ("sasgate", "Twisted", "OpenSSL", "python", "LAB", "Traceback", "preproduction",
                     str(lab.directory)):  # fmt: skip
            assert leak.lower() not in text.lower()

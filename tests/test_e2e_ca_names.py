"""The certificate request names root and issuer: some clients send nothing otherwise.

Java chooses among its certificates by those names; one that holds a leaf alone sends it only
when the leaf's own issuer is named, and one that holds the chain when any CA of it is.
"""

import socket

import pytest
from cryptography import x509
from OpenSSL import SSL

from openssl import curl, s_client
from processes import PATIENCE, GatewayProcess, write_ini
from sasgate.lab import trees
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.pki import Lab
from tls_memory import client_context, contexts


VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
each_version = pytest.mark.parametrize("version", list(VERSIONS.values()), ids=list(VERSIONS))


def choosy(lab: Lab, port: int, name: str, version: int) -> SSL.Context:
    """A client that presents its leaf, alone, only where the leaf's issuer is named.

    It asks first: OpenSSL has chosen by the time that it tells of the names.
    """
    credential = lab.clients[name]
    named = requested(connected(client_context(lab), port, version))
    issuer = credential.certificate.issuer.public_bytes()
    return client_context(lab, credential if issuer in named else None)


def connected(context: SSL.Context, port: int, version: int) -> SSL.Connection:
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    plain.settimeout(None)  # pyOpenSSL takes a time limit for non-blocking
    connection = SSL.Connection(context, plain)
    connection.set_tlsext_host_name(b"localhost")
    connection.set_connect_state()
    connection.do_handshake()
    return connection


def requested(connection: SSL.Connection) -> set[bytes]:
    """The names in the certificate request of a connection, DER; the connection is closed."""
    names = {each.der() for each in connection.get_client_ca_list()}
    connection.sock_shutdown(socket.SHUT_RDWR)
    connection.close()
    return names


def check(connection: SSL.Connection) -> bytes:
    connection.sendall(b"GET /check HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    received = b""
    try:
        while True:
            received += connection.recv(65536)
    except SSL.ZeroReturnError:
        connection.close()
        return received


@each_version
@pytest.mark.parametrize("name", ["recette", "wrong-cn", "person", "production", "other-ca"])
def test_a_client_that_waits_to_be_asked_by_name(
    lab: Lab, gateway: GatewayProcess, version: int, name: str
) -> None:
    """ORGANISATIONS is named; PERSONNES and the production tree are not."""
    port = gateway.port()
    received = check(connected(choosy(lab, port, name, version), port, version))
    asked = CATALOGUE[name].issuer in {trees.ORG_TEST, trees.OTHER_ORG}
    assert (b'"verify": "NONE"' not in received) == asked
    assert received.startswith(b"HTTP/1.1 200 ") == (name == "recette")


@each_version
def test_the_other_listener_names_its_own(lab: Lab, gateway: GatewayProcess, version: int) -> None:
    port = gateway.port("inbound:production")
    received = check(connected(choosy(lab, port, "production", version), port, version))
    assert received.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
def test_openssl_shows_the_names(lab: Lab, gateway: GatewayProcess, option: str) -> None:
    said = s_client(lab, gateway.port(), option, "-nameopt", "RFC2253,-esc_msb,utf8")
    _, _, after = said.partition("Acceptable client certificate CA names\n")
    names = after.splitlines()[:3]
    expected = [lab.authorities[each].certificate for each in (trees.ROOT_TEST, trees.ORG_TEST)]
    assert set(names[:2]) == {each.subject.rfc4514_string() for each in expected}
    assert not names[2].startswith("CN=")


@pytest.mark.parametrize("option", ["--tlsv1.2", "--tlsv1.3"])
@pytest.mark.parametrize(("client", "status"), [("recette", 200), ("wrong-ou", 403), (None, 403)])
def test_curl_presents_what_it_was_given(
    lab: Lab, gateway: GatewayProcess, option: str, client: str | None, status: int
) -> None:
    url = f"https://localhost:{gateway.port()}/check"
    said = curl(lab, url, option, "--tls-max", option[-3:], client=client)
    assert said.startswith(f"HTTP/1.1 {status} ")


def test_environments_of_one_listener_name_each_ca_once(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Recette and preproduction have the same CAs, and production's are added to them."""
    section = "environment = lab-recette lab-preproduction"
    ini = write_ini(lab, tmp_path_factory.mktemp("all"),
                    changes={section: f"{section} lab-production"})  # fmt: skip
    context = contexts(ini)["inbound"]
    wanted = (trees.ROOT_TEST, trees.ORG_TEST, trees.ROOT, trees.ORG)
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    named = [x509.Name.public_bytes(lab.authorities[each].certificate.subject) for each in wanted]
    assert sorted(each.der() for each in connection.get_client_ca_list()) == sorted(named)

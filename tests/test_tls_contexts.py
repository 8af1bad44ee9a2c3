"""The TLS contexts of the inbound side, and the record of a handshake, all in memory."""

from pathlib import Path

import pytest
from OpenSSL import SSL

from processes import write_ini
from sasgate.admission import Presented
from sasgate.lab import trees
from sasgate.lab.authority import pem_of
from sasgate.lab.pki import Lab
from sasgate.settings import TLSVersion
from sasgate.tls import HandshakeRecord, presented, server_connection, server_context
from sasgate.trust import CA, Credential
from tls_memory import Ends, client_context, contexts, ends


Code = SSL.X509VerificationCodes
BOTH = [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]
each_version = pytest.mark.parametrize("version", BOTH, ids=["1.2", "1.3"])


@pytest.fixture(scope="module")
def server(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> SSL.Context:
    return contexts(write_ini(lab, tmp_path_factory.mktemp("tls")))["inbound"]


def shaken(
    lab: Lab, server: SSL.Context, name: str | None = "recette", version: int = SSL.TLS1_3_VERSION
) -> Ends:
    """The two ends after a handshake in which a client of the catalogue presented itself."""
    client = client_context(lab, None if name is None else lab.clients[name])
    client.set_min_proto_version(version)
    client.set_max_proto_version(version)
    pair = ends(server, client)
    pair.shake()
    return pair


class TestRecord:
    """S2: what OpenSSL said of each certificate, since its final word is OK all the same."""

    @each_version
    def test_of_a_good_client_it_holds_steps_and_no_fault(
        self, lab: Lab, server: SSL.Context, version: int
    ) -> None:
        pair = shaken(lab, server, version=version)
        assert (pair.record.calls, pair.record.faults) == (3, [])

    @each_version
    @pytest.mark.parametrize(
        ("name", "errno"),
        [
            ("other-ca", Code.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY),
            ("self-signed", Code.ERR_DEPTH_ZERO_SELF_SIGNED_CERT),
            ("expired", Code.ERR_CERT_HAS_EXPIRED),
            ("not-yet-valid", Code.ERR_CERT_NOT_YET_VALID),
            ("bad-signature", Code.ERR_CERT_SIGNATURE_FAILURE),
            ("server-auth", Code.ERR_INVALID_PURPOSE),
        ],
    )
    def test_of_a_bad_one_it_holds_the_fault(
        self, lab: Lab, server: SSL.Context, version: int, name: str, errno: int
    ) -> None:
        pair = shaken(lab, server, name, version)
        assert errno in {fault.errno for fault in pair.record.faults}

    @each_version
    def test_openssl_itself_says_nothing_of_it_afterwards(
        self, lab: Lab, server: SSL.Context, version: int
    ) -> None:
        """The record is the only witness: with an untrusted client the handshake looks good."""
        pair = shaken(lab, server, "expired", version)
        assert pair.server.get_peer_certificate() is not None
        assert pair.server.get_verified_chain() is not None
        last = pair.record.faults[-1]
        assert (last.errno, pair.record.calls) != (0, len(pair.record.faults))

    def test_a_later_ok_does_not_take_a_fault_back(self) -> None:
        record = HandshakeRecord()
        record.step(10, 1, 0)
        record.step(0, 0, 1)
        assert record.calls == 2
        assert [(fault.errno, fault.depth) for fault in record.faults] == [(10, 1)]

    def test_without_a_certificate_it_stays_empty(self, lab: Lab, server: SSL.Context) -> None:
        pair = shaken(lab, server, None)
        assert (pair.record.calls, pair.record.faults) == (0, [])

    def test_each_connection_has_its_own(self, lab: Lab, server: SSL.Context) -> None:
        bad, good = shaken(lab, server, "expired"), shaken(lab, server)
        assert bad.record.faults
        assert good.record.faults == []


class TestPresented:
    def test_a_good_clients_chain_is_leaf_issuer_root(self, lab: Lab, server: SSL.Context) -> None:
        pair = shaken(lab, server)
        what = presented(pair.server, pair.record)
        assert what.identity is not None
        assert what.chain == (
            what.identity.der,
            lab.authorities[trees.ORG_TEST].der,
            lab.authorities[trees.ROOT_TEST].der,
        )

    def test_nobody_presents_nothing(self, lab: Lab, server: SSL.Context) -> None:
        pair = shaken(lab, server, None)
        assert presented(pair.server, pair.record) == Presented(None)

    def test_what_cannot_be_read_is_nobody_and_says_why(
        self, lab: Lab, server: SSL.Context
    ) -> None:
        pair = shaken(lab, server, "unreadable-name")
        what = presented(pair.server, pair.record)
        assert what.identity is None
        assert "cannot be read" in what.unreadable

    def test_before_the_handshake_there_is_nobody(self, server: SSL.Context) -> None:
        connection, record = server_connection(server)
        assert presented(connection, record).identity is None

    @pytest.mark.parametrize("error", [ValueError, TypeError, SSL.Error, KeyError, AssertionError])
    def test_whatever_goes_wrong_is_nobody(
        self, server: SSL.Context, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
    ) -> None:
        """S3: fail closed."""
        connection, record = server_connection(server)

        def fail(**_: object) -> None:
            raise error("odd")

        monkeypatch.setattr(connection, "get_peer_certificate", fail)
        what = presented(connection, record)
        assert what.identity is None
        assert what.unreadable


class TestMutation:
    """S2: if the callback forgot what it was told, strangers would have to be noticed here."""

    def forgetful(
        self, lab: Lab, server: SSL.Context, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> Presented:
        honest = HandshakeRecord.step

        def step(self: HandshakeRecord, *given: object) -> bool:
            honest(self, *given)
            self.faults.clear()
            return True

        monkeypatch.setattr(HandshakeRecord, "step", step)
        pair = shaken(lab, server, name)
        return presented(pair.server, pair.record)

    def test_an_expired_client_would_have_a_perfect_chain(
        self, lab: Lab, server: SSL.Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        what = self.forgetful(lab, server, monkeypatch, "expired")
        assert (what.calls > 0, what.faults) == (True, ())
        assert what.chain[1:] == (
            lab.authorities[trees.ORG_TEST].der,
            lab.authorities[trees.ROOT_TEST].der,
        )

    def test_so_would_one_whose_signature_is_wrong(
        self, lab: Lab, server: SSL.Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing but the record stands between a forged certificate and the backend."""
        what = self.forgetful(lab, server, monkeypatch, "bad-signature")
        assert what.faults == ()
        assert len(what.chain) == 3


class TestDefaults:
    def test_a_connection_without_a_record_fails(self, lab: Lab, server: SSL.Context) -> None:
        """S3: a good certificate too, of which nothing would be known afterwards."""
        pair = ends(server, client_context(lab, lab.clients["recette"]))
        pair.server = SSL.Connection(server, None)
        with pytest.raises(SSL.Error):
            pair.shake()

    def test_an_exception_in_the_callback_ends_the_handshake(
        self, lab: Lab, server: SSL.Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S3."""

        def fail(*_: object) -> bool:
            raise RuntimeError("odd")

        monkeypatch.setattr(HandshakeRecord, "step", fail)
        with pytest.raises((RuntimeError, SSL.Error)):
            shaken(lab, server)

    def test_the_request_names_root_and_issuer_and_nobody_else(
        self, lab: Lab, server: SSL.Context
    ) -> None:
        pair = shaken(lab, server, version=SSL.TLS1_2_VERSION)
        named = {name.der() for name in pair.client.get_client_ca_list()}
        expected = (trees.ROOT_TEST, trees.ORG_TEST)
        assert named == {
            lab.authorities[each].certificate.subject.public_bytes() for each in expected
        }
        assert len(pair.client.get_client_ca_list()) == 2

    def test_the_systems_store_is_not_consulted(
        self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S1: a CA of the system's store is a stranger."""
        system = tmp_path / "system.pem"
        others = (trees.OTHER_ROOT, trees.OTHER_ORG)
        system.write_bytes(pem_of(tuple(lab.authorities[each].certificate for each in others)))
        monkeypatch.setenv("SSL_CERT_FILE", str(system))
        careless = contexts(write_ini(lab, tmp_path / "careless"))["inbound"]
        careless.set_default_verify_paths()
        assert shaken(lab, careless, "other-ca").record.faults == []
        ours = contexts(write_ini(lab, tmp_path / "ours"))["inbound"]
        assert shaken(lab, ours, "other-ca").record.faults != []

    @each_version
    def test_a_client_without_sni_is_served(
        self, lab: Lab, server: SSL.Context, version: int
    ) -> None:
        """S16."""
        client = client_context(lab, lab.clients["recette"])
        client.set_max_proto_version(version)
        pair = ends(server, client, name=None)
        pair.shake()
        assert pair.record.faults == []

    def test_a_chain_deeper_than_ten_is_a_fault(self, lab: Lab, server: SSL.Context) -> None:
        """S11."""
        client = client_context(lab, lab.clients["deep-chain"], chain=True)
        pair = ends(server, client)
        pair.shake()
        assert Code.ERR_CERT_CHAIN_TOO_LONG in {fault.errno for fault in pair.record.faults}

    def test_the_clients_cas_never_complete_the_gateways_own_chain(self, lab: Lab) -> None:
        own, ca = lab.editors["ACME_TEST"], lab.authorities[trees.ORG_TEST]
        trusted = CA(lab.ca_path(trees.ORG_TEST), ca.certificate, ca.der, "")
        credential = Credential((own.certificate,), own.key)
        server = server_context(credential, (trusted,), [TLSVersion.V1_3], "ECDHE+AESGCM")
        client = client_context(lab)
        client.set_verify(SSL.VERIFY_NONE, lambda *_: True)
        pair = ends(server, client)
        pair.shake()
        assert pair.client.get_peer_cert_chain(as_cryptography=True) == [own.certificate]


class TestProtocol:
    @pytest.mark.parametrize(
        ("tls", "minimum", "maximum"),
        [
            ("1.2", SSL.TLS1_2_VERSION, SSL.TLS1_2_VERSION),
            ("1.3", SSL.TLS1_3_VERSION, SSL.TLS1_3_VERSION),
            ("1.2 1.3", SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION),
        ],
    )
    def test_versions_are_those_of_the_configuration(
        self,
        lab: Lab,
        tmp_path_factory: pytest.TempPathFactory,
        tls: str,
        minimum: int,
        maximum: int,
    ) -> None:
        changes = {"[inbound]\n": f"[inbound]\ntls = {tls}\n"}
        ini = write_ini(lab, tmp_path_factory.mktemp("versions"), changes=changes)
        server = contexts(ini)["inbound"]
        for version in BOTH:
            if minimum <= version <= maximum:
                assert shaken(lab, server, version=version).record.faults == []
            else:
                with pytest.raises(SSL.Error):
                    shaken(lab, server, version=version)

    @each_version
    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [
            ([b"http/1.1"], b"http/1.1"),
            ([b"h2", b"http/1.1"], b"http/1.1"),
            ([b"http/1.1", b"h2"], b"http/1.1"),
            ([b"h2"], b""),
            ([b"h2c", b"spdy/3"], b""),
            (None, b""),
        ],
    )
    def test_alpn_is_http_1_1_or_nothing(
        self,
        lab: Lab,
        server: SSL.Context,
        version: int,
        offered: list[bytes] | None,
        chosen: bytes,
    ) -> None:
        """A client that offers only h2 goes on without ALPN."""
        client = client_context(lab, lab.clients["recette"])
        client.set_max_proto_version(version)
        if offered is not None:
            client.set_alpn_protos(offered)
        pair = ends(server, client)
        pair.shake()
        assert pair.client.get_alpn_proto_negotiated() == chosen

    @each_version
    def test_no_session_is_resumed(self, lab: Lab, server: SSL.Context, version: int) -> None:
        """S12."""
        client = client_context(lab, lab.clients["recette"])
        client.set_max_proto_version(version)
        first = ends(server, client)
        first.shake()
        session = first.client.get_session()
        assert session is not None
        second = ends(server, client)
        second.client.set_session(session)
        second.shake()
        assert (second.record.calls, second.record.faults) == (3, [])

    def test_the_gateways_own_chain_holds_no_ca_of_the_clients(
        self, lab: Lab, server: SSL.Context
    ) -> None:
        sent = shaken(lab, server).client.get_peer_cert_chain(as_cryptography=True)
        certificate = lab.servers["server"]
        assert sent == [certificate.certificate, *certificate.chain]

"""Chains of certificates beyond the usual, against a real twistd (S11)."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding as signature_padding
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto

from calling import SLOT, VERSIONS, answered, platform, refusal_in
from processes import BackendProcess, GatewayProcess, twistd_result, write_ini
from sasgate.environments import RECETTE
from sasgate.lab import trees
from sasgate.lab.authority import Authority, pem_of
from sasgate.lab.client import platform as recettes_template
from sasgate.lab.names import CN, O, name
from sasgate.lab.pki import Lab
from sasgate.lab.platform import Failure, NoResponse, Result
from sasgate.lab.profile import Template, authority_template


NOW = datetime.now(UTC)
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)

# Presents recette's leaf and issuer and whatever else is given, in this version of TLS.
Sending = Callable[[ssl.TLSVersion, tuple[x509.Certificate, ...]], Result]


@pytest.fixture(scope="module")
def stuffing(lab: Lab) -> x509.Certificate:
    """A certificate of about 9 KiB that has nothing to do with anybody."""
    template = authority_template(name((O, "x" * 4000), (CN, "LAB STUFFING")), NOW)
    key = lab.clients["recette"].key
    return Authority.found("STUFFING", template, key, now=NOW).certificate


@pytest.fixture
def sending(lab: Lab, gateway: GatewayProcess, backend: BackendProcess, tmp_path: Path) -> Sending:
    backend.forget()

    def send(version: ssl.TLSVersion, more: tuple[x509.Certificate, ...]) -> Result:
        pem = tmp_path / "client.pem"
        pem.write_bytes(lab.clients["recette"].pem(chain=True) + pem_of(more))
        return platform(lab, gateway.port(), pem, version=version).send(SLOT)

    return send


class TestSize:
    @each_version
    @pytest.mark.parametrize("count", [4, 9], ids=["over 32 KiB", "over 80 KiB"])
    def test_a_long_chain_is_read_whole_and_left_aside(
        self, sending: Sending, stuffing: x509.Certificate, version: ssl.TLSVersion, count: int
    ) -> None:
        assert answered(sending(version, (stuffing,) * count)).status == 200

    @each_version
    def test_one_over_100_kib_ends_the_handshake(
        self,
        gateway: GatewayProcess,
        backend: BackendProcess,
        sending: Sending,
        stuffing: x509.Certificate,
        version: ssl.TLSVersion,
    ) -> None:
        """OpenSSL's own cap; the client sees an alert, or a reset where it is still sending."""
        result = sending(version, (stuffing,) * 20)
        assert isinstance(result, NoResponse)
        assert result.failure in {Failure.ALERT, Failure.RESET, Failure.CLOSED}
        gateway.wait_for(r"closed NONE .*\(no handshake: excessive message size\)")
        assert backend.recorded() == []

    @each_version
    def test_the_next_client_is_served(
        self, sending: Sending, stuffing: x509.Certificate, version: ssl.TLSVersion
    ) -> None:
        sending(version, (stuffing,) * 20)
        assert answered(sending(version, ())).status == 200

    def test_a_chain_of_its_own_that_could_not_be_sent_stops_the_start(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        names = tuple(x509.DNSName(f"{number:030d}.example") for number in range(1000))
        template = Template(name((CN, "localhost")), alternative_names=names)
        big = lab.authorities[trees.PUBLIC].issue(template, lab.clients["recette"].key)
        ini = write_ini(lab, tmp_path)
        (tmp_path / "server.pem").write_bytes(pem_of((big.certificate, *big.chain)))
        (tmp_path / "server.key").write_bytes(big.key_pem())
        code, said = twistd_result(ini)
        assert code == 1
        assert "server.pem: the chain has " in said


class TestPath:
    @each_version
    @pytest.mark.parametrize("order", [1, -1], ids=["issuer first", "root first"])
    def test_the_order_of_the_rest_does_not_matter(
        self, lab: Lab, sending: Sending, version: ssl.TLSVersion, order: int
    ) -> None:
        more = (trees.PERS_TEST, trees.OTHER_ORG, trees.ROOT_TEST, trees.DEEP, trees.LOOP)[::order]
        extra = tuple(lab.authorities[each].certificate for each in more)
        assert answered(sending(version, extra)).status == 200

    @each_version
    def test_a_chain_deeper_than_ten_is_untrusted(
        self, lab: Lab, gateway: GatewayProcess, version: ssl.TLSVersion
    ) -> None:
        caller = platform(lab, gateway.port(), "deep-chain", chain=True, version=version)
        said = refusal_in(answered(caller.send(SLOT)))
        assert said["verify"] == "FAILED:untrusted issuer"
        gateway.wait_for(r"cert chain too long at depth")

    @each_version
    @pytest.mark.parametrize(
        "client", ["person", "same-name-ca", "subordinate-ca", "issued-by-leaf"]
    )
    def test_another_intermediate_of_the_same_root_is_untrusted(
        self, lab: Lab, gateway: GatewayProcess, version: ssl.TLSVersion, client: str
    ) -> None:
        """Also where the genuine issuer and the root are sent along."""
        caller = platform(lab, gateway.port(), client, chain=True, version=version)
        assert refusal_in(answered(caller.send(SLOT)))["verify"] == "FAILED:untrusted issuer"


class TestVersion2:
    """An X.509 version that OpenSSL passes and cryptography does not know."""

    @pytest.fixture
    def pem(self, lab: Lab, tmp_path: Path) -> Path:
        ca = lab.authorities[trees.ORG_TEST]
        leaf = ca.issue(recettes_template(RECETTE), lab.clients["recette"].key)
        signed = leaf.certificate.tbs_certificate_bytes
        third, second = bytes.fromhex("a003020102"), bytes.fromhex("a003020101")
        assert signed.count(third) == 1
        changed = signed.replace(third, second)
        signature = ca.key.sign(changed, signature_padding.PKCS1v15(), hashes.SHA256())
        der = leaf.certificate.public_bytes(Encoding.DER).replace(signed, changed)
        der = der[: -len(signature)] + signature
        certificate = crypto.load_certificate(crypto.FILETYPE_ASN1, der)
        path = tmp_path / "version2.pem"
        path.write_bytes(leaf.key_pem() + crypto.dump_certificate(crypto.FILETYPE_PEM, certificate))
        return path

    @each_version
    def test_it_is_malformed(
        self, lab: Lab, gateway: GatewayProcess, pem: Path, version: ssl.TLSVersion
    ) -> None:
        """S3: no exception of a library is a way in, nor a way to reset connections."""
        response = answered(platform(lab, gateway.port(), pem, version=version).send(SLOT))
        assert response.status == 401
        assert refusal_in(response)["verify"] == "FAILED:malformed"

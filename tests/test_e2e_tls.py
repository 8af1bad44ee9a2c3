"""TLS against a real twistd: versions, ciphers, ALPN, and what SNI and cut bytes cannot change."""

import socket
import ssl
from pathlib import Path

import pytest

from calling import (
    METADATA,
    SLOT,
    TLS_1_2,
    VERSIONS,
    connected,
    pem_context,
    platform,
    raw,
)
from openssl import curl, dialogue, s_client
from processes import BackendProcess, GatewayProcess, write_ini
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.pki import Lab
from sasgate.lab.platform import Failure, NoResponse
from sasgate.lab.tls_stream import TLSStream


each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
# One who is admitted, and one for each other kind of answer.
each_kind = pytest.mark.parametrize("name", ["recette", "wrong-cn", "self-signed", None])


def expected(name: str | None) -> int:
    return 401 if name is None else CATALOGUE[name].answer.status


class TestVersions:
    @pytest.mark.parametrize(
        "version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=lambda each: each.name
    )
    def test_older_ones_are_refused(
        self, lab: Lab, gateway: GatewayProcess, version: ssl.TLSVersion
    ) -> None:
        result = platform(lab, gateway.port(), version=version).send(SLOT)
        assert isinstance(result, NoResponse)
        assert result.failure is Failure.ALERT

    def test_a_listener_offers_those_of_its_configuration(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> None:
        changes = {
            "[inbound]\n": "[inbound]\ntls = 1.2\n",
            "[inbound:production]\n": "[inbound:production]\ntls = 1.3\n",
        }
        with GatewayProcess(write_ini(lab, tmp_path, backend.url, changes=changes)) as process:
            said = [
                s_client(lab, process.port(listener), option)
                for listener in ("inbound", "inbound:production")
                for option in ("-tls1_2", "-tls1_3")
            ]
        assert ["HTTP/1.1 " in each for each in said] == [True, False, False, True]

    def test_an_older_client_gets_1_2(self, lab: Lab, gateway: GatewayProcess) -> None:
        context = pem_context(lab, lab.path_of("recette"))
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.maximum_version = TLS_1_2
        with TLSStream(connected(gateway.port()), context, "localhost") as stream:
            assert stream.tls.version() == "TLSv1.2"
            assert raw(stream, METADATA)[0] == 200

    @pytest.mark.parametrize(
        ("ciphers", "taken"),
        [
            ("ECDHE-RSA-AES128-GCM-SHA256", True),
            ("ECDHE-RSA-CHACHA20-POLY1305", True),
            ("ECDHE-RSA-AES128-SHA256", False),
            ("ECDHE-RSA-AES128-SHA", False),
            ("AES128-GCM-SHA256", False),
            ("AES128-SHA", False),
        ],
    )
    def test_of_1_2_only_ecdhe_with_aead(
        self, lab: Lab, gateway: GatewayProcess, ciphers: str, taken: bool
    ) -> None:
        said = s_client(lab, gateway.port(), "-tls1_2", "-cipher", f"{ciphers}:@SECLEVEL=0")
        assert ("HTTP/1.1 200" in said) == taken


class TestALPN:
    @each_version
    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [
            (["http/1.1"], "http/1.1"),
            (["h2", "http/1.1"], "http/1.1"),
            (["h2"], None),
            (["http/1.0", "h3"], None),
        ],
    )
    def test_http_1_1_is_taken_and_all_others_go_on_without(
        self,
        lab: Lab,
        gateway: GatewayProcess,
        version: ssl.TLSVersion,
        offered: list[str],
        chosen: str | None,
    ) -> None:
        context = pem_context(lab, lab.path_of("recette"))
        context.maximum_version = version
        context.set_alpn_protocols(offered)
        with TLSStream(connected(gateway.port()), context, "localhost") as stream:
            assert stream.tls.selected_alpn_protocol() == chosen
            assert raw(stream, METADATA)[0] == 200

    def test_curl_that_wants_http_2_gets_an_answer(self, lab: Lab, gateway: GatewayProcess) -> None:
        url = f"https://localhost:{gateway.port()}/metadata"
        assert curl(lab, url, "--http2").startswith("HTTP/1.1 200 ")

    def test_http_2_with_prior_knowledge_is_a_malformed_request(
        self, lab: Lab, gateway: GatewayProcess
    ) -> None:
        """S41."""
        with platform(lab, gateway.port()).dial() as stream:
            status, _ = raw(stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert status == 400


class TestProbe:
    @pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
    def test_without_a_certificate_the_handshake_ends_and_http_answers(
        self, lab: Lab, gateway: GatewayProcess, option: str
    ) -> None:
        said = s_client(lab, gateway.port(), option, client=None)
        assert "HTTP/1.1 403" in said
        assert '"verify": "NONE"' in said

    @pytest.mark.parametrize("option", ["--tlsv1.2", "--tlsv1.3"])
    def test_curl_gets_an_answer_too(self, lab: Lab, gateway: GatewayProcess, option: str) -> None:
        url = f"https://localhost:{gateway.port()}/metadata"
        said = curl(lab, url, option, "--tls-max", option[-3:], client=None)
        assert said.startswith("HTTP/1.1 401 ")


class TestServerName:
    """S16: policy belongs to the listener."""

    @each_version
    @each_kind
    @pytest.mark.parametrize(
        "sni", [None, "localhost", "LocalHost", "production.example", "x" * 60 + ".invalid"]
    )
    def test_sni_changes_nothing(
        self,
        lab: Lab,
        gateway: GatewayProcess,
        version: ssl.TLSVersion,
        name: str | None,
        sni: str | None,
    ) -> None:
        context = pem_context(lab, None if name is None else lab.path_of(name))
        context.check_hostname = False
        context.maximum_version = version
        with TLSStream(connected(gateway.port()), context, sni) as stream:
            assert raw(stream, METADATA)[0] == expected(name)

    @each_kind
    @pytest.mark.parametrize(
        "request_",
        [
            b"GET /metadata HTTP/1.1\r\nHost: production.example\r\n",
            b"GET /metadata HTTP/1.1\r\nHost: 127.0.0.1:444\r\n",
            b"GET http://production.example/metadata HTTP/1.1\r\nHost: production.example\r\n",
            b"GET HTTPS://x/metadata HTTP/1.1\r\nHost: X\r\n",
            b"GET /metadata HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: production.example\r\n",
        ],
    )
    def test_host_and_absolute_form_change_nothing(
        self,
        lab: Lab,
        gateway: GatewayProcess,
        backend: BackendProcess,
        name: str | None,
        request_: bytes,
    ) -> None:
        backend.forget()
        with platform(lab, gateway.port(), name).dial() as stream:
            status, _ = raw(stream, request_ + b"Connection: close\r\n\r\n")
        assert status == expected(name)
        said = [dict(arrived["headers"])["X-SAS-Environment"] for arrived in backend.recorded()]
        assert said == (["lab-recette"] if name == "recette" else [])

    @pytest.mark.parametrize(
        "request_",
        [
            b"GET https://a/metadata HTTP/1.1\r\nHost: b\r\n",
            b"GET https://user@b/metadata HTTP/1.1\r\nHost: b\r\n",
            b"GET ftp://b/metadata HTTP/1.1\r\nHost: b\r\n",
            b"GET metadata HTTP/1.1\r\nHost: b\r\n",
        ],
    )
    def test_a_target_that_contradicts_its_host_is_malformed(
        self, lab: Lab, gateway: GatewayProcess, backend: BackendProcess, request_: bytes
    ) -> None:
        backend.forget()
        with platform(lab, gateway.port()).dial() as stream:
            assert raw(stream, request_ + b"Connection: close\r\n\r\n")[0] == 400
        assert backend.recorded() == []


class Cut(TLSStream):
    """A client whose first flight leaves byte by byte: in as many records, or as many segments."""

    records = False

    def _flush(self) -> None:
        if not self._outgoing.pending:
            return
        flight = self._outgoing.read()
        if self.tls.version() is None and flight[0] == 22 and flight[5] == 1:
            flight = self.fragmented(flight) if self.records else flight
            self.plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(len(flight)):
                self.plain.sendall(flight[at : at + 1])
        else:
            self.plain.sendall(flight)

    @staticmethod
    def fragmented(record: bytes) -> bytes:
        """The one record of a ClientHello as records of one byte each (RFC 8446, 5.1)."""
        return b"".join(
            record[:3] + b"\x00\x01" + record[at : at + 1] for at in range(5, len(record))
        )


class CutInRecords(Cut):
    records = True


class TestCutHello:
    """S16: however the ClientHello is cut, the decision is the same."""

    @each_version
    @each_kind
    @pytest.mark.parametrize("cut", [Cut, CutInRecords])
    def test_byte_by_byte(
        self,
        lab: Lab,
        gateway: GatewayProcess,
        version: ssl.TLSVersion,
        name: str | None,
        cut: type[Cut],
    ) -> None:
        context = pem_context(lab, None if name is None else lab.path_of(name))
        context.maximum_version = version
        with cut(connected(gateway.port()), context, "localhost") as stream:
            assert raw(stream, METADATA)[0] == expected(name)


class TestAfterTheHandshake:
    """S17."""

    def test_renegotiation_is_refused(self, lab: Lab, gateway: GatewayProcess) -> None:
        seen = "RENEGOTIATING"
        said = dialogue(lab, gateway.port(), "-tls1_2", command="R\n", seen=seen)
        assert seen in said
        assert "no renegotiation" in said
        assert "HTTP/1.1" not in said

    @pytest.mark.parametrize("client", ["recette", None])
    def test_no_certificate_is_asked_for_later(
        self, lab: Lab, gateway: GatewayProcess, client: str | None
    ) -> None:
        """Also not of one that offers it (RFC 8446, 4.6.2) and came without a certificate."""
        said = s_client(lab, gateway.port(), "-tls1_3", "-enable_pha", "-msg", client=client)
        assert said.count("CertificateRequest") == 1
        assert f"HTTP/1.1 {403 if client is None else 200}" in said

    def test_a_change_of_keys_leaves_the_verdict(self, lab: Lab, gateway: GatewayProcess) -> None:
        """RFC 8446, 4.6.3, the one thing that a client may still ask for."""
        seen = "KEYUPDATE"
        said = dialogue(lab, gateway.port(), "-tls1_3", command="K\n", seen=seen)
        assert seen in said
        assert "HTTP/1.1 200" in said

    def test_a_plain_request_gets_no_http_answer(self, gateway: GatewayProcess) -> None:
        with connected(gateway.port()) as plain:
            plain.sendall(METADATA)
            received = b""
            while data := plain.recv(4096):
                received += data
        assert b"HTTP" not in received

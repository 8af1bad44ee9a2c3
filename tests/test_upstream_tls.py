"""Servers reached by TLS: verified by us, failing closed (S52)."""

import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL

from sasgate.lab import trees
from sasgate.lab.authority import Authority, Credential, new_key
from sasgate.lab.names import CN, C, name
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Template, key_usage
from sasgate.trust import UnusableFile
from sasgate.upstream_tls import VerifiedServer, client_context, is_server


SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
NAME = x509.DNSName("good.example")
ADDRESS = x509.IPAddress(ipaddress.ip_address("10.0.0.5"))
# OpenSSL itself refuses old versions above this level: the test wants to see us refuse them.
_ANYTHING = b"DEFAULT:@SECLEVEL=0"
Issue = Callable[..., Credential]


@pytest.fixture(scope="module")
def issue(lab: Lab) -> Issue:
    """A server's certificate of the lab's public CA."""
    key = new_key(2048)

    def make(*names: x509.GeneralName, issuer: str = trees.PUBLIC, **changes: Any) -> Credential:
        template = Template(
            name((C, "FR"), (CN, "good.example")),
            not_before=timedelta(days=-1),
            not_after=timedelta(days=30),
            key_usage=key_usage("digital_signature", "key_encipherment"),
            usages=(SERVER,),
            alternative_names=names,
        )
        authority = lab.authorities[issuer]
        return authority.issue(evolve(template, **changes), key, now=lab.created)

    return make


def shake(client: SSL.Connection, server: Credential) -> tuple[bool, str]:
    """Whether both ends finished, and the alert or error that ended it."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_cipher_list(_ANYTHING)
    context.use_certificate(server.certificate)
    for each in server.chain:
        context.add_extra_chain_cert(each)
    context.use_privatekey(server.key)
    serving = SSL.Connection(context, None)
    serving.set_accept_state()
    client.set_connect_state()
    done = set()
    for _ in range(6):
        for end, other in ((client, serving), (serving, client)):
            try:
                end.do_handshake()
                done.add(end)
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                return False, str(error)
            carry(end, other)
    return len(done) == 2, ""


def carry(end: SSL.Connection, other: SSL.Connection) -> None:
    try:
        other.bio_write(end.bio_read(65536))
    except SSL.WantReadError:
        return


def passes(lab: Lab, server: Credential, host: str, roots: Path | None = None) -> bool:
    """Whether the handshake with this server, called by this name, is finished."""
    context = client_context(roots or lab.public_root)
    finished, error = shake(VerifiedServer(context, host).clientConnectionForTLS(None), server)
    assert finished or "certificate verify failed" in error, error
    return finished


class TestGoodServers:
    def test_a_name_in_the_san_passes(self, lab: Lab, issue: Issue) -> None:
        assert passes(lab, issue(NAME), "good.example")

    def test_in_any_case(self, lab: Lab, issue: Issue) -> None:
        assert passes(lab, issue(NAME), "GOOD.example")

    def test_a_wildcard_for_one_label_passes(self, lab: Lab, issue: Issue) -> None:
        assert passes(lab, issue(x509.DNSName("*.good.example")), "a.good.example")

    @pytest.mark.parametrize("host", ["10.0.0.5", "2001:db8::1"])
    def test_an_address_in_the_san_passes(self, lab: Lab, issue: Issue, host: str) -> None:
        names = NAME, x509.IPAddress(ipaddress.ip_address(host))
        assert passes(lab, issue(*names), host)

    def test_further_usages_do_no_harm(self, lab: Lab, issue: Issue) -> None:
        assert passes(lab, issue(NAME, usages=(CLIENT, SERVER)), "good.example")


class TestDoubtfulServers:
    """Twisted's own check lets the first five of these through."""

    @pytest.mark.parametrize(
        ("names", "host"),
        [
            ((), "good.example"),
            ((x509.DNSName("10.0.0.5"),), "10.0.0.5"),
            ((x509.DNSName("*.example"),), "good.example"),
            ((x509.DNSName("*.*.example"),), "a.good.example"),
            ((x509.DNSName("*.10.0.0.5"),), "10.0.0.5"),
            ((x509.DNSName("other.example"),), "good.example"),
            ((x509.DNSName("*.good.example"),), "good.example"),
            ((x509.DNSName("*.good.example"),), "a.b.good.example"),
            ((x509.DNSName("g*.example"),), "good.example"),
            ((x509.DNSName("*"),), "good.example"),
            ((x509.DNSName("good.example.evil"),), "good.example"),
            ((x509.DNSName("notgood.example"),), "good.example"),
            ((x509.DNSName("good.example\0.evil"),), "good.example"),
            ((ADDRESS,), "good.example"),
            ((ADDRESS,), "10.0.0.6"),
            ((NAME,), "10.0.0.5"),
            ((x509.RFC822Name("me@good.example"),), "good.example"),
            ((x509.UniformResourceIdentifier("https://good.example"),), "good.example"),
        ],
    )
    def test_a_name_that_is_not_exactly_the_servers_is_refused(
        self, lab: Lab, issue: Issue, names: tuple[x509.GeneralName, ...], host: str
    ) -> None:
        assert not passes(lab, issue(*names), host)

    @pytest.mark.parametrize(
        "usages", [(), (CLIENT,), (ExtendedKeyUsageOID.EMAIL_PROTECTION,),
                   (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)]
    )  # fmt: skip
    def test_a_certificate_that_is_not_for_servers_is_refused(
        self, lab: Lab, issue: Issue, usages: tuple[x509.ObjectIdentifier, ...]
    ) -> None:
        assert not passes(lab, issue(NAME, usages=usages), "good.example")

    @pytest.mark.parametrize(
        ("begins", "ends"),
        [(timedelta(days=-9), timedelta(hours=-1)), (timedelta(hours=1), timedelta(days=9))],
        ids=["expired", "not yet valid"],
    )
    def test_a_certificate_outside_its_time_is_refused(
        self, lab: Lab, issue: Issue, begins: timedelta, ends: timedelta
    ) -> None:
        assert not passes(lab, issue(NAME, not_before=begins, not_after=ends), "good.example")

    @pytest.mark.parametrize("issuer", [trees.ORG_TEST, trees.OTHER_ORG])
    def test_a_certificate_of_another_ca_is_refused(
        self, lab: Lab, issue: Issue, issuer: str
    ) -> None:
        assert not passes(lab, issue(NAME, issuer=issuer), "good.example")

    def test_a_certificate_that_signs_itself_is_refused(self, lab: Lab) -> None:
        template = Template(name((CN, "good.example")), usages=(SERVER,), alternative_names=(NAME,))
        alone = Authority.found("alone", template, new_key(2048), now=lab.created)
        assert not passes(lab, alone.credential, "good.example")

    def test_a_certificate_without_its_intermediate_is_refused(
        self, lab: Lab, issue: Issue
    ) -> None:
        assert not passes(lab, evolve(issue(NAME), chain=()), "good.example")

    def test_the_systems_cas_do_not_know_the_lab(self, lab: Lab, issue: Issue) -> None:
        connection = VerifiedServer(client_context(None), "good.example").clientConnectionForTLS(
            None
        )
        finished, error = shake(connection, issue(NAME))
        assert not finished
        assert "certificate verify failed" in error


class TestContexts:
    def test_a_context_alone_trusts_nobody(self, lab: Lab, issue: Issue) -> None:
        """A connection that forgot its own verification fails."""
        finished, _ = shake(SSL.Connection(client_context(lab.public_root), None), issue(NAME))
        assert not finished

    def test_roots_that_cannot_be_read_are_no_roots(self, tmp_path: Path) -> None:
        """S1: never the system's store instead."""
        for file in (tmp_path / "absent.pem", tmp_path):
            with pytest.raises(UnusableFile, match=re.escape(str(file))):
                client_context(file)
        (tmp_path / "empty.pem").write_bytes(b"")
        with pytest.raises(UnusableFile):
            client_context(tmp_path / "empty.pem")

    @pytest.mark.parametrize("version", [SSL.TLS1_VERSION, SSL.TLS1_1_VERSION])
    def test_old_versions_are_not_spoken(self, lab: Lab, issue: Issue, version: int) -> None:
        context = client_context(lab.public_root)
        context.set_max_proto_version(version)
        context.set_cipher_list(_ANYTHING)
        connection = VerifiedServer(context, "good.example").clientConnectionForTLS(None)
        assert not shake(connection, issue(NAME))[0]

    @pytest.mark.parametrize(
        ("host", "sni"), [("good.example", b"good.example"), ("10.0.0.5", None)]
    )
    def test_the_name_is_asked_for_and_an_address_never(
        self, lab: Lab, issue: Issue, host: str, sni: bytes | None
    ) -> None:
        """RFC 6066, 3."""
        asked: list[bytes | None] = []
        server = SSL.Context(SSL.TLS_SERVER_METHOD)
        server.set_tlsext_servername_callback(lambda end: asked.append(end.get_servername()))
        credential = issue(NAME, ADDRESS)
        server.use_certificate(credential.certificate)
        server.use_privatekey(credential.key)
        serving = SSL.Connection(server, None)
        serving.set_accept_state()
        client = VerifiedServer(client_context(lab.public_root), host).clientConnectionForTLS(None)
        client.set_connect_state()
        with pytest.raises(SSL.WantReadError):
            client.do_handshake()
        carry(client, serving)
        with pytest.raises(SSL.WantReadError):
            serving.do_handshake()
        assert asked == [sni]


def test_a_failure_in_the_check_refuses(
    lab: Lab, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3."""

    def fail(*_: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr("sasgate.upstream_tls.is_server", fail)
    assert not passes(lab, issue(NAME), "good.example")


def test_the_decision_is_a_function_of_certificate_and_name(issue: Issue) -> None:
    assert is_server(issue(NAME).certificate, "good.example")
    assert not is_server(issue(NAME, usages=(CLIENT,)).certificate, "good.example")

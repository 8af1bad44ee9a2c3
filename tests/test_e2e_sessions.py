"""S12: no TLS session is ever resumed, since every peer that has it has had a bypass through it.

A resumed session would skip the verification of the certificate. Sessions are offered that the
gateway gave itself, and such as another server gave to the same client.
"""

import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from calling import METADATA, TLS_1_2, TLS_1_3, VERSIONS, connected, raw
from openssl import s_client
from processes import GatewayProcess
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.pki import Lab
from sasgate.lab.tls_stream import TLSStream


each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
each_kind = pytest.mark.parametrize("name", ["recette", "wrong-cn", "self-signed"])


class Resuming:
    """A client's context that offers a session."""

    def __init__(self, context: ssl.SSLContext, session: ssl.SSLSession | None) -> None:
        self.context = context
        self.session = session

    def wrap_bio(self, *bios: ssl.MemoryBIO, **more: Any) -> ssl.SSLObject:
        return self.context.wrap_bio(*bios, session=self.session, **more)


def client(lab: Lab, name: str, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=lab.public_root)
    context.load_cert_chain(lab.path_of(name))
    context.minimum_version = context.maximum_version = version
    return context


def call(
    gateway: GatewayProcess, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[int, TLSStream]:
    """One call that offers a session; the stream tells what became of it."""
    offering: Any = Resuming(context, session)
    with TLSStream(connected(gateway.port()), offering, "localhost") as stream:
        return raw(stream, METADATA)[0], stream


def session_of_another(lab: Lab, context: ssl.SSLContext, *, tickets: bool) -> ssl.SSLSession:
    """What a careless server of the same name gives to this client, and takes back."""
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    careless.load_cert_chain(*lab.server_paths())
    if not tickets:
        careless.options |= ssl.OP_NO_TICKET
    given, reused = _handshake(careless, context, None)
    assert not reused
    assert _handshake(careless, context, given)[1], "the session is of no use to anybody"
    return given


def _handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[ssl.SSLSession, bool]:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    calling = client.wrap_bio(back, there, server_hostname="localhost", session=session)
    called = server.wrap_bio(there, back, server_side=True)
    for end in (calling, called, calling, called, calling):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    called.write(b"x")
    assert calling.read(1) == b"x"  # and with it the tickets of 1.3
    assert calling.session is not None
    # OpenSSL forgets a session that is not ended in order.
    with suppress(ssl.SSLWantReadError):
        calling.unwrap()
    called.unwrap()
    return calling.session, bool(calling.session_reused)


class TestSessionOfTheGateway:
    @each_version
    @each_kind
    def test_it_is_not_resumed(
        self, lab: Lab, gateway: GatewayProcess, version: ssl.TLSVersion, name: str
    ) -> None:
        context = client(lab, name, version)
        _, first = call(gateway, context)
        status, second = call(gateway, context, first.tls.session)
        assert second.tls.session_reused is False
        assert status == CATALOGUE[name].answer.status

    def test_of_1_2_there_is_neither_an_id_nor_a_ticket(
        self, lab: Lab, gateway: GatewayProcess
    ) -> None:
        session = call(gateway, client(lab, "recette", TLS_1_2))[1].tls.session
        assert session is not None
        assert (session.id, session.has_ticket) == (b"", False)

    def test_openssl_cannot_come_back_with_it(
        self, lab: Lab, gateway: GatewayProcess, tmp_path: Path
    ) -> None:
        saved = tmp_path / "session.pem"
        first = s_client(lab, gateway.port(), "-tls1_3", "-sess_out", saved)
        assert "HTTP/1.1 200" in first
        assert saved.exists()
        second = s_client(lab, gateway.port(), "-tls1_3", "-sess_in", saved)
        assert re.findall(r"^(New|Reused), ", second, re.MULTILINE) == ["New"]
        assert "HTTP/1.1 200" in second

    def test_openssl_has_nothing_to_save_of_1_2(
        self, lab: Lab, gateway: GatewayProcess, tmp_path: Path
    ) -> None:
        saved = tmp_path / "session.pem"
        said = s_client(lab, gateway.port(), "-tls1_2", "-sess_out", saved)
        assert "HTTP/1.1 200" in said
        assert not saved.exists()

    def test_no_early_data_is_taken(
        self, lab: Lab, gateway: GatewayProcess, tmp_path: Path
    ) -> None:
        """0-RTT would be a request before any verification, and could be replayed."""
        saved, early = tmp_path / "session.pem", tmp_path / "early"
        early.write_bytes(METADATA)
        first = s_client(lab, gateway.port(), "-tls1_3", "-sess_out", saved)
        assert set(re.findall(r"Max Early Data: (\d+)", first)) == {"0"}
        options = ("-tls1_3", "-sess_in", saved, "-early_data", early)
        assert "Early data was accepted" not in s_client(lab, gateway.port(), *options)


class TestSessionOfAnother:
    @each_kind
    @pytest.mark.parametrize(
        ("version", "tickets"),
        [(TLS_1_2, False), (TLS_1_2, True), (TLS_1_3, True)],
        ids=["1.2-id", "1.2-ticket", "1.3-psk"],
    )
    def test_it_is_not_resumed(
        self, lab: Lab, gateway: GatewayProcess, name: str, version: ssl.TLSVersion, tickets: bool
    ) -> None:
        context = client(lab, name, version)
        foreign = session_of_another(lab, context, tickets=tickets)
        status, stream = call(gateway, context, foreign)
        assert stream.tls.session_reused is False
        assert status == CATALOGUE[name].answer.status


def test_a_session_of_the_one_listener_is_nothing_to_the_other(
    lab: Lab, gateway: GatewayProcess, tmp_path: Path
) -> None:
    saved = tmp_path / "session.pem"
    assert "HTTP/1.1 200" in s_client(lab, gateway.port(), "-tls1_3", "-sess_out", saved)
    other = gateway.port("inbound:production")
    said = s_client(lab, other, "-tls1_3", "-sess_in", saved)
    assert "Reused" not in said
    assert "HTTP/1.1 403" in said

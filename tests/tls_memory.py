"""Both ends of a TLS handshake in memory, without a socket and without a reactor."""

from datetime import UTC, datetime
from pathlib import Path

from attrs import define
from OpenSSL import SSL

from sasgate.config import load
from sasgate.generation import load_trust
from sasgate.lab.authority import Credential
from sasgate.lab.pki import Lab
from sasgate.tls import HandshakeRecord, server_connection


def contexts(ini: Path) -> dict[str, SSL.Context]:
    """The contexts of a configuration's listeners, as the daemon makes them."""
    return dict(load_trust(load(ini), datetime.now(UTC)).contexts)


def client_context(
    lab: Lab, credential: Credential | None = None, *, chain: bool = False
) -> SSL.Context:
    """A client that knows the lab's public root, with a certificate or none."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(str(lab.public_root))
    context.set_verify(SSL.VERIFY_PEER, lambda *given: bool(given[-1]))
    if credential is not None:
        context.use_certificate(credential.certificate)
        context.use_privatekey(credential.key)
        for each in credential.chain if chain else ():
            context.add_extra_chain_cert(each)
    return context


@define
class Ends:
    """A client and a server, and what the server's handshake left."""

    client: SSL.Connection
    server: SSL.Connection
    record: HandshakeRecord

    def shake(self) -> None:
        """Finish the handshake of both; what OpenSSL raises comes out.

        Raises:
            SSL.Error: one end refused.
        """
        self.client.set_connect_state()
        self.server.set_accept_state()
        done: set[SSL.Connection] = set()
        for _ in range(50):
            for end, other in ((self.client, self.server), (self.server, self.client)):
                if _step(end):
                    done.add(end)
                _carry(end, other)
            if len(done) == 2:
                # What follows a 1.3 handshake: session tickets, or an alert on the certificate.
                _carry(self.server, self.client)
                _absorb(self.client)
                return
        raise AssertionError("the handshake does not end")


def ends(server: SSL.Context, client: SSL.Context, *, name: bytes | None = b"localhost") -> Ends:
    connection, record = server_connection(server)
    calling = SSL.Connection(client, None)
    if name is not None:
        calling.set_tlsext_host_name(name)
    return Ends(calling, connection, record)


def _step(end: SSL.Connection) -> bool:
    try:
        end.do_handshake()
    except SSL.WantReadError:
        return False
    return True


def _carry(end: SSL.Connection, other: SSL.Connection) -> None:
    while True:
        try:
            data = end.bio_read(65536)
        except SSL.WantReadError:
            return
        other.bio_write(data)


def _absorb(end: SSL.Connection) -> None:
    try:
        end.recv(1)
    except SSL.WantReadError:
        return

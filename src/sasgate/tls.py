"""TLS contexts of the inbound side, and the record that a handshake leaves for admission.

The handshake always finishes: a certificate is asked for and never demanded, every not-ok of
OpenSSL's verification is recorded, and `admission` answers over HTTP. After an error that a
callback let pass, OpenSSL's final result reads OK; so the record, never overwritten, is the only
witness (S2). An exception in a callback ends the handshake (S3).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from attrs import define, field
from OpenSSL import SSL, crypto
from twisted.logger import Logger

from sasgate.admission import ChainFault, Presented
from sasgate.identity import identity_of
from sasgate.settings import TLSVersion
from sasgate.stapling import Staple
from sasgate.trust import CA, Credential


_log = Logger()

# OpenSSL's SSL_MODE_NO_AUTO_CHAIN and SSL_MODE_RELEASE_BUFFERS: no chain is built from the
# clients' CAs for our own certificate, and an idle connection keeps no buffers, some 30 KiB.
_MODES = 0x8 | 0x10

# Leaf, pinned issuer, root, and one more CA between them at the most. What is deeper costs a
# stranger little and us seconds: OpenSSL checks every name against every constraint of a chain.
_DEEPEST_CHAIN = 2

_VERSIONS = {TLSVersion.V1_2: SSL.TLS1_2_VERSION, TLSVersion.V1_3: SSL.TLS1_3_VERSION}


@define
class HandshakeRecord:
    """What OpenSSL's verification said during one handshake, step by step; never overwritten."""

    calls: int = 0
    faults: list[ChainFault] = field(factory=list)

    def step(self, errno: int, depth: int, ok: int) -> None:
        """Record one step."""
        self.calls += 1
        if not ok:
            self.faults.append(ChainFault(errno, depth))


def server_connection(context: SSL.Context) -> tuple[SSL.Connection, HandshakeRecord]:
    """The server side of one connection, with the record that its handshake fills."""
    connection = SSL.Connection(context, None)
    record = HandshakeRecord()
    connection.set_app_data(record)
    connection.set_accept_state()
    return connection, record


def server_context(
    credential: Credential,
    clients: Sequence[CA],
    tls: Sequence[TLSVersion],
    ciphers: str,
    staple: Staple | None = None,
) -> SSL.Context:
    """Build the context of one listener; `clients` are roots and pinned issuers together.

    What `staple` holds at the time of a handshake is sent along with the certificate.

    The CertificateRequest names all of them: a Java client that holds a leaf alone sends it only
    when its issuer is named. No session is ever resumed (S12) and none renegotiated (S17).
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    _set_versions(context, tls)
    context.set_options(
        SSL.OP_NO_TICKET
        | SSL.OP_NO_COMPRESSION
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(_MODES)
    context.set_cipher_list(ciphers.encode("ascii"))
    present(context, credential)
    if staple is not None:
        context.set_ocsp_server_callback(_stapled, staple)
    store = context.get_cert_store()
    assert store is not None  # a new context always has one  # noqa: S101
    for ca in clients:
        store.add_cert(crypto.X509.from_cryptography(ca.certificate))
        context.add_client_ca(ca.certificate)
    context.set_verify_depth(_DEEPEST_CHAIN)
    # One callback for all connections: one each costs 30 µs a handshake.
    context.set_verify(SSL.VERIFY_PEER, _note)
    context.set_alpn_select_callback(_select_protocol)
    return context


def presented(connection: SSL.Connection, record: HandshakeRecord) -> Presented:
    """Read what the finished handshake of a connection left; refuses by leaving things out."""
    try:
        leaf = connection.get_peer_certificate()
        if leaf is None:
            return Presented(None)
        identity = identity_of(_der(leaf))
        chain = connection.get_verified_chain() or []
    except Exception as error:  # cryptography has a dozen ways to refuse what OpenSSL passed
        # Not its text, which may quote the certificate: the journal's words are not a stranger's.
        kind = type(error.__cause__ or error).__name__
        return Presented(None, unreadable=f"the certificate cannot be read ({kind})")
    return Presented(
        identity,
        calls=record.calls,
        faults=tuple(record.faults),
        chain=tuple(map(_der, chain)),
    )


def _der(certificate: crypto.X509) -> bytes:
    return _held_once(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))


@lru_cache(maxsize=64)
def _held_once(der: bytes) -> bytes:
    """The same bytes for equal ones: a chain is 6 KiB, and all connections of a client have it."""
    return der


def _set_versions(context: SSL.Context, tls: Sequence[TLSVersion]) -> None:
    versions = [_VERSIONS[version] for version in tls]
    context.set_min_proto_version(min(versions))
    context.set_max_proto_version(max(versions))


def present(context: SSL.Context, credential: Credential) -> None:
    """Have a context present a certificate with its chain."""
    context.use_certificate(credential.leaf)
    for issuer in credential.chain[1:]:
        context.add_extra_chain_cert(issuer)
    context.use_privatekey(credential.key)
    context.check_privatekey()


def _note(
    connection: SSL.Connection, certificate: crypto.X509, errno: int, depth: int, ok: int
) -> bool:
    """Note a step in the connection's record, and let the handshake finish.

    A connection without a record fails, and so does one on an exception (S3).
    """
    del certificate
    record = connection.get_app_data()
    if not isinstance(record, HandshakeRecord):
        return False
    record.step(errno, depth, ok)
    return True


def _stapled(connection: SSL.Connection, staple: Staple | None) -> bytes:
    """What goes with our certificate; an exception here would end the handshake."""
    del connection
    try:
        return b"" if staple is None else staple.answer
    except Exception:
        _log.failure("nothing is stapled: the answer cannot be had")
        return b""


def _select_protocol(connection: SSL.Connection, offered: list[bytes]) -> Any:
    del connection
    # A client that offers only others goes on without ALPN, in HTTP/1.1.
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS

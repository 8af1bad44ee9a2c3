"""TLS towards servers, whose names are checked by us and fail closed.

Twisted's own check lets through certificates without a SAN, with an address or a wildcard where
none may be, or without serverAuth (S52); so each connection has a verify callback of ours, in
which any exception refuses.
"""

import hashlib
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from attrs import field, frozen
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL, crypto
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from sasgate.identity import fingerprint
from sasgate.tls import present
from sasgate.trust import Credential, read_certificates


@frozen
class ServerTrust:
    """What servers are verified by; `made_of` is the same for the same CAs and certificate."""

    context: SSL.Context = field(repr=False)
    made_of: str


def server_trust(roots: Path | None, credential: Credential | None = None) -> ServerTrust:
    """Trust in servers whose chains end at `roots`, or at the system's CAs.

    `credential` is presented with its whole chain to servers that ask for a certificate. `made_of`
    says nothing of the system's CAs: where they change, a restart is needed.

    Raises:
        UnusableFile: `roots` holds no certificates.
        OpenSSL.SSL.Error: it refuses the certificate with its key.
    """
    # Read once: a file that changes meanwhile must not be known by what is not trusted.
    trusted = None if roots is None else read_certificates(roots)
    return ServerTrust(_context(trusted, credential), _made_of(trusted or (), credential))


def client_context(roots: Path | None, credential: Credential | None = None) -> SSL.Context:
    """The context of `server_trust`, which raises the same."""
    return server_trust(roots, credential).context


def _context(
    trusted: Iterable[x509.Certificate] | None, credential: Credential | None
) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_PEER, _refuse)
    if credential is not None:
        present(context, credential)
    if trusted is None:
        context.set_default_verify_paths()
        return context
    store = context.get_cert_store()
    assert store is not None  # a new context always has one  # noqa: S101
    for certificate in trusted:
        store.add_cert(crypto.X509.from_cryptography(certificate))
    return context


def _refuse(
    connection: SSL.Connection, certificate: crypto.X509, errno: int, depth: int, ok: int
) -> bool:
    """The context's own verify callback: a connection that was given none fails."""
    del connection, certificate, errno, depth, ok
    return False


def _made_of(trusted: Iterable[x509.Certificate], credential: Credential | None) -> str:
    presented = () if credential is None else credential.chain
    parts = (*map(fingerprint, presented), "", *map(fingerprint, trusted))
    return hashlib.sha256(" ".join(parts).encode("ascii")).hexdigest()


@implementer(IOpenSSLClientConnectionCreator)
class VerifiedServer:
    """Makes connections on which only the server of this name passes."""

    def __init__(self, context: SSL.Context, host: str) -> None:
        self._context = context
        self._host = host

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """One new connection; named by Twisted."""
        del tlsProtocol
        connection = SSL.Connection(self._context, None)
        if not _is_address(self._host):
            connection.set_tlsext_host_name(self._host.encode("idna"))
        connection.set_alpn_protos([b"http/1.1"])
        connection.set_verify(SSL.VERIFY_PEER, self._verify)
        connection.set_connect_state()
        return connection

    def _verify(
        self, connection: SSL.Connection, certificate: crypto.X509, errno: int, depth: int, ok: int
    ) -> bool:
        del connection, errno
        if not ok:
            return False
        try:
            return depth > 0 or is_server(certificate.to_cryptography(), self._host)
        except Exception:
            return False


def is_server(certificate: x509.Certificate, host: str) -> bool:
    """Whether a certificate is a server's of exactly this name.

    Raises what service_identity and cryptography raise for names and extensions they refuse.
    """
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        return False
    if _is_address(host):
        verify_certificate_ip_address(certificate, host)
    else:
        verify_certificate_hostname(certificate, host)
    return True


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

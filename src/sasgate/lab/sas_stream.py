"""A blocking server side of TLS that takes every client's certificate, and none as well.

Python's own `ssl` ends the handshake with a client whose certificate it does not know; SAS answers
it over HTTP. So this is OpenSSL's, told to let all pass: who may call is judged elsewhere.
"""

import io
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from cryptography import x509
from OpenSSL import SSL

from sasgate.lab.authority import Credential


def server_context(
    own: Credential,
    cas: Sequence[x509.Certificate],
    asked: Callable[[str | None], None],
) -> SSL.Context:
    """A context that asks for a certificate of `cas`; `asked` is told the name in each SNI."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate(own.certificate)
    for each in own.chain:
        context.add_extra_chain_cert(each)
    context.use_privatekey(own.key)
    for each in cas:
        context.add_client_ca(each)
    context.set_session_id(b"sasgate lab")
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)

    def name(connection: SSL.Connection) -> None:
        given = connection.get_servername()
        asked(None if given is None else given.decode("latin-1"))

    context.set_tlsext_servername_callback(name)
    return context


class Stream:
    """TLS over `plain`, a connected and blocking socket."""

    def __init__(self, context: SSL.Context, plain: socket.socket) -> None:
        """Finish the handshake.

        Raises:
            OpenSSL.SSL.Error: the client would not.
        """
        # Head and body are two writes, and the second must not wait for the client's kernel.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._plain = plain
        self._tls = SSL.Connection(context, plain)
        self._tls.set_accept_state()
        self._tls.do_handshake()

    @property
    def peer(self) -> tuple[x509.Certificate | None, tuple[x509.Certificate, ...]]:
        """The client's certificate, and those that it sent behind it."""
        leaf = self._tls.get_peer_certificate(as_cryptography=True)
        sent = self._tls.get_peer_cert_chain(as_cryptography=True) or []
        return leaf, tuple(each for each in sent if each != leaf)

    def reader(self) -> io.BufferedReader:
        """What the client sends; its end is an end, whether TLS said so or not."""
        return io.BufferedReader(_Raw(self._tls))

    def writer(self) -> io.BufferedIOBase:
        """What goes to the client, at once."""
        return _Writer(self._tls)

    def end(self) -> None:
        """Say by TLS that nothing follows."""
        self._tls.shutdown()

    def reset(self) -> None:
        """Let the client see a TCP reset once the socket is closed."""
        self._plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class _Raw(io.RawIOBase):
    def __init__(self, tls: SSL.Connection) -> None:
        self._tls = tls

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._tls.recv(len(buffer))
        except (SSL.ZeroReturnError, SSL.SysCallError):
            return 0
        buffer[: len(data)] = data
        return len(data)


class _Writer(io.BufferedIOBase):
    def __init__(self, tls: SSL.Connection) -> None:
        self._tls = tls

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._tls.sendall(bytes(data))
        return len(data)

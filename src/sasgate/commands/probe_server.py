"""What `sasgate probe` does to a server: one connection a question, and what came of it.

These connections do not verify the server, since one fault is not to hide the others: its
certificate is a question of its own. Nothing but SAS's own questions is sent.
"""

import socket
from collections.abc import Callable
from enum import Enum
from time import monotonic

from attrs import define, field, frozen
from cryptography import x509
from OpenSSL import SSL

from sasgate import __version__
from sasgate.addresses import parse_peer
from sasgate.commands.dialing import first_connected
from sasgate.commands.http_dialog import HTTPAnswer, exchange
from sasgate.commands.tls_dialog import TLSDialog, words
from sasgate.commands.watched_server import WatchedServer
from sasgate.http1 import BadMessage
from sasgate.trust import Credential


# Seconds for one question, connection included: SAS leaves then (facts of the platform).
PATIENCE = 7.0
# OpenSSL's own level of security would refuse old versions before the server can.
_ANYTHING = b"ALL:@SECLEVEL=0"


class Version(Enum):
    """Versions of TLS that are tried."""

    V1_0 = "1.0"
    V1_1 = "1.1"
    V1_2 = "1.2"
    V1_3 = "1.3"

    @property
    def outdated(self) -> bool:
        """Whether it must be refused."""
        return self in {Version.V1_0, Version.V1_1}


class How(Enum):
    """How a question ended."""

    ANSWER = "an HTTP answer"
    DONE = "what was asked for"
    ALERT = "a TLS alert"
    DROPPED = "the connection was cut"
    SILENT = "silence"
    NOT_TRIED = "this host cannot ask it"
    ERROR = "an error"


@define
class Seen:
    """What came of one question; `seconds` with the connection, `shaken` the handshake was done.

    `asked` says whether a certificate was asked for, and `cas` of which CAs (none: of any).
    """

    how: How = How.ERROR
    words: str = ""
    answer: HTTPAnswer | None = None
    shaken: bool = False
    asked: bool = False
    cas: tuple[x509.Name, ...] = ()
    seconds: float = 0.0

    @property
    def status(self) -> int:
        """The HTTP status; 0 where no answer came."""
        return 0 if self.answer is None else self.answer.status


@frozen
class ProbedServer:
    """A server by its base URL and the addresses of its name; `base` has no `/` at its end."""

    host: str
    port: int
    base: str
    addresses: tuple[str, ...]
    patience: float = field(default=PATIENCE)

    @property
    def authority(self) -> str:
        """What stands in `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"

    def get(self, path: str, version: Version, client: Credential | None = None) -> Seen:
        """Ask for a path below the base URL, in one version, with a client's leaf or without."""

        def ask(seen: Seen, dialog: TLSDialog, until: float) -> None:
            seen.answer = exchange(dialog, self._request(path), b"GET", until)
            seen.how, seen.words = How.ANSWER, f"HTTP {seen.answer.status}"

        return self._seen(_connection(self.host, version, client), ask)

    def renegotiate(self) -> Seen:
        """Ask for a new handshake on a connection of TLS 1.2."""

        def ask(seen: Seen, dialog: TLSDialog, until: float) -> None:
            dialog.tls.renegotiate()
            dialog.handshake(until)
            seen.how, seen.words = How.DONE, "a second handshake was done"

        return self._seen(_connection(self.host, Version.V1_2, None), ask)

    def verified(self, watched: WatchedServer) -> Seen:
        """Do a handshake in which `watched` verifies the server's certificate."""

        def ask(seen: Seen, dialog: TLSDialog, until: float) -> None:
            del dialog, until
            seen.how, seen.words = How.DONE, "verified"

        return self._seen(watched.clientConnectionForTLS(None), ask)

    def reached(self) -> socket.socket:
        """A plain connection; raises OSError where there is none."""
        return first_connected(self.addresses, self.port, self.patience)

    def _seen(self, tls: SSL.Connection, ask: Callable[[Seen, TLSDialog, float], None]) -> Seen:
        """What comes of `ask` on a connection after its handshake, or instead of it."""
        began = monotonic()
        until = began + self.patience
        seen, dialog = Seen(), None
        try:
            with self.reached() as plain:
                dialog = TLSDialog(plain, tls)
                dialog.handshake(until)
                seen.shaken = True
                ask(seen, dialog, until)
        except (OSError, SSL.Error, BadMessage) as error:
            seen.how, seen.words = _how(error, dialog)
        seen.seconds = monotonic() - began
        if dialog is not None and dialog.asked:
            seen.asked = True
            seen.cas = tuple(tls.get_client_ca_list(as_cryptography=True))
        return seen

    def _request(self, path: str) -> bytes:
        return (
            f"GET {self.base}{path} HTTP/1.1\r\nHost: {self.authority}\r\n"
            f"User-Agent: sasgate/{__version__}\r\nAccept: application/json+fhir\r\n"
            "Connection: close\r\n\r\n"
        ).encode("ascii")


def leaf_context(client: Credential | None) -> SSL.Context:
    """A client's context that verifies nothing and presents a leaf alone, as SAS does.

    It trusts no CA, of which OpenSSL could make up a chain to send.

    Raises:
        OpenSSL.SSL.Error: OpenSSL refuses the certificate with its key.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_NONE)
    if client is not None:
        context.use_certificate(client.leaf)
        context.use_privatekey(client.key)
    return context


def _connection(host: str, version: Version, client: Credential | None) -> SSL.Connection:
    context = leaf_context(client)
    if version.outdated:
        context.set_cipher_list(_ANYTHING)
        context.set_options(SSL.OP_LEGACY_SERVER_CONNECT)
    context.set_min_proto_version(_NUMBERS[version])
    context.set_max_proto_version(_NUMBERS[version])
    connection = SSL.Connection(context, None)
    if parse_peer(host) is None:
        connection.set_tlsext_host_name(host.encode("idna"))
    connection.set_alpn_protos([b"http/1.1"])
    return connection


_NUMBERS = {
    Version.V1_0: SSL.TLS1_VERSION,
    Version.V1_1: SSL.TLS1_1_VERSION,
    Version.V1_2: SSL.TLS1_2_VERSION,
    Version.V1_3: SSL.TLS1_3_VERSION,
}


def _how(error: Exception, dialog: TLSDialog | None) -> tuple[How, str]:
    said = words(error)
    match error:
        case TimeoutError():
            return How.SILENT, said
        case OSError():
            return How.DROPPED, said
        case BadMessage():
            ended = dialog is not None and "ended TLS" in said
            return (How.DROPPED if ended else How.ERROR), said
        case _ if dialog is None or not dialog.spoke:
            return How.NOT_TRIED, f"this host's OpenSSL does not offer it: {said}"
        case _:
            # Also OpenSSL's word for the alert that refuses a renegotiation (RFC 5246, 7.2.2).
            alert = "alert" in said or said == "no renegotiation"
            return (How.ALERT if alert else How.ERROR), said

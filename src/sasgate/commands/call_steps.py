"""The steps of `sasgate call`, from the name to the answer, each with its time limit."""

import socket
from collections.abc import Iterator
from datetime import datetime
from http.client import HTTPException
from time import monotonic
from urllib.parse import urlsplit

from OpenSSL import SSL

from sasgate.commands.call_report import (
    Steps,
    answer_lines,
    own_certificate,
    request_lines,
    server_certificate,
)
from sasgate.commands.call_request import CallRequest
from sasgate.commands.deadline import within
from sasgate.commands.dialing import NotOpened, addresses_of, first_connected, open_tunnel
from sasgate.commands.http_dialog import HTTPAnswer, exchange
from sasgate.commands.tls_dialog import TLSDialog, words
from sasgate.commands.watched_server import WatchedServer
from sasgate.http1 import BadMessage, HeadLimits
from sasgate.identity import printable_name
from sasgate.outbound_rules import OutboundTrust
from sasgate.settings import Limits


class NoAnswer(Exception):
    """The call ended without an answer; what there is to say was printed."""


class Calling:
    """One call to the server of `trust`, printed as it goes; `now` is aware."""

    def __init__(self, trust: OutboundTrust, limits: Limits, now: datetime) -> None:
        self._trust = trust
        self._limits = limits
        self._now = now
        self._steps = Steps()
        self._watched = WatchedServer(trust.context, trust.server.host)

    def call(self, request: CallRequest, most: int) -> HTTPAnswer:
        """Go all the way; of the answer's body `most` bytes are read.

        Raises:
            NoAnswer: it ended before.
        """
        try:
            with self._connected() as plain:
                return self._exchange(self._secured(plain), request, most)
        except (OSError, SSL.Error, NotOpened, HTTPException, BadMessage) as error:
            self._steps.failed(_failure(error), self._hints(error))
            raise NoAnswer from None

    def _connected(self) -> socket.socket:
        server, wait = self._trust.server, self._limits.connect
        host, port = server.host, server.port
        if server.proxy is not None:
            at = urlsplit(f"//{server.proxy}")
            host, port = at.hostname or "", at.port or 0
        self._steps.begin("DNS")
        addresses = within(wait, lambda: addresses_of(host, port))
        whose = "the proxy " if server.proxy else ""
        self._steps.done(f"{whose}{host} is {', '.join(addresses)}")
        self._steps.begin("TCP")
        plain = first_connected(addresses, port, wait)
        try:
            self._steps.done(f"from {_end(plain.getsockname())} to {_end(plain.getpeername())}")
            if server.proxy is not None:
                self._steps.begin("proxy")
                open_tunnel(plain, server.host, server.port)
                self._steps.done(f"{server.proxy} leads to {server.host}:{server.port}")
        except BaseException:
            plain.close()
            raise
        return plain

    def _secured(self, plain: socket.socket) -> TLSDialog:
        self._steps.begin("TLS")
        dialog = TLSDialog(plain, self._watched.clientConnectionForTLS(None))
        try:
            dialog.handshake(monotonic() + self._limits.connect)
        except (OSError, SSL.Error) as error:
            refusal = self._watched.refusal
            failure = words(error) if refusal is None else "the server's certificate is refused"
            hints = () if refusal else self._hints(error)
            self._steps.failed(failure, [*self._about(dialog, finished=False), *hints])
            raise NoAnswer from None
        tls = dialog.tls
        self._steps.done(
            f"{tls.get_protocol_version_name()}, {tls.get_cipher_name()}",
            self._about(dialog, finished=True),
        )
        return dialog

    def _exchange(self, dialog: TLSDialog, request: CallRequest, most: int) -> HTTPAnswer:
        self._steps.add(["request", *request_lines(request.head, len(request.body))])
        self._steps.begin("answer")
        limits = self._limits
        answer = exchange(
            dialog,
            request.head + request.body,
            request.method,
            monotonic() + limits.outbound_answer,
            limits=HeadLimits(limits.head_size * 4, limits.head_fields * 2),
            most=most,
        )
        self._steps.done(f"{answer.status}", answer_lines(answer))
        return answer

    def _about(self, dialog: TLSDialog, *, finished: bool) -> Iterator[str]:
        """Both certificates, as far as the handshake got."""
        refusal = self._watched.refusal
        verdict = "yes: chain, dates, name and usage are right"
        if refusal is not None:
            verdict = f"REFUSED: {refusal}"
        elif not finished:
            verdict = "nothing was wrong with it as far as the handshake got"
        yield from server_certificate(self._watched.sent, verdict, self._now)
        yield from self._presented(dialog, finished=finished)

    def _presented(self, dialog: TLSDialog, *, finished: bool) -> Iterator[str]:
        if not dialog.asked:
            if finished:
                yield "presented certificate: NONE, since the server did not ask for one"
                yield "  SAS asks: is this SAS, or a device in between that ends TLS?"
            return
        yield "presented certificate" if finished else "certificate to be presented"
        yield from own_certificate(self._trust.identity, self._now)
        cas = [printable_name(each) for each in dialog.tls.get_client_ca_list(as_cryptography=True)]
        if not cas:
            yield "  asked for by the server, of any CA"
            return
        known = "is" if self._trust.identity.issuer in cas else "is not"
        yield f"  asked for by the server; its issuer {known} among the {len(cas)} CAs named:"
        yield from (f"    {each}" for each in cas)

    def _hints(self, error: Exception) -> Iterator[str]:
        step = self._steps.current
        if step in _HINTS:
            yield _HINTS[step]
        if step == "DNS" and self._trust.server.proxy is None:
            yield "a host that reaches the Internet by a proxy only: [outbound] proxy = HOST:PORT"
        if isinstance(error, SSL.Error) and "alert" in words(error):
            yield "an alert is the server's word: mostly it refuses the presented certificate"
        if isinstance(error, TimeoutError):
            key = "outbound_answer" if step == "answer" else "connect"
            yield f"the gateway waits for {getattr(self._limits, key):g} s: [limits] {key}"


def _failure(error: Exception) -> str:
    if isinstance(error, BadMessage):
        return f"the gateway takes no such answer: {error.reason}"
    return words(error)


def _end(address: tuple[object, ...]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


_HINTS = {
    "DNS": "does this host resolve public names?",
    "TCP": "does a firewall let this host out to that address and port?",
    "proxy": "does the proxy let this host out to SAS?",
}

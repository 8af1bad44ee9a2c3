"""The outbound side: an application calls SAS through the gateway, with the editor's certificate.

Every program that reaches the listener may call, a web page in a browser may not, and one server
alone is reached through it: its URL is configuration, and neither Host nor an absolute-form target
changes it (S53). What SAS answers passes untouched; what the gateway itself has to say is a FHIR
OperationOutcome.
"""

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from sasgate.browsers import Way, asked_by_page
from sasgate.http1 import RequestHead
from sasgate.identity import Identity
from sasgate.log_format import word
from sasgate.outbound_rules import OutboundRules
from sasgate.places import Full, Places
from sasgate.repeats import Repeats
from sasgate.settings import Address
from sasgate.site import PASSED_ON, UNREADABLE, Exchanged, Forward, Plan, Reply
from sasgate.surroundings import Surroundings


@frozen
class Refused:
    """A refusal by SAS, 401 or 403, of what was `presented`."""

    status: int
    listener: str
    presented: str


@frozen
class Shared:
    """What all connections of one listener share."""

    places: Places
    refusals: Repeats[Refused]


_log = Logger("sasgate.outbound")


def tell_refusal(refused: Refused, count: int, seconds: float) -> None:
    """Say what a refusal means; or how many more there were, in so many seconds."""
    _log.warn(
        "SAS answered {status} to {listener}{times}: {meaning}; presented was {presented}",
        status=refused.status,
        listener=refused.listener,
        times=f", {count} times more in {seconds:.0f} s" if count else "",
        meaning=MEANINGS[refused.status],
        presented=refused.presented,
    )


class OutboundSite:
    """One connection of an application; `rules` gives what is in force on its listener."""

    def __init__(
        self,
        rules: Callable[[], OutboundRules],
        peer: Address,
        way: Way,
        surroundings: Surroundings,
        shared: Shared,
    ) -> None:
        self.when_closed: Callable[[], None] = lambda: None
        self._rules = rules
        self._peer = peer
        self._way = way
        self._limits = surroundings.limits
        self._journal = surroundings.journal
        self._places = shared.places
        self._refusals = shared.refusals
        self._turn: Deferred[None] | None = None
        self._placed = False
        self._made_under: OutboundRules | None = None

    def handshake_completed(self, transport: Any) -> float:
        """Nobody shakes hands on a local listener."""
        raise NotImplementedError

    def direct(self, head: RequestHead, request_id: str) -> Plan | Deferred[Plan]:
        """Send the request to SAS, as soon as there is a place for it."""
        del request_id
        if head.method in {b"CONNECT", b"TRACE"}:
            return evolve(self.failure(405, "a method that is not for a gateway"), allow=PASSED_ON)
        target = _origin_form(head.method, head.target)
        if target is None:
            return self.failure(400, "the request's target is no path")
        page = asked_by_page(head, self._way, self._rules().authority)
        if page is not None:
            return self.failure(403, page)
        try:
            turn = self._places.take()
        except Full:
            return self.failure(503, "too many calls to SAS are under way")
        if turn is None:
            self._placed = True
            return self._forward(target)
        self._turn = turn
        return turn.addCallback(lambda _: self._called(target))

    def _called(self, target: bytes) -> Plan:
        self._turn, self._placed = None, True
        return self._forward(target)

    def _forward(self, target: bytes) -> Forward:
        self._made_under = rules = self._rules()
        return Forward(
            balancer=rules.balancer,
            target=target,
            host=rules.authority,
            extra=b"",
            drop=frozenset(),
            answer_within=self._limits.outbound_answer,
            body_within=self._limits.outbound_answer * _OF_BODY,
        )

    def failure(self, status: int, reason: str, *, sent: bool = False) -> Reply:
        """Word a fault for a developer at the editor: what happened, and what to do."""
        text = _DIAGNOSTICS.get(status, _MAYBE_ARRIVED if sent else "{reason}").format(
            host=self._rules().authority.decode("ascii"),
            # The forwarder calls whoever it calls by this name.
            reason=reason.replace("backend", "SAS"),
            sent=_MAYBE_SENT if sent else _NOT_SENT,
        )
        outcome = {
            "resourceType": "OperationOutcome",
            "issue": [
                {
                    "severity": "error",
                    "code": _CODES.get(status, "invalid"),
                    "diagnostics": f"sasgate, {status} {HTTPStatus(status).phrase}: {text}",
                }
            ],
        }
        body = json.dumps(outcome).encode("ascii")
        return Reply(status, body, _FHIR, close=status in UNREADABLE, reason=reason)

    def finished(self, exchange: Exchanged) -> None:
        """Write the access event, and what a refusal by SAS means; let the next call begin."""
        self._leave_place()
        made_under, self._made_under = self._made_under, None
        rules = made_under or self._rules()
        self._journal.access(exchange.access(rules.name, rules.environment, self._peer))
        if exchange.status in MEANINGS and exchange.backend and not exchange.error:
            self._refusals.note(Refused(exchange.status, rules.name, presented(rules.identity)))

    def _leave_place(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            self._places.leave(turn)
        elif self._placed:
            self._placed = False
            self._places.give_back()

    def closed(self, reason: Failure, *, handshaken: bool) -> None:
        """The application has left."""
        del reason, handshaken
        self.when_closed()


def presented(identity: Identity) -> str:
    """A certificate as SAS judges it, for a line of log."""
    return (
        f"CN={word(identity.cn)} OU={word(identity.ou)} issuer={word(identity.issuer)}"
        f" until {identity.not_after:%Y-%m-%d}"
    )


def _origin_form(method: bytes, target: bytes) -> bytes | None:
    """The path and query of a target: whatever server it names, ours is called (S53).

    None where it has none: `*` is for OPTIONS alone (RFC 9112, 3.2.4).
    """
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return None
    rest: bytes = match[1] or b""
    return rest if rest.startswith(b"/") else b"/" + rest


# A body holds a place to SAS while it comes: whoever waits for the place has as much time left.
_OF_BODY = 1 / 2

_ABSOLUTE = re.compile(rb"https?://[^/?#]*([/?].*)?", re.IGNORECASE)
_FHIR = b"application/fhir+json"

# IssueType of FHIR R4.
_CODES = {
    403: "forbidden",
    405: "not-supported",
    408: "timeout",
    500: "exception",
    502: "transient",
    503: "throttled",
    504: "timeout",
}
_DIAGNOSTICS = {
    403: (
        "{reason}, and no web page may call SAS in the editor's name. Call from a program, by"
        " http://localhost or the listener's address; a reverse proxy before the listener takes"
        " Origin and Sec-Fetch-Site away and sets Host, or comes by a UNIX socket. {sent}"
    ),
    502: "no usable answer from SAS ({host}): {reason}. {sent}",
    503: "{reason}: wait a moment, then call again. {sent}",
    504: "no answer from SAS ({host}) in time: {reason}. {sent}",
}
_MAYBE_ARRIVED = "{reason}. {sent}"
_NOT_SENT = "Nothing of the request was sent: it may be sent again."
_MAYBE_SENT = "The request may have arrived: look before you send it again."
# Specification, 4.3.4: what SAS checks of the certificate.
MEANINGS = {
    401: (
        "it does not recognise the certificate's issuer, or holds it for revoked or expired: is"
        " this a TEST certificate on production, or the reverse?"
    ),
    403: "this CN and OU are not registered there: send them to ANS (sasgate check --for-ans)",
}

"""The inbound side: SAS calls, is judged, and its requests go to the editor's backends.

Every path of the listener needs an admitted client, `/check` included; policy belongs to the
listener, and neither SNI nor Host changes it (S16).
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from sasgate import headers
from sasgate.admission import Outcome, Verdict, Verify
from sasgate.failures import why
from sasgate.generation import ListenerRules, TargetRoute
from sasgate.headers import Kind
from sasgate.health import Health
from sasgate.http1 import RequestHead, is_host
from sasgate.identity import Identity, printable_value
from sasgate.journal import Decision
from sasgate.judgement import Judgement, Seat
from sasgate.pool import Balancer
from sasgate.settings import Address
from sasgate.site import PASSED_ON, UNREADABLE, Exchanged, Forward, Plan, Reply
from sasgate.surroundings import Surroundings
from sasgate.tls import HandshakeRecord, presented


# A name is cut at so many characters in an answer: a certificate may hold 64 KiB of it (S39).
_LONGEST_CN = 256


class InboundSite:
    """One client of an inbound listener.

    `handshake` is filled while the handshake goes on; an empty one refuses. `rules` gives what is
    in force on the listener at the moment: a connection that was judged by an older generation is
    judged again, from what its handshake left, before its next request.
    """

    def __init__(
        self,
        rules: Callable[[], ListenerRules],
        peer: Address,
        surroundings: Surroundings,
        health: Health,
        place: Seat,
    ) -> None:
        self._rules = rules
        self._peer = peer
        self._limits = surroundings.limits
        self._wall = surroundings.wall
        self._journal = surroundings.journal
        self._health = health
        self._place = place
        self._now = surroundings.deadlines.now
        self._came = self._now()
        self._judgement = Judgement(rules, peer, surroundings, place)
        self._admitted = False
        self._lines_of: Verdict | None = None
        self._lines = b""
        self.handshake = HandshakeRecord()

    def handshake_completed(self, transport: Any) -> float:
        """Judge the client; its connection ends with its certificate at the latest."""
        self._journal.handshake(self._rules().name, self._now() - self._came)
        self._judgement.begin(presented(transport.getHandle(), self.handshake))
        self._identity_lines()  # so that a name that cannot be worded ends the handshake
        identity = self._judgement.verdict.identity
        longest = self._limits.connection_age
        if identity is None:
            return longest
        left = (identity.not_after - self._wall()).total_seconds()
        # Whose certificate has ended already is still to be told so.
        return min(longest, left) if left > 0 else longest

    def direct(self, head: RequestHead, request_id: str) -> Plan | Deferred[Plan]:
        """Refuse, answer `/check`, or name the backends of the request's route.

        Where OCSP has to answer first, that is waited for here, and nowhere else.
        """
        waiting = self._judgement.current()
        if waiting is None:
            return self._planned(self._rules(), head, request_id)
        plan: Deferred[Plan] = waiting.addCallback(lambda _: self.direct(head, request_id))
        return plan

    def _planned(
        self, rules: ListenerRules, head: RequestHead, request_id: str
    ) -> Plan | Deferred[Plan]:
        host, target = origin_form(head)
        path = b"" if target is None else target.partition(b"?")[0]
        verdict = self._judgement.verdict
        self._admitted = verdict.outcome is Outcome.ADMITTED
        if not self._admitted:
            return refusal(verdict, is_check=path == rules.check_path)
        if head.method in {b"CONNECT", b"TRACE"}:
            return evolve(self.failure(405, "a method that is not for a gateway"), allow=PASSED_ON)
        if target is None:
            return self.failure(400, "the request's target and its Host do not agree")
        if path == rules.check_path:
            return self._check(rules.routes.get(verdict.environment or "", ()), head)
        environment = verdict.environment or ""
        balancer = rules.route(environment, b"/" if target == b"*" else path)
        if balancer is None:
            return self.failure(404, "no route for this path")
        return Forward(
            balancer=balancer,
            target=target,
            host=host or balancer.pools[0].authority.encode("ascii"),
            extra=self._identity_lines() + _request_lines(host, request_id),
            drop=_DROPPED,
            answer_within=self._limits.answer,
        )

    def _identity_lines(self) -> bytes:
        verdict = self._judgement.verdict
        admitted = verdict.outcome is Outcome.ADMITTED
        if admitted and verdict is not self._lines_of and verdict.identity is not None:
            self._lines = identity_lines(verdict, verdict.identity, self._peer)
            self._lines_of = verdict
        return self._lines

    def _check(self, routes: tuple[TargetRoute, ...], head: RequestHead) -> Plan | Deferred[Plan]:
        if head.method not in {b"GET", b"HEAD"}:
            return evolve(self.failure(405, "only GET and HEAD for the check"), allow=b"GET, HEAD")
        return Deferred.fromCoroutine(self._look(tuple(route.balancer for route in routes)))

    async def _look(self, balancers: tuple[Balancer, ...]) -> Plan:
        if await self._health.available(balancers):
            return Reply(200, _json({"status": "available"}))
        return self.failure(503, "a backend does not answer")

    def failure(self, status: int, reason: str, *, sent: bool = False) -> Reply:
        """Word a fault: its kind for the client, its reason for the journal."""
        del sent
        body = _json({"status": _FAULTS.get(status) or f"KO:{HTTPStatus(status).phrase}"})
        return Reply(status, body, close=status in UNREADABLE, reason=reason)

    def finished(self, exchange: Exchanged) -> None:
        """Write the access event of an admitted client.

        A refused one has its decision, of which identical ones are told together: a scanner must
        not be worth a line a request.
        """
        # Of a head that could not be read nobody asked who is admitted by then.
        admitted = self._admitted or self._judgement.verdict.outcome is Outcome.ADMITTED
        note = self._journal.access if admitted else self._journal.refused
        environment = self._judgement.verdict.environment
        note(exchange.access(self._rules().name, environment, self._peer))

    def closed(self, reason: Failure, *, handshaken: bool) -> None:
        """Give the client's place free; a handshake that failed is a decision too."""
        self._place.gone()
        self._judgement.closed()
        if not handshaken:
            self._journal.decision(
                Decision(
                    listener=self._rules().name,
                    environment=None,
                    peer=str(self._peer),
                    outcome="closed",
                    verify=Verify.NONE.value,
                    detail=f"no handshake: {why(reason)}",
                )
            )


def origin_form(head: RequestHead) -> tuple[bytes | None, bytes | None]:
    """The Host and the origin-form of a request's target; None as target where they disagree.

    An absolute-form target passes where its authority is the Host field's (RFC 9112, 3.2.2); `*`
    with OPTIONS alone.
    """
    target = head.target
    if target.startswith(b"/") or (target == b"*" and head.method == b"OPTIONS"):
        return head.host, target
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return head.host, None
    authority, rest = match[1], match[2]
    named = authority if head.host is None else head.host
    if authority.lower() != named.lower() or not is_host(authority):
        return head.host, None
    return authority, rest if rest and rest.startswith(b"/") else b"/" + (rest or b"")


def refusal(verdict: Verdict, *, is_check: bool) -> Reply:
    """The answer to a client that is not admitted; it closes the connection.

    A failed authentication on `/check` is a 403 (specification, 2.4).
    """
    forbidden = verdict.outcome is Outcome.FORBIDDEN
    body = _json(
        {
            "status": "KO:Forbidden" if forbidden or is_check else "KO:Unauthorized",
            "verify": verdict.verify.value,
            "CN": _cut(verdict.identity.cn) if verdict.identity is not None else "",
        }
    )
    return Reply(403 if forbidden or is_check else 401, body, close=True, reason=verdict.detail)


@lru_cache(maxsize=64)
def identity_lines(verdict: Verdict, identity: Identity, peer: Address) -> bytes:
    """The header lines that tell a backend who calls; held once for all connections of a client."""
    fields = (
        (headers.CLIENT_VERIFY, verdict.verify.value),
        (headers.CLIENT_CN, printable_value(identity.cn)),
        (headers.CLIENT_OU, printable_value(identity.ou)),
        (headers.CLIENT_S_DN, identity.subject),
        (headers.CLIENT_I_DN, identity.issuer),
        (headers.CLIENT_SERIAL, identity.serial),
        (headers.CLIENT_CERT, f":{b64encode(identity.der).decode('ascii')}:"),
        (headers.ENVIRONMENT, verdict.environment or ""),
        (headers.FORWARDED_FOR, str(peer)),
        (headers.FORWARDED_PROTO, "https"),
    )
    return b"".join(b"%b: %b\r\n" % (name, value.encode("ascii")) for name, value in fields)


def _request_lines(host: bytes | None, request_id: str) -> bytes:
    line = b"%b: %b\r\n" % (headers.REQUEST_ID, request_id.encode("ascii"))
    return line if host is None else line + b"%b: %b\r\n" % (headers.FORWARDED_HOST, host)


_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)([/?].*)?", re.IGNORECASE)
_DROPPED = frozenset({Kind.GATEWAY})

_FAULTS = {
    500: "KO: internal error",
    502: "KO: backend failed",
    503: "KO: backend unreachable",
    504: "KO: backend too late",
}


def _json(value: dict[str, str]) -> bytes:
    return json.dumps(value).encode("ascii")


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_CN else name[:_LONGEST_CN] + "…"

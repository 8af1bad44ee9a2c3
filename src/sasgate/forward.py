"""One exchange: a client's request to an upstream server and its answer back, streamed.

The same for both directions; it does not know which it serves. Bytes are passed on as they come,
and whoever reads slower than the other writes holds the other back. A request goes to another
server only where nothing of it was sent.
"""

import secrets
from collections.abc import Iterator
from enum import Enum
from typing import Protocol

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.logger import Logger
from twisted.python.failure import Failure

from sasgate.chunked import LAST_CHUNK, chunk
from sasgate.failures import why
from sasgate.heads import has_unusual_body, interim_head, request_head, response_head
from sasgate.http1 import BadMessage, Framing, RequestHead, RequestReader, ResponseHead
from sasgate.patience import Patience
from sasgate.pool import Pool, UpstreamConnection
from sasgate.settings import Limits
from sasgate.site import Exchanged, Forward, Plan, Reply, Site


class Client(Protocol):
    """The client's connection, as an exchange uses it."""

    site: Site
    limits: Limits
    reader: RequestReader

    def now(self) -> float:
        """Seconds of the reactor's clock."""

    def limit(self, deadline: float) -> None:
        """Set the time limit of what goes on now, in seconds of that clock."""

    def keeps(self) -> bool:
        """Whether the connection may serve another request after this one."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def reply(self, reply: Reply, head: RequestHead, *, keep: bool) -> int:
        """Send an answer of the gateway's own; returns the bytes of body sent."""

    def hold(self) -> None:
        """Read no more of the request for now."""

    def go_on(self) -> None:
        """Read the request again."""

    def is_full(self) -> bool:
        """Whether the client reads slower than the answer comes."""

    def exchange_over(self, *, keep: bool) -> None:
        """Learn that the exchange ended; `keep` says whether another may follow."""

    def abort(self) -> None:
        """Drop the connection: the answer cannot be completed."""


class _Phase(Enum):
    DECIDING = "deciding"
    CONNECTING = "connecting"
    FORWARDING = "forwarding"
    ANSWERING = "answering"
    OVER = "over"


_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Exchange:
    """One request of a client and what became of it."""

    _log = Logger()

    def __init__(self, client: Client, head: RequestHead) -> None:
        now = client.now()
        self.record = Exchanged(secrets.token_hex(16), head.method, head.target, now)
        self._client = client
        self._head = head
        self._phase = _Phase.DECIDING
        self._candidates: Iterator[Pool] = iter(())
        self._plan: Forward | None = None
        self._upstream: UpstreamConnection | None = None
        self._upstream_full = False
        self._sent = False
        self._response: ResponseHead | None = None
        self._chunked_answer = False
        self._answer = b""
        self._keep = False
        self._answer_deadline = now + client.limits.answer
        self._window_end = now + client.limits.body_idle
        self._window_bytes = 0
        self._patience = Patience(float("inf"))

    def start(self) -> None:
        """Ask the site what becomes of the request, and do it."""
        self._set_deadline()
        try:
            plan = self._client.site.direct(self._head, self.record.request_id)
        except Exception:
            self._undecided(Failure())
            return
        if isinstance(plan, Deferred):
            plan.addCallback(self._execute)
            plan.addErrback(self._undecided)
        else:
            self._execute(plan)

    def _undecided(self, failure: Failure) -> None:
        # Whatever goes wrong in a decision refuses, and says so where people look.
        self._log.failure("no decision could be taken on a request", failure)
        self._give_up(500, "internal error")

    def _execute(self, plan: Plan) -> None:
        if self._phase is not _Phase.DECIDING:
            return
        if isinstance(plan, Reply):
            self._answer_ourselves(plan)
            return
        self._phase = _Phase.CONNECTING
        self._plan = plan
        self._patience = Patience(plan.body_within)
        self._answer_deadline = self.record.started + plan.answer_within
        self._set_deadline()
        self._candidates = iter(plan.balancer.order())
        self._try_next(None)

    def _try_next(self, failure: Failure | None) -> None:
        plan = self._plan
        if self._phase is not _Phase.CONNECTING or plan is None:
            return
        pool = next(self._candidates, None)
        if pool is None:
            late = failure is not None and failure.check(ConnectTimeout)
            reason = f": {why(failure)}" if failure is not None else ""
            self._give_up(504 if late else 502, f"backend unreachable{reason}")
            return
        self.record.backend = pool.name
        connection = pool.idle_connection()
        if connection is not None:
            self._send(plan, connection)
            return
        connecting = Deferred.fromCoroutine(pool.connect())
        connecting.addCallbacks(self._connected, self._try_next)
        connecting.addErrback(self._undecided)

    def _connected(self, connection: UpstreamConnection) -> None:
        if self._phase is _Phase.CONNECTING and self._plan is not None:
            self._send(self._plan, connection)
        else:
            connection.pool.keep(connection)

    def _send(self, plan: Forward, upstream: UpstreamConnection) -> None:
        self._phase = _Phase.FORWARDING
        self._upstream = upstream
        upstream.begin(self, self._head.method)
        self._sent = True
        head = request_head(self._head, plan)
        reader = self._client.reader
        if self._head.expect_continue and not reader.body_complete and not reader.buffered:
            self._client.write(_CONTINUE)
        if reader.body_complete:
            upstream.write(head)
            return
        self._begin_window()
        self._set_deadline()
        self.request_bytes(head)

    def request_bytes(self, head: bytes = b"") -> None:
        """Pass on what has arrived of the request's body, behind its head in one piece."""
        upstream, reader = self._upstream, self._client.reader
        if upstream is None or reader.body_complete:
            return
        try:
            data = reader.body()
        except BadMessage as error:
            self._give_up(error.status, error.reason)
            return
        self.record.received += len(data)
        if self._phase is _Phase.FORWARDING:
            self._window_bytes += len(data)
        if self._head.framing is Framing.CHUNKED:
            data = (chunk(data) if data else b"") + (LAST_CHUNK if reader.body_complete else b"")
        if head or data:
            upstream.write(head + data)
        if reader.body_complete:
            self._request_complete()
        if not self._upstream_full:
            self._client.go_on()

    def _request_complete(self) -> None:
        # A body that took longer than the answer may still gets an answer's time from its end.
        now = self._client.now()
        if now > self._answer_deadline and self._plan is not None:
            self._answer_deadline = now + self._plan.answer_within
        self._set_deadline()

    def response_head(self, head: ResponseHead) -> None:
        """Pass on the head of the answer, or an interim one."""
        if head.status < 200:
            if head.status != 100 and self._head.http11:
                self._client.write(interim_head(head))
            return
        self._phase = _Phase.ANSWERING
        self.record.answered = self._client.now()
        self.record.status = head.status
        self._response = head
        unframed = head.framing in {Framing.CHUNKED, Framing.CLOSE}
        self._chunked_answer = unframed and self._head.http11
        self._keep = (
            self._may_keep()
            and self._client.reader.body_complete
            and (self._chunked_answer or not unframed)
        )
        self._answer = response_head(
            head, self._head, chunked=self._chunked_answer, keep=self._keep
        )
        self._begin_window()
        self._set_deadline()

    def response_body(self, data: bytes) -> None:
        """Pass on a piece of the answer."""
        self.record.sent += len(data)
        self._window_bytes += len(data)
        self._answer += chunk(data) if self._chunked_answer else data

    def response_read(self) -> None:
        """Send what one reading brought: a head leaves with the body that came with it."""
        answer, self._answer = self._answer, b""
        if answer:
            self._client.write(answer)
        if self._upstream is not None and self._client.is_full():
            self._upstream.hold()

    def response_complete(self) -> None:
        """End the exchange."""
        if self._chunked_answer:
            self._answer += LAST_CHUNK
        self.response_read()
        upstream, self._upstream = self._upstream, None
        response = self._response
        if upstream is not None and response is not None:
            if self._client.reader.body_complete:
                upstream.finish(reusable=self._leaves_nothing(response))
            else:
                upstream.abort()
        self._end()

    def _leaves_nothing(self, response: ResponseHead) -> bool:
        """Whether no byte of this exchange can be taken for one of the next (S40, S45).

        A server that reads no body of a GET takes it for a request; one that sends a body with an
        answer that has none may send it late.
        """
        return (
            response.keep_alive
            and response.framing is not Framing.NONE
            and not has_unusual_body(self._head)
        )

    def upstream_failed(self, reason: str) -> None:
        """Tell the client that its answer will not come, or not as a whole."""
        self._upstream = None
        self._give_up(502, reason)

    def upstream_full(self) -> None:
        """Read no more from the client."""
        self._upstream_full = True
        self._patience.keep(self._client.now())
        if self._uploading():
            self._set_deadline()
        self._client.hold()

    def upstream_drained(self) -> None:
        """Read from the client again."""
        self._upstream_full = False
        if self._uploading():
            self._set_deadline()
        self.request_bytes()
        if not self._upstream_full:
            self._client.go_on()

    def client_drained(self) -> None:
        """Read from the server again: the client has room."""
        if self._upstream is not None:
            self._upstream.go_on()

    def client_lost(self, reason: str = "") -> None:
        """Give up what the client will not see; `reason` is ours where we dropped it."""
        if self._phase is _Phase.OVER:
            return
        self._drop_upstream()
        self.record.error = self.record.error or reason or "the client left"
        self.record.status = self.record.status or _CLIENT_LEFT
        self._note()

    def deadline_passed(self) -> None:
        """End what takes too long; a body that goes forward fast enough gets another window."""
        if self._phase is _Phase.ANSWERING or self._uploading():
            self._window_over()
        else:
            self._give_up(504, "backend too late")

    def connection_ends(self) -> None:
        """End: the client's connection may last no longer."""
        self._give_up(408 if self._uploading() else 504, "the connection's time is over")

    def _window_over(self) -> None:
        limits = self._client.limits
        answering = self._phase is _Phase.ANSWERING
        # A client is held to a rate; a server, or whoever is held back by it, to any progress.
        clients_turn = self._client.is_full() if answering else not self._upstream_full
        needed = limits.body_rate * limits.body_idle if clients_turn else 1
        if self._uploading() and self._patience.ends <= self._window_end:
            self._give_up(408, "the request's body takes too long")
        elif self._window_bytes >= needed:
            self._begin_window()
            self._set_deadline()
        elif answering:
            who = "the client reads" if clients_turn else "the server answers"
            self._give_up(504, f"{who} too slowly")
        elif clients_turn:
            self._give_up(408, "the request's body comes too slowly")
        else:
            self._give_up(504, "backend too late")

    def _uploading(self) -> bool:
        return self._phase is _Phase.FORWARDING and not self._client.reader.body_complete

    def _begin_window(self) -> None:
        self._window_end = self._client.now() + self._client.limits.body_idle
        self._window_bytes = 0

    def _set_deadline(self) -> None:
        if self._uploading():
            if not self._upstream_full:
                self._patience.spend(self._client.now())
            self._client.limit(min(self._window_end, self._patience.ends))
        elif self._phase is _Phase.ANSWERING:
            self._client.limit(self._window_end)
        else:
            self._client.limit(self._answer_deadline)

    def _may_keep(self) -> bool:
        return self._head.keep_alive and self._client.keeps()

    def _give_up(self, status: int, reason: str) -> None:
        if self._phase is _Phase.OVER:
            return
        self._drop_upstream()
        # What came with a malformed body is a head that has not left yet.
        if self._phase is _Phase.ANSWERING and not self._answer:
            self.record.error = reason
            self._note()
            self._client.abort()
        else:
            self._answer_ourselves(self._client.site.failure(status, reason, sent=self._sent))

    def _answer_ourselves(self, reply: Reply) -> None:
        reader = self._client.reader
        try:
            self.record.received += len(reader.body())
        except BadMessage:
            reply = evolve(reply, close=True)
        self._keep = self._may_keep() and reader.body_complete and not reply.close
        self.record.answered = self._client.now()
        self.record.status = reply.status
        self.record.error = reply.reason
        self.record.sent = self._client.reply(reply, self._head, keep=self._keep)
        self._end()

    def _end(self) -> None:
        self._note()
        self._client.exchange_over(keep=self._keep)

    def _note(self) -> None:
        self._phase = _Phase.OVER
        self.record.ended = self._client.now()
        self._client.site.finished(self.record)

    def _drop_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()


_CLIENT_LEFT = 499  # nginx's code for it, which log readers know

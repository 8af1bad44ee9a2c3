"""Who may look at the status, and how often: GET and HEAD alone, nothing can be changed (S58)."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from sasgate.admin.pages import Pages
from sasgate.admin.words import preferred
from sasgate.browsers import Way, names_loopback
from sasgate.http1 import RequestHead
from sasgate.site import Exchanged, Plan, Reply


# Answers a second, and how many at once before that counts: a page refreshes itself every ten
# seconds, and a process of this host that asks in a loop must not take SAS's time.
RATE = 20.0
BURST = 40
# Seconds that somebody waits for an answer; who would have to wait longer is sent away.
_LONGEST_WAIT = 3.0


@define
class Turnstile:
    """Gives each question the second of its answer."""

    _free_at: float = float("-inf")

    def wait(self, now: float) -> float | None:
        """Seconds until a question that has come now may be answered; None where too long."""
        free_at = max(self._free_at, now - BURST / RATE)
        if free_at - now > _LONGEST_WAIT:
            return None
        self._free_at = free_at + 1 / RATE
        return max(0.0, free_at - now)


class AdminSite:
    """One connection to the admin endpoint."""

    def __init__(self, pages: Pages, way: Way, turnstile: Turnstile, clock: IReactorTime) -> None:
        self.when_closed: Callable[[], None] = lambda: None
        self._pages = pages
        self._way = way
        self._turnstile = turnstile
        self._clock = clock

    def handshake_completed(self, transport: Any) -> float:
        """Nobody shakes hands on a local endpoint."""
        raise NotImplementedError

    def direct(self, head: RequestHead, request_id: str) -> Plan | Deferred[Plan]:
        """Answer, later where too much is asked."""
        del request_id
        if head.method not in {b"GET", b"HEAD"}:
            return Reply(405, _words(405), _TEXT, allow=b"GET, HEAD", close=True)
        if self._way is not Way.SOCKET and not names_loopback(head.host):
            return self.failure(403, "a Host that is not this one")
        wait = self._turnstile.wait(self._clock.seconds())
        if wait is None:
            return self.failure(429, "too many questions")
        if not wait:
            return self._answer(head)
        return deferLater(self._clock, wait, self._answer, head)

    def _answer(self, head: RequestHead) -> Plan:
        path = head.target.partition(b"?")[0]
        languages = b",".join(
            value for name, value in head.fields if name.lower() == b"accept-language"
        )
        reply = self._pages.reply(path, preferred(languages.decode("latin-1")))
        return reply or self.failure(404, "no such page")

    def failure(self, status: int, reason: str, *, sent: bool = False) -> Reply:
        """An answer that says nothing of what there is (S46)."""
        del sent
        return Reply(status, _words(status), _TEXT, close=status != 404, reason=reason)

    def finished(self, exchange: Exchanged) -> None:
        """Who looks is worth no line."""

    def closed(self, reason: Failure, *, handshaken: bool) -> None:
        """The connection is lost."""
        del reason, handshaken
        self.when_closed()


_TEXT = b"text/plain; charset=utf-8"


def _words(status: int) -> bytes:
    return f"{HTTPStatus(status).phrase}\n".encode("ascii")

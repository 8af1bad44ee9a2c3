"""What is answered to which path; each answer is made once a second, if nothing is ordered."""

from collections.abc import Callable, Mapping

from attrs import frozen

from sasgate.admin.data import json_of
from sasgate.admin.metrics import Metrics
from sasgate.admin.page import POLICY, icon, page
from sasgate.admin.status import Level, Status
from sasgate.site import Reply


# Seconds for which an answer is kept: whoever asks in a loop must not cost what others need.
KEPT = 1.0

_PLAIN = (
    b"Cache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"Cross-Origin-Resource-Policy: same-origin\r\n"
    b"Referrer-Policy: no-referrer\r\n"
    b"Vary: Accept-Language\r\n"
)


@frozen
class Rendered:
    """An answer's body, what it is, and what a browser may do with it."""

    body: bytes
    content_type: bytes
    policy: str = "default-src 'none'; frame-ancestors 'none'"


Render = Callable[[Status, str], Rendered]


class Pages:
    """Answers by path; `status` gathers one, `seconds` gives those of a clock that never jumps."""

    def __init__(
        self, status: Callable[[], Status], metrics: Metrics, seconds: Callable[[], float]
    ) -> None:
        self._status = status
        self._seconds = seconds
        self._kept: dict[tuple[bytes, str], tuple[float, Reply]] = {}
        self._rendered: Mapping[bytes, Render] = {
            b"/": _page,
            b"/status.json": lambda status, _: Rendered(json_of(status), b"application/json"),
            b"/metrics": lambda status, _: Rendered(metrics.text(status), metrics.content_type),
            **{
                f"/icon-{level.name.lower()}.svg".encode("ascii"): _icon(level.name.lower())
                for level in Level
            },
        }

    def look_anew(self) -> None:
        """Keep no answer of before: something was ordered, and whoever did it looks next."""
        self._kept.clear()

    def reply(self, path: bytes, language: str) -> Reply | None:
        """The answer to a path, None where there is none."""
        render = self._rendered.get(path)
        if render is None:
            return None
        now = self._seconds()
        kept = self._kept.get((path, language))
        if kept is not None and now - kept[0] < KEPT:
            return kept[1]
        rendered = render(self._status(), language)
        extra = _PLAIN + b"Content-Security-Policy: %b\r\n" % rendered.policy.encode("ascii")
        reply = Reply(200, rendered.body, rendered.content_type, extra=extra)
        self._kept[path, language] = now, reply
        return reply


def _page(status: Status, language: str) -> Rendered:
    return Rendered(page(status, language), b"text/html; charset=utf-8", POLICY)


def _icon(level: str) -> Render:
    return lambda _status, _language: Rendered(icon(level), b"image/svg+xml")

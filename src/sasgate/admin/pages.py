"""What is answered to which path; each answer is made once a second at the most."""

from collections.abc import Callable, Mapping

from sasgate.admin.data import json_of
from sasgate.admin.status import Status
from sasgate.site import Reply


# Seconds for which an answer is kept: whoever asks in a loop must not cost what others need.
KEPT = 1.0

_PLAIN = (
    b"Cache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"Cross-Origin-Resource-Policy: same-origin\r\n"
    b"Referrer-Policy: no-referrer\r\n"
)
_NO_CONTENT = b"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"

# The body and the type of it, from a status in a language.
Render = Callable[[Status, str], tuple[bytes, bytes]]


def data(status: Status, language: str) -> tuple[bytes, bytes]:
    """`/status.json`."""
    del language
    return json_of(status), b"application/json"


class Pages:
    """Answers by path; `status` gathers one, `seconds` gives those of a clock that never jumps."""

    def __init__(self, status: Callable[[], Status], seconds: Callable[[], float]) -> None:
        self._status = status
        self._seconds = seconds
        self._kept: dict[tuple[bytes, str], tuple[float, Reply]] = {}

    def reply(self, path: bytes, language: str) -> Reply | None:
        """The answer to a path, None where there is none."""
        render = RENDERED.get(path)
        if render is None:
            return None
        now = self._seconds()
        kept = self._kept.get((path, language))
        if kept is not None and now - kept[0] < KEPT:
            return kept[1]
        body, content_type = render(self._status(), language)
        reply = Reply(200, body, content_type, extra=_PLAIN + _NO_CONTENT)
        self._kept[path, language] = now, reply
        return reply


RENDERED: Mapping[bytes, Render] = {b"/status.json": data}

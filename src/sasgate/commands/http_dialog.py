"""One exchange of HTTP for commands that block, with the gateway's own reader of answers."""

from collections.abc import Callable

from attrs import frozen
from OpenSSL import SSL

from sasgate.commands.tls_dialog import TLSDialog, words
from sasgate.http1 import BadMessage, HeadLimits, ResponseHead, ResponseReader


@frozen
class HTTPAnswer:
    """An answer; `cut` where the body was longer than was wanted, `lost` why its end is missing."""

    head: ResponseHead
    body: bytes
    cut: bool = False
    lost: str | None = None

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    def fields(self) -> tuple[tuple[str, str], ...]:
        """The header fields as they came."""
        decoded = ((name.decode("latin-1"), value) for name, value in self.head.fields)
        return tuple((name, value.decode("latin-1").strip()) for name, value in decoded)

    def field(self, name: str) -> str:
        """The first value of a field; empty where it has none."""
        return next((value for each, value in self.fields() if each.lower() == name.lower()), "")


def exchange(
    dialog: TLSDialog,
    request: bytes,
    method: bytes,
    until: float,
    *,
    limits: HeadLimits | None = None,
    most: int = 65536,
) -> HTTPAnswer:
    """Send a whole request and read its answer, of the body `most` bytes.

    Raises:
        BadMessage: what came is no HTTP answer that the gateway takes.
        OSError, OpenSSL.SSL.Error: none came.
    """
    broken: OSError | None = None
    try:
        dialog.send(request, until)
    except (BrokenPipeError, ConnectionResetError) as error:
        # Whoever refuses a request without reading it may have said why before.
        broken = error
    reader = ResponseReader(limits or HeadLimits(64 * 1024, 200))
    try:
        head = _final_head(reader, method, lambda: dialog.receive(until))
    except OSError as error:
        raise broken or error from None
    return _with_body(dialog, reader, head, until, most)


def _final_head(reader: ResponseReader, method: bytes, more: Callable[[], bytes]) -> ResponseHead:
    while True:
        head = reader.head(method)
        if head is not None and head.status >= 200:
            return head
        if head is None:
            data = more()
            if not data:
                raise BadMessage("the server ended TLS without an answer")
            reader.receive(data)


def _with_body(
    dialog: TLSDialog, reader: ResponseReader, head: ResponseHead, until: float, most: int
) -> HTTPAnswer:
    body, lost = b"", None
    try:
        while len(body) <= most:
            body += reader.body()
            if reader.body_complete:
                break
            data = dialog.receive(until)
            if not data and not reader.closed():
                lost = "the server ended TLS before the end of the body"
                break
            reader.receive(data)
    except (OSError, SSL.Error, BadMessage) as error:
        lost = error.reason if isinstance(error, BadMessage) else words(error)
    return HTTPAnswer(head, body[:most], len(body) > most, lost)

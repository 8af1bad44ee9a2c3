"""An editor's server that costs next to nothing: it answers each GET with the same 1 kB.

python -m bench.backend        says its port, on 127.0.0.1, on a line of its own
"""

from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol


BODY = b'{"resourceType": "Bundle", "text": "' + b"x" * 986 + b'"}'
_END = b"\r\n\r\n"
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n%b"
    % (len(BODY), BODY)
)


class Backend(Protocol):
    """One connection, kept; requests have no bodies."""

    _rest = b""

    def dataReceived(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(_END)
        assert self.transport is not None
        self.transport.write(_ANSWER * len(heads))


def main() -> None:
    """Serve until killed."""
    factory: Any = Factory.forProtocol(Backend)
    server: Any = reactor
    print(server.listenTCP(0, factory, interface="127.0.0.1").getHost().port, flush=True)
    server.run()


if __name__ == "__main__":
    main()

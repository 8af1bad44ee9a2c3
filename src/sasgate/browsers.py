"""What a web page may have had a browser of this host ask for; pure.

Any page that is shown on this host can have its browser ask a port on the loopback: by a form, by
`fetch` without CORS, or under a name of its own that was made to point here (DNS rebinding).
Programs send none of what gives such a request away.
"""

from collections.abc import Iterator
from enum import Enum
from ipaddress import ip_address

from sasgate.addresses import fold
from sasgate.http1 import RequestHead


class Way(Enum):
    """By which way a caller comes; no browser comes by a UNIX socket."""

    SOCKET = "socket"
    LOOPBACK = "loopback"
    NETWORK = "network"


def asked_by_page(head: RequestHead, way: Way, server: bytes) -> str | None:
    """Why a request may be a foreign page's and not a program's; None where it can't be.

    `server` is the authority of the server behind, whose name a program may have kept. Names of
    this machine for others are not known, so those that come by the network may write any.

    Sources: Fetch Metadata Request Headers (W3C), 2.3; RFC 6454, 7; the Fetch standard, 3.2.
    """
    if way is Way.SOCKET:
        return None
    if any(each.lower() not in _OWN_SITES for each in _values(head, b"sec-fetch-site")):
        return "a browser says that a page of another site asks (Sec-Fetch-Site)"
    own = b"http://" + (head.host or b"").lower()
    if any(each.lower() != own for each in _values(head, b"origin")):
        return "a page of another origin asks (Origin)"
    if way is Way.LOOPBACK and not names_loopback(head.host) and not _same(head.host, server):
        return "the name in Host is neither this host's own nor that of SAS"
    return None


# `none` is what a person began; all else, and what may come to be said one day, is refused.
_OWN_SITES = frozenset({b"same-origin", b"none"})


def _values(head: RequestHead, wanted: bytes) -> Iterator[bytes]:
    return (value.strip(b" \t") for name, value in head.fields if name.lower() == wanted)


def names_loopback(host: bytes | None) -> bool:
    """Whether a Host field names this machine as only itself can, whatever the port.

    A name on the Internet that was made to point here stays itself in Host. Browsers always send
    one, so whoever sends none is none.
    """
    if host is None:
        return True
    name = _name(host)
    if name is None:
        return False
    if name in _OWN_NAMES or name.endswith(".localhost"):
        return True
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        return fold(ip_address(bare)).is_loopback
    except ValueError:
        return False


# RFC 6761, 6.3, and what Debian and Red Hat write into /etc/hosts.
_OWN_NAMES = frozenset(
    {"localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost",
     "ip6-loopback"}
)  # fmt: skip


def _same(host: bytes | None, server: bytes) -> bool:
    return host is not None and _name(host) == _name(server)


def _name(authority: bytes) -> str | None:
    """The name of `name`, `name:port` or `[address]:port`, in lower case; None where malformed."""
    text = authority.decode("latin-1").lower()
    if ":" in text and not text.endswith("]"):
        text, _, port = text.rpartition(":")
        if port and not port.isdecimal():
            return None
    return text.removesuffix(".") or None

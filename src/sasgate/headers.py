"""Names of header fields that mean something to a gateway, each listed once.

A name is looked at in lower case with everything but letters and digits read as `-`, since
backends fold `X_SSL_Client_CN` and `X.SSL.Client.CN` to the same variable as the gateway's own
(S37).
"""

import re
from enum import Enum
from functools import lru_cache


class Kind(Enum):
    """What the gateway does with a field that a peer sent."""

    # Enum's is written in Python, and a request asks for it thirty times.
    __hash__ = object.__hash__

    PASS = "pass"  # noqa: S105
    HOST = "host"
    CONTENT_LENGTH = "content-length"
    TRANSFER_ENCODING = "transfer-encoding"
    CONNECTION = "connection"
    EXPECT = "expect"
    SINGLE = "single"
    HOP_BY_HOP = "hop-by-hop"
    GATEWAY = "gateway"


CLIENT_VERIFY = b"X-SSL-Client-Verify"
CLIENT_CN = b"X-SSL-Client-CN"
CLIENT_OU = b"X-SSL-Client-OU"
CLIENT_S_DN = b"X-SSL-Client-S-DN"
CLIENT_I_DN = b"X-SSL-Client-I-DN"
CLIENT_SERIAL = b"X-SSL-Client-Serial"
ENVIRONMENT = b"X-SAS-Environment"
CLIENT_CERT = b"Client-Cert"
FORWARDED_FOR = b"X-Forwarded-For"
FORWARDED_PROTO = b"X-Forwarded-Proto"
FORWARDED_HOST = b"X-Forwarded-Host"
REQUEST_ID = b"X-Request-ID"

_EXACT = {
    b"Host": Kind.HOST,
    b"Content-Length": Kind.CONTENT_LENGTH,
    b"Transfer-Encoding": Kind.TRANSFER_ENCODING,
    b"Connection": Kind.CONNECTION,
    b"Expect": Kind.EXPECT,
    b"Content-Type": Kind.SINGLE,
    b"Authorization": Kind.SINGLE,
    b"Keep-Alive": Kind.HOP_BY_HOP,
    b"Proxy-Connection": Kind.HOP_BY_HOP,
    b"Proxy-Authorization": Kind.HOP_BY_HOP,
    b"Proxy-Authenticate": Kind.HOP_BY_HOP,
    b"Proxy-Authentication-Info": Kind.HOP_BY_HOP,
    b"TE": Kind.HOP_BY_HOP,
    b"Trailer": Kind.HOP_BY_HOP,
    b"Upgrade": Kind.HOP_BY_HOP,
    b"HTTP2-Settings": Kind.HOP_BY_HOP,
    b"Proxy": Kind.HOP_BY_HOP,  # CGI backends would read it as HTTP_PROXY
}

# Set by the gateway, or read by backends as if a proxy had set them.
_OF_A_GATEWAY = re.compile(
    rb"(?:x-)?ssl-.*|(?:x-)?client-cert.*|x-client-.*|x-tls-.*|x-arr-.*|x-sas-.*"
    rb"|x-forwarded(?:-.*)?|forwarded|x-real-ip|true-client-ip|cf-connecting-ip"
    rb"|(?:x-)?remote-user|x-request-id|x-original-url|x-rewrite-url"
)

# Fields by which a message is framed and routed: a spelling that is not theirs to the letter may
# be read as theirs further on, so it goes no further (`Content_Length`, `Transfer.Encoding`).
_FOLDED = frozenset(
    re.sub(rb"[^a-z0-9]", b"-", name.lower()) for name in _EXACT if name != b"Proxy"
)


def classify(name: bytes) -> Kind:
    """What kind of field this name is, however it is spelled."""
    # A stranger's long names must not stay.
    return _remembered(name) if len(name) <= _LONGEST_REMEMBERED else _classify(name)


_LONGEST_REMEMBERED = 64


def _classify(name: bytes) -> Kind:
    lower = name.lower()
    exact = _BY_LOWER.get(lower)
    if exact is not None:
        return exact
    folded = _NOT_ALPHANUMERIC.sub(b"-", lower)
    if _OF_A_GATEWAY.fullmatch(folded):
        return Kind.GATEWAY
    return Kind.HOP_BY_HOP if folded in _FOLDED else Kind.PASS


_remembered = lru_cache(maxsize=4096)(_classify)

_BY_LOWER = {name.lower(): kind for name, kind in _EXACT.items()}
_NOT_ALPHANUMERIC = re.compile(rb"[^a-z0-9]")

"""Requests that two readers may frame apart (S40), and what a gateway may make of each.

`sees` is what every backend must see: the method, and the body of the one request that there is;
None where the gateway must answer 400. All are for `/echo`.
"""

from attrs import frozen


@frozen
class Case:
    name: str
    raw: bytes
    sees: tuple[str, bytes] | None = None


_SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: gateway.example\r\n\r\n"
_HOST = b"Host: gateway.example"
_CHUNKED = b"Transfer-Encoding: chunked"
_HELLO = b"5\r\nhello\r\n0\r\n\r\n"


def _post(*fields: bytes, body: bytes = b"", line: bytes = b"POST /echo HTTP/1.1") -> bytes:
    return b"\r\n".join((line, _HOST, *fields, b"", b"")) + body


def _get(*fields: bytes, body: bytes = b"", method: bytes = b"GET") -> bytes:
    return _post(*fields, body=body, line=method + b" /echo HTTP/1.1")


def _length(value: bytes, body: bytes = b"hello") -> bytes:
    return _post(b"Content-Length: " + value, body=body)


def _coding(field: bytes) -> bytes:
    return _post(field, body=_HELLO)


def _chunks(body: bytes) -> bytes:
    return _post(_CHUNKED, body=body)


_BOTH = (
    Case("length-and-chunked", _post(b"Content-Length: 5", _CHUNKED, body=_HELLO)),
    Case("chunked-and-length", _post(_CHUNKED, b"Content-Length: 15", body=_HELLO)),
    Case(
        "length-and-unknown-coding",
        _post(b"Content-Length: 5", b"Transfer-Encoding: x", body=b"hello"),
    ),
    Case(
        "length-and-identity",
        _post(b"Content-Length: 5", b"Transfer-Encoding: identity", body=b"hello"),
    ),
    Case(
        "length-zero-and-chunked-with-a-request-in-it",
        _post(
            b"Content-Length: 0",
            _CHUNKED,
            body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(_SMUGGLED), _SMUGGLED),
        ),
    ),
    Case(
        "length-over-a-request-and-chunked",
        _post(
            b"Content-Length: %d" % (5 + len(_SMUGGLED)), _CHUNKED, body=b"0\r\n\r\n" + _SMUGGLED
        ),
    ),
)

_LENGTHS = (
    Case("two-lengths", _post(b"Content-Length: 5", b"Content-Length: 0", body=b"hello")),
    Case("two-equal-lengths", _post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
    Case("lengths-in-a-list", _length(b"5, 5")),
    Case("plus", _length(b"+5")),
    Case("minus", _length(b"-1")),
    Case("minus-zero", _length(b"-0", b"")),
    Case("hexadecimal", _length(b"0x1", b"h")),
    Case("octal", _length(b"0o5")),
    Case("underscore", _length(b"1_0", b"helloworld")),
    Case("fraction", _length(b"5.0")),
    Case("exponent", _length(b"5e0")),
    Case("empty", _length(b"", b"")),
    Case("empty-with-a-body", _length(b"")),
    Case("two-numbers", _length(b"5 5")),
    Case("vertical-tab", _length(b"\x0b5")),
    Case("nul", _length(b"5\x00")),
    Case("full-width-digit", _length("５".encode())),
    Case("more-than-64-bits", _length(b"18446744073709551621")),
    Case("leading-zeros", _length(b"0005"), ("POST", b"hello")),
    Case("spaces-around", _length(b" \t5 \t"), ("POST", b"hello")),
    Case(
        "longer-than-the-body-by-a-request",
        _length(b"%d" % len(_SMUGGLED), _SMUGGLED),
        ("POST", _SMUGGLED),
    ),
    Case("underscored-name-alone", _post(b"Content_Length: 5"), ("POST", b"")),
    Case(
        "underscored-name-beside-the-right-one",
        _post(b"Content-Length: 5", b"Content_Length: 0", body=b"hello"),
        ("POST", b"hello"),
    ),
)

_CODINGS = (
    Case("unknown-coding", _coding(b"Transfer-Encoding: xchunked")),
    Case("quoted", _coding(b'Transfer-Encoding: "chunked"')),
    Case("chunked-first", _coding(b"Transfer-Encoding: chunked, identity")),
    Case("chunked-twice", _coding(b"Transfer-Encoding: chunked, chunked")),
    Case("chunked-in-two-fields", _post(_CHUNKED, _CHUNKED, body=_HELLO)),
    Case("two-codings", _coding(b"Transfer-Encoding: gzip, chunked")),
    Case("chunked-then-another-field", _post(_CHUNKED, b"Transfer-Encoding: x", body=_HELLO)),
    Case("identity", _coding(b"Transfer-Encoding: identity")),
    Case("empty-coding", _coding(b"Transfer-Encoding:")),
    Case("comma", _coding(b"Transfer-Encoding: ,chunked")),
    Case("parameter", _coding(b"Transfer-Encoding: chunked;q=1")),
    Case("vertical-tab-before", _coding(b"Transfer-Encoding: \x0bchunked")),
    Case("nul-after", _coding(b"Transfer-Encoding: chunked\x00")),
    Case("kelvin-sign", _coding("Transfer-Encoding: chun\u212aed".encode())),
    Case("space-before-colon", _coding(b"Transfer-Encoding : chunked")),
    Case("underscored-coding-alone", _coding(b"Transfer_Encoding: chunked")),
    Case(
        "underscored-coding-beside-length",
        _post(b"Content-Length: 5", b"Transfer_Encoding: chunked", body=b"hello"),
        ("POST", b"hello"),
    ),
    Case(
        "dotted-coding-beside-length",
        _post(b"Content-Length: 5", b"Transfer.Encoding: chunked", body=b"hello"),
        ("POST", b"hello"),
    ),
    Case("capitals", _coding(b"TRANSFER-ENCODING: CHUNKED"), ("POST", b"hello")),
    Case("tab-before-value", _coding(b"Transfer-Encoding:\tchunked"), ("POST", b"hello")),
    Case("in-http-1.0", _post(_CHUNKED, body=_HELLO, line=b"POST /echo HTTP/1.0")),
)

_LINES = (
    Case("empty-name", _post(b": x", b"Content-Length: 5", body=b"hello")),
    Case("space-before-the-colon-of-length", _post(b"Content-Length : 5", body=b"hello")),
    Case("tab-before-the-colon-of-length", _post(b"Content-Length\t: 5", body=b"hello")),
    Case("no-colon", _post(b"Content-Length 5", body=b"hello")),
    Case("folded-value", _post(b"X-Plain: a\r\n b", b"Content-Length: 5", body=b"hello")),
    Case("folded-length", _post(b"Content-Length:\r\n 5", body=b"hello")),
    Case("folded-coding", _post(b"Transfer-Encoding:\r\n chunked", body=_HELLO)),
    Case(
        "coding-hidden-in-a-fold",
        _post(b"X-Plain: a\r\n Transfer-Encoding: chunked", b"Content-Length: 5", body=b"hello"),
    ),
    Case("space-before-the-first-field", b"GET /echo HTTP/1.1\r\n Host: gateway.example\r\n\r\n"),
    Case(
        "bare-lf-after-a-field", b"GET /echo HTTP/1.1\r\nHost: gateway.example\nX-Plain: a\r\n\r\n"
    ),
    Case("bare-lf-everywhere", b"GET /echo HTTP/1.1\nHost: gateway.example\n\n"),
    Case("bare-lf-as-the-end", b"GET /echo HTTP/1.1\r\nHost: gateway.example\r\n\n"),
    Case(
        "bare-lf-hides-a-coding",
        _post(b"X-Plain: a\nTransfer-Encoding: chunked", b"Content-Length: 5", body=b"hello"),
    ),
    Case(
        "bare-cr-hides-a-coding",
        _post(b"X-Plain: a\rTransfer-Encoding: chunked", b"Content-Length: 5", body=b"hello"),
    ),
    Case("bare-cr-in-a-value", _post(b"X-Plain: a\rb", b"Content-Length: 5", body=b"hello")),
    Case("cr-cr-lf", b"GET /echo HTTP/1.1\r\r\nHost: gateway.example\r\r\n\r\r\n"),
    Case("nul-in-a-value", _get(b"X-Plain: a\x00b")),
    Case("nul-in-a-name", _get(b"X-Pl\x00ain: a")),
    Case("space-in-a-name", _get(b"X Plain: a")),
    Case("not-ascii-in-a-name", _get(b"X-Pl\xe9: a")),
)

_CHUNKS = (
    Case("lf-after-a-chunk-extension", _chunks(b"5;\nhello\r\n0\r\n\r\n")),
    Case("lf-in-a-chunk-extension", _chunks(b"5;a\nb\r\nhello\r\n0\r\n\r\n")),
    Case("cr-in-a-chunk-extension", _chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n")),
    Case("lf-in-the-extension-of-the-last-chunk", _chunks(b"5\r\nhello\r\n0;\n\r\n" + _SMUGGLED)),
    Case("lf-after-the-size", _chunks(b"5\nhello\r\n0\r\n\r\n")),
    Case("lf-after-the-data", _chunks(b"5\r\nhello\n0\r\n\r\n")),
    Case("lf-lines-only", _chunks(b"5\nhello\n0\n\n")),
    Case("nothing-after-the-data", _chunks(b"5\r\nhello0\r\n\r\n")),
    Case("size-with-prefix", _chunks(b"0x5\r\nhello\r\n0\r\n\r\n")),
    Case("size-with-sign", _chunks(b"+5\r\nhello\r\n0\r\n\r\n")),
    Case("negative-size", _chunks(b"-5\r\nhello\r\n0\r\n\r\n")),
    Case("space-before-the-size", _chunks(b" 5\r\nhello\r\n0\r\n\r\n")),
    Case("space-after-the-size", _chunks(b"5 \r\nhello\r\n0\r\n\r\n")),
    Case("underscore-in-the-size", _chunks(b"0_5\r\nhello\r\n0\r\n\r\n")),
    Case("empty-size", _chunks(b"\r\nhello\r\n0\r\n\r\n")),
    Case("size-over-64-bits", _chunks(b"10000000000000005\r\nhello\r\n0\r\n\r\n")),
    Case("longer-than-its-size", _chunks(b"5\r\nhello!\r\n0\r\n\r\n")),
    Case("length-as-a-trailer", _chunks(b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n")),
    Case("coding-as-a-trailer", _chunks(b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n")),
    Case("host-as-a-trailer", _chunks(b"5\r\nhello\r\n0\r\nHost: other.example\r\n\r\n")),
    Case("lf-after-a-trailer", _chunks(b"5\r\nhello\r\n0\r\nX-Plain: a\n\r\n")),
    Case("folded-trailer", _chunks(b"5\r\nhello\r\n0\r\nX-Plain: a\r\n b\r\n\r\n")),
    Case("no-colon-in-a-trailer", _chunks(b"5\r\nhello\r\n0\r\n" + _SMUGGLED)),
    Case("plain-extension", _chunks(b'5;a="b;c"\r\nhello\r\n0;x\r\n\r\n'), ("POST", b"hello")),
    Case("plain-trailer", _chunks(b"5\r\nhello\r\n0\r\nX-Plain: a\r\n\r\n"), ("POST", b"hello")),
    Case("zeros", _chunks(b"0005\r\nhello\r\n000\r\n\r\n"), ("POST", b"hello")),
    Case(
        "a-request-as-data",
        _chunks(b"%x\r\n%b\r\n0\r\n\r\n" % (len(_SMUGGLED), _SMUGGLED)),
        ("POST", _SMUGGLED),
    ),
)

_FIRST_LINES = (
    Case("two-spaces", _post(line=b"GET  /echo HTTP/1.1")),
    Case("tab", _post(line=b"GET\t/echo HTTP/1.1")),
    Case("space-in-the-target", _post(line=b"GET /echo HTTP/1.1 HTTP/1.1")),
    Case("space-after", _post(line=b"GET /echo HTTP/1.1 ")),
    Case("lower-case-version", _post(line=b"GET /echo http/1.1")),
    Case("version-1.2", _post(line=b"GET /echo HTTP/1.2")),
    Case("version-01.1", _post(line=b"GET /echo HTTP/01.1")),
    Case("version-2.0", _post(line=b"GET /echo HTTP/2.0")),
    Case("not-a-method", _post(line=b"G(T /echo HTTP/1.1")),
    Case("cr-in-the-target", _post(line=b"GET /echo\rx HTTP/1.1")),
    Case("nul-in-the-target", _post(line=b"GET /echo\x00x HTTP/1.1")),
    Case("two-empty-lines-before", b"\r\n\r\n" + _get()),
    Case("space-before", b" " + _get()),
    Case("one-empty-line-before", b"\r\n" + _get(), ("GET", b"")),
)

_BODIES = (
    Case("get-with-length", _get(b"Content-Length: 5", body=b"hello"), ("GET", b"hello")),
    Case("get-with-chunks", _get(_CHUNKED, body=_HELLO), ("GET", b"hello")),
    Case(
        "get-with-a-request-as-body",
        _get(b"Content-Length: %d" % len(_SMUGGLED), body=_SMUGGLED),
        ("GET", _SMUGGLED),
    ),
    Case(
        "head-with-length",
        _get(b"Content-Length: 5", body=b"hello", method=b"HEAD"),
        ("HEAD", b"hello"),
    ),
    Case(
        "delete-with-length",
        _get(b"Content-Length: 5", body=b"hello", method=b"DELETE"),
        ("DELETE", b"hello"),
    ),
    Case(
        "options-with-chunks", _get(_CHUNKED, body=_HELLO, method=b"OPTIONS"), ("OPTIONS", b"hello")
    ),
    Case("get-with-a-body-unsaid", _get(body=b"hello\r\n")),
    Case("http-1.0-post-without-length", _post(body=b"hello", line=b"POST /echo HTTP/1.0")),
)

_HOPS = (
    Case(
        "connection-names-length",
        _post(b"Connection: Content-Length", b"Content-Length: 5", body=b"hello"),
        ("POST", b"hello"),
    ),
    Case(
        "connection-names-coding",
        _post(b"Connection: Transfer-Encoding", _CHUNKED, body=_HELLO),
        ("POST", b"hello"),
    ),
    Case(
        "connection-names-host",
        _post(b"Connection: close, Host", b"Content-Length: 5", body=b"hello"),
        ("POST", b"hello"),
    ),
    Case(
        "upgrade-with-a-body",
        _post(b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 5", body=b"hello"),
        ("POST", b"hello"),
    ),
    Case(
        "upgrade-h2c-with-a-request-as-body",
        _post(
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAAQAAP__",
            b"Content-Length: %d" % len(_SMUGGLED),
            body=_SMUGGLED,
        ),
        ("POST", _SMUGGLED),
    ),
    Case(
        "expect-with-the-body-at-once",
        _post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"),
        ("POST", b"hello"),
    ),
    Case("two-hosts", _post(b"Host: other.example")),
    Case("host-with-a-path", b"GET /echo HTTP/1.1\r\nHost: gateway.example/x\r\n\r\n"),
)

CASES = (
    *_BOTH,
    *_LENGTHS,
    *_CODINGS,
    *_LINES,
    *_CHUNKS,
    *_FIRST_LINES,
    *_BODIES,
    *_HOPS,
)

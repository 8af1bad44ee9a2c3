"""Names of fields that tests of the gateway's headers share."""

from sasgate import headers


SET_BY_THE_GATEWAY = [
    headers.CLIENT_VERIFY,
    headers.CLIENT_CN,
    headers.CLIENT_OU,
    headers.CLIENT_S_DN,
    headers.CLIENT_I_DN,
    headers.CLIENT_SERIAL,
    headers.CLIENT_CERT,
    headers.ENVIRONMENT,
    headers.FORWARDED_FOR,
    headers.FORWARDED_PROTO,
    headers.FORWARDED_HOST,
    headers.REQUEST_ID,
]
READ_BY_BACKENDS = [
    b"Client-Cert-Chain",
    b"Forwarded",
    b"X-Forwarded-Port",
    b"X-Forwarded-Prefix",
    b"X-Forwarded-User",
    b"X-Original-URL",
    b"X-Real-IP",
    b"X-Rewrite-URL",
    b"X-SSL-Client-Anything",
    b"X-SAS-Anything",
]
HOP_BY_HOP = [
    b"Keep-Alive",
    b"Proxy-Connection",
    b"Proxy-Authenticate",
    b"Proxy-Authorization",
    b"Proxy-Authentication-Info",
    b"TE",
    b"Trailer",
    b"Upgrade",
    b"HTTP2-Settings",
    b"Proxy",
]

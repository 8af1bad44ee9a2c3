"""Fields that only a gateway may set, in every spelling that a backend may take for them (S37)."""

import re

from sasgate import headers


SET = tuple(
    name.decode("ascii")
    for name in (
        *(headers.CLIENT_VERIFY, headers.CLIENT_CN, headers.CLIENT_OU, headers.CLIENT_S_DN),
        *(headers.CLIENT_I_DN, headers.CLIENT_SERIAL, headers.ENVIRONMENT, headers.CLIENT_CERT),
        *(headers.FORWARDED_FOR, headers.FORWARDED_PROTO, headers.FORWARDED_HOST),
        headers.REQUEST_ID,
    )
)
NEVER_SET = (
    *("Client-Cert-Chain", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix"),
    *("Forwarded", "X-Real-IP", "X-SSL-Client-Fingerprint", "X-Original-URL", "X-Rewrite-URL"),
    *("X-Forwarded", "SSL-Client-CN", "X-Client-Cert", "X-Client-IP", "X-TLS-Client-CN"),
    *("X-ARR-ClientCert", "X-SAS-Anything", "Remote-User", "X-Remote-User"),
    *("True-Client-IP", "CF-Connecting-IP"),
)


def spellings(name: str) -> list[str]:
    """Names that one backend or another reads as `name`."""
    dashes = name.count("-")
    mixed = "".join(each.upper() if place % 2 else each.lower() for place, each in enumerate(name))
    every = [name, name.lower(), name.upper(), mixed, name]
    if dashes:
        every += [name.replace("-", "_"), name.replace("-", "."), name.upper().replace("-", "_")]
        every += [name.replace("-", "_", 1), name.replace("-", "~"), name.replace("-", "!")]
    return every


def folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "-", name.lower())

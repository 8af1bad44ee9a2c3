"""The process in which one list is parsed, verified and indexed; `loading.py` starts it.

Descriptors: 0 the request, 1 the answer, 2 what went wrong, 3 the list, 4 the index. It exits with
0 only after both answer and index were written whole; a list that is refused is an answer too.

Only the standard library is imported before the limits are in place.
"""

import hashlib
import json
import os
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any


LIST, INDEX = 3, 4

_RESOURCES = {
    "memory": resource.RLIMIT_AS,
    "seconds": resource.RLIMIT_CPU,
    "index": resource.RLIMIT_FSIZE,
    "core": resource.RLIMIT_CORE,
}


def main() -> None:
    """Judge the list in descriptor 3."""
    request = json.loads(sys.stdin.buffer.read())
    restrict(request["limits"])
    sys.stdout.buffer.write(_answer(request))
    sys.stdout.buffer.flush()


def restrict(limits: Mapping[str, int]) -> None:
    """Put limits on this process, for good: bytes, seconds of CPU; and let the gateway go first."""
    for name, most in limits.items():
        _, already = resource.getrlimit(_RESOURCES[name])
        lower = most if already == resource.RLIM_INFINITY else min(most, already)
        resource.setrlimit(_RESOURCES[name], (lower, lower))
    # A favour, and no reason to have no list where a filter of system calls forbids it.
    with suppress(OSError):
        os.nice(10)


def _answer(content: Any) -> bytes:
    from cryptography import x509  # noqa: PLC0415 - under the limits

    from sasgate.revocation.answer import Answer, Request, encode_answer  # noqa: PLC0415
    from sasgate.revocation.crl import verify_into  # noqa: PLC0415
    from sasgate.revocation.refusal import ListRefused  # noqa: PLC0415

    request = Request.decode(content)
    authorities = [x509.load_der_x509_certificate(der) for der in request.authorities]
    with os.fdopen(INDEX, "wb") as file:
        digest = hashlib.sha256()

        def write(piece: bytes) -> None:
            file.write(piece)
            digest.update(piece)

        try:
            facts = verify_into(write, _list(request.size), authorities, request.now)
        except ListRefused as refused:
            return encode_answer(refused)
        return encode_answer(Answer(facts, file.tell(), digest.hexdigest()))


def _list(size: int) -> bytes:
    data = os.pread(LIST, size + 1, 0)
    if len(data) != size:
        sys.exit(f"the list changed while it was read: {len(data)} bytes instead of {size}")
    return data

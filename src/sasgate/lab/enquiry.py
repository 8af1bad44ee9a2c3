"""A request to the lab's publisher, and what it gets: paths, methods and validators."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from attrs import evolve, field, frozen
from twisted.web.http import datetimeToString

from sasgate.lab import trees
from sasgate.lab.publication import Publication, Served
from sasgate.lab.switches import Switches


QUESTION_TYPE = "application/ocsp-request"
_RESPONDER = "/ocsp"
_LISTS = MappingProxyType({f"/CRL/{ca}.crl": ca for ca in trees.IGC})
_CERTIFICATES = MappingProxyType({f"/AC/{ca}.cer": ca for ca in trees.IGC})
_READS = frozenset({"GET", "HEAD"})
_NOT_FOUND = Served(b"nothing is published here\n", status=404)
_NOT_ALLOWED = Served(b"method not allowed\n", status=405)
_NO_QUESTION = Served(f"send {QUESTION_TYPE}\n".encode(), status=415, kind="ocsp")
_NO_BASE64 = Served(b"the path is no base64\n", status=400, kind="ocsp")


@frozen
class Enquiry:
    """A request; `path` is raw, `fields` have lower-case names."""

    method: str
    path: str
    fields: Mapping[str, str] = field(factory=dict)
    body: bytes = field(default=b"", repr=False)


def answered(
    enquiry: Enquiry, publication: Publication, switches: Switches, now: datetime
) -> Served:
    """What `enquiry` gets; `now` is aware."""
    path, reads = enquiry.path, enquiry.method in _READS
    if path == _RESPONDER or path.startswith(f"{_RESPONDER}/"):
        return _responder(enquiry, publication, switches, now)
    if path in _LISTS:
        if not reads:
            return _NOT_ALLOWED
        return _conditional(enquiry, publication.list(_LISTS[path], switches))
    if path in _CERTIFICATES:
        return publication.certificate(_CERTIFICATES[path]) if reads else _NOT_ALLOWED
    return _NOT_FOUND


def entity_tag(served: Served) -> str:
    """The strong ETag of a body (RFC 9110, 8.8.3)."""
    return f'"{hashlib.sha256(served.body).hexdigest()[:32]}"'


def last_modified(served: Served) -> str | None:
    """The Last-Modified of a body that has one."""
    if served.modified is None:
        return None
    text: bytes = datetimeToString(served.modified.timestamp())
    return text.decode("ascii")


def _responder(
    enquiry: Enquiry, publication: Publication, switches: Switches, now: datetime
) -> Served:
    if enquiry.method == "POST" and enquiry.path == _RESPONDER:
        if enquiry.fields.get("content-type") != QUESTION_TYPE:
            return _NO_QUESTION
        return publication.answer(enquiry.body, switches, now)
    if enquiry.method != "GET":
        return evolve(_NOT_ALLOWED, kind="ocsp")
    try:
        # RFC 6960, A.1: the URL-encoding of base64, whose `/` many senders leave as it is.
        encoded = unquote_to_bytes(enquiry.path[len(_RESPONDER) + 1 :])
        question = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return _NO_BASE64
    return publication.answer(question, switches, now)


def _conditional(enquiry: Enquiry, served: Served) -> Served:
    """RFC 9110, 13.1: a tag, where sent, is all that counts."""
    if served.modified is None:
        return served
    tags = enquiry.fields.get("if-none-match")
    if tags is not None:
        same = entity_tag(served) in [tag.strip() for tag in tags.split(",")]
    else:
        # An earlier list than the asker's is another one: it counts as changed.
        same = enquiry.fields.get("if-modified-since") == last_modified(served)
    return evolve(served, status=304) if same else served

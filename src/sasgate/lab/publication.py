"""What the lab answers to whoever asks for a list or about a certificate: switches → bytes.

Pure, so that the same switches give the same list at every look; only a delegate's key is drawn
once per `Publication`, which lists know nothing of.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import chain
from types import MappingProxyType

from attrs import evolve, field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ExtensionNotFound, OCSPNonce, ocsp

from sasgate.lab import trees
from sasgate.lab.authority import Authority, new_key
from sasgate.lab.lists import ListTemplate, delta, forged, many_serials, plain_list, sign_list
from sasgate.lab.lists import revoked as entry
from sasgate.lab.ocsp_answers import (
    DELEGATE,
    GOOD,
    REVOKED,
    UNKNOWN,
    Saying,
    Signatory,
    declined,
    delegate,
    self_enclosed,
)
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Extension
from sasgate.lab.switches import (
    Edition,
    Entry,
    ListMode,
    ListSwitch,
    OCSPMode,
    OCSPSwitch,
    Signer,
    Switches,
)


LIST_TYPE, CA_TYPE = "application/pkix-crl", "application/pkix-cert"
OCSP_TYPE = "application/ocsp-response"
# The CAs that certify leaves, and the neighbour whose signature is worth nothing for them.
_RESPONDS = MappingProxyType({trees.ORG_TEST: trees.PERS_TEST, trees.ORG: trees.PERS})
_STALE = Saying(GOOD, timedelta(days=-2), timedelta(days=-1))
_MADE_UP = 0xDECAF
_PAGE = b"<!DOCTYPE html>\n<html><title>Maintenance</title><p>Service indisponible.</html>\n"


@frozen
class Served:
    """An answer over HTTP.

    `status` None closes the connection without one; `delay` is in seconds. `modified` is set
    where the asker may be told that nothing has changed. The others say what it was about: `kind`
    is `list`, `ocsp`, `ca` or `other`, `mode` the switch in force.
    """

    body: bytes = field(default=b"", repr=False)
    media_type: str = "text/plain"
    status: int | None = 200
    delay: float = 0.0
    modified: datetime | None = None
    kind: str = "other"
    mode: str = ""
    ca: str | None = None
    serial: int | None = None


_CURTAILED: Mapping[str, Served] = MappingProxyType(
    {
        "html": Served(_PAGE, "text/html"),
        "error": Served(b"Internal Server Error\n", status=500),
        "none": Served(status=None),
    }
)


class Publication:
    """Lists and OCSP answers of a lab; nothing in it changes but what is kept for speed."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._lists: dict[str, tuple[ListSwitch, bytes]] = {}
        key = new_key()
        self._delegates = {
            ca: delegate(lab.authorities[ca], DELEGATE, key, lab.created, trusted=True)
            for ca in _RESPONDS
        }

    def certificate(self, ca: str) -> Served:
        """The certificate of a CA of `trees.IGC`, as ANS publishes it."""
        return Served(self._lab.authorities[ca].der, CA_TYPE, kind="ca", ca=ca)

    def list(self, ca: str, switches: Switches) -> Served:
        """What is served in the place of the list of a CA of `trees.IGC`."""
        switch = switches.lists[ca]
        mode = switch.mode.value
        if mode in _CURTAILED:
            return evolve(_CURTAILED[mode], kind="list", mode=mode, ca=ca)
        kept, der = self._lists.get(ca, (None, b""))
        if kept != switch:
            der = list_of(self._lab.authorities[ca], switch)
            self._lists[ca] = switch, der
        delay = switch.late if switch.mode is ListMode.LATE else 0.0
        modified = switch.edition.this_update
        return Served(der, LIST_TYPE, delay=delay, modified=modified, kind="list", mode=mode, ca=ca)

    def answer(self, question: bytes, switches: Switches, now: datetime) -> Served:
        """What the responder says to a DER question; `now` is aware."""
        switch = switches.ocsp
        mode = switch.mode.value
        request = _read(question)
        ca = None if request is None else self._issuer(request)
        serial = None if request is None else request.serial_number
        about = Served(b"", OCSP_TYPE, kind="ocsp", mode=mode, ca=ca, serial=serial)
        if mode in _CURTAILED:
            end = _CURTAILED[mode]
            return evolve(about, body=end.body, media_type=end.media_type, status=end.status)
        if request is None:
            said = declined(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        elif switch.mode is OCSPMode.TRY_LATER:
            said = declined(ocsp.OCSPResponseStatus.TRY_LATER)
        elif ca is None:
            said = declined(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        else:
            saying = _saying(request, switch, switches.lists[ca].edition, now)
            said = self._signer(ca, switch).reply(request, saying, now)
        delay = switch.late if switch.mode is OCSPMode.LATE else 0.0
        return evolve(about, body=said, delay=delay)

    def _issuer(self, request: ocsp.OCSPRequest) -> str | None:
        asked = request.issuer_name_hash, request.issuer_key_hash
        algorithm = request.hash_algorithm
        known = ((ca, _hashes(self._lab.authorities[ca], algorithm)) for ca in _RESPONDS)
        return next((ca for ca, found in known if found == asked), None)

    def _signer(self, ca: str, switch: OCSPSwitch) -> Signatory:
        authorities = self._lab.authorities
        if switch.mode is OCSPMode.WRONGLY_SIGNED:
            return self_enclosed(authorities[_RESPONDS[ca]].credential)
        if switch.signer is Signer.CA:
            return Signatory(authorities[ca].credential, trusted=True)
        return self._delegates[ca]


def list_of(authority: Authority, switch: ListSwitch) -> bytes:
    """The list that a CA's switch asks for, DER; modes that serve no list give the present one."""
    edition = switch.edition
    match switch.mode:
        case ListMode.OLD:
            return _signed(authority, switch.previous or _before(edition))
        case ListMode.FORGED:
            return forged(_signed(authority, _next(edition)))
        case ListMode.DELTA:
            return _signed(authority, _next(edition), delta(edition.number))
        case ListMode.SAME_NUMBER:
            return _signed(authority, _otherwise(edition))
        case _:
            return _signed(authority, edition)


def _signed(authority: Authority, edition: Edition, *extra: Extension) -> bytes:
    template = ListTemplate(
        number=edition.number,
        this_update=edition.this_update,
        next_update=edition.next_update,
        entries=tuple(entry(each.serial, when=each.when) for each in edition.revoked),
        extra=extra,
    )
    if not edition.filler:
        return sign_list(authority, template)
    listed = (each.serial for each in edition.revoked)
    return plain_list(authority, chain(listed, many_serials(edition.filler)), template)


def _before(edition: Edition) -> Edition:
    begin = edition.this_update - timedelta(days=1)
    return Edition(edition.number - 1, begin, edition.next_update)


def _next(edition: Edition) -> Edition:
    return evolve(edition, number=edition.number + 1, revoked=(), filler=0)


def _otherwise(edition: Edition) -> Edition:
    other = () if edition.revoked else (Entry("", _MADE_UP, edition.this_update),)
    return evolve(edition, revoked=other, filler=0)


def _read(question: bytes) -> ocsp.OCSPRequest | None:
    """A question about one certificate, as all of the gateway's are."""
    try:
        request = ocsp.load_der_ocsp_request(question)
        _ = request.hash_algorithm, request.extensions
    except (ValueError, NotImplementedError, UnsupportedAlgorithm):
        return None
    return request


def _hashes(authority: Authority, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    """RFC 6960, 4.1.1: of the issuer's name, and of its key without algorithm and length."""
    subject = authority.certificate.subject.public_bytes()
    key = authority.key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return _hash(subject, algorithm), _hash(key, algorithm)


def _hash(content: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(content)
    return digest.finalize()


def _saying(
    request: ocsp.OCSPRequest, switch: OCSPSwitch, edition: Edition, now: datetime
) -> Saying:
    following = timedelta(seconds=switch.validity)
    match switch.mode:
        case OCSPMode.STALE:
            saying = _STALE
        case OCSPMode.WRONGLY_SIGNED:
            saying = Saying(GOOD, next_update=following)
        case OCSPMode.UNKNOWN:
            saying = Saying(UNKNOWN, next_update=following)
        case _:
            saying = _truth(request.serial_number, edition, following, now)
    return evolve(saying, nonce=_nonce(request)) if switch.nonce else saying


def _truth(serial: int, edition: Edition, following: timedelta, now: datetime) -> Saying:
    found = next((each for each in edition.revoked if each.serial == serial), None)
    if found is None:
        return Saying(GOOD, next_update=following)
    return Saying(REVOKED, next_update=following, revoked=found.when - now)


def _nonce(request: ocsp.OCSPRequest) -> bytes | None:
    try:
        return request.extensions.get_extension_for_class(OCSPNonce).value.nonce
    except ExtensionNotFound:
        return None

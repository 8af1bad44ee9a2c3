"""What ANS's acceptance kit would say of what was seen of a server, and what can be done.

Sources: the facts of ANS's acceptance kit (some HTTP answer without a certificate in TLS 1.2 and
1.3; refusals by 4xx or an alert, never by a cut connection or 5xx; exactly 200 for SAS); the
specification, 2.4 (`/check`); S17 (renegotiation). Pure: no connection, no clock.
"""

import json
from enum import Enum

from attrs import frozen
from cryptography import x509

from sasgate.commands.own_certificate import names_of
from sasgate.commands.probe_server import How, Seen, Version
from sasgate.commands.watched_server import Refusal
from sasgate.identity import printable_name


# Seconds that ANS's kit allows a search for slots.
SLOT_WITHIN = 1.0
# Days before a public certificate's end from which its renewal seems not to work.
_LATE = 14


class Result(Enum):
    """A note is for what the kit lets pass and the guide wants otherwise; `-` was not tried."""

    PASS = "pass"  # noqa: S105
    NOTE = "note"
    FAIL = "FAIL"
    NOT_TRIED = "-"


@frozen
class Row:
    """One check: what was seen, and what to do where it is not right."""

    check: str
    result: Result
    seen: str
    remedy: str = ""


def certificate(
    seen: Seen, refusal: Refusal | None, sent: tuple[x509.Certificate, ...], days: int
) -> Row:
    """The server's certificate as the kit verifies it; `days` are left until its end."""
    check = "server certificate"
    if refusal is not None:
        return Row(check, Result.FAIL, refusal.reason, _PUBLIC)
    if not seen.shaken or not sent:
        return Row(check, Result.FAIL, _no_answer(seen), _remedy(seen))
    names, issuer = ", ".join(names_of(sent[0])), printable_name(sent[0].issuer)
    told = f"for {names}; by {issuer}; {len(sent)} sent; {days} days left"
    if days < _LATE:
        return Row(check, Result.NOTE, told, "renew it now: is the renewal automatic?")
    return Row(check, Result.PASS, told)


def outdated(version: Version, seen: Seen) -> Row:
    """TLS 1.0 and 1.1, which must be refused."""
    check = f"TLS {version.value} is refused"
    if seen.shaken:
        return Row(check, Result.FAIL, "it is spoken", "nginx: ssl_protocols TLSv1.2 TLSv1.3;")
    if seen.how in {How.ALERT, How.DROPPED} or seen.words in _OTHER_VERSION:
        return Row(check, Result.PASS, _no_answer(seen))
    return Row(check, Result.FAIL, f"cannot be told: {_no_answer(seen)}", _remedy(seen))


def anonymous(version: Version, seen: Seen) -> Row:
    """Without a certificate some HTTP answer must come, and it must be a refusal."""
    check = f"TLS {version.value} without a certificate"
    if version is Version.V1_3 and _not_spoken(seen):
        return Row(check, Result.PASS, "TLS 1.3 is not spoken, and need not be")
    return _refusal(check, seen)


def health_anonymous(seen: Seen) -> Row:
    """`/check` without a certificate: 403 (specification, 2.4)."""
    row = _refusal("/check without a certificate", seen)
    if row.result is Result.PASS and seen.status != 403:
        remedy = "the kit lets it pass; the guide (2.4) wants 403 for a failed authentication"
        return Row(row.check, Result.NOTE, row.seen, remedy)
    return row


def asking(seen: Seen, issuer: x509.Name | None) -> Row:
    """Whether a certificate is asked for in the handshake, of CAs that `issuer` is among."""
    check = "asks for a certificate"
    if not seen.shaken and not seen.asked:
        return Row(check, Result.FAIL, _no_answer(seen), _remedy(seen))
    if not seen.asked:
        return Row(check, Result.FAIL, "not in the handshake", _ASK)
    if not seen.cas:
        return Row(check, Result.PASS, "of any CA")
    names = [printable_name(each) for each in seen.cas]
    told = f"of {len(names)} CAs: {'; '.join(names)}"
    if issuer is not None and issuer not in seen.cas:
        remedy = f"name {printable_name(issuer)} too: some clients send nothing otherwise"
        return Row(check, Result.NOTE, told, remedy)
    return Row(check, Result.PASS, told)


def renegotiation(seen: Seen) -> Row:
    """A client that renegotiates in TLS 1.2 is refused (S17)."""
    check = "renegotiation is refused"
    if not seen.shaken:
        return Row(check, Result.NOT_TRIED, f"no TLS 1.2: {_no_answer(seen)}")
    if seen.how is How.DONE:
        return Row(check, Result.FAIL, seen.words, "switch renegotiation by clients off")
    return Row(check, Result.PASS, seen.words)


def health(version: Version, seen: Seen) -> Row:
    """`/check` with the client's leaf: exactly 200."""
    check = f"/check with the certificate, TLS {version.value}"
    if version is Version.V1_3 and _not_spoken(seen):
        return Row(check, Result.PASS, "TLS 1.3 is not spoken, and need not be")
    if seen.status != 200:
        return _not_taken(check, seen)
    if not _is_available(seen):
        remedy = 'the guide (2.4) wants JSON with "status": "available"'
        return Row(check, Result.NOTE, f"{seen.words}, the body is another", remedy)
    return Row(check, Result.PASS, f"{seen.words}, available")


def slots(seen: Seen) -> Row:
    """A search for slots with the client's leaf: 200 within a second, connection included."""
    check = f"search for slots within {SLOT_WITHIN:g} s"
    if seen.status != 200:
        return _not_taken(check, seen)
    told = f"{seen.words} in {seen.seconds * 1000:.0f} ms"
    if seen.seconds >= SLOT_WITHIN:
        return Row(check, Result.FAIL, told, "look where the time goes; SAS itself leaves at 7 s")
    return Row(check, Result.PASS, told)


def stranger(name: str, seen: Seen) -> Row:
    """A certificate that must be refused: by 4xx, or by an alert."""
    check = f"{name} is refused"
    if seen.how is How.ALERT:
        return Row(check, Result.PASS, _no_answer(seen))
    return _refusal(check, seen)


def untried(check: str) -> Row:
    """What needs a client's certificate, without one."""
    return Row(check, Result.NOT_TRIED, "give a client's certificate: --client PEM")


def _refusal(check: str, seen: Seen) -> Row:
    if seen.how is not How.ANSWER:
        return Row(check, Result.FAIL, _no_answer(seen), _remedy(seen))
    if 400 <= seen.status < 500:
        return Row(check, Result.PASS, seen.words)
    if seen.status >= 500:
        remedy = "answer 401 or 403: a refusal is no error of the server"
        return Row(check, Result.FAIL, seen.words, remedy)
    return Row(check, Result.FAIL, f"{seen.words}: let in", "answer 401 or 403 to whom is not SAS")


def _not_taken(check: str, seen: Seen) -> Row:
    if seen.how is not How.ANSWER:
        return Row(check, Result.FAIL, _no_answer(seen), _remedy(seen))
    verify = _json(seen).get("verify")
    told = f"{seen.words}, verify {verify}" if isinstance(verify, str) else seen.words
    if 400 <= seen.status < 500:
        return Row(check, Result.FAIL, told, _OF_VERIFY.get(str(verify), _LEAF))
    return Row(check, Result.FAIL, told, "is the application behind it up?")


def _not_spoken(seen: Seen) -> bool:
    return not seen.shaken and (
        (seen.how is How.ALERT and "protocol version" in seen.words) or seen.words in _OTHER_VERSION
    )


def _no_answer(seen: Seen) -> str:
    kind = {How.ALERT: "TLS alert", How.DROPPED: "cut", How.SILENT: "silence"}.get(seen.how)
    return f"{kind}: {seen.words}" if kind else seen.words


def _remedy(seen: Seen) -> str:
    return {How.ALERT: _FINISH, How.DROPPED: _CUT, How.SILENT: _CUT}.get(seen.how, "")


def _is_available(seen: Seen) -> bool:
    return _json(seen).get("status") == "available"


def _json(seen: Seen) -> dict[str, object]:
    try:
        said = json.loads(seen.answer.body if seen.answer else b"")
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


# OpenSSL's words where the server answers in a version that was not offered.
_OTHER_VERSION = frozenset({"unsupported protocol", "wrong ssl version"})
_PUBLIC = (
    "ANS's kit verifies it by public CAs: get one for this name, and send the intermediate along"
)
_FINISH = (
    "ask for the certificate, let the handshake finish and answer 401 "
    "(nginx: ssl_verify_client optional_no_ca; Apache: SSLVerifyClient optional_no_ca)"
)
_CUT = f"is this host's address admitted? If so: {_FINISH}"
_ASK = "ask on the whole virtual host, not for one location or directory"
_LEAF = (
    "is it a certificate of this environment? SAS sends its leaf alone: root and ACI-EL-ORG "
    "have to be among the server's own CAs"
)
# What sasgate's own `verify` already says of the certificate.
_OF_VERIFY = {
    "FAILED:status unknown": "there is no usable list and no OCSP: `sasgate status` on that host",
    "FAILED:revoked": "it is revoked, or on that host's deny list: take another certificate",
    "FAILED:expired": "the certificate has ended, or the server's clock is wrong",
    "FAILED:not yet valid": "the certificate is not valid yet, or the server's clock is wrong",
    "FAILED:not AUTH_CLI": "it is no certificate for clients: order one of type AUTH_CLI",
    "SUCCESS": "CN, OU or address is not of SAS: `sasgate check FILE` there prints who is",
}

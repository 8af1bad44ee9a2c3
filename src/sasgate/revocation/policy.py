"""From what lists and OCSP say, and whether checks are disengaged, to one word on a certificate.

A pure table, shown whole in docs/revocation.md. What a verified list or a verified answer revokes
stays refused, whatever else is said: expired lists and débrayage included (S22, S23). Everything
that is not known to be good is unknown, and unknown refuses.
"""

from enum import Enum

from attrs import frozen

from sasgate.settings import RevocationMode


class ListWord(Enum):
    """What the lists that cover a certificate say of it."""

    GOOD = "good"
    REVOKED = "revoked"
    EXPIRED = "the list has expired"
    ABSENT = "no list was ever held"


class OCSPWord(Enum):
    """What OCSP says of the leaf; `NOT_ASKED` while nobody has asked."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "no usable answer"
    NOT_ASKED = "not asked"


class Disengagement(Enum):
    """Whether the checks of a chain's CAs are disengaged, and what that rests on (débrayage)."""

    NONE = "engaged"
    ON_LAST_LIST = "on the last verified list"
    WITHOUT_LIST = "even without a list"


class Status(Enum):
    """The word on a certificate; `OPEN` until OCSP has been asked."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    OPEN = "open"


@frozen
class Ruling:
    """A status with its reason; `disengaged` where débrayage alone makes it good."""

    status: Status
    reason: str
    disengaged: bool = False


def rule(
    mode: RevocationMode,
    leaf: ListWord,
    cas: tuple[ListWord, ...],
    ocsp: OCSPWord,
    disengagement: Disengagement = Disengagement.NONE,
) -> Ruling:
    """Rule on one chain; `leaf` and `cas` are the lists' words on the leaf and on its CAs."""
    revoked = _revoked(leaf, cas, ocsp)
    if revoked:
        return Ruling(Status.REVOKED, revoked)
    if mode is RevocationMode.OFF:
        return Ruling(Status.GOOD, "revocation is not checked")
    ruling = _engaged(mode, leaf, _worst(cas), ocsp)
    if ruling.status is not Status.UNKNOWN:
        return ruling
    if _may_disengage(mode, leaf, cas, disengagement):
        reason = f"disengaged {disengagement.value}: {ruling.reason}"
        return Ruling(Status.GOOD, reason, disengaged=True)
    return ruling


def _revoked(leaf: ListWord, cas: tuple[ListWord, ...], ocsp: OCSPWord) -> str:
    if ListWord.REVOKED in cas:
        return "a CA of the chain is on its list"
    if leaf is ListWord.REVOKED:
        return "on the list"
    return "revoked by OCSP" if ocsp is OCSPWord.REVOKED else ""


def _engaged(mode: RevocationMode, leaf: ListWord, cas: ListWord, ocsp: OCSPWord) -> Ruling:
    ruling = _leaf(mode, leaf, ocsp)
    # OCSP is asked even where a CA's list is missing: what it revokes must be known first.
    if ruling.status is Status.OPEN or cas is ListWord.GOOD:
        return ruling
    # The CAs have no OCSP responder: only a list tells of them, in every mode.
    return Ruling(Status.UNKNOWN, f"a CA of the chain: {cas.value}")


def _leaf(mode: RevocationMode, leaf: ListWord, ocsp: OCSPWord) -> Ruling:
    match mode:
        case RevocationMode.CRL:
            return _by_list(leaf)
        case RevocationMode.CRL_OR_OCSP if leaf is ListWord.GOOD:
            return _by_list(leaf)
        case RevocationMode.CRL_AND_OCSP if ocsp is OCSPWord.GOOD:
            return _by_list(leaf)
        case _:
            return _by_ocsp(ocsp)


def _by_list(leaf: ListWord) -> Ruling:
    if leaf is ListWord.GOOD:
        return Ruling(Status.GOOD, "not on the list")
    return Ruling(Status.UNKNOWN, leaf.value)


def _by_ocsp(ocsp: OCSPWord) -> Ruling:
    if ocsp is OCSPWord.NOT_ASKED:
        return Ruling(Status.OPEN, "OCSP is to be asked")
    if ocsp is OCSPWord.GOOD:
        return Ruling(Status.GOOD, "good by OCSP")
    return Ruling(Status.UNKNOWN, f"OCSP: {ocsp.value}")


def _may_disengage(
    mode: RevocationMode,
    leaf: ListWord,
    cas: tuple[ListWord, ...],
    disengagement: Disengagement,
) -> bool:
    """Whether débrayage covers what is unknown: it rests on a list, unless said otherwise.

    With `ocsp` no list of the leaf's issuer is asked for, so only the CAs' lists are needed.
    """
    if disengagement is Disengagement.NONE:
        return False
    if disengagement is Disengagement.WITHOUT_LIST:
        return True
    needed = cas if mode is RevocationMode.OCSP else (leaf, *cas)
    return ListWord.ABSENT not in needed


def _worst(words: tuple[ListWord, ...]) -> ListWord:
    """The least that is known of any CA; a chain without one to check is unknown, not good."""
    for word in (ListWord.ABSENT, ListWord.EXPIRED):
        if word in words:
            return word
    return ListWord.GOOD if words else ListWord.ABSENT

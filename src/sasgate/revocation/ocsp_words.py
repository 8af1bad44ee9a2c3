"""What OCSP says of a certificate, or why it says nothing that can be used."""

from collections.abc import Callable
from datetime import datetime
from enum import Enum

from attrs import frozen

from sasgate.revocation.policy import OCSPWord


class CertStatus(Enum):
    """What a verified answer says (RFC 6960, 2.2); only `GOOD` may admit."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "not known to the responder"


class Problem(Enum):
    """Why there is no usable answer; the value is for people, the name for journal and metrics."""

    NO_RESPONDER = "no responder is configured"
    UNREACHABLE = "the responder cannot be reached"
    NAME_NOT_FOUND = "the responder's name cannot be resolved"
    TOO_LATE = "no answer in time"
    HTTP_STATUS = "an HTTP status other than 200"
    TOO_LARGE = "the answer is too large"
    CUT_SHORT = "the answer was cut short"
    NOT_AN_ANSWER = "not an OCSP answer"

    MALFORMED_REQUEST = "the responder calls the question malformed"
    INTERNAL_ERROR = "the responder has an internal error"
    TRY_LATER = "the responder asks to try later"
    SIGNATURE_REQUIRED = "the responder wants signed questions"
    UNAUTHORIZED = "the responder does not answer for this certificate or this client"

    SIGNATURE_ALGORITHM = "signed with less than SHA-256, or in an unsupported way"
    UNTRUSTED_SIGNER = "signed by somebody who may not speak for the issuer"
    BAD_SIGNATURE = "its signature is not its signer's"
    UNKNOWN_CRITICAL = "holds a critical extension that is not understood"
    OTHER_CERTIFICATE = "about another certificate"
    CONTRADICTION = "says two things of one certificate"
    FROM_THE_FUTURE = "not made yet"
    OUT_OF_DATE = "out of date"
    OTHER_NONCE = "made for another question"
    NO_NONCE = "without the nonce that is required"
    NOT_UNSAID = "does not know any more whom it revoked"
    OLDER = "older than the answer that revoked"

    TOO_MANY = "too many questions at once"
    GIVEN_UP = "nobody waits for the answer any more"
    CLOSED = "the gateway is stopping"
    DEFECT = "an error of the gateway itself"


# These tell of the responder as a whole, so it is left in peace for all certificates (S34).
OF_THE_RESPONDER = frozenset(
    {
        Problem.UNREACHABLE,
        Problem.NAME_NOT_FOUND,
        Problem.TOO_LATE,
        Problem.HTTP_STATUS,
        Problem.TOO_LARGE,
        Problem.CUT_SHORT,
        Problem.NOT_AN_ANSWER,
        Problem.INTERNAL_ERROR,
        Problem.TRY_LATER,
    }
)


class AnswerRefused(Exception):
    """No answer, or one that must not be used; `kind` says why, `detail` what was found."""

    def __init__(self, kind: Problem, detail: str = "") -> None:
        super().__init__(f"{kind.value}: {detail}" if detail else kind.value)
        self.kind = kind
        self.detail = detail


@frozen
class Answer:
    """A verified answer about one certificate.

    Dates are aware, in UTC. `next_update` is None where the responder promises nothing, and
    `fresh_until` says how long the answer holds in either case. `revoked_at` goes with REVOKED.
    `delegate` is the serial of the delegate that signed, in upper-case hexadecimal; None where
    the issuer or a configured signer did.
    """

    status: CertStatus
    this_update: datetime
    next_update: datetime | None
    revoked_at: datetime | None
    fresh_until: datetime
    delegate: str | None = None


@frozen
class NoAnswer:
    """No usable answer, and why."""

    kind: Problem
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.detail}" if self.detail else self.kind.value


Word = Answer | NoAnswer


def policy_word(word: Word, is_listed: Callable[[str], bool]) -> OCSPWord:
    """The word for `policy.rule`.

    `is_listed` says whether a list of the leaf's issuer revokes a serial (upper-case
    hexadecimal): a delegate on it may vouch for nobody any more (RFC 6960, 4.2.2.2.1).
    """
    if isinstance(word, NoAnswer):
        return OCSPWord.UNKNOWN
    if word.delegate is not None and is_listed(word.delegate):
        return OCSPWord.UNKNOWN
    return _POLICY[word.status]


_POLICY = {
    CertStatus.GOOD: OCSPWord.GOOD,
    CertStatus.REVOKED: OCSPWord.REVOKED,
    CertStatus.UNKNOWN: OCSPWord.UNKNOWN,
}

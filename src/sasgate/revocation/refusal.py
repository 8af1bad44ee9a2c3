"""Why a list is not taken."""

from enum import Enum


class Refusal(Enum):
    """What is wrong with a list; the value is for people, the name for the journal."""

    NOT_A_LIST = "not a revocation list"
    WRONG_ISSUER = "signed in the name of another CA"
    NO_CRL_SIGN = "its CA may not sign lists"
    WEAK_SIGNATURE = "not signed by RSA or ECDSA with SHA-256 or better"
    BAD_SIGNATURE = "its signature is not its CA's"
    DELTA = "a delta list"
    INDIRECT = "an indirect list"
    UNSUPPORTED_SCOPE = "covers a part that cannot be told from the whole"
    UNKNOWN_CRITICAL = "holds a critical extension that is not understood"
    NO_NUMBER = "has no number"
    FROM_THE_FUTURE = "not issued yet"
    NO_NEXT_UPDATE = "does not say when the next one comes"
    MALFORMED = "signed by its CA, but not as RFC 5280 has it"


class ListRefused(Exception):
    """A list that must not be used; `kind` says which rule it broke, `detail` what was found."""

    def __init__(self, kind: Refusal, detail: str = "") -> None:
        super().__init__(f"{kind.value}: {detail}" if detail else kind.value)
        self.kind = kind
        self.detail = detail

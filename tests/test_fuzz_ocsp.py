"""The fuzz of OCSP answers, in short; `python -m tests.fuzz_ocsp` runs it at length."""

from tests.fuzz_ocsp import fuzz
from tests.ocsp_world import World

from sasgate.lab.pki import Lab


def test_damaged_answers_are_refused_or_say_what_was_signed(lab: Lab) -> None:
    """S29, S32. A failure prints the bytes that do it again."""
    verdicts = fuzz(2000, 29, World.of(lab))
    assert set(verdicts) >= {
        "NOT_AN_ANSWER",
        "BAD_SIGNATURE",
        "UNTRUSTED_SIGNER",
        "OTHER_CERTIFICATE",
        "OTHER_NONCE",
        "believed as it was signed",
        "signed again: GOOD",
    }

"""What an order may say: how long, and why; the same for the command and for the daemon."""

from sasgate.revocation.disengagement_state import LONGEST


# The least and the most seconds that checks can be disengaged for by hand.
SHORTEST_TERM = 60
LONGEST_TERM = int(LONGEST.total_seconds())

LONGEST_REASON = 500


class Unacceptable(Exception):
    """An order that cannot be obeyed; says why, and the way out."""


def checked_term(seconds: object) -> int:
    """A term of whole seconds.

    Raises:
        Unacceptable: it is none.
    """
    if (
        isinstance(seconds, int)
        and not isinstance(seconds, bool)
        and SHORTEST_TERM <= seconds <= LONGEST_TERM
    ):
        return seconds
    raise Unacceptable(f"from {SHORTEST_TERM} s to {LONGEST_TERM} s can be disengaged")


def checked_reason(reason: object) -> str:
    """A reason for the log: 1 to 500 printable characters.

    Raises:
        Unacceptable: it is none.
    """
    text = checked_text(reason, "reason").strip()
    if not text:
        raise Unacceptable("the reason is empty: whoever reads the log must know why")
    if len(text) > LONGEST_REASON:
        raise Unacceptable(f"the reason has {len(text)} characters, {LONGEST_REASON} are the most")
    if not text.isprintable():
        raise Unacceptable("the reason holds characters that cannot be printed")
    return text


def checked_text(value: object, what: str) -> str:
    """A text.

    Raises:
        Unacceptable: it is none.
    """
    if not isinstance(value, str):
        raise Unacceptable(f"the {what} is no text")
    return value


def checked_switch(value: object, what: str) -> bool:
    """True or false.

    Raises:
        Unacceptable: it is neither.
    """
    if not isinstance(value, bool):
        raise Unacceptable(f"{what} is neither true nor false")
    return value

"""What the gateway and its child (`child.py`) tell each other about one list: JSON both ways.

The parent reads the answer as something that hostile bytes may have had a hand in: every value is
checked for its type, and whatever is not exactly an answer raises `ValueError`.
"""

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from attrs import asdict, frozen

from sasgate.revocation.crl import VerifiedList
from sasgate.revocation.refusal import ListRefused, Refusal
from sasgate.revocation.scope import Scope


_LONGEST_DETAIL = 500
_Kind = TypeVar("_Kind")


@frozen
class Request:
    """What the child is asked: the CAs as DER, the present (aware), the list's size in bytes."""

    authorities: Sequence[bytes]
    now: datetime
    size: int

    def encode(self, limits: dict[str, int]) -> bytes:
        """As JSON; `limits` go with it for the child to put on itself before anything else."""
        return json.dumps(
            {
                "authorities": [base64.b64encode(der).decode() for der in self.authorities],
                "now": self.now.isoformat(),
                "size": self.size,
                "limits": limits,
            }
        ).encode()

    @classmethod
    def decode(cls, content: Any) -> "Request":
        """The request in parsed JSON."""
        authorities = [base64.b64decode(each) for each in content["authorities"]]
        return cls(authorities, datetime.fromisoformat(content["now"]), content["size"])


@frozen
class Answer:
    """The child's: the facts of a list, and the length and SHA-256 of the index it wrote."""

    facts: VerifiedList
    length: int
    sha256: str


def encode_answer(answer: Answer | ListRefused) -> bytes:
    """As JSON."""
    if isinstance(answer, ListRefused):
        refused = {"kind": answer.kind.name, "detail": answer.detail[:_LONGEST_DETAIL]}
        return json.dumps({"refused": refused}).encode()
    facts = plain_facts(answer.facts)
    return json.dumps({"facts": facts, "length": answer.length, "sha256": answer.sha256}).encode()


def decode_answer(content: bytes) -> Answer:
    """The answer in what the child wrote.

    Raises:
        ListRefused: it judged the list, and refused it.
        ValueError: not a whole answer.
    """
    try:
        answer = json.loads(content)
        if "refused" in answer:
            refused = answer["refused"]
            kind = Refusal[_a(str, refused["kind"])]
            raise ListRefused(kind, _a(str, refused["detail"])[:_LONGEST_DETAIL])
        return Answer(
            facts_of(answer["facts"]), _a(int, answer["length"]), _a(str, answer["sha256"])
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not an answer: {error!r}") from error


def plain_facts(facts: VerifiedList) -> dict[str, Any]:
    """The facts of a list as values that JSON knows."""
    plain = asdict(facts)
    for date in ("this_update", "next_update"):
        plain[date] = plain[date].isoformat()
    return plain


def facts_of(facts: Any) -> VerifiedList:
    """The facts in what `plain_facts` made, every value checked for its type.

    Raises:
        KeyError, TypeError, ValueError: it made no such thing.
    """
    scope = facts["scope"]
    return VerifiedList(
        issuers=_texts(facts["issuers"]),
        issuer_name=_a(str, facts["issuer_name"]),
        number=_a(int, facts["number"]),
        this_update=_instant(facts["this_update"]),
        next_update=_instant(facts["next_update"]),
        entries=_a(int, facts["entries"]),
        scope=Scope(
            leaves=_a(bool, scope["leaves"]),
            authorities=_a(bool, scope["authorities"]),
            points=_texts(scope["points"]),
        ),
        sha256=_a(str, facts["sha256"]),
        signed_sha256=_a(str, facts["signed_sha256"]),
    )


def _a(kind: type[_Kind], value: Any) -> _Kind:
    # By `type`, since True is an int.
    if type(value) is not kind:
        raise ValueError(f"{value!r} instead of a {kind.__name__}")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(_a(str, value) for value in _a(list, values))


def _instant(text: Any) -> datetime:
    instant = datetime.fromisoformat(_a(str, text))
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return instant

"""What the child may say, and what of it is believed (S24)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from sasgate.revocation.answer import Answer, Request, decode_answer, encode_answer
from sasgate.revocation.crl import VerifiedList
from sasgate.revocation.refusal import ListRefused, Refusal
from sasgate.revocation.scope import Scope


NOW = datetime(2026, 6, 15, 5, 0, 0, 250000, tzinfo=UTC)
FACTS = VerifiedList(
    issuers=("aa", "bb"),
    issuer_name="CN=x",
    number=(1 << 160) - 1,
    this_update=NOW,
    next_update=NOW + timedelta(days=6),
    entries=3,
    scope=Scope(leaves=False, points=("URI:http://x",)),
    sha256="cc",
    signed_sha256="dd",
)
ANSWER = Answer(FACTS, 63, "ee")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_an_answer_comes_through_whole() -> None:
    assert decode_answer(encode_answer(ANSWER)) == ANSWER


@pytest.mark.parametrize("kind", Refusal)
def test_a_refusal_comes_through_with_its_kind(kind: Refusal) -> None:
    with pytest.raises(ListRefused) as refused:
        decode_answer(encode_answer(ListRefused(kind, "why é")))
    assert refused.value.kind is kind
    assert refused.value.detail == "why é"


def test_a_long_detail_is_cut() -> None:
    with pytest.raises(ListRefused) as refused:
        decode_answer(encode_answer(ListRefused(Refusal.DELTA, "x" * 10_000)))
    assert refused.value.detail == "x" * 500
    long = json.dumps({"refused": {"kind": "DELTA", "detail": "x" * 10_000}}).encode()
    with pytest.raises(ListRefused) as refused:
        decode_answer(long)
    assert refused.value.detail == "x" * 500


def test_a_request_comes_through_whole() -> None:
    request = Request([b"\0\xff", b""], NOW, 1234)
    content = json.loads(request.encode({"core": 0}))
    assert Request.decode(content) == request
    assert content["limits"] == {"core": 0}


def paths(value: Any, *at: Any) -> list[tuple[Any, ...]]:
    """Where every value in a nest is."""
    found = [at] if at else []
    if isinstance(value, dict):
        for key, each in value.items():
            found += paths(each, *at, key)
    return found


PLAIN = json.loads(encode_answer(ANSWER))


@pytest.mark.parametrize("path", paths(PLAIN), ids=".".join)
def test_nothing_may_be_missing(path: tuple[str, ...]) -> None:
    content = json.loads(encode_answer(ANSWER))
    *way, last = path
    holder = content
    for key in way:
        holder = holder[key]
    del holder[last]
    with pytest.raises(ValueError, match=r"."):
        decode_answer(json.dumps(content).encode())


@pytest.mark.parametrize("path", paths(PLAIN), ids=".".join)
@pytest.mark.parametrize("wrong", [None, True, 1, 1.5, "x", [], [1], {}, "2026-06-15T05:00:00"])
def test_nothing_may_be_of_another_type(path: tuple[str, ...], wrong: Any) -> None:
    content = json.loads(encode_answer(ANSWER))
    *way, last = path
    holder = content
    for key in way:
        holder = holder[key]
    if type(holder[last]) is type(wrong) and last not in {"this_update", "next_update", "points"}:
        return
    if last in {"points", "issuers"} and wrong == []:
        return
    holder[last] = wrong
    with pytest.raises(ValueError, match=r"."):
        decode_answer(json.dumps(content).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"", b" ", b"null", b"[]", b"{}", b'"refused"', b'["refused"]', b'{"refused": null}',
        b'{"refused": {}}', b'{"refused": {"kind": "GOOD", "detail": ""}}',
        b'{"refused": {"kind": ["DELTA"], "detail": ""}}',
        b'{"refused": {"kind": "DELTA", "detail": 5}}', b"\xff\xfe", b"\x80", b"[" * 100_000,
        b'{"length": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda content: str(content[:50]),
)  # fmt: skip
def test_what_is_no_answer(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_answer(content)


@given(JSON)
def test_any_json(content: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_answer(json.dumps(content).encode())


@given(st.binary())
def test_any_bytes(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_answer(content)


def test_numbers_keep_all_their_digits() -> None:
    low = evolve(ANSWER, facts=evolve(FACTS, number=10**47 + 1))
    assert decode_answer(encode_answer(low)).facts.number == 10**47 + 1

"""Names, whatever they are: only the exact pair of a client is ever admitted (S5 to S10)."""

import unicodedata
from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from judged import OTHER, PAIR, identity, named, presented, rules, verdict
from sasgate.admission import Outcome
from sasgate.identity import Identity, NamePair


# Every code point, lone surrogates and NUL among them.
ANYTHING = st.text(st.characters())
WANTED = st.sampled_from([PAIR.cn, PAIR.ou, OTHER.cn, OTHER.ou])
VALUES = st.one_of(ANYTHING, WANTED)
BOTH = rules(clients=frozenset({PAIR, OTHER}))


def admitted(who: Identity) -> bool:
    return verdict(presented(who), BOTH).outcome is Outcome.ADMITTED


@st.composite
def altered(draw: st.DrawFn, text: str) -> str:
    """`text` after one of the changes that have passed for nothing elsewhere."""
    at = draw(st.integers(0, len(text)))
    put_in = draw(
        st.one_of(st.characters(), st.sampled_from("\0 \t\r\n,+=;\\\"'\u00ad\u200b\u0301"))
    )
    return draw(
        st.sampled_from(
            [
                text[:at] + put_in + text[at:],
                text[:at] + put_in + text[at + 1 :],
                text[:at] + text[at + 1 :],
                text[:at],
                text[at:],
                text[:at] + text[at:].upper(),
                text[:at] + text[at:].swapcase(),
                text[::-1],
                text + text,
                f"CN={text}",
                f"{text}{put_in}{draw(ANYTHING)}",
                f"{draw(ANYTHING)}{put_in}{text}",
                text[:at] + "".join(chr(ord(each) + 0xFEE0) for each in text[at:]),
            ]
        )
    )


@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_nothing_but_the_exact_pair_is_admitted(cns: list[str], ous: list[str]) -> None:
    exact = (cns, ous) in (([PAIR.cn], [PAIR.ou]), ([OTHER.cn], [OTHER.ou]))
    who = identity(common_names=tuple(cns), organizational_units=tuple(ous))
    assert admitted(who) == exact


@given(st.data(), st.sampled_from([PAIR, OTHER]))
def test_no_alteration_of_a_cn_is_admitted(data: st.DataObject, pair: NamePair) -> None:
    """S5, S6, S10."""
    cn = data.draw(altered(pair.cn))
    assume(cn != pair.cn)
    assert not admitted(named(NamePair(cn, pair.ou)))


@given(st.data(), st.sampled_from([PAIR, OTHER]))
def test_no_alteration_of_an_ou_is_admitted(data: st.DataObject, pair: NamePair) -> None:
    """S5, S6, S10."""
    ou = data.draw(altered(pair.ou))
    assume(ou != pair.ou)
    assert not admitted(named(NamePair(pair.cn, ou)))


# A character that each of Unicode's normal forms writes otherwise, wherever it stands.
CHANGED_BY: tuple[tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], str], ...] = (
    ("NFC", "\u212b"),
    ("NFD", "\u00e9"),
    ("NFKC", "\ufb01"),
    ("NFKD", "\u00e9"),
)


@pytest.mark.parametrize(("form", "changed"), CHANGED_BY)
@given(before=ANYTHING, after=ANYTHING)
def test_what_unicode_calls_equal_is_another_name(
    form: Literal["NFC", "NFD", "NFKC", "NFKD"], changed: str, before: str, after: str
) -> None:
    """S10: a configured name that could be composed otherwise is compared as it stands."""
    name = before + changed + after
    other = unicodedata.normalize(form, name)
    assert other != name
    only = rules(clients=frozenset({NamePair(name, PAIR.ou)}))
    assert verdict(presented(named(NamePair(name, PAIR.ou))), only).outcome is Outcome.ADMITTED
    assert verdict(presented(named(NamePair(other, PAIR.ou))), only).outcome is Outcome.FORBIDDEN


@given(st.lists(VALUES, min_size=2, max_size=4), st.permutations([PAIR.cn, OTHER.cn]))
def test_two_of_a_kind_are_never_admitted(others: list[str], cns: list[str]) -> None:
    """S8: whatever the values and their order."""
    assert not admitted(identity(common_names=tuple(cns)))
    assert not admitted(identity(common_names=(PAIR.cn, *others[1:])))
    assert not admitted(identity(organizational_units=(PAIR.ou, *others[1:])))
    assert not admitted(identity(organizational_units=(*others[1:], PAIR.ou)))


@given(VALUES, VALUES, VALUES, VALUES)
def test_halves_of_two_clients_are_no_client(a: str, b: str, c: str, d: str) -> None:
    """S9: CN and OU count as a pair."""
    assume((a, b) != (c, d) and a != c and b != d)
    two = rules(clients=frozenset({NamePair(a, b), NamePair(c, d)}))
    for crossed in (NamePair(a, d), NamePair(c, b)):
        assert verdict(presented(named(crossed)), two).outcome is Outcome.FORBIDDEN


@given(ANYTHING, ANYTHING, ANYTHING)
def test_printed_names_play_no_part(subject: str, issuer: str, issuer_cn: str) -> None:
    """S6: a DN is no text to be searched."""
    texts = {"subject": subject, "issuer": issuer, "issuer_cn": issuer_cn}
    assert admitted(identity(**texts))
    assert not admitted(identity(**texts, common_names=("x",)))

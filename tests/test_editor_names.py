"""What an editor may be called, in a CN and in the names of files."""

from pathlib import PurePath

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from sasgate.editor_names import LONGEST_CN, UnusableName, common_name, editor_of, file_stem
from sasgate.identity import parse_pair


@pytest.mark.parametrize(
    "editor",
    ["ACME", "acme-rdv_2.0", "A", "3 Suisses", "Dupont ; Fils", "Éditions Noël", "A & B (Lyon)",
     "L'Agenda", "x" * 44, "a;b", "sas-agregateur"],
)  # fmt: skip
def test_a_real_name_stands_in_the_cn_as_it_is(editor: str) -> None:
    assert common_name(editor, production=True) == f"sas-agregateur-prod-{editor}"
    assert common_name(editor, production=False) == f"sas-agregateur-test-{editor}"


@pytest.mark.parametrize(
    ("editor", "reason"),
    [
        ("", "begin with a letter or a digit"),
        ("../../etc/passwd", "begin with a letter or a digit"),
        ("..", "begin with a letter or a digit"),
        ("-x", "begin with a letter or a digit"),
        (" ACME", "begin with a letter or a digit"),
        ("ACME/../x", "names are cut at /"),
        ("ACME,OU=1", "names are cut at , ="),
        ("ACME+X", "names are cut at +"),
        ("ACME\\", "names are cut at \\"),
        ('ACME"', 'names are cut at "'),
        ("A<B>", "names are cut at < >"),
        ("A#B", "names are cut at #"),
        ("ACME ", "ends with a space"),
        ("A  B", "two in a row"),
        ("ACME\n", "cannot be printed"),
        ("AC\0ME", "cannot be printed"),
        ("AC\x1b[31mME", "cannot be printed"),
        ("AC\u202eME", "cannot be printed"),
        ("AC\u200bME", "cannot be printed"),
        ("AC\u00a0ME", "cannot be printed"),
        ("AC\udc80ME", "cannot be printed"),
        ("E\u0301diteur", "Unicode NFC"),
        ("sas-agregateur-prod-ACME", "give the editor's name alone"),
        ("x" * 45, "so the name 44"),
        ("é" * 23, "so the name 44"),
    ],
)
def test_a_name_that_would_be_misread_is_refused(editor: str, reason: str) -> None:
    with pytest.raises(UnusableName) as caught:
        common_name(editor, production=True)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("ACME", "ACME"), ("acme-rdv_2.0", "acme-rdv_2.0"), ("Dupont ; Fils", "Dupont_Fils"),
     ("Éditions Noël", "Editions_Noel"), ("../../x", "_.._x"), ("a/b", "a_b"), ("..", "_"),
     ("", "_"), ("-rf", "rf"), (".hidden", "hidden"), ("日本", "_"), ("a\0b", "a_b")],
)  # fmt: skip
def test_a_file_is_named_after_it_in_plain_characters(name: str, stem: str) -> None:
    assert file_stem(name) == stem


@given(st.text())
@example("\x00")
@example("/")
@example("․․/")
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    stem = file_stem(name)
    assert PurePath(stem).name == stem
    assert stem.isascii()
    assert stem.isprintable()
    assert stem[0] not in ".-"
    assert len(stem) <= LONGEST_CN


@given(st.text(min_size=1, max_size=50), st.booleans())
def test_every_name_is_refused_or_read_back_alike(editor: str, production: bool) -> None:
    try:
        cn = common_name(editor, production=production)
    except UnusableName:
        return
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    assert editor_of(cn) == editor
    assert parse_pair(f"{name.rfc4514_string()},OU=1").cn == cn


@pytest.mark.parametrize(
    "cn", ["", "ACME", "sas-agregateur-prod-", "sas-agregateur-recette", "xsas-agregateur-prod-A"]
)
def test_other_cns_name_no_editor(cn: str) -> None:
    assert editor_of(cn) is None

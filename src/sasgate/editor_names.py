"""What an editor may be called: in its CN, and in the names of its files (specification, 4.3.1).

The guide's `<EDITEUR>` is free text. A CN is read by programs that take it out of a printed name,
which they cut at certain characters, so those are refused; real CNs hold spaces and `;`. A file
name is made of it and is never taken as it stands.
"""

import re
import unicodedata

from sasgate.editor_certificate import PRODUCTION_FORM, TEST_FORM


# RFC 5280, appendix A, ub-common-name; in bytes, as `cryptography` counts.
LONGEST_CN = 64
_CUT_AT = ',+=/\\"<>#'


class UnusableName(ValueError):
    """An editor's name that cannot stand in a CN; says why, and what would do."""


def common_name(editor: str, *, production: bool) -> str:
    """The predefined CN of an editor's certificate.

    Raises:
        UnusableName: it would be misread, or too long.
    """
    form = PRODUCTION_FORM if production else TEST_FORM
    fault = _fault(editor)
    if fault:
        raise UnusableName(fault)
    cn = form + editor
    if len(cn.encode()) > LONGEST_CN:
        raise UnusableName(
            f"a CN has {LONGEST_CN} bytes at most, so the name {LONGEST_CN - len(form)}: shorten it"
        )
    return cn


def editor_of(cn: str) -> str | None:
    """The editor's name in a predefined CN, None where it has another form."""
    for form in (PRODUCTION_FORM, TEST_FORM):
        if cn.startswith(form) and cn != form:
            return cn.removeprefix(form)
    return None


def file_stem(name: str) -> str:
    """What stands for a name in file names: ASCII letters, digits, `.`, `_` and `-`.

    Never empty, never with a path in it, never hidden or like an option. The guide's ACME stays.
    """
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(each for each in plain if not unicodedata.combining(each))
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain).lstrip(".-")[:LONGEST_CN] or "_"


def _fault(editor: str) -> str | None:
    """Why a name cannot be taken, or None."""
    if not editor.isprintable():
        return "it holds a character that cannot be printed: use letters, digits, spaces and ;.-_"
    if not editor[:1].isalnum():
        return "it must begin with a letter or a digit"
    if editor != editor.strip() or "  " in editor:
        return (
            "it ends with a space, or holds two in a row, which some readers drop: leave them out"
        )
    if editor != unicodedata.normalize("NFC", editor):
        return "its accents are written apart from their letters: type it anew (Unicode NFC)"
    if editor.startswith((PRODUCTION_FORM, TEST_FORM)):
        return "give the editor's name alone, sas-agregateur-… is put before it"
    wrong = sorted(set(editor) & set(_CUT_AT))
    if wrong:
        return f"names are cut at {' '.join(wrong)} by those who read them: leave it out"
    return None

"""The table of docs/revocation.md, cell by cell, against the function that decides (S22, S23)."""

from itertools import product
from pathlib import Path

import pytest

from sasgate.revocation.policy import (
    Disengagement,
    ListWord,
    OCSPWord,
    Ruling,
    Status,
    rule,
)
from sasgate.settings import RevocationMode


DOCUMENT = Path(__file__).parent.parent / "docs" / "revocation.md"

LISTS = {
    "good": ListWord.GOOD,
    "revoked": ListWord.REVOKED,
    "expired": ListWord.EXPIRED,
    "absent": ListWord.ABSENT,
}
OCSP = {
    "good": OCSPWord.GOOD,
    "revoked": OCSPWord.REVOKED,
    "unknown": OCSPWord.UNKNOWN,
    "not asked": OCSPWord.NOT_ASKED,
}


def rows() -> list[list[str]]:
    lines = DOCUMENT.read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [row for row in cells if len(row) == 7][2:]


def documented(mode: str, cas: str, leaf: str, ocsp: str) -> list[str]:
    wanted = (mode, cas, leaf, ocsp)
    for row in rows():
        if all(
            cell == "any" or word in cell.split(", ")
            for cell, word in zip(row[:4], wanted, strict=True)
        ):
            return row[4:]
    pytest.fail(f"no row for {wanted}")


@pytest.mark.parametrize("mode", [mode.value for mode in RevocationMode])
@pytest.mark.parametrize("cas", LISTS)
@pytest.mark.parametrize("leaf", LISTS)
@pytest.mark.parametrize("ocsp", OCSP)
def test_each_cell_is_what_the_document_says(mode: str, cas: str, leaf: str, ocsp: str) -> None:
    words = documented(mode, cas, leaf, ocsp)
    for disengagement, word in zip(Disengagement, words, strict=True):
        ruling = rule(RevocationMode(mode), LISTS[leaf], (LISTS[cas],), OCSP[ocsp], disengagement)
        assert ruling.status is Status(word), (disengagement, ruling)


def every_ruling(cas: tuple[ListWord, ...]) -> list[Ruling]:
    cases = product(RevocationMode, ListWord, OCSPWord, Disengagement)
    return [rule(mode, leaf, cas, ocsp, how) for mode, leaf, ocsp, how in cases]


def test_one_revoked_ca_among_several_revokes_whatever_else_is_said() -> None:
    """S23: neither mode nor débrayage lets pass what a verified list revokes."""
    for ruling in every_ruling((ListWord.GOOD, ListWord.REVOKED)):
        assert ruling.status is Status.REVOKED


def test_one_ca_without_a_current_list_is_enough_to_leave_the_chain_unknown() -> None:
    ruling = rule(
        RevocationMode.CRL, ListWord.GOOD, (ListWord.GOOD, ListWord.EXPIRED), OCSPWord.NOT_ASKED
    )
    assert ruling.status is Status.UNKNOWN


def test_a_chain_whose_cas_nobody_looked_at_is_unknown() -> None:
    ruling = rule(RevocationMode.CRL, ListWord.GOOD, (), OCSPWord.GOOD)
    assert ruling.status is Status.UNKNOWN


def test_good_by_debrayage_alone_is_marked_as_such_and_keeps_its_reason() -> None:
    """S23: each admission under débrayage can be logged and counted."""
    ruling = rule(
        RevocationMode.CRL,
        ListWord.EXPIRED,
        (ListWord.GOOD,),
        OCSPWord.NOT_ASKED,
        Disengagement.ON_LAST_LIST,
    )
    assert ruling.disengaged
    assert "the list has expired" in ruling.reason


def test_what_is_good_without_it_is_not_put_down_to_debrayage() -> None:
    ruling = rule(
        RevocationMode.CRL,
        ListWord.GOOD,
        (ListWord.GOOD,),
        OCSPWord.NOT_ASKED,
        Disengagement.ON_LAST_LIST,
    )
    assert not ruling.disengaged

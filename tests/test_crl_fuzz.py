"""The short form of `fuzz_crl.py`: refused or taken, whatever the bytes (S24)."""

import pytest

from fuzz_crl import run, seeds
from sasgate.lab.pki import Lab
from sasgate.revocation.refusal import Refusal


@pytest.mark.filterwarnings("ignore:Attribute's length")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mutated_lists_are_refused_or_taken(seed: int, lab: Lab) -> None:
    outcome = run(seeds(lab), 700, seed)
    assert outcome.faults == []
    assert sum(outcome.kinds.values()) == 700
    # Both ends are reached: bytes that are no list, and lists whose signed contents were judged.
    assert outcome.kinds[Refusal.NOT_A_LIST.name] > 100
    assert outcome.kinds[Refusal.BAD_SIGNATURE.name] > 10
    assert outcome.kinds["taken"] > 10
    assert len(outcome.kinds) > 8

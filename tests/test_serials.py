"""The index of a list's serials against Python's own set."""

import mmap
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sasgate.revocation import serials as module
from sasgate.revocation.serials import HIGHEST, LOWEST, WIDTH, Serials


ALLOWED = st.integers(LOWEST, HIGHEST)
# Close to each other and to the ends, where a wrong bisection shows.
NARROW = st.one_of(
    st.integers(-3, 40), st.integers(LOWEST, LOWEST + 3), st.integers(HIGHEST - 3, HIGHEST)
)
ANY = st.one_of(ALLOWED, NARROW)


@given(st.lists(ANY), st.lists(ANY))
def test_holds_what_a_set_holds(listed: list[int], asked: list[int]) -> None:
    index, expected = Serials.of(listed), set(listed)
    assert len(index) == len(expected)
    for serial in (*listed, *asked):
        assert (serial in index) == (serial in expected)
        assert (serial + 1 in index) == (serial + 1 in expected)


@given(st.lists(ANY, max_size=60))
def test_runs_and_pieces_leave_nothing_out(listed: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_RUN", 4)
        patch.setattr(module, "_PIECE", 3 * WIDTH)
        pieces = [*module.sorted_pieces(listed)]
    assert b"".join(pieces) == Serials.of(listed).buffer
    assert all(len(piece) <= 3 * WIDTH for piece in pieces)


def test_many_runs_hold_all() -> None:
    listed = range(0, 400_000, 2)
    index = Serials.of(listed)
    assert len(index) == len(listed)
    assert all(serial in index for serial in range(0, 400_000, 4002))
    assert not any(serial in index for serial in range(1, 400_000, 4002))


def test_nothing_is_in_an_empty_one() -> None:
    assert len(Serials()) == len(Serials.of(())) == 0
    assert 0 not in Serials()
    assert LOWEST not in Serials.of(())


@pytest.mark.parametrize("serial", [HIGHEST + 1, LOWEST - 1, 1 << 400, -(1 << 400)])
def test_longer_than_20_octets_is_not_taken(serial: int) -> None:
    with pytest.raises(ValueError, match="160 are the most"):
        Serials.of([5, serial])


@pytest.mark.parametrize("serial", [HIGHEST + 1, LOWEST - 1, 1 << 168, (1 << 168) + 5, 1 << 400])
def test_longer_than_20_octets_is_never_in_it(serial: int) -> None:
    """No list that is taken can name it."""
    assert serial not in Serials.of([5, HIGHEST, LOWEST, 0, -1])


def test_a_serial_is_told_from_its_complement() -> None:
    index = Serials.of([0x80, HIGHEST - 5])
    assert -0x80 not in index
    assert 0xFF not in index
    assert -6 not in index


def test_a_buffer_cut_within_a_serial_is_not_taken() -> None:
    with pytest.raises(ValueError, match="no whole number"):
        Serials(bytes(WIDTH + 1))


def test_a_mapped_file_does_as_well() -> None:
    content = bytes(Serials.of(range(100)).buffer)
    descriptor = os.memfd_create("test")
    try:
        os.write(descriptor, content)
        mapped = mmap.mmap(descriptor, len(content), mmap.MAP_PRIVATE, mmap.PROT_READ)
    finally:
        os.close(descriptor)
    index = Serials(mapped)
    assert [serial for serial in range(-5, 200) if serial in index] == [*range(100)]

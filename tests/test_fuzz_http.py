"""The fuzz of HTTP/1.1, in short; `python tests/fuzz_http.py` runs it at length."""

from fuzz_http import fuzz


def test_damaged_streams_are_read_alike_or_refused() -> None:
    """S40. A failure prints the call that does it again."""
    ends = fuzz(count=6000, seed=40)
    assert set(ends) >= {"whole", "waiting", "400"}

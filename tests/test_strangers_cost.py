"""What strangers may cost: nothing that others need, and nothing that stays (S47, S49)."""

import pytest
from attrs import evolve

from sasgate import headers
from sasgate.ports import with_backlog
from test_journal import EXPIRED, STRANGER, Desk


@pytest.mark.parametrize(
    ("endpoint", "opened"),
    [
        ("tcp:443", "tcp:443:backlog=1024"),
        ("tcp:443:interface=127.0.0.1", "tcp:443:interface=127.0.0.1:backlog=1024"),
        ("tcp:443:backlog=7", "tcp:443:backlog=7"),
        ("unix:/run/sasgate.sock", "unix:/run/sasgate.sock"),
        ("systemd:domain=INET:name=https", "systemd:domain=INET:name=https"),
    ],
)
def test_a_burst_of_callers_waits_in_the_kernel(endpoint: str, opened: str) -> None:
    """S47: with Twisted's 50, a dropped SYN costs a good client a second."""
    assert with_backlog(endpoint) == opened


def test_long_names_of_fields_are_classified_and_not_remembered() -> None:
    known = headers._remembered.cache_info().currsize
    for number in range(100):
        name = b"x_ssl_client_cn-%d" % number + b"a" * 15_000
        assert headers.classify(name) is headers.Kind.GATEWAY
    assert headers._remembered.cache_info().currsize == known


def test_refusals_that_anybody_can_cause_leave_room_for_those_that_need_a_certificate() -> None:
    desk = Desk()
    for number in range(1500):
        desk.journal.decision(evolve(STRANGER, peer=f"198.51.100.{number}"))
    desk.journal.decision(EXPIRED)
    assert desk.lines[-1].startswith("refused 401 FAILED:expired")

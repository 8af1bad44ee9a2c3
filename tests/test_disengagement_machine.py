"""Whatever happens in whatever order, nothing is disengaged beyond its bound (S23, S60)."""

import tempfile
from datetime import timedelta
from pathlib import Path

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from disengaged import ADMIT_FOR, HOUR, ORG, OTHER, Bench
from sasgate.revocation.disengagement_log import REMINDER
from sasgate.revocation.policy import Disengagement


CAS = st.sampled_from([ORG, OTHER])
SECONDS = st.one_of(st.sampled_from([1.0, 599.0, 600.0, HOUR, ADMIT_FOR]), st.floats(0.5, 100000))


@define
class Term:
    """What may be in force: until an instant, for so many seconds of a running daemon.

    `crashes` are those since it began: each may lose what passed since the last line of log.
    """

    since: float
    length: float
    ran: float = 0.0
    crashes: int = 0
    for_cas: frozenset[str] = field(default=frozenset({ORG, OTHER}))
    rests_on: Disengagement = Disengagement.ON_LAST_LIST

    def possible(self, wall: float) -> bool:
        """Whether it may be in force, when the wall shows `wall`."""
        slack = 1e-3 + self.crashes * (REMINDER + 30)
        return self.since <= wall < self.since + self.length and self.ran < self.length + slack


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.bench = Bench(Path(self.folder.name))
        self.automatic: dict[str, Term] = {}
        self.hand: Term | None = None
        # CAs of which nobody can tell any more since when they are unknown.
        self.lost: set[str] = set()
        self.jumped = False

    def teardown(self) -> None:
        self.folder.cleanup()

    @property
    def wall(self) -> float:
        return (self.bench.wall() - self.bench.after(0)).total_seconds()

    def terms(self, issuer: str) -> list[Term]:
        hand = [self.hand] if self.hand and issuer in self.hand.for_cas else []
        return hand + [each for ca, each in self.automatic.items() if ca == issuer]

    def all_terms(self) -> list[Term]:
        return [*self.automatic.values(), *([self.hand] if self.hand else [])]

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.bench.pass_time(seconds, step=59.0)
        for term in self.all_terms():
            term.ran += seconds

    @rule(seconds=st.floats(-100000, 100000))
    def the_wall_is_set(self, seconds: float) -> None:
        self.bench.jump(seconds=seconds)
        self.jumped = True

    @rule(down=st.one_of(st.just(0.0), SECONDS), clean=st.booleans())
    def it_restarts(self, down: float, clean: bool) -> None:
        if clean:
            self.bench.restart(down)
        else:
            self.bench.crash(down)
            for term in self.all_terms():
                term.crashes += 1

    @rule(garbage=st.sampled_from([b"", b"{}", b"\0" * 100]))
    def the_file_is_spoiled(self, garbage: bytes) -> None:
        self.bench.path.write_bytes(garbage)
        self.bench.crash()
        self.hand = None
        self.automatic.clear()
        self.lost = {ORG, OTHER}

    @rule(issuer=CAS, ago=st.one_of(st.just(0.0), st.floats(-1000, 2 * ADMIT_FOR)))
    def a_status_is_unknown(self, issuer: str, ago: float) -> None:
        self.bench.unknown(issuer, ago)
        since = self.wall - max(0.0, ago)
        if issuer in self.lost:
            return
        term = self.automatic.setdefault(issuer, Term(since, ADMIT_FOR, self.wall - since))
        term.since = min(term.since, since)

    @rule(issuer=CAS)
    def a_status_is_known(self, issuer: str) -> None:
        self.bench.held.known(issuer)
        self.automatic.pop(issuer, None)
        self.lost.discard(issuer)

    @rule(
        seconds=st.floats(60, 7 * 86400),
        cas=st.frozensets(CAS),
        without_list=st.booleans(),
    )
    def somebody_disengages(self, seconds: float, cas: frozenset[str], without_list: bool) -> None:
        by_hand = self.bench.by_hand(seconds, *sorted(cas), without_list=without_list)
        self.bench.held.disengage(by_hand)
        length = (by_hand.until - by_hand.since).total_seconds()
        words = (Disengagement.ON_LAST_LIST, Disengagement.WITHOUT_LIST)
        self.hand = Term(
            self.wall, length, for_cas=cas or frozenset({ORG, OTHER}), rests_on=words[without_list]
        )

    @rule()
    def somebody_engages(self) -> None:
        self.bench.held.engage("bob")
        self.hand = None

    @rule(issuer=CAS)
    def a_client_is_admitted(self, issuer: str) -> None:
        self.bench.held.admitted(issuer)

    @invariant()
    def s23_nothing_is_in_force_beyond_its_bound(self) -> None:
        for issuer in (ORG, OTHER):
            word, until = self.bench.word(issuer)
            if word is Disengagement.NONE:
                continue
            possible = [each for each in self.terms(issuer) if each.possible(self.wall)]
            assert word in {each.rests_on for each in possible}
            assert until is not None
            end = max(each.since + each.length for each in possible)
            assert self.bench.wall() < until <= self.bench.after(end) + timedelta(milliseconds=1)

    @invariant()
    def status_shows_what_is_in_force(self) -> None:
        shown = self.bench.held.state
        for issuer in (ORG, OTHER):
            assert self.bench.on(issuer) == any(each.covers(issuer) for each in shown)

    @precondition(lambda self: not self.jumped)
    @invariant()
    def where_no_clock_jumps_the_bound_is_used_in_full(self) -> None:
        for issuer in (ORG, OTHER):
            left = [each.since + each.length - self.wall for each in self.terms(issuer)]
            # Times are kept to the microsecond.
            if max(left, default=-1.0) > 1e-3:
                assert self.bench.on(issuer)

    @invariant()
    def what_lasts_is_looked_at(self) -> None:
        if self.bench.held.state:
            assert self.bench.clock.getDelayedCalls()
        assert len(self.bench.clock.getDelayedCalls()) <= 1


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

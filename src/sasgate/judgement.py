"""The judgement of one client, kept true while its connection lives.

`admission` and `revocation` decide; this is where their words meet, and are asked for again once
rules, lists or the time have changed. Each verdict is one line in the journal.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from sasgate.admission import Outcome, Presented, Verdict, Verify, judge
from sasgate.generation import ListenerRules
from sasgate.identity import Identity
from sasgate.journal import Decision
from sasgate.revocation.chain import Chain
from sasgate.revocation.policy import Ruling, Status
from sasgate.revocation.ruling import Checked
from sasgate.settings import Address
from sasgate.surroundings import Surroundings


class Seat(Protocol):
    """A client's place among the connections of its listener."""

    def admitted(self) -> None:
        """Learn that the client is a stranger no longer."""

    def gone(self) -> None:
        """Learn that the connection is lost."""

    def cut(self, reason: str) -> None:
        """Drop the connection at once; `reason` is for the journal."""

    def drain(self) -> None:
        """Serve what is under way, and nothing after it."""


class Judgement:
    """What is thought of one client; `rules` gives what is in force on its listener.

    `verdict` refuses until the client was judged, and while OCSP is being asked.
    """

    _log = Logger("sasgate")

    def __init__(
        self,
        rules: Callable[[], ListenerRules],
        peer: Address,
        surroundings: Surroundings,
        place: Seat,
    ) -> None:
        self.verdict = Verdict(Outcome.UNAUTHORIZED, Verify.NONE, "no handshake was finished")
        self._rules = rules
        self._peer = peer
        self._wall = surroundings.wall
        self._journal = surroundings.journal
        self._checks = surroundings.checks
        self._place = place
        self._presented = Presented(None)
        self._chain: Chain | None = None
        self._judged_by: tuple[ListenerRules, int] | None = None
        self._judged_until: datetime | None = None
        self._asking: Deferred[Any] | None = None
        self._was_admitted = False
        self._gone = False

    def begin(self, presented: Presented) -> None:
        """Judge for the first time; where OCSP has to be asked, it is asked by now."""
        self._presented = presented
        self._judge()

    def current(self) -> Deferred[Any] | None:
        """Make the verdict one of this moment; a Deferred where that has to be waited for.

        It fires with nothing that matters: ask again then, since rules may have changed by then.
        """
        # Not while OCSP is asked: what changes meanwhile is looked at with its answer.
        if self._asking is None and not self._gone and self._must_judge():
            self._judge()
        return self._asking

    def _must_judge(self) -> bool:
        """Whether the verdict rests on what is no longer so: rules, lists, or the time."""
        if self._judged_by != self._in_force():
            return True
        return self._judged_until is not None and self._wall() > self._judged_until

    def _in_force(self) -> tuple[ListenerRules, int]:
        return self._rules(), self._checks.version

    def _judge(self) -> None:
        """Judge, or begin to: `_asking` is then there until OCSP has answered."""
        self._judged_by, self._judged_until = self._in_force(), None
        rules, _ = self._judged_by
        try:
            verdict = judge(self._presented, self._peer, rules.environments, self._wall())
            if verdict.outcome is not Outcome.ADMITTED or verdict.identity is None:
                self._conclude(rules, verdict)
            else:
                self._check(rules, verdict, verdict.identity)
        except Exception:
            # A judgement that raised is none, and is passed again before the next request (S3).
            self._judged_by = None
            raise

    def _check(self, rules: ListenerRules, verdict: Verdict, identity: Identity) -> None:
        """Ask about revocation, of those alone who would be admitted otherwise."""
        self.verdict = revocation_verdict(verdict, _NOT_YET_CHECKED)
        chain = self._known_chain()
        if chain is None:
            self._conclude(rules, revocation_verdict(verdict, _UNREADABLE_CHAIN))
            return
        self._checks.live.enter(chain, self)
        demands = rules.revocation[verdict.environment or ""]
        checked = self._checks.check(demands, chain, identity)
        if isinstance(checked, Deferred):
            self._asking = checked
            checked.addCallback(self._answered, rules, verdict).addErrback(self._not_checked)
        else:
            self._checked(checked, rules, verdict)

    def _known_chain(self) -> Chain | None:
        if self._chain is None:
            try:
                self._chain = Chain.read(self._presented.chain)
            except Exception as error:  # cryptography has a dozen ways to refuse an extension
                self._log.warn("a chain cannot be read: {kind}", kind=type(error).__name__)
        return self._chain

    def _answered(self, checked: Checked, rules: ListenerRules, verdict: Verdict) -> None:
        self._asking = None
        if self._gone:
            return
        if self._judged_by == self._in_force():
            self._checked(checked, rules, verdict)
        else:
            # Rules or lists have changed while OCSP was asked (S15).
            self._judge()

    def _checked(self, checked: Checked, rules: ListenerRules, verdict: Verdict) -> None:
        self._judged_until = checked.until
        self._conclude(rules, revocation_verdict(verdict, checked))

    def _not_checked(self, failure: Failure) -> None:
        self._log.failure("a judgement that waited for OCSP failed", failure)
        self._asking = self._judged_by = None

    def _conclude(self, rules: ListenerRules, verdict: Verdict) -> None:
        # First: nobody passes who is not in the journal.
        self._journal.decision(_decision(rules.name, self._peer, verdict))
        self.verdict = verdict
        if verdict.outcome is Outcome.ADMITTED:
            self._was_admitted = True
            self._place.admitted()

    def cut(self, reason: str) -> None:
        """End the connection now, whatever is under way: its certificate was revoked (S15).

        Of one that was never admitted nothing is under way, and its client is told so: it gets the
        401 of the judgement that it waits for, or that comes before its next request (S2).
        """
        if self._gone or not self._was_admitted:
            return
        self._gone = True
        revoked = evolve(
            self.verdict, outcome=Outcome.UNAUTHORIZED, verify=Verify.REVOKED, detail=reason
        )
        self.verdict = revoked
        self._place.cut(reason)
        decision = evolve(_decision(self._rules().name, self._peer, revoked), outcome="cut")
        self._journal.decision(decision)

    def review(self) -> None:
        """Look at rules that a reload has changed.

        Whom they deny loses the connection; who is no client any more, after the exchange under
        way. All else that they change is seen before the next request.
        """
        verdict = judge(self._presented, self._peer, self._rules().environments, self._wall())
        if verdict.verify is Verify.REVOKED:
            self.cut(verdict.detail)
        elif verdict.outcome is not Outcome.ADMITTED:
            self._place.drain()

    def closed(self) -> None:
        """The connection is lost: nobody waits any more."""
        self._gone = True
        if self._chain is not None:
            self._checks.live.leave(self._chain, self)
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()


def revocation_verdict(verdict: Verdict, checked: Checked) -> Verdict:
    """What becomes of an admission once revocation has been looked at."""
    if checked.ruling.status is Status.GOOD:
        detail = checked.ruling.reason if checked.ruling.disengaged else verdict.detail
        return evolve(verdict, detail=detail)
    revoked = checked.ruling.status is Status.REVOKED
    return evolve(
        verdict,
        outcome=Outcome.UNAUTHORIZED,
        verify=Verify.REVOKED if revoked else Verify.STATUS_UNKNOWN,
        detail=checked.ruling.reason,
    )


_NOT_YET_CHECKED = Checked(Ruling(Status.UNKNOWN, "revocation was not checked yet"))
_UNREADABLE_CHAIN = Checked(Ruling(Status.UNKNOWN, "its distribution points cannot be read"))


def _decision(listener: str, peer: Address, verdict: Verdict) -> Decision:
    identity = verdict.identity
    named = {} if identity is None else _named(identity)
    return Decision(
        listener=listener,
        environment=verdict.environment,
        peer=str(peer),
        outcome=verdict.outcome.value,
        verify=verdict.verify.value,
        detail=verdict.detail,
        **named,
    )


def _named(identity: Identity) -> dict[str, str]:
    return {
        "cn": identity.cn,
        "ou": identity.ou,
        "serial": identity.serial,
        "issuer": identity.issuer,
        "sha256": identity.sha256,
    }

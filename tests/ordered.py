"""A daemon that obeys nothing but its control folder: real files, a thread, and no other part."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cryptography import x509
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from sasgate.control import PERIOD, Control
from sasgate.identity import fingerprint
from sasgate.lab.pki import Lab
from sasgate.revocation.disengagement import Disengagements
from sasgate.revocation.orders import Orders
from sasgate.revocation.plan import Plan
from sasgate.revocation.source import SourceState


def plan_of(lab: Lab) -> Plan:
    """All CAs of a lab, by their files."""
    files = sorted((lab.directory / "ca").glob("*.cer"))
    cas = {path.stem: x509.load_der_x509_certificate(path.read_bytes()) for path in files}
    stems = {fingerprint(ca): stem for stem, ca in cas.items()}
    return Plan((), tuple(cas.values()), stems)


class Lists:
    """Stands for the store; `states` is what a refresh finds, None where it fails."""

    def __init__(self) -> None:
        self.states: tuple[SourceState, ...] | None = ()
        self.forgotten: list[tuple[str, str, str]] = []

    def refresh(self) -> Deferred[tuple[SourceState, ...]]:
        return fail(ZeroDivisionError()) if self.states is None else succeed(self.states)

    def forget(self, issuer: str, who: str, why: str) -> tuple[str, ...]:
        if issuer != "ACI-EL-ORG":
            raise LookupError(f"no CA is called {issuer}")
        self.forgotten.append((issuer, who, why))
        return ("CN=AC IGC-SANTE ELEMENTAIRE ORGANISATIONS",)


def _now() -> datetime:
    return datetime.now(UTC)


class ObedientDaemon:
    """Looks into `<state>/control` as fast as it can, in a thread of its own."""

    def __init__(self, state: Path, plan: Plan) -> None:
        self.lists = Lists()
        self.disengagements = Disengagements(
            Clock(), _now, state / "disengagement.json", None, lambda: None
        )
        self.orders = Orders(self.disengagements, self.lists, lambda: plan, _now)
        self._clock = Clock()
        self._control = Control(self._clock, state / "control", self.orders.handlers)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self.disengagements.open()
        self._control.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._control.stop()
        self.disengagements.close()

    def _run(self) -> None:
        while not self._stopped.wait(0.005):
            self._clock.advance(PERIOD)

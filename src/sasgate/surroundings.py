"""What all listeners of one gateway share."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import define, field

from sasgate.deadlines import Deadlines
from sasgate.journal import Journal
from sasgate.revocation.checks import Checks
from sasgate.settings import Limits


@define
class Surroundings:
    """Clocks, journal, time limits, revocation; `connections` counts those of all listeners.

    `strangers` are those of them whose client is not admitted, oldest first, by what ends each.

    `wall` gives the aware time of day, for validities; limits run on the reactor's clock (S60).
    """

    reactor: Any
    wall: Callable[[], datetime]
    journal: Journal
    deadlines: Deadlines
    limits: Limits
    checks: Checks
    connections: int = 0
    strangers: dict[object, Callable[[], None]] = field(factory=dict)

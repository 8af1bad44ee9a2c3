"""What a configuration may ask for and this version cannot do yet.

The daemon refuses to start on any of it: what was asked for is never left out in silence.
"""

from sasgate.errors import Fault
from sasgate.settings import Settings


def not_yet_available(settings: Settings) -> tuple[Fault, ...]:
    """A fault for each thing asked for."""
    if settings.admin is None:
        return ()
    reason, remedy = "the status page is not available yet", "remove the line until then"
    return (settings.fault("sasgate", "admin", settings.admin, reason, remedy),)

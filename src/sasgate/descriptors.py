"""How many files the gateway may have to open at once, and that so many are allowed."""

import resource

from twisted.logger import Logger

from sasgate import local_listener
from sasgate.admin import listener as admin_listener
from sasgate.generation import Generation
from sasgate.pool import MOST_IDLE
from sasgate.ports import wanted_ports


# Log, reactor, state folder, lists in memory, the child that verifies one, downloads, OCSP.
_BESIDES = 128


def needed(generation: Generation) -> int:
    """The most descriptors that what is in force may take up.

    A connection of SAS has one to a backend beside it; each server may have some kept ones.
    """
    settings = generation.settings
    of_applications = local_listener.MOST_CONNECTIONS + local_listener.MOST_CALLS
    return (
        2 * settings.limits.connections
        + len(settings.outbounds) * of_applications
        + (admin_listener.MOST_CONNECTIONS if settings.admin is not None else 0)
        + len(generation.servers) * MOST_IDLE
        + len(wanted_ports(settings))
        + _BESIDES
    )


def allow(most: int, log: Logger) -> None:
    """Raise the limit of open files to `most`; where it cannot be, say what then is to be done."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Which is -1, and less than all others.
    if soft == resource.RLIM_INFINITY or soft >= most:
        return
    soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < most:
        log.warn(
            "only {soft} open files are allowed, {needed} are needed for all connections that the"
            " gateway admits: raise LimitNOFILE, or lower [limits] connections",
            soft=soft,
            needed=most,
        )

"""Keys stay in the memory of the process that holds them (S57)."""

import ctypes
import os
import resource

from twisted.logger import Logger


_PR_SET_DUMPABLE = 4  # linux/prctl.h


def forbid_cores(log: Logger) -> None:
    """Leave no core when the process dies, and let no other of the same user read its memory.

    The limit alone does not hold where kernel.core_pattern is a pipe, core(5); and the child that
    reads a hostile list runs as the same user. Children are as any process once they execute. What
    it costs: /proc/self/fd is root's, where the service is not.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        reason = os.strerror(ctypes.get_errno())
        log.warn("a core of this process would hold its keys: {reason}", reason=reason)

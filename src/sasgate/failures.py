"""What went wrong with a connection or a file, in words for whoever reads the log."""

import os

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.python.failure import Failure

from sasgate.log_format import escaped


def why(failure: Failure) -> str:
    """The reason, without what is for programmers only; one line of printable ASCII."""
    error = failure.value
    if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list):
        return escaped("; ".join(str(entry[-1]) for entry in error.args[0])) or _LEFT
    if failure.check(ConnectionDone, ConnectionLost):
        return _LEFT
    if isinstance(error, ConnectTimeout):
        return escaped(str(*error.args[:1])) or "no connection in time"
    number = getattr(error, "osError", None)
    if isinstance(number, int):
        return os.strerror(number)
    return escaped(failure.getErrorMessage()).rstrip(".") or type(error).__name__


_LEFT = "the peer left"


def unread(error: OSError) -> str:
    """Why a file cannot be read, as it is said of the file."""
    match error:
        case FileNotFoundError():
            return "does not exist"
        case IsADirectoryError():
            return "is a directory"
        case PermissionError():
            return "cannot be read by this user"
        case OSError(errno=0):  # ours, which says it all
            return error.strerror or ""
        case _:
            return f"cannot be read: {error.strerror or error}"

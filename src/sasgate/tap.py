"""What `twistd sasgate` runs: its options, and the service made of them."""

import gc
import sys
import time
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from twisted.application.service import IService
from twisted.internet.interfaces import IReactorCore
from twisted.logger import Logger
from twisted.python import usage

from sasgate.errors import ConfigError
from sasgate.no_cores import forbid_cores
from sasgate.service import Gateway
from sasgate.settings import LogFormat
from sasgate.startup import load_all


class Options(usage.Options):
    """`-c FILE`; the whole configuration is validated here, before twistd does anything."""

    synopsis = "--config FILE"
    longdesc = (
        "Mutual-TLS gateway between an editor and the SAS platform; see `sasgate check FILE`."
    )
    optParameters = (("config", "c", None, "The configuration file."),)  # noqa: N815

    def postOptions(self) -> None:
        """Load and check everything that the configuration names; exits with 1 on any fault."""
        if self["config"] is None:
            raise usage.UsageError("name the configuration: twistd sasgate -c FILE")
        try:
            self["settings"], self["trust"] = load_all(self["config"], datetime.now(UTC))
        except ConfigError as error:
            for fault in error.faults:
                print(f"sasgate: {fault}", file=sys.stderr)
            # UsageError would print all of twistd's options above the faults.
            raise SystemExit(1) from None
        if self["settings"].log.format is LogFormat.JSON and not _writes_to_stdout(self.parent):
            print(
                "sasgate: [log] format = json goes to standard output: start twistd with --nodaemon"
                " and without --logfile, --syslog and --logger",
                file=sys.stderr,
            )
            raise SystemExit(1)


def _writes_to_stdout(twistd: Mapping[str, object] | None) -> bool:
    """Whether twistd's own options leave the log to standard output; anything else loses it."""
    if twistd is None:
        return True
    elsewhere = [twistd.get(name) for name in ("logfile", "syslog", "logger")]
    return bool(twistd.get("nodaemon")) and not any(elsewhere)


def _set_apart() -> None:
    """Have the garbage collector leave the program itself alone.

    It would look at its 60 000 objects again and again, and no request goes on for those 8 ms.
    """
    gc.collect()
    gc.freeze()


def makeService(options: Options) -> IService:
    """The service; named by Twisted."""
    from twisted.internet import reactor  # noqa: PLC0415 - twistd has chosen it only by now

    # What cryptography finds odd in a stranger's certificate is judged, not worth a line of log.
    warnings.simplefilter("ignore", UserWarning)
    forbid_cores(Logger("sasgate"))
    # Timers must not follow the clock on the wall (S60); Twisted's follow `seconds`.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    cast("IReactorCore", reactor).callWhenRunning(_set_apart)
    to_stdout = _writes_to_stdout(options.parent)
    return Gateway(options["settings"], options["trust"], reactor, to_stdout=to_stdout)

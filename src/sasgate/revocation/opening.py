"""What stands before the lists are kept current: files that must be usable, the hour to ask at."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from sasgate.failures import unread
from sasgate.log_format import escaped
from sasgate.revocation.asking import Asking, BeingWritten
from sasgate.revocation.holdings import NotNewer
from sasgate.revocation.intake import Intake, InThread
from sasgate.revocation.loading import LoadFailed
from sasgate.revocation.plan import Plan
from sasgate.revocation.refusal import ListRefused
from sasgate.revocation.schedule import draw_offset
from sasgate.revocation.shelf import Shelf, open_regular
from sasgate.revocation.source import Source
from sasgate.revocation.watch import UnusableSource, files_of, is_url


# How often, a second apart, a file that is being written is looked at before the start gives up.
_LOOKS = 3

_log = Logger("sasgate.revocation")


async def first_look(
    asking: Asking,
    source: Source,
    clock: IReactorTime,
    pause: Callable[[float], Awaitable[object]],
) -> None:
    """Take the list of a file at the start; an older one than is held is an alarm (S19).

    Raises:
        UnusableSource: it gives none that could be used (S1).
    """
    for _ in range(_LOOKS):
        began = clock.seconds()
        try:
            await asking.read(source)
        except BeingWritten:
            await pause(1.0)
        except NotNewer as error:
            await asking.failed(source, error, began)
            return
        except (ListRefused, LoadFailed) as error:
            raise UnusableSource(Path(source.name), str(error)) from error
        else:
            return
    raise UnusableSource(Path(source.name), "is being written")


async def examine(intake: Intake, plan: Plan) -> None:
    """Whether the files and folders of a plan give lists of its CAs; puts none in force.

    Raises:
        UnusableSource: the first that doesn't.
    """
    folders = [Path(text) for text in plan.sources if not is_url(text)]
    for path in [path for folder in folders for path in files_of(folder)]:
        try:
            with open_regular(path) as file:
                await intake.judge(file.fileno(), plan.authorities)
        except OSError as error:
            raise UnusableSource(path, unread(error)) from error
        except (ListRefused, LoadFailed) as error:
            raise UnusableSource(path, str(error)) from error


async def installations_offset(
    shelf: Shelf, in_thread: InThread, draw: Callable[[], float]
) -> timedelta:
    """How long after 07:00 this installation asks: drawn once, and kept."""
    try:
        kept: timedelta | None = await in_thread(shelf.offset)
    except (OSError, ValueError) as error:
        _log.warn("the hour of downloads is drawn anew: {error}", error=escaped(str(error)))
        kept = None
    if kept is not None:
        return kept
    offset = draw_offset(draw)
    try:
        await in_thread(partial(shelf.set_offset, offset))
    except OSError as error:
        _log.warn("the hour of downloads is not kept: {error}", error=escaped(str(error)))
    return offset

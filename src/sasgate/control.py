"""The control folder: what commands ask of the running daemon, and nobody else (S58).

Nothing can be changed through HTTP. A command leaves a file in `<state>/control`, the daemon looks
there twice a second and answers by a file. Only what root or the service's own user can have
written is obeyed; whatever else lies there is ignored, with one alarm.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from sasgate.atomic import write_atomically
from sasgate.control_asking import NotAnswered, ask
from sasgate.control_messages import (
    ANSWER,
    LARGEST_REQUEST,
    REQUEST,
    TAKEN,
    Answer,
    Malformed,
    Request,
    decode_request,
    encode_answer,
    file_name,
    is_ours,
    read_name,
)
from sasgate.log_format import escaped
from sasgate.trusted_files import (
    Untrusted,
    check_folder,
    opened_folder,
    own_users,
    read_trusted,
)


__all__ = ["Answer", "Control", "Handler", "NotAnswered", "Request", "ask"]

Handler = Callable[[Request], Answer | Deferred[Answer]]

# Seconds between two looks; for which a request counts, and files that nobody fetched are kept.
PERIOD = 0.5
OLDEST = 60.0

_FOLDER_MODE = 0o750
_ANSWER_MODE = 0o644
# Requests of one look, so that a full folder doesn't stop the traffic.
_AT_ONCE = 16
_REMEMBERED = 1000


def _now() -> datetime:
    return datetime.now(UTC)


class Control:
    """Obeys what commands ask; `handlers` by command.

    A handler that raises, or that knows no better, refuses; it never ends the looking.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        folder: Path,
        handlers: Mapping[str, Handler],
        *,
        wall: Callable[[], datetime] = _now,
    ) -> None:
        self._folder = folder
        self._handlers = handlers
        self._wall = wall
        self._log = Logger("sasgate.control")
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor
        # What was complained of, by the name of the file; the folder itself has none.
        self._alarms: dict[str, str] = {}
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._working: dict[str, Deferred[Answer]] = {}

    def start(self) -> None:
        """Begin to look; the folder is made where there is none."""
        self._loop.start(PERIOD)

    def stop(self) -> None:
        """Look no more; whoever still waits for an answer is told that the daemon stops."""
        if self._loop.running:
            self._loop.stop()
        for work in list(self._working.values()):
            work.cancel()

    def _look(self) -> None:
        try:
            with suppress(FileExistsError):
                self._folder.mkdir(_FOLDER_MODE)
            with opened_folder(self._folder, follow=False) as folder:
                check_folder(folder, own_users())
                self._alarms.pop("", None)
                self._serve(folder)
        except Untrusted as error:
            self._alarm("", f"{error}, so nothing in it is obeyed")
        except OSError as error:
            self._alarm("", f"cannot be used: {error.strerror}")
        except Exception:
            # Or this loop would end, and with it every way to control the daemon.
            self._log.failure("looking into the control folder failed")

    def _serve(self, folder: int) -> None:
        names = sorted(os.listdir(folder))
        self._alarms = {name: why for name, why in self._alarms.items() if name in names}
        for name in names:
            if is_ours(name):
                self._tidy(folder, name)
        requests = [name for name in names if (read_name(name) or ("", ""))[1] == REQUEST]
        for name in [each for each in requests if each not in self._alarms][:_AT_ONCE]:
            self._take(folder, name)

    def _take(self, folder: int, name: str) -> None:
        request_id = name.partition(".")[0]
        taken = file_name(request_id, TAKEN)
        try:
            content = read_trusted(folder, name, LARGEST_REQUEST, own_users())
            request = decode_request(content, request_id)
            written = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
            os.rename(name, taken, src_dir_fd=folder, dst_dir_fd=folder)
        except FileNotFoundError:
            return  # withdrawn
        except (Untrusted, Malformed) as error:
            self._alarm(name, str(error))
            return
        except OSError as error:
            self._alarm(name, f"cannot be taken: {error.strerror}")
            return
        if request_id in self._taken:
            self._log.warn("control request {name} comes a second time", name=name)
            self._remove(folder, taken)
            return
        self._remember(request_id)
        self._obey(request, datetime.fromtimestamp(written, UTC))

    def _remember(self, request_id: str) -> None:
        self._taken[request_id] = None
        if len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)

    def _obey(self, request: Request, written: datetime) -> None:
        self._log.info(
            "control: {who} asks to {command}", who=escaped(request.who), command=request.command
        )
        work = Deferred.fromCoroutine(self._answer(request, written))
        self._working[request.id] = work
        work.addErrback(self._failed).addCallback(self._write, request)
        work.addErrback(lambda failure: self._log.failure("answering failed", failure))

    async def _answer(self, request: Request, written: datetime) -> Answer:
        now = self._wall()
        ages = [abs((now - time).total_seconds()) for time in (request.when, written)]
        if max(ages) > OLDEST:
            return Answer(ok=False, text=f"too old: asked {request.when.isoformat()}")
        handler = self._handlers.get(request.command)
        if handler is None:
            return Answer(ok=False, text=f"{request.command}: no command of this daemon")
        answer = handler(request)
        answer = await answer if isinstance(answer, Deferred) else answer
        # An answer that nobody can read must not look like a daemon that fell silent.
        encode_answer(answer, os.getpid())
        return answer

    def _failed(self, failure: Failure) -> Answer:
        if failure.check(CancelledError):
            return Answer(ok=False, text="the daemon is stopping")
        self._log.failure("a control request failed", failure)
        return Answer(ok=False, text="failed; the log of the daemon says why")

    def _write(self, answer: Answer, request: Request) -> None:
        self._working.pop(request.id, None)
        content = encode_answer(answer, os.getpid())
        try:
            with opened_folder(self._folder, follow=False) as folder:
                check_folder(folder, own_users())
                name = file_name(request.id, ANSWER)
                write_atomically(folder, name, content, _ANSWER_MODE)
                self._remove(folder, file_name(request.id, TAKEN))
        except (OSError, Untrusted) as error:
            self._log.error(
                "control: the answer to {command} cannot be written: {reason}",
                command=request.command,
                reason=escaped(str(error)),
            )

    def _tidy(self, folder: int, name: str) -> None:
        """Remove what nobody has fetched or taken; requests are never removed, but answered."""
        found = read_name(name)
        if found is not None and (found[1] == REQUEST or found[0] in self._working):
            return
        with suppress(OSError):
            written = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
            if abs(self._wall().timestamp() - written) > OLDEST:
                self._remove(folder, name)

    def _remove(self, folder: int, name: str) -> None:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)

    def _alarm(self, name: str, reason: str) -> None:
        if self._alarms.get(name) == reason:
            return
        self._alarms[name] = reason
        self._log.critical(
            "control: {path} is ignored: {reason}",
            path=self._folder / name,
            reason=escaped(reason),
        )

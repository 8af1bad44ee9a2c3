"""Load one list in a child process, which keeps hostile bytes and long work out of the daemon.

The child (`child.py`) gets the list in a descriptor and an empty memfd for the index, nothing else
of ours: no other descriptor, no environment, no working directory on its path. What it hands over
is taken only when it exited with 0 and the index has the length and hash that its answer names; the
memfd is then sealed and mapped for reading. Whatever else happens is a `LoadFailed` (S24, S26).

Measured with 1 000 000 entries, 35 MB of DER from a file: 2.0 s, 102 MiB in the child (115 where
each entry has a reason, 174 for PEM), 20 MiB of memfd in the daemon, whose reactor was held up for
1.2 ms at the most.
"""

import fcntl
import hashlib
import mmap
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import attr
import cryptography
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

import sasgate
from sasgate.revocation import child
from sasgate.revocation.answer import Answer, Request, decode_answer
from sasgate.revocation.crl import LoadedList
from sasgate.revocation.serials import WIDTH, Serials


# What the reactor is held up for at once: about 0.2 ms.
_STEP = 1 << 18
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
# Isolated (-I), the interpreter looks at no environment and adds no working directory to its path;
# what it needs of ours is named, wherever that was found. -B, since a child that reaches its limit
# of file size would leave half a .pyc behind, which nothing could then be imported from.
_BOOT = "import sys; sys.path += sys.argv[1:]; from sasgate.revocation.child import main; main()"
_OPTIONS = ("-I", "-B", "-W", "ignore", "-c", _BOOT)
_PACKAGES = (sasgate, cryptography, attr)


@frozen
class LoadLimits:
    """What one list may cost.

    `size` in bytes of the list as it comes; `seconds` of the clock, and of CPU; `memory` in bytes
    of address space, code included; `answer` in bytes, without the index.
    """

    size: int = 64 * 1024 * 1024
    seconds: float = 120.0
    memory: int = 512 * 1024 * 1024
    answer: int = 64 * 1024


class LoadFailure(Enum):
    """Why nothing is known of a list; the value is for people."""

    TOO_LARGE = "the list is too large"
    NO_ROOM = "files or memory are lacking"
    NOT_STARTED = "the child process could not be started"
    TOO_SLOW = "the child process took too long"
    DIED = "the child process died"
    BAD_ANSWER = "the child process did not answer properly"


class LoadFailed(Exception):
    """No judgement on a list was reached; the one that is held stays."""

    def __init__(self, reason: LoadFailure, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail


def child_command() -> tuple[str, ...]:
    """The program and its arguments."""
    folders = dict.fromkeys(str(Path(_file(package)).parents[1]) for package in _PACKAGES)
    return (sys.executable, *_OPTIONS, *folders)


def load_list(
    reactor: Any,
    source: bytes | int,
    authorities: Sequence[x509.Certificate],
    now: datetime,
    *,
    limits: LoadLimits | None = None,
    command: Sequence[str] | None = None,
) -> Deferred[LoadedList]:
    """Verify and index a list, DER or PEM, as `crl.verify_list` does, in a child process.

    `source` is the list, or better the descriptor of a regular file that holds it: its bytes are
    then never in the daemon. It is read from its beginning, must stay open and unchanged until the
    Deferred fires, and isn't closed. `now` is aware. `command` is for tests.

    The Deferred fails with `ListRefused` (the list is judged and bad) or `LoadFailed` (it could not
    be judged). When cancelled it kills the child, waits for its end and fails with CancelledError.
    """
    loading = _Loading(reactor, limits or LoadLimits(), command or child_command())
    return Deferred.fromCoroutine(loading.load(source, authorities, now))


@frozen
class _Ended:
    """How a child ended; `stopped` is why it was killed, if it was by us."""

    code: int | None
    signal: int | None
    stopped: LoadFailure | None
    answer: bytes
    complaint: str


class _Child(ProcessProtocol):
    """Sends the request, gathers the answer, and tells of the end."""

    transport: IProcessTransport

    def __init__(self, request: bytes, longest: int) -> None:
        self._request = request
        self._longest = longest
        self._answer = b""
        self._complaint = b""
        self._stopped: LoadFailure | None = None
        self._ended: _Ended | None = None
        self._waiting: list[Deferred[_Ended]] = []

    def connectionMade(self) -> None:
        self.transport.writeToChild(0, self._request)
        self.transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == 1:
            self._answer += data
            if len(self._answer) > self._longest:
                self.stop(LoadFailure.BAD_ANSWER)
        else:
            self._complaint = (self._complaint + data)[-1000:]

    def stop(self, reason: LoadFailure | None = None) -> None:
        """Kill it; the first reason given is the one that is told."""
        self._stopped = self._stopped or reason
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def processEnded(self, reason: Failure) -> None:
        status: Any = reason.value
        complaint = self._complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
        self._ended = _Ended(status.exitCode, status.signal, self._stopped, self._answer, complaint)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self._ended)

    def ended(self) -> Deferred[_Ended]:
        """Fires when the process was reaped and all that it wrote was read."""
        waiting: Deferred[_Ended] = Deferred(self._waiting.remove)
        if self._ended is None:
            self._waiting.append(waiting)
        else:
            waiting.callback(self._ended)
        return waiting


class _Mapped(mmap.mmap):
    """An index; a thread gives its memory back, since that takes 3 ms for a million entries."""

    _reactor: Any
    _kept: int | None = None

    @classmethod
    def of(cls, index: int, length: int, reactor: Any) -> "_Mapped":
        # Private, since kernels before 6.7 refuse to share a sealed file even for reading only.
        mapped = cls(index, length, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
        # Whoever closes a file last frees its pages.
        mapped._reactor, mapped._kept = reactor, os.dup(index)
        return mapped

    def __del__(self) -> None:
        self.close()
        if self._kept is not None:
            self._reactor.callInThread(os.close, self._kept)


@frozen
class _Loading:
    reactor: Any
    limits: LoadLimits
    command: Sequence[str]

    async def load(
        self, source: bytes | int, authorities: Sequence[x509.Certificate], now: datetime
    ) -> LoadedList:
        size = len(source) if isinstance(source, bytes) else os.fstat(source).st_size
        if size > self.limits.size:
            raise LoadFailed(LoadFailure.TOO_LARGE, f"{size} bytes, {self.limits.size} at most")
        request = Request([ca.public_bytes(Encoding.DER) for ca in authorities], now, size)
        try:
            return await self._indexed(request, source)
        except OSError as error:
            # Which says nothing of the list.
            raise LoadFailed(LoadFailure.NO_ROOM, str(error)) from error

    async def _indexed(self, request: Request, source: bytes | int) -> LoadedList:
        index = os.memfd_create("sasgate-index", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            if not isinstance(source, bytes):
                return await self._judged(request, source, index)
            copy = os.memfd_create("sasgate-list", os.MFD_CLOEXEC)
            try:
                await self._write(copy, source)
                return await self._judged(request, copy, index)
            finally:
                os.close(copy)
        finally:
            os.close(index)

    async def _write(self, descriptor: int, data: bytes) -> None:
        for at in range(0, len(data), _STEP):
            os.pwrite(descriptor, data[at : at + _STEP], at)
            await self._turn()

    async def _judged(self, request: Request, source: int, index: int) -> LoadedList:
        answer = _answer_of(await self._run(request, source, index))
        return LoadedList(answer.facts, Serials(await self._mapped(index, answer)))

    async def _run(self, request: Request, source: int, index: int) -> _Ended:
        limits = {
            "memory": self.limits.memory,
            "seconds": int(self.limits.seconds) + 1,
            # The shortest entry has 20 bytes, and each takes `WIDTH` of the index.
            "index": 2 * self.limits.size,
            "core": 0,
        }
        protocol = _Child(request.encode(limits), self.limits.answer)
        descriptors = {0: "w", 1: "r", 2: "r", child.LIST: source, child.INDEX: index}
        try:
            self.reactor.spawnProcess(
                protocol, self.command[0], self.command, env={}, childFDs=descriptors
            )
        except OSError as error:
            raise LoadFailed(LoadFailure.NOT_STARTED, str(error)) from error
        timer = self.reactor.callLater(self.limits.seconds, protocol.stop, LoadFailure.TOO_SLOW)
        try:
            return await protocol.ended()
        except CancelledError:
            protocol.stop()
            await protocol.ended()
            raise
        finally:
            if timer.active():
                timer.cancel()

    async def _mapped(self, index: int, answer: Answer) -> bytes | mmap.mmap:
        # Sealing fails while anybody could still write through a mapping of theirs.
        try:
            fcntl.fcntl(index, fcntl.F_ADD_SEALS, _SEALS)
        except OSError as error:
            raise LoadFailed(LoadFailure.BAD_ANSWER, f"the index is in use: {error}") from error
        length = os.fstat(index).st_size
        if length != answer.length or length % WIDTH:
            raise LoadFailed(
                LoadFailure.BAD_ANSWER, f"an index of {length} bytes instead of {answer.length}"
            )
        if await self._sha256(index, length) != answer.sha256:
            raise LoadFailed(LoadFailure.BAD_ANSWER, "the index is not the one it speaks of")
        return _Mapped.of(index, length, self.reactor) if length else b""

    async def _sha256(self, index: int, length: int) -> str:
        # Read, and not by the mapping, where each page that was looked at takes time to give back.
        digest = hashlib.sha256()
        for at in range(0, length, _STEP):
            digest.update(os.pread(index, _STEP, at))
            await self._turn()
        return digest.hexdigest()

    async def _turn(self) -> None:
        await deferLater(self.reactor, 0)


def _answer_of(ended: _Ended) -> Answer:
    if ended.stopped is not None:
        raise LoadFailed(ended.stopped, ended.complaint)
    if ended.code != 0:
        how = f"signal {ended.signal}" if ended.signal else f"exit code {ended.code}"
        raise LoadFailed(LoadFailure.DIED, ": ".join(filter(None, (how, ended.complaint))))
    try:
        return decode_answer(ended.answer)
    except ValueError as error:
        raise LoadFailed(LoadFailure.BAD_ANSWER, str(error)[:500]) from error


def _file(package: Any) -> str:
    return str(package.__file__)

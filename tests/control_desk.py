"""A control folder with a daemon behind it, whose time the test makes."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sasgate.control import PERIOD, Control
from sasgate.control_messages import (
    ANSWER,
    REQUEST,
    Answer,
    Request,
    decode_answer,
    encode_request,
    file_name,
)


BEGINNING = datetime(2026, 8, 7, 12, tzinfo=UTC)


class Desk:
    """`obeyed` are the requests that reached the handler of "go", which answers `says`."""

    def __init__(self, state: Path, says: Callable[[Request], Any] | None = None) -> None:
        self.folder = state / "control"
        self.clock = Clock()
        self.obeyed: list[Request] = []
        self._says = says or (lambda request: Answer(ok=True, text="gone"))
        self.control = self.make()
        self.control.start()

    def make(self) -> Control:
        return Control(self.clock, self.folder, {"go": self._go}, wall=self.wall)

    def restart(self) -> None:
        self.control.stop()
        self.control = self.make()
        self.control.start()

    def wall(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.clock.seconds())

    def _go(self, request: Request) -> Answer | Deferred[Answer]:
        self.obeyed.append(request)
        answer: Answer | Deferred[Answer] = self._says(request)
        return answer

    def request(self, command: str = "go", **changes: Any) -> Request:
        return evolve(Request(command, {}, "bob (uid 0)", self.wall()), **changes)

    def put(self, request: Request, content: bytes | None = None, mode: int = 0o644) -> Path:
        """Leave a request's file as a command does, whole at once."""
        path = self.path(request)
        self.write(path, encode_request(request) if content is None else content, mode)
        return path

    def write(self, path: Path, content: bytes, mode: int = 0o644) -> None:
        path.write_bytes(content)
        path.chmod(mode)
        self.date(path)

    def date(self, path: Path, age: float = 0.0) -> None:
        written = self.wall().timestamp() - age
        os.utime(path, (written, written), follow_symlinks=False)

    def path(self, request: Request, kind: str = REQUEST) -> Path:
        return self.folder / file_name(request.id, kind)

    def look(self) -> None:
        self.clock.advance(PERIOD)

    def answer(self, request: Request) -> Answer | None:
        path = self.path(request, ANSWER)
        return decode_answer(path.read_bytes()) if path.exists() else None

    def asked(self, request: Request) -> Answer:
        """The answer to a request, at the next look."""
        self.put(request)
        self.look()
        answer = self.answer(request)
        assert answer is not None
        return answer

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

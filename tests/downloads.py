"""Downloads from servers of the test's own, watched for what they leave behind."""

import os
from collections.abc import Awaitable
from typing import IO

from twisted.internet.defer import Deferred

from sasgate.revocation import download
from sasgate.revocation.download import (
    Downloaded,
    Downloader,
    DownloadFailed,
    DownloadProblem,
    NotModified,
    Validators,
)
from sasgate.settings import Limits
from web_talk import Server, Talk, TalkCase, Talker


LIST = b"0\x82\x01\x00" + bytes(range(256))
NOTHING_HELD = Validators()

_IN_MEMORY = download.in_memory

Got = Downloaded | NotModified


class DownloadCase(TalkCase):
    def setUp(self) -> None:
        super().setUp()
        self.files: list[IO[bytes]] = []
        self.patch(download, "in_memory", self._new_file)
        self.downloader = self.make()
        self.addCleanup(self._close)

    def _new_file(self) -> IO[bytes]:
        self.files.append(_IN_MEMORY())
        return self.files[-1]

    def _close(self) -> None:
        for file in self.files:
            file.close()

    def make(self, limits: Limits | None = None, proxy: str | None = None) -> Downloader:
        return Downloader(self.time, limits or Limits(), proxy)

    def get(self, server: Server, validators: Validators = NOTHING_HELD) -> Deferred[Got]:
        return self.downloader.get(f"http://crl.lab.invalid:{server.port}/a.crl", validators)

    async def content(self, getting: Awaitable[Got]) -> bytes:
        """What was downloaded, as a child process reads it; nothing else is left."""
        got = await getting
        assert isinstance(got, Downloaded)
        descriptor = got.file.fileno()
        assert os.fstat(descriptor).st_size == got.size
        assert os.fstat(descriptor).st_nlink == 0
        assert self.time.getDelayedCalls() == []
        return os.pread(descriptor, got.size + 1, 0)

    async def failure(self, getting: Awaitable[Got]) -> DownloadFailed:
        """How it failed; no timer, no open file and no name of one are left."""
        try:
            got = await getting
        except DownloadFailed as error:
            self.nothing_left()
            return error
        raise AssertionError(f"came: {got}")

    def nothing_left(self) -> None:
        assert self.time.getDelayedCalls() == []
        assert all(file.closed for file in self.files)

    async def refused(
        self, talk: Talk, kind: DownloadProblem, validators: Validators = NOTHING_HELD
    ) -> DownloadFailed:
        """The failure of what a server says; it was asked once and hung up on."""
        server = self.serve(talk)
        error = await self.failure(self.get(server, validators))
        assert error.kind is kind, error
        assert len(server.requests) == 1
        await server.all_lost()
        return error


class Endless:
    """Says something, then the same piece until nobody listens any more, counting."""

    def __init__(self, head: bytes, piece: bytes) -> None:
        self._head = head
        self._piece = piece
        self.sent = 0

    def __call__(self, talker: Talker) -> None:
        self._talker = talker
        talker.send(self._head)
        talker.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self._talker.send(self._piece)
        self.sent += len(self._piece)

    def stopProducing(self) -> None:
        pass

"""A gateway and a backend inside the test's own reactor, so that a test can break a part of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from calling import PATIENCE, platform
from processes import write_ini
from sasgate.config import load
from sasgate.generation import load_trust
from sasgate.lab.backend import Backend
from sasgate.lab.pki import Lab
from sasgate.lab.platform import Call, Result
from sasgate.service import Gateway


reactor: Any = _reactor


class GatewayWithin(TestCase):
    """`start` makes the gateway; whoever patches what makes contexts does so before."""

    timeout = PATIENCE
    lab: Lab
    folder: Path

    @pytest.fixture(autouse=True)
    def _surrounded(self, lab: Lab, tmp_path: Path) -> None:
        self.lab, self.folder = lab, tmp_path

    async def start(self) -> Gateway:
        self.backend = Backend(reactor)
        listening = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(self.backend)
        self.addCleanup(listening.stopListening)
        backend = f"http://127.0.0.1:{listening.getHost().port}"
        ini = write_ini(self.lab, self.folder, backend)
        settings = load(ini)
        self.gateway = Gateway(settings, load_trust(settings, datetime.now(UTC)), reactor)
        self.gateway.privilegedStartService()
        self.gateway.startService()
        self.addCleanup(self.stop)
        return self.gateway

    async def stop(self) -> None:
        """Stop the gateway, unless the test did."""
        if self.gateway.running:
            await self.gateway.stopService()

    def port(self, listener: str = "inbound") -> int:
        return next(
            each.port.getHost().port
            for each in self.gateway.listeners.ports
            if each.listener == listener
        )

    def call(self, call: Call, client: str | None = "recette", **more: Any) -> Deferred[Result]:
        """One call, from a thread: the client is a blocking one."""
        caller = platform(self.lab, self.port(), client, **more)
        return deferToThread(caller.send, call)

"""treq, which is what the project's own tools call with, as a client of the gateway."""

import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import treq
from treq.client import HTTPClient
from twisted.internet import reactor, ssl
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from gateways import gateway
from raw_backend import Peer, RawBackend, echo
from sasgate.lab.pki import Lab


@implementer(IPolicyForHTTPS)
class _Platform:
    """Presents recette's certificate, and trusts the lab's public root."""

    def __init__(self, lab: Lab) -> None:
        root = ssl.Certificate.loadPEM(lab.public_root.read_bytes())
        self._trust = ssl.trustRootFromCertificates([root])
        self._certificate = ssl.PrivateCertificate.loadPEM(lab.path_of("recette").read_bytes())

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        return ssl.optionsForClientTLS(
            hostname.decode("ascii"), trustRoot=self._trust, clientCertificate=self._certificate
        )


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
class TreqTests(TestCase):
    backend: RawBackend
    url: str
    client: HTTPClient

    @pytest.fixture(autouse=True)
    def _gateway(self, lab: Lab, tmp_path: Path) -> Iterator[None]:
        with (
            RawBackend() as self.backend,
            gateway(lab, tmp_path, {"backend": self.backend.url}) as process,
        ):
            self.url = f"https://localhost:{process.port()}"
            self.policy = _Platform(lab)
            yield
            assert self.backend.faults == []

    def setUp(self) -> None:
        pool = HTTPConnectionPool(reactor)
        pool.retryAutomatically = False
        self.addCleanup(pool.closeCachedConnections)
        self.client = HTTPClient(Agent(reactor, contextFactory=self.policy, pool=pool))

    async def test_calls_one_after_another(self) -> None:
        for number in range(5):
            response = await self.client.get(f"{self.url}/{number}")
            assert (response.code, await treq.content(response)) == (200, b"/%d" % number)
        assert self.backend.accepted == 1

    async def test_many_calls_at_once(self) -> None:
        responses = await gatherResults(
            [self.client.get(f"{self.url}/{number}") for number in range(50)]
        )
        bodies = await gatherResults([treq.content(each) for each in responses])
        assert bodies == [b"/%d" % number for number in range(50)]

    async def test_a_head(self) -> None:
        response = await self.client.head(f"{self.url}/a")
        assert (response.code, await treq.content(response)) == (200, b"")

    async def test_a_large_body_up_and_down(self) -> None:
        body = b"0123456789abcdef" * 500_000

        def script(peer: Peer) -> None:
            while (seen := peer.request()) is not None:
                peer.answer(seen.body)

        self.backend.follows(script)
        response = await self.client.put(f"{self.url}/a", data=BytesIO(body))
        answer = await treq.content(response)
        assert hashlib.sha256(answer).digest() == hashlib.sha256(body).digest()

    async def test_json(self) -> None:
        self.backend.follows(echo)
        response = await self.client.post(f"{self.url}/a", json={"resourceType": "Slot"})
        assert response.code == 200
        await treq.content(response)
        assert self.backend.requests[-1].values("Content-Type") == [
            "application/json; charset=UTF-8"
        ]

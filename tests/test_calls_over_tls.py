"""A call over TLS to a server that does not close when HTTP says that the connection is over."""

import pytest
from twisted.internet.error import ConnectionDone

from sasgate.lab.pki import Lab
from sasgate.revocation.ocsp_client import OCSPClient
from sasgate.settings import Limits
from web_talk import TalkCase, Talker, http


class MuteTests(TalkCase):
    @pytest.fixture(autouse=True)
    def _given(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        monkeypatch.setenv("SSL_CERT_FILE", str(lab.public_root))

    async def test_the_connection_is_dropped(self) -> None:
        """Or a responder could keep one more open with every answer."""

        def talk(talker: Talker) -> None:
            talker.send(http(b"answer", "200 OK", "Connection: close"))
            talker.transport.pauseProducing()

        server = self.secure(self.lab, talk)
        client = OCSPClient(self.time, Limits())
        assert await client.ask(f"https://localhost:{server.port}/", b"question") == b"answer"
        (talker,) = server.talkers
        talker.transport.resumeProducing()
        await server.all_lost()
        (end,) = server.endings
        assert not end.check(ConnectionDone)

"""What breaks inside refuses, over real sockets: S2's mutation and S3's exceptions."""

from typing import Any
from unittest.mock import patch

from OpenSSL import SSL

import sasgate.inbound
import sasgate.judgement
import sasgate.listener
from calling import CHECK, SLOT, TLS_1_2, TLS_1_3, answered
from sasgate.inbound import InboundSite
from sasgate.journal import Journal
from sasgate.lab.platform import NoResponse, Response
from sasgate.tls import HandshakeRecord, server_connection
from within import GatewayWithin


class Odd(Exception):
    """What nobody expects."""


def fail(*_: object, **__: object) -> Any:
    raise Odd("odd")


class MutationTests(GatewayWithin):
    """S2: a callback that forgets what it was told must not go unnoticed by this suite."""

    async def test_the_honest_record_refuses_a_forged_certificate(self) -> None:
        await self.start()
        assert answered(await self.call(SLOT, "bad-signature")).status == 401
        assert self.backend.recorded == []

    async def test_a_forgetful_one_would_forward_its_requests(self) -> None:
        """Nothing behind the record makes good what it forgets: it is the only witness."""
        honest = HandshakeRecord.step

        def step(record: HandshakeRecord, *given: Any) -> None:
            honest(record, *given)
            record.faults.clear()

        self.patch(HandshakeRecord, "step", step)
        await self.start()
        for version in (TLS_1_2, TLS_1_3):
            result = await self.call(SLOT, "bad-signature", version=version)
            assert answered(result).status == 200
        assert len(self.backend.recorded) == 2

    async def test_one_that_counts_nothing_admits_nobody(self) -> None:
        self.patch(HandshakeRecord, "step", lambda *_: None)
        await self.start()
        assert answered(await self.call(SLOT, "recette")).status == 401
        assert self.backend.recorded == []

    async def test_a_record_of_no_handshake_admits_nobody(self) -> None:
        """A connection whose record was lost on the way to its site."""

        def forget(context: SSL.Context) -> tuple[SSL.Connection, HandshakeRecord]:
            return server_connection(context)[0], HandshakeRecord()

        self.patch(sasgate.listener, "server_connection", forget)
        await self.start()
        assert answered(await self.call(SLOT, "recette")).status == 401
        assert self.backend.recorded == []


class ExceptionTests(GatewayWithin):
    """S3: an exception refuses the connection, whoever calls and wherever it is raised."""

    async def refused(self, *clients: str | None) -> None:
        await self.start()
        for version in (TLS_1_2, TLS_1_3):
            for client in clients or ("recette", "wrong-cn", None):
                result = await self.call(SLOT, client, version=version)
                assert isinstance(result, NoResponse), (client, version, result)
        assert self.backend.recorded == []
        self.flushLoggedErrors(Odd, AttributeError)
        await self.gateway.stopService()
        assert self.gateway._surroundings.connections == 0

    async def test_in_the_verify_callback(self) -> None:
        self.patch(HandshakeRecord, "step", fail)
        await self.refused("recette", "wrong-cn", "self-signed")

    async def test_in_the_alpn_callback(self) -> None:
        self.patch(sasgate.tls, "_select_protocol", fail)
        await self.refused()

    async def test_in_making_the_connection(self) -> None:
        self.patch(sasgate.listener, "server_connection", fail)
        await self.refused()

    async def test_in_taking_note_of_the_handshake(self) -> None:
        self.patch(InboundSite, "handshake_completed", fail)
        await self.refused()

    async def test_in_reading_what_was_presented(self) -> None:
        self.patch(sasgate.inbound, "presented", fail)
        await self.refused()

    async def test_in_the_judgement(self) -> None:
        self.patch(sasgate.judgement, "judge", fail)
        await self.refused()

    async def test_in_writing_the_journal(self) -> None:
        """What cannot be written down does not happen."""
        self.patch(Journal, "decision", fail)
        await self.refused()

    async def test_in_wording_the_identity(self) -> None:
        self.patch(sasgate.inbound, "identity_lines", fail)
        await self.refused("recette")

    async def test_in_the_decision_on_a_request(self) -> None:
        self.patch(InboundSite, "direct", fail)
        await self.start()
        for client in ("recette", "wrong-cn", None):
            for call in (SLOT, CHECK):
                response = answered(await self.call(call, client))
                assert response.status == 500
                assert b"odd" not in response.body
        assert self.backend.recorded == []
        assert len(self.flushLoggedErrors(Odd)) == 6

    async def test_in_wording_a_refusal(self) -> None:
        self.patch(sasgate.inbound, "refusal", fail)
        await self.start()
        result = await self.call(SLOT, "wrong-cn")
        assert isinstance(result, Response)
        assert result.status == 500
        assert self.backend.recorded == []
        self.flushLoggedErrors(Odd)

    async def test_the_next_client_is_served_and_no_place_is_lost(self) -> None:
        gateway = await self.start()
        with patch.object(HandshakeRecord, "step", fail):
            assert isinstance(await self.call(SLOT), NoResponse)
        with patch.object(sasgate.judgement, "judge", fail):
            assert isinstance(await self.call(SLOT), NoResponse)
        assert answered(await self.call(SLOT)).status == 200
        await gateway.stopService()
        assert gateway._surroundings.connections == 0
        assert all(not listener._strangers for listener in gateway.listeners)
        self.flushLoggedErrors(Odd)

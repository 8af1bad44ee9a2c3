"""Mutual TLS from end to end in memory: judgement, judgement anew, and the end of a certificate."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from twisted.logger import LogEvent

from front import GET, OK
from memory_gateway import Caller, MemoryGateway
from sasgate.environments import PREPRODUCTION, RECETTE
from sasgate.lab.pki import Lab


pytestmark = pytest.mark.usefixtures("no_failure_logged")

CHECK = b"GET /check HTTP/1.1\r\nHost: a\r\n\r\n"
# Rules that list somebody else in recette's place.
OTHERS = {f"CN={RECETTE.client_cn},OU={RECETTE.client_ou}": f"CN={RECETTE.client_cn},OU=1"}
ELSEWHERE = {"addresses = 127.0.0.1 ::1": "addresses = 192.0.2.1"}


@pytest.fixture
def gateway(lab: Lab, tmp_path: Path) -> MemoryGateway:
    return MemoryGateway(lab, tmp_path)


class TestAdmission:
    def test_an_admitted_clients_request_reaches_the_backend_with_its_name(
        self, gateway: MemoryGateway
    ) -> None:
        caller = gateway.call("recette").ask(GET)
        (read,) = gateway.asked()
        assert read.values(b"x-ssl-client-verify") == [b"SUCCESS"]
        assert read.values(b"x-ssl-client-cn") == [RECETTE.client_cn.encode()]
        assert read.values(b"x-sas-environment") == [b"lab-recette"]
        assert read.values(b"x-forwarded-for") == [b"127.0.0.1"]
        gateway.server.wire.send(OK)
        assert caller.answer() == (200, b"hi")
        assert not caller.closed

    @pytest.mark.parametrize(
        ("client", "status", "verify"),
        [
            (None, 401, "NONE"),
            ("expired", 401, "FAILED:expired"),
            ("not-yet-valid", 401, "FAILED:not yet valid"),
            ("crossed-pair", 403, "SUCCESS"),
            ("production", 401, "FAILED:untrusted issuer"),
        ],
    )
    def test_a_refusal_arrives_and_closes_and_nothing_reaches_the_backend(
        self, gateway: MemoryGateway, client: str | None, status: int, verify: str
    ) -> None:
        """S2: the answer comes over HTTP, also where the certificate has ended."""
        caller = gateway.call(client)
        gateway.pass_time(5)
        code, body = caller.ask(GET).answer()
        assert (code, json.loads(body)["verify"]) == (status, verify)
        assert caller.closed
        assert gateway.server.attempts == 0

    def test_the_check_is_a_403_without_a_certificate(self, gateway: MemoryGateway) -> None:
        assert gateway.call(None).ask(CHECK).answer()[0] == 403

    def test_the_check_looks_at_the_backend(self, gateway: MemoryGateway) -> None:
        assert gateway.call("recette").ask(CHECK).answer() == (200, b'{"status": "available"}')
        gateway.server.refuses = ConnectionRefusedError()
        gateway.pass_time(1)
        status, body = gateway.call("recette").ask(CHECK).answer()
        assert (status, json.loads(body)) == (503, {"status": "KO: backend unreachable"})

    def test_each_environment_has_its_own_name(self, gateway: MemoryGateway) -> None:
        gateway.call("preproduction").ask(GET)
        (read,) = gateway.asked()
        assert read.values(b"x-sas-environment") == [b"lab-preproduction"]
        assert read.values(b"x-ssl-client-ou") == [PREPRODUCTION.client_ou.encode()]

    def test_a_client_that_breaks_the_handshake_off_is_told_of(
        self, gateway: MemoryGateway
    ) -> None:
        wire = gateway.connect()
        assert wire is not None
        wire.close()
        (decision,) = gateway.journal.decisions
        assert (decision.outcome, decision.detail) == ("closed", "no handshake: the peer left")

    def test_so_is_one_that_is_mute(self, gateway: MemoryGateway) -> None:
        """S47."""
        wire = gateway.connect()
        gateway.pass_time(10)
        assert wire is not None
        assert wire.aborted
        (decision,) = gateway.journal.decisions
        assert decision.detail == "no handshake: not finished in time"

    def test_so_is_one_that_speaks_plain_http(self, gateway: MemoryGateway) -> None:
        wire = gateway.connect()
        assert wire is not None
        wire.send(GET)
        wire.take()
        gateway.pass_time(0)
        (decision,) = gateway.journal.decisions
        assert decision.detail == "no handshake: http request"


class TestJudgementAnew:
    """A connection of an older generation is judged again before its next request (S14)."""

    def admitted(self, gateway: MemoryGateway) -> Caller:
        caller = gateway.call("recette").ask(GET)
        gateway.server.wire.send(OK)
        assert caller.answer() == (200, b"hi")
        gateway.server.wire.take()
        return caller

    def test_a_client_that_is_listed_no_longer_is_refused(self, gateway: MemoryGateway) -> None:
        caller = self.admitted(gateway)
        gateway.listener.rules = gateway.rules(OTHERS)
        assert caller.ask(GET).answer()[0] == 403
        assert caller.closed
        assert gateway.server.wire.take() == b""

    def test_one_that_is_listed_now_is_admitted(self, lab: Lab, tmp_path: Path) -> None:
        gateway = MemoryGateway(lab, tmp_path, OTHERS)
        caller = gateway.call("recette")
        gateway.listener.rules = gateway.rules()
        caller.ask(GET)
        gateway.server.wire.send(OK)
        assert caller.answer() == (200, b"hi")

    def test_one_whose_certificate_is_denied_now_is_refused(self, gateway: MemoryGateway) -> None:
        caller = self.admitted(gateway)
        leaf = gateway.lab.clients["recette"].certificate
        denial = f"deny = {leaf.fingerprint(hashes.SHA256()).hex()}\nclients = "
        client = f"CN={RECETTE.client_cn},"
        gateway.listener.rules = gateway.rules({f"clients = {client}": denial + client})
        status, body = caller.ask(GET).answer()
        assert (status, json.loads(body)["verify"]) == (401, "FAILED:revoked")

    def test_one_whose_address_is_allowed_no_longer_is_refused(
        self, gateway: MemoryGateway
    ) -> None:
        caller = self.admitted(gateway)
        gateway.listener.rules = gateway.rules(ELSEWHERE)
        assert caller.ask(GET).answer()[0] == 401

    def test_one_whose_issuer_is_pinned_no_longer_is_refused(self, gateway: MemoryGateway) -> None:
        caller = self.admitted(gateway)
        gateway.listener.rules = gateway.rules({"ACI-EL-ORG-TEST": "ACI-EL-ORG",
                                                "ACR-EL-TEST": "ACR-EL"})  # fmt: skip
        assert caller.ask(GET).answer()[0] == 401

    def test_an_exchange_under_way_ends_under_the_rules_it_began_with(
        self, gateway: MemoryGateway
    ) -> None:
        caller = gateway.call("recette").ask(GET)
        gateway.listener.rules = gateway.rules(OTHERS)
        gateway.server.wire.send(OK)
        assert caller.answer() == (200, b"hi")

    def test_one_that_stays_admitted_is_judged_once_a_generation(
        self, gateway: MemoryGateway
    ) -> None:
        caller = self.admitted(gateway)
        gateway.listener.rules = gateway.rules()
        for _ in range(3):
            caller.ask(GET)
            gateway.server.wire.send(OK)
            assert caller.answer() == (200, b"hi")
        assert [each.outcome for each in gateway.journal.decisions] == ["admitted"] * 2

    def test_new_handshakes_are_under_the_new_rules(self, gateway: MemoryGateway) -> None:
        """S54: the context is that of the generation in force."""
        both = "environment = lab-recette lab-preproduction"
        gateway.listener.rules = gateway.rules({both: both + "\ntls = 1.2"})
        caller = gateway.call("recette")
        assert caller.tls.get_protocol_version_name() == "TLSv1.2"

    def test_a_judgement_that_fails_is_passed_again(
        self, gateway: MemoryGateway, logged: list[LogEvent]
    ) -> None:
        """S3: the request that met the failure is refused, and the next is judged anew."""
        caller = self.admitted(gateway)
        gateway.listener.rules = gateway.rules(OTHERS)
        gateway.journal.broken = True
        assert caller.ask(GET).answer()[0] == 500
        gateway.journal.broken = False
        assert caller.ask(GET).answer()[0] == 403
        assert gateway.server.wire.take() == b""
        logged.clear()

    def test_one_that_fails_at_the_handshake_ends_the_connection(
        self, gateway: MemoryGateway, logged: list[LogEvent]
    ) -> None:
        """S3."""
        gateway.journal.broken = True
        caller = gateway.call("recette")
        gateway.pass_time(0)
        assert caller.wire.lost
        (told,) = gateway.journal.decisions
        assert (told.outcome, told.detail) == ("closed", "no handshake: internal error")
        logged.clear()


class TestEndOfACertificate:
    """S15."""

    def until_the_end(self, gateway: MemoryGateway) -> float:
        leaf = gateway.lab.clients["recette"].certificate
        gateway.now = leaf.not_valid_after_utc - timedelta(seconds=30)
        return 30.0

    def test_a_connection_ends_with_the_certificate(self, gateway: MemoryGateway) -> None:
        left = self.until_the_end(gateway)
        caller = gateway.call("recette").ask(GET)
        gateway.server.wire.send(OK)
        assert caller.answer() == (200, b"hi")
        gateway.pass_time(left - 7)
        caller.pump()
        assert not caller.closed
        gateway.pass_time(1)
        caller.pump()
        assert caller.closed

    def test_so_does_an_answer_that_lasts_longer(self, gateway: MemoryGateway) -> None:
        left = self.until_the_end(gateway)
        caller = gateway.call("recette").ask(GET)
        gateway.server.wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(int(left)):
            gateway.server.wire.send(b"x")
            gateway.pass_time(1)
        assert caller.wire.aborted
        assert gateway.server.open == []

    def test_one_that_has_ended_is_still_told_so(self, gateway: MemoryGateway) -> None:
        gateway.now += timedelta(days=365 * 4)
        caller = gateway.call("recette")
        gateway.pass_time(5)
        status, body = caller.ask(GET).answer()
        assert (status, json.loads(body)["verify"]) == (401, "FAILED:expired")

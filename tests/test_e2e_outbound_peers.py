"""Calls to a SAS that is a real nginx or a real Apache, through a real twistd (S52).

Neither is written by us, nor has Twisted or Python a hand in their TLS.
"""

import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from applications import Application, outcome, own_file, request, write_outbound
from processes import GatewayProcess
from raw_backend import RawBackend
from raw_client import Answer
from sas_neighbours import (
    FEW,
    FEW_CALLS,
    LATE_1_2,
    LATE_1_3,
    OPTIONAL,
    REGISTERED,
    TLS_1_2,
    TLS_1_3,
    VERSIONS,
    Neighbour,
    apache_sas,
    created,
    nginx_sas,
)
from sasgate.lab import trees
from sasgate.lab.authority import Credential, new_key
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Template
from sasgate.lab.sas_answers import APPOINTMENT


NGINX, APACHE = "nginx", "apache"
BOTH = pytest.mark.parametrize("sas", [NGINX, APACHE])
EACH_VERSION = pytest.mark.parametrize("version", VERSIONS)
# Listeners of the gateway, beside those that are named by the server and its port.
STRANGER, REVOKED, UNREGISTERED = "stranger", "revoked", "unregistered"
WRONG_CNS = {
    STRANGER: "sas-agregateur-prod-ACME",
    REVOKED: "sas-agregateur-test-REVOKED",
    # A CN that only contains the registered one, which the guide's `!~` takes for it.
    UNREGISTERED: f"{REGISTERED}-2",
}
COUNTED = request("POST", "/counted", body=b"{}")


@frozen
class World:
    """What runs: both servers, what is behind them, and the gateway that calls them."""

    gateway: GatewayProcess
    servers: dict[str, Neighbour]
    backend: RawBackend

    def calls(self, sas: str, port: str, presented: str = "") -> Application:
        """The application that calls a port of a server, with the good certificate or another."""
        return Application(self.gateway, _listener(sas, port, presented))


def _listener(sas: str, port: str, presented: str = "") -> str:
    return "-".join(filter(None, (sas, port, presented))).replace(".", "")


def _editor(lab: Lab, cn: str, key: RSAPrivateKey) -> Credential:
    template = Template(trees.platform_name(cn, "300000000000017", "ACME"))
    return lab.authorities[trees.ORG_TEST].issue(template, key, now=lab.created)


@pytest.fixture(scope="module")
def world(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    own, key = tmp_path_factory.mktemp("peers"), new_key()
    revoked, unregistered = (_editor(lab, WRONG_CNS[each], key) for each in (REVOKED, UNREGISTERED))
    serial = revoked.certificate.serial_number
    certificates = {
        STRANGER: lab.editor_path("ACME_PROD"),
        REVOKED: own_file(revoked, own / "revoked.pem"),
        UNREGISTERED: own_file(unregistered, own / "unregistered.pem"),
    }
    with ExitStack() as stack:
        backend = stack.enter_context(RawBackend(created))
        servers = {
            NGINX: stack.enter_context(nginx_sas(lab, serial, backend.port, _public(stack))),
            APACHE: stack.enter_context(apache_sas(lab, serial, backend.port, _public(stack))),
        }
        urls, listeners = {}, {}
        for sas, server in servers.items():
            for port in server.ports:
                urls[_listener(sas, port)] = server.url(port)
                for presented, path in certificates.items():
                    listener = _listener(sas, port, presented)
                    urls[listener] = server.url(port)
                    listeners[listener] = {"certificate": path}
        strangers = {each for each in urls if each.endswith(STRANGER)}
        ini = write_outbound(lab, own, urls, listeners=listeners, production=strangers)
        yield World(stack.enter_context(GatewayProcess(ini)), servers, backend)


def _public(stack: ExitStack) -> Path:
    """A folder that the servers' own users can look into."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sasgate-sas-")))
    folder.chmod(0o755)
    return folder


class TestCalls:
    @BOTH
    @EACH_VERSION
    def test_an_appointment_is_created_by_whom_the_certificate_names(
        self, world: World, sas: str, version: str
    ) -> None:
        answer = world.calls(sas, version).ask()
        assert answer.status == 201
        said = _said(answer)
        assert (said["cn"], said["verify"], said["tls"]) == (REGISTERED, "SUCCESS", version)
        assert answer.headers["Location"] == f"{_url(world, sas, version)}{APPOINTMENT}/1"

    def test_apache_takes_it_where_it_only_asks(self, world: World) -> None:
        """`SSLVerifyClient optional`, of an environment that is being set up."""
        answer = world.calls(APACHE, OPTIONAL).ask()
        assert (answer.status, _said(answer)["cn"]) == (201, REGISTERED)

    @BOTH
    def test_the_guides_own_example_arrives_as_it_stands(
        self, world: World, shared: Path, sas: str
    ) -> None:
        """Specification, 5.7."""
        text = (shared / "spec" / "sas-mtls-v3.2.txt").read_text("utf-8")
        found = re.search(r"--data-raw '(.*?)\n```", text, re.DOTALL)
        assert found is not None
        body = found[1].encode()
        world.backend.requests.clear()
        sent = request("POST", APPOINTMENT, "Content-Type: application/json", body=body)
        assert world.calls(sas, TLS_1_3).ask(sent).status == 201
        (seen,) = world.backend.requests
        assert (seen.line.split(" ")[:2], seen.body) == (["POST", APPOINTMENT], body)
        assert seen.values("content-type") == ["application/json"]
        assert seen.values("host") == [_url(world, sas, TLS_1_3).removeprefix("https://")]

    @BOTH
    def test_a_body_in_chunks_arrives(self, world: World, sas: str) -> None:
        world.backend.requests.clear()
        head = request("POST", APPOINTMENT, "Transfer-Encoding: chunked")
        answer = world.calls(sas, TLS_1_3).ask(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert answer.status == 201
        assert [seen.body for seen in world.backend.requests] == [b"abcde"]


class TestConnections:
    @BOTH
    @EACH_VERSION
    def test_one_is_kept_for_calls_that_follow_each_other(
        self, world: World, sas: str, version: str
    ) -> None:
        app = world.calls(sas, version)
        ports = {_said(app.ask())["port"] for _ in range(20)}
        assert len(ports) == 1
        assert ports.pop().isdigit()

    def test_one_that_nginx_ends_is_followed_by_another(self, world: World) -> None:
        """`keepalive_requests`: nginx says so with the last answer, and no call is lost."""
        app = world.calls(NGINX, FEW_CALLS)
        answers = [app.ask() for _ in range(3 * FEW)]
        assert [each.status for each in answers] == [201] * len(answers)
        assert len({_said(each)["port"] for each in answers}) == 3

    @pytest.mark.parametrize(("version", "callers"), [(TLS_1_2, 1), (TLS_1_3, 1), (TLS_1_3, 8)])
    def test_1000_calls_open_no_more_than_are_under_way_at_once(
        self, world: World, version: str, callers: int
    ) -> None:
        app = world.calls(NGINX, version)
        answers: list[Answer] = []

        def call() -> None:
            with app.wire() as wire:
                answers.extend(wire.ask(COUNTED, "POST") for _ in range(1000 // callers))

        threads = [threading.Thread(target=call) for _ in range(callers)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert [each.status for each in answers] == [201] * 1000
        assert 1 <= len({_said(each)["port"] for each in answers}) <= callers


class TestRefusals:
    """They pass as they stand, and the journal says what they mean."""

    @pytest.mark.parametrize(
        ("presented", "status", "words"),
        [
            # Of several faults nginx tells the last: it has no list of that CA either.
            (STRANGER, 401, ("KO:Unauthorized", "FAILED:unable to get certificate CRL")),
            (REVOKED, 401, ("KO:Unauthorized", "FAILED:certificate revoked")),
            (UNREGISTERED, 403, ("KO:Forbidden", "SUCCESS")),
        ],
    )
    @EACH_VERSION
    def test_nginx_answers_as_the_guide_has_it(
        self, world: World, presented: str, status: int, words: tuple[str, str], version: str
    ) -> None:
        seen, before = len(world.gateway.lines), len(world.backend.requests)
        answer = world.calls(NGINX, version, presented).ask()
        assert answer.status == status
        assert list(answer.json.items()) == [
            *zip(("status", "verify"), words, strict=True),
            ("CN", WRONG_CNS[presented]),
        ]
        assert len(world.backend.requests) == before
        assert _meaning(world, seen, status).count(f"CN={WRONG_CNS[presented]} ") == 1

    @EACH_VERSION
    def test_apache_forbids_who_is_not_registered(self, world: World, version: str) -> None:
        seen, before = len(world.gateway.lines), len(world.backend.requests)
        answer = world.calls(APACHE, version, UNREGISTERED).ask()
        assert (answer.status, answer.headers.get_content_type()) == (403, "text/html")
        assert b"Forbidden" in answer.body
        assert len(world.backend.requests) == before
        assert f"CN={WRONG_CNS[UNREGISTERED]} " in _meaning(world, seen, 403)

    @pytest.mark.parametrize("presented", [STRANGER, REVOKED])
    @pytest.mark.parametrize("port", [TLS_1_2, TLS_1_3, OPTIONAL])
    def test_apache_breaks_the_handshake_off(self, world: World, presented: str, port: str) -> None:
        """Its alert is all that comes, in TLS 1.3 after the request was sent."""
        before = len(world.backend.requests)
        text = outcome(world.calls(APACHE, port, presented).ask(), 502)
        alert = "unknown ca" if presented == STRANGER else "certificate revoked"
        assert f"alert {alert}" in text
        assert len(world.backend.requests) == before

    @pytest.mark.parametrize(
        ("port", "status", "reason"),
        [
            (LATE_1_2, 502, b"tls alert handshake failure"),
            (LATE_1_3, 403, b"Cannot perform Post-Handshake Authentication"),
        ],
    )
    def test_a_certificate_that_is_asked_for_after_the_handshake_is_not_given(
        self, world: World, port: str, status: int, reason: bytes
    ) -> None:
        """The guide's 5.8 as it stands (`SSLVerifyClient` in <Directory>): no renegotiation."""
        before = len(world.backend.requests)
        answer = world.calls(APACHE, port).ask()
        assert answer.status == status
        assert reason in answer.body
        assert len(world.backend.requests) == before


def _said(answer: Answer) -> dict[str, Any]:
    """What the server that has the caller's TLS says of it."""
    said: dict[str, Any] = answer.json
    return said


def _url(world: World, sas: str, port: str) -> str:
    return world.servers[sas].url(port)


def _meaning(world: World, after: int, status: int) -> str:
    pattern = rf"sasgate\.outbound\S*#warn\].*SAS answered {status} .*"
    return world.gateway.wait_for(pattern, after=after)[0]

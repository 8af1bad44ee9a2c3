"""The lab's publisher over HTTP: in memory, in the test's reactor, and as `sasgate lab serve`."""

import base64
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote

import pytest
from attrs import frozen
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.logger import LogEvent, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from processes import PATIENCE, LoggedProcess, environment
from sasgate.commands.lab import lab as command
from sasgate.identity import Identity
from sasgate.lab import trees
from sasgate.lab.enquiry import Enquiry
from sasgate.lab.pki import Lab
from sasgate.lab.publisher import Publisher
from sasgate.lab.switchboard import Switchboard
from sasgate.lab.switches import ListMode, OCSPMode
from sasgate.revocation.ocsp import build_request
from sasgate.revocation.ocsp_cache import OCSPCache
from sasgate.revocation.ocsp_client import OCSPClient
from sasgate.revocation.ocsp_responder import OCSPOptions, Responder
from sasgate.revocation.ocsp_words import Answer, CertStatus
from sasgate.settings import Limits


ORG, ROOT = trees.ORG_TEST, trees.ROOT_TEST
LIST = f"/CRL/{ORG}.crl"


@pytest.fixture
def board(lab: Lab, tmp_path: Path) -> Switchboard:
    made = Switchboard.of(lab, tmp_path)
    made.open()
    return made


def question(lab: Lab, client: str = "recette") -> bytes:
    issuer = lab.authorities[ORG].certificate
    return build_request(lab.clients[client].certificate, issuer, "sha1", None)


@frozen
class Said:
    status: int
    fields: dict[str, str]
    body: bytes


class Asker:
    """Connections to a publisher in memory; time is `clock`'s."""

    def __init__(self, board: Switchboard) -> None:
        self.clock = Clock()
        self.publisher = Publisher(reactor, board, self.clock)

    def connect(self) -> tuple[StringTransport, object]:
        peer = IPv4Address("TCP", "127.0.0.1", 50000)
        protocol = self.publisher.factory.buildProtocol(peer)
        transport = StringTransport(peerAddress=peer)
        assert protocol is not None
        protocol.makeConnection(transport)
        return transport, protocol

    def send(self, method: str, path: str, body: bytes = b"", **fields: str) -> StringTransport:
        transport, protocol = self.connect()
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
        protocol.dataReceived(head.encode() + body)  # type: ignore[attr-defined]
        return transport

    def ask(self, method: str, path: str, body: bytes = b"", **fields: str) -> Said:
        return said(self.send(method, path, body, **fields))


def said(transport: StringTransport) -> Said:
    head, _, body = transport.value().partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    return Said(int(status.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body)


@pytest.fixture
def asker(board: Switchboard) -> Asker:
    return Asker(board)


class TestHTTP:
    def test_a_list_comes_with_its_type_its_length_and_validators(self, asker: Asker) -> None:
        answer = asker.ask("GET", LIST)
        assert (answer.status, answer.fields["content-type"]) == (200, "application/pkix-crl")
        assert answer.fields["content-length"] == str(len(answer.body))
        assert answer.fields["etag"]
        assert answer.fields["last-modified"]

    def test_who_has_the_list_gets_no_body_and_the_validators_again(self, asker: Asker) -> None:
        fields = asker.ask("GET", LIST).fields
        again = asker.ask("GET", LIST, If_None_Match=fields["etag"])
        assert (again.status, again.body) == (304, b"")
        assert again.fields["etag"] == fields["etag"]

    def test_head_is_the_same_without_the_body(self, asker: Asker) -> None:
        whole, head = asker.ask("GET", LIST), asker.ask("HEAD", LIST)
        assert head.body == b""
        assert head.fields["content-length"] == whole.fields["content-length"]
        assert head.fields["etag"] == whole.fields["etag"]

    def test_a_switch_is_obeyed_at_the_next_request(
        self, asker: Asker, board: Switchboard, lab: Lab
    ) -> None:
        before = asker.ask("GET", LIST).body
        Switchboard(lab, board.path).revoke("revoked")
        assert len(x509.load_der_x509_crl(before)) == 0
        assert len(x509.load_der_x509_crl(asker.ask("GET", LIST).body)) == 1

    @pytest.mark.parametrize(("mode", "status"), [(ListMode.HTML, 200), (ListMode.ERROR, 500)])
    def test_what_is_no_list_has_no_validators(
        self, mode: ListMode, status: int, asker: Asker, board: Switchboard
    ) -> None:
        board.lists(mode)
        answer = asker.ask("GET", LIST)
        assert answer.status == status
        assert not {"etag", "last-modified"} & answer.fields.keys()

    def test_none_closes_the_connection_without_a_byte(
        self, asker: Asker, board: Switchboard, lab: Lab
    ) -> None:
        board.lists(ListMode.NONE)
        board.ocsp(OCSPMode.NONE)
        kind = {"Content_Type": "application/ocsp-request"}
        sent = [asker.send("GET", LIST), asker.send("POST", "/ocsp", question(lab), **kind)]
        for transport in sent:
            assert transport.value() == b""
            assert transport.disconnecting

    def test_late_is_as_late_as_the_option_says(self, asker: Asker, board: Switchboard) -> None:
        board.lists(ListMode.LATE, late=30)
        transport = asker.send("GET", LIST)
        asker.clock.advance(29.9)
        assert transport.value() == b""
        asker.clock.advance(0.2)
        assert said(transport).status == 200
        assert len(x509.load_der_x509_crl(said(transport).body)) == 0

    def test_who_has_the_list_is_told_so_late(self, asker: Asker, board: Switchboard) -> None:
        tag = asker.ask("GET", LIST).fields["etag"]
        board.lists(ListMode.LATE, late=30)
        transport = asker.send("GET", LIST, If_None_Match=tag)
        asker.clock.advance(31)
        assert said(transport).status == 304

    def test_nothing_waits_for_who_has_left(self, asker: Asker, board: Switchboard) -> None:
        board.lists(ListMode.LATE, late=30)
        transport, protocol = asker.connect()
        protocol.dataReceived(f"GET {LIST} HTTP/1.1\r\nHost: x\r\n\r\n".encode())  # type: ignore[attr-defined]
        protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[attr-defined]
        asker.clock.advance(31)
        assert transport.value() == b""

    def test_a_question_in_the_path(self, asker: Asker, lab: Lab, board: Switchboard) -> None:
        """RFC 6960, A.1: with the slashes of base64 encoded, and as they are."""
        board.revoke("recette")
        encoded = base64.b64encode(question(lab)).decode()
        for path in (quote(encoded, safe=""), encoded):
            answer = asker.ask("GET", f"/ocsp/{path}")
            assert answer.fields["content-type"] == "application/ocsp-response"
            status = x509.ocsp.load_der_ocsp_response(answer.body).certificate_status
            assert status is x509.ocsp.OCSPCertStatus.REVOKED

    def test_damaged_switches_are_500_and_named(
        self, asker: Asker, board: Switchboard, logged: list[LogEvent]
    ) -> None:
        board.path.write_text("{")
        answer = asker.ask("GET", LIST)
        assert (answer.status, str(board.path) in answer.body.decode()) == (500, True)
        assert any(str(board.path) in formatEvent(event) for event in logged)


class TestAsked:
    def test_each_request_is_noted_with_what_it_got(
        self, asker: Asker, board: Switchboard, lab: Lab
    ) -> None:
        tag = asker.ask("GET", LIST).fields["etag"]
        asker.ask("GET", LIST, If_None_Match=tag)
        board.ocsp(OCSPMode.NONE)
        asker.send("POST", "/ocsp", question(lab), Content_Type="application/ocsp-request")
        asker.ask("GET", "/")
        noted = [(each.kind, each.mode, each.ca, each.status) for each in asker.publisher.asked]
        assert noted == [
            ("list", "good", ORG, 200),
            ("list", "good", ORG, 304),
            ("ocsp", "none", ORG, None),
            ("other", "", None, 404),
        ]
        assert asker.publisher.asked[2].serial == lab.clients["recette"].certificate.serial_number

    def test_a_late_answers_question_is_noted_when_it_comes(
        self, asker: Asker, board: Switchboard
    ) -> None:
        board.lists(ListMode.LATE)
        asker.send("GET", LIST)
        assert [each.mode for each in asker.publisher.asked] == ["late"]

    def test_the_record_is_read_over_http_without_growing(self, asker: Asker) -> None:
        asker.ask("GET", LIST)
        asker.ask("GET", "/asked")
        (only,) = json.loads(asker.ask("GET", "/asked").body)
        assert (only["path"], only["kind"], only["status"]) == (LIST, "list", 200)

    def test_the_record_can_be_forgotten(self, asker: Asker) -> None:
        asker.ask("GET", LIST)
        assert asker.ask("DELETE", "/asked").body == b"[]"
        assert asker.publisher.asked == []

    def test_each_request_is_one_line_of_the_log(
        self, asker: Asker, lab: Lab, logged: list[LogEvent]
    ) -> None:
        asker.ask("POST", "/ocsp", question(lab), Content_Type="application/ocsp-request")
        serial = lab.clients["recette"].certificate.serial_number
        lines = [formatEvent(each) for each in logged if "publisher" in each["log_namespace"]]
        assert lines == [f"POST /ocsp 200 good {ORG} {serial:X}"]

    @pytest.mark.parametrize("path", ["/\x1b[2J", "/\x85", "/\u2028", "/a\rb", "/{line}", "/é"])
    def test_no_path_can_spoil_the_line(
        self, path: str, asker: Asker, logged: list[LogEvent]
    ) -> None:
        asker.publisher.serve(Enquiry("GET", path))
        (line,) = [formatEvent(each) for each in logged if "publisher" in each["log_namespace"]]
        assert re.fullmatch(r"GET /[!-~]+ 404", line)


class WithinTests(TestCase):
    """In the reactor of the gateway's own client."""

    timeout = PATIENCE

    @pytest.fixture(autouse=True)
    def _given(self, lab: Lab, board: Switchboard) -> None:
        self.lab, self.board = lab, board

    async def start(self) -> Publisher:
        publisher = Publisher(reactor, self.board)
        await publisher.start()
        self.addCleanup(publisher.stop)
        return publisher

    async def status(self, cache: OCSPCache, publisher: Publisher, client: str) -> object:
        leaf = Identity.read(self.lab.clients[client].certificate)
        issuer = self.lab.authorities[ORG].certificate
        answer = cache.status(leaf, issuer, Responder(f"{publisher.url}/ocsp"))
        said = await answer if isinstance(answer, Deferred) else answer
        return said.status if isinstance(said, Answer) else said

    async def test_the_gateways_client_asks_and_is_counted(self) -> None:
        publisher = await self.start()
        self.board.revoke("revoked")
        client = OCSPClient(reactor, Limits(ocsp_time=30))
        cache = OCSPCache(
            reactor,
            lambda: datetime.now(UTC),
            client.ask,
            OCSPOptions(),
            announce=lambda _leaf: None,
        )
        self.addCleanup(cache.close)
        assert await self.status(cache, publisher, "recette") is CertStatus.GOOD
        assert await self.status(cache, publisher, "revoked") is CertStatus.REVOKED
        assert await self.status(cache, publisher, "recette") is CertStatus.GOOD
        assert [each.kind for each in publisher.asked] == ["ocsp", "ocsp"]

    async def test_two_publishers_have_ports_of_their_own(self) -> None:
        first, second = await self.start(), await self.start()
        assert first.url != second.url
        body = await deferToThread(fetch, first.url + LIST)
        assert body == await deferToThread(fetch, second.url + LIST)

    async def test_stopping_cuts_whoever_waits_for_a_late_answer(self) -> None:
        self.board.lists(ListMode.LATE, late=3600)
        publisher = await self.start()
        fetched = deferToThread(fetch, publisher.url + LIST)
        self.addCleanup(fetched.addErrback, lambda _: None)
        while not publisher.asked:
            await deferToThread(lambda: None)
        await publisher.stop()
        await self.assertFailure(fetched, OSError)

    async def test_it_listens_on_the_loopback_only(self) -> None:
        assert (await self.start()).url.startswith("http://127.0.0.1:")


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str, **fields: str) -> bytes:
    request = urllib.request.Request(url, headers=fields)
    with _direct.open(request, timeout=PATIENCE) as answer:
        content: bytes = answer.read()
    return content


@frozen(eq=False)
class Shop:
    """`sasgate lab serve` on a copy of the lab, with what OpenSSL needs beside it."""

    folder: Path
    lab: Lab
    process: LoggedProcess
    url: str

    def set(self, *arguments: str) -> str:
        result = run("set", str(self.lab.directory), *arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def reset(self) -> None:
        self.set("unrevoke", "revoked", "recette", ORG)
        self.set("lists", "good", "--validity", "6d")
        self.set("ocsp", "good", "--signer", "delegate", "--nonce", "--validity", "1h")

    def openssl(self, *arguments: object) -> str:
        done = subprocess.run(
            ["openssl", *map(str, arguments)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout + done.stderr

    def list(self, *options: str) -> str:
        """What OpenSSL says of the list of ACI-EL-ORG-TEST as it is served."""
        (self.folder / "list.crl").write_bytes(fetch(self.url + LIST))
        return self.openssl(
            "crl", "-inform", "der", "-in", "list.crl", "-CAfile", "org.pem", "-noout", *options
        )

    def ocsp(self, client: str = "recette", *options: str) -> str:
        """What OpenSSL's own client is told about a certificate."""
        return self.openssl(
            "ocsp", "-issuer", "org.pem", *options, "-cert", self.lab.path_of(client),
            "-url", f"{self.url}/ocsp", "-CAfile", "root.pem",
        )  # fmt: skip


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def serving(directory: Path, *options: str) -> LoggedProcess:
    program = "from sasgate.commands import main; main()"
    arguments = [sys.executable, "-c", program, "lab", "serve", directory, *options]
    return LoggedProcess(arguments, directory.parent, environment())


@pytest.fixture(scope="module")
def opened(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("shop")
    shutil.copytree(lab.directory, folder / "lab")
    for name, ca in (("org.pem", ORG), ("root.pem", ROOT)):
        pem = lab.authorities[ca].certificate.public_bytes(Encoding.PEM)
        (folder / name).write_bytes(pem)
    with serving(folder / "lab", "--port", "0") as process:
        url = process.wait_for(r"published at (http://127\.0\.0\.1:\d+)$")[1]
        yield Shop(folder, Lab.open(folder / "lab"), process, url)


@pytest.fixture
def shop(opened: Shop) -> Shop:
    opened.reset()
    return opened


class TestServe:
    """OpenSSL reads what a process publishes, whose switches are set by commands."""

    def test_a_list_verifies_and_its_number_rises_with_a_revocation(self, shop: Shop) -> None:
        before = number(shop)
        shop.set("revoke", "revoked")
        assert "verify OK" in shop.list()
        assert "1BADC0DE0000000000000000000005A5" in shop.list("-text")
        assert number(shop) == before + 1

    def test_a_ca_on_the_list_of_its_root(self, shop: Shop) -> None:
        shop.set("revoke", ORG)
        (shop.folder / "root.crl").write_bytes(fetch(f"{shop.url}/CRL/{ROOT}.crl"))
        arguments = ("-inform", "der", "-in", "root.crl", "-CAfile", "root.pem", "-noout", "-text")
        said = shop.openssl("crl", *arguments)
        serial = shop.lab.authorities[ORG].certificate.serial_number
        assert "verify OK" in said
        assert f"{serial:X}" in said

    def test_a_forged_list_does_not_verify(self, shop: Shop) -> None:
        shop.set("lists", "forged", "--ca", ORG)
        assert "verify failure" in shop.list()

    def test_an_old_list_has_a_lower_number_and_a_good_signature(self, shop: Shop) -> None:
        before = number(shop)
        shop.set("lists", "old")
        assert number(shop) == before - 1
        assert "verify OK" in shop.list()

    def test_a_delta_is_marked_as_one(self, shop: Shop) -> None:
        shop.set("lists", "delta")
        assert "X509v3 Delta CRL Indicator: critical" in shop.list("-text")

    def test_another_list_has_the_same_number(self, shop: Shop) -> None:
        shop.set("revoke", "revoked")
        before = number(shop)
        shop.set("lists", "same-number")
        assert number(shop) == before
        assert "verify OK" in shop.list()
        assert "1BADC0DE" not in shop.list("-text")

    def test_a_huge_list_verifies(self, shop: Shop) -> None:
        shop.set("lists", "huge", "--entries", "2000", "--ca", ORG)
        assert "verify OK" in shop.list()
        assert shop.list("-text").count("Serial Number:") == 2000

    def test_an_expired_list_is_over(self, shop: Shop) -> None:
        shop.set("lists", "expired")
        assert "verify OK" in shop.list()
        dates = re.findall(r"Update=(.*)", shop.list("-lastupdate", "-nextupdate"))
        assert len(dates) == 2
        assert dates[0] == dates[1]

    def test_a_validity_of_seconds(self, shop: Shop) -> None:
        shop.set("publish", "--validity", "20s")
        crl = x509.load_der_x509_crl(fetch(shop.url + LIST))
        assert crl.next_update_utc is not None
        assert (crl.next_update_utc - crl.last_update_utc).total_seconds() == 20

    def test_a_web_page_an_error_and_nothing(self, shop: Shop) -> None:
        shop.set("lists", "html")
        assert b"<html>" in fetch(shop.url + LIST)
        shop.set("lists", "error")
        with pytest.raises(HTTPError, match="500"):
            fetch(shop.url + LIST)
        shop.set("lists", "none")
        with pytest.raises(OSError, match="closed connection"):
            fetch(shop.url + LIST)

    @pytest.mark.parametrize("signer", ["delegate", "ca"])
    @pytest.mark.parametrize("options", [(), ("-sha256",)])
    def test_ocsp_by_either_signer_and_hash(
        self, options: tuple[str, ...], signer: str, shop: Shop
    ) -> None:
        shop.set("revoke", "revoked")
        shop.set("ocsp", "good", "--signer", signer)
        for client, word in (("recette", "good"), ("revoked", "revoked")):
            said = shop.ocsp(client, *options)
            assert "Response verify OK" in said
            assert f"{client}.pem: {word}" in said
            assert "no nonce" not in said

    def test_ocsp_without_the_nonce(self, shop: Shop) -> None:
        shop.set("ocsp", "good", "--no-nonce")
        assert "no nonce in response" in shop.ocsp()

    def test_ocsp_unknown(self, shop: Shop) -> None:
        shop.set("ocsp", "unknown")
        assert "recette.pem: unknown" in shop.ocsp()

    @pytest.mark.parametrize(
        ("mode", "words"),
        [
            ("wrongly-signed", "Response Verify Failure"),
            ("stale", "status expired"),
            ("try-later", "trylater"),
            ("error", "Error querying OCSP responder"),
            ("html", "Error querying OCSP responder"),
            ("none", "Error querying OCSP responder"),
        ],
    )
    def test_s32_ocsp_that_nobody_may_use(self, mode: str, words: str, shop: Shop) -> None:
        shop.set("ocsp", mode)
        assert words in shop.ocsp("recette", "-no_nonce")

    def test_s30_openssl_about_several_certificates_at_once(self, shop: Shop) -> None:
        more = ("-cert", str(shop.lab.path_of("preproduction")))
        assert "malformedrequest" in shop.ocsp("recette", *more)

    def test_the_questions_can_be_counted_from_outside(self, shop: Shop) -> None:
        forget = urllib.request.Request(f"{shop.url}/asked", method="DELETE")
        _direct.open(forget, timeout=PATIENCE).close()
        shop.ocsp()
        asked = json.loads(fetch(f"{shop.url}/asked"))
        serial = shop.lab.clients["recette"].certificate.serial_number
        assert [(each["kind"], each["serial"]) for each in asked] == [("ocsp", f"{serial:X}")]

    def test_each_request_is_a_line_of_its_output(self, shop: Shop) -> None:
        before = len(shop.process.lines)
        fetch(shop.url + LIST)
        shop.process.wait_for(rf"GET {LIST} 200 good {ORG}$", after=before)

    def test_a_port_that_is_taken_is_said_in_a_line(self, shop: Shop) -> None:
        port = shop.url.rpartition(":")[2]
        process = serving(shop.lab.directory, "--port", port)
        assert process.wait() == 1
        assert f"127.0.0.1:{port}" in process.log
        assert "Traceback" not in process.log


def number(shop: Shop) -> int:
    """The number that OpenSSL reads."""
    return int(shop.list("-crlnumber").rpartition("crlNumber=")[2].split()[0], 16)


class TestCommands:
    @pytest.fixture
    def copy(self, lab: Lab, tmp_path: Path) -> Path:
        """A lab that nobody else looks at."""
        return Path(shutil.copytree(lab.directory, tmp_path / "lab"))

    def test_a_revocation_says_which_list_it_made(self, copy: Path) -> None:
        result = run("set", str(copy), "revoke", "revoked")
        assert result.exit_code == 0
        assert f"{ORG}   good: number 2, 1 entry, " in result.output
        assert "1BADC0DE0000000000000000000005A5 revoked" in result.output
        assert ROOT not in result.output

    def test_a_revocation_that_changes_nothing_says_so(self, copy: Path) -> None:
        run("set", str(copy), "revoke", "revoked")
        result = run("set", str(copy), "revoke", "revoked")
        assert (result.exit_code, result.output) == (0, "nothing to change\n")

    def test_show_prints_every_switch(self, copy: Path) -> None:
        run("set", str(copy), "lists", "late", "--late", "3s", "--ca", ORG)
        run("set", str(copy), "ocsp", "stale", "--signer", "ca", "--no-nonce", "--validity", "5m")
        output = run("show", str(copy)).output
        assert all(f"\n{ca} " in f"\n{output}" for ca in trees.IGC)
        assert f"{ORG}   late (3 s): number 1, 0 entries" in output
        assert "stale: signed by the CA itself, valid for 300 s, nonce left out" in output

    def test_show_writes_nothing(self, copy: Path) -> None:
        run("show", str(copy))
        assert not (copy / "publication.json").exists()

    @pytest.mark.parametrize(
        "arguments",
        [
            ("revoke", "nobody"),
            ("revoke", "self-signed"),
            ("unrevoke", ROOT),
        ],
    )
    def test_who_is_on_nobodys_list_exits_1_with_a_line(
        self, arguments: tuple[str, ...], copy: Path
    ) -> None:
        result = run("set", str(copy), *arguments)
        assert result.exit_code == 1
        assert result.output.startswith(f"Error: {arguments[1]}: ")
        assert not (copy / "publication.json").exists()

    @pytest.mark.parametrize(
        "arguments",
        [
            ("revoke",),
            ("lists",),
            ("lists", "fair"),
            ("lists", "GOOD"),
            ("lists", "good", "--ca", "OTHER-ACR-EL-TEST"),
            ("lists", "good", "--validity", "20x"),
            ("lists", "good", "--validity", "0"),
            ("lists", "huge", "--entries", "0"),
            ("ocsp", "fair"),
            ("ocsp", "good", "--signer", "client"),
            ("nothing",),
        ],
    )
    def test_misuse_exits_2_and_writes_nothing(
        self, arguments: tuple[str, ...], copy: Path
    ) -> None:
        result = run("set", str(copy), *arguments)
        assert result.exit_code == 2
        assert not (copy / "publication.json").exists()

    @pytest.mark.parametrize(
        "arguments", [("set", "{}", "revoke", "revoked"), ("show", "{}"), ("serve", "{}")]
    )
    def test_a_folder_without_a_lab_is_named(
        self, arguments: tuple[str, ...], tmp_path: Path
    ) -> None:
        result = run(*(each.format(tmp_path) for each in arguments))
        assert result.exit_code == 1
        assert f"{tmp_path}: no lab" in result.output

    @pytest.mark.parametrize(
        "arguments", [("set", "{}", "revoke", "revoked"), ("show", "{}"), ("set", "{}", "publish")]
    )
    def test_damaged_switches_are_named_with_the_way_out(
        self, arguments: tuple[str, ...], copy: Path
    ) -> None:
        (copy / "publication.json").write_text("{")
        result = run(*(each.format(copy) for each in arguments))
        assert result.exit_code == 1
        assert f"{copy / 'publication.json'}: " in result.output
        assert "remove it" in result.output

    @pytest.mark.parametrize(("group", "modes"), [("lists", ListMode), ("ocsp", OCSPMode)])
    def test_help_explains_every_mode(
        self, group: str, modes: type[ListMode] | type[OCSPMode], copy: Path
    ) -> None:
        lines = run("set", str(copy), group, "--help").output.splitlines()
        explained = {line.split()[0] for line in lines if line.startswith("  ") and line.split()}
        assert {mode.value for mode in modes} <= explained

    @pytest.mark.parametrize("mode", ListMode)
    def test_every_mode_of_lists_can_be_set(self, mode: ListMode, copy: Path) -> None:
        arguments = ("lists", mode.value, "--entries", "3", "--ca", ORG)
        assert f"{ORG}   {mode.value}" in run("set", str(copy), *arguments).output

    @pytest.mark.parametrize("mode", [mode for mode in OCSPMode if mode is not OCSPMode.GOOD])
    def test_every_mode_of_the_responder_can_be_set(self, mode: OCSPMode, copy: Path) -> None:
        assert mode.value in run("set", str(copy), "ocsp", mode.value).output

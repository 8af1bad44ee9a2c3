"""OpenSSL on the other side: its responder's answers to us, and the lab's answers to it."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from ocsp_world import World
from processes import LoggedProcess, environment
from sasgate.identity import Identity
from sasgate.lab import trees
from sasgate.lab.ocsp_answers import GOOD, REVOKED, UNKNOWN, Saying
from sasgate.lab.ocsp_der import tampered
from sasgate.lab.pki import Lab
from sasgate.revocation.ocsp import NONCE_SIZE, Asked, HashName, build_request, verify_answer
from sasgate.revocation.ocsp_cache import OCSPCache
from sasgate.revocation.ocsp_client import OCSPClient
from sasgate.revocation.ocsp_responder import OCSPOptions, Responder
from sasgate.revocation.ocsp_signer import Signers
from sasgate.revocation.ocsp_words import Answer, AnswerRefused, CertStatus, Problem
from sasgate.settings import Limits, OCSPNonce


pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

CLIENTS = {
    "recette": CertStatus.GOOD,
    "revoked": CertStatus.REVOKED,
    "preproduction": CertStatus.UNKNOWN,
}
NONCE = b"n" * NONCE_SIZE


@frozen
class Office:
    """A folder with all that `openssl ocsp` needs to answer for ACI-EL-ORG-TEST."""

    folder: Path
    lab: Lab
    world: World

    @classmethod
    def open(cls, folder: Path, lab: Lab) -> "Office":
        office = cls(folder, lab, World.of(lab))
        office.write("ca.pem", office.world.issuer)
        office.write("root.pem", lab.authorities[trees.ROOT_TEST].certificate)
        lines = [
            f"V\t300101000000Z\t\t{office.serial('recette')}\tunknown\t/CN=good",
            f"R\t300101000000Z\t260101000000Z\t{office.serial('revoked')}\tunknown\t/CN=revoked",
        ]
        (folder / "index").write_text("\n".join(lines) + "\n")
        for name, signatory in office.world.signatories.items():
            (folder / f"{name}.pem").write_bytes(signatory.credential.pem())
        return office

    def leaf(self, client: str) -> x509.Certificate:
        return self.lab.clients[client].certificate

    def serial(self, client: str) -> str:
        text = f"{self.leaf(client).serial_number:X}"
        return text if len(text) % 2 == 0 else f"0{text}"

    def write(self, name: str, *certificates: x509.Certificate) -> Path:
        path = self.folder / name
        path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in certificates))
        return path

    def responder(self, signatory: str, *options: str) -> list[str]:
        """The command of a responder that signs as somebody."""
        return [
            "openssl", "ocsp", "-index", "index", "-CA", "ca.pem",
            "-rsigner", f"{signatory}.pem", "-nmin", "5", *options,
        ]  # fmt: skip

    def answer(self, signatory: str, question: bytes, *options: str) -> bytes:
        """What OpenSSL says to a question, without a network."""
        (self.folder / "question").write_bytes(question)
        files = ["-reqin", "question", "-respout", "answer"]
        run([*self.responder(signatory, *options), *files], self.folder)
        return (self.folder / "answer").read_bytes()


def run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def office(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office.open(tmp_path_factory.mktemp("office"), lab)


class TestOfflineAnswers:
    """OpenSSL encodes and signs, we judge."""

    @pytest.mark.parametrize("name", ["sha1", "sha256"])
    @pytest.mark.parametrize("client", CLIENTS)
    @pytest.mark.parametrize("signatory", ["ca", "delegate"])
    def test_s29_each_status(
        self, office: Office, signatory: str, client: str, name: HashName
    ) -> None:
        assert self.judged(office, signatory, client, name).status is CLIENTS[client]

    @pytest.mark.parametrize("signatory", ["client", "root", "delegate-without-ocsp-signing"])
    def test_s29_strangers(self, office: Office, signatory: str) -> None:
        assert self.refused(office, signatory) is Problem.UNTRUSTED_SIGNER

    def test_s29_a_signature_that_openssl_spoils(self, office: Office) -> None:
        assert self.refused(office, "delegate", "-badsig") is Problem.BAD_SIGNATURE

    def test_named_by_its_key(self, office: Office) -> None:
        answer = self.judged(office, "delegate", "recette", "sha1", "-resp_key_id")
        assert answer.delegate is not None

    @pytest.mark.parametrize("options", [(), ("-resp_key_id",)])
    def test_a_configured_signer_without_its_certificate(
        self, office: Office, options: tuple[str, ...]
    ) -> None:
        question, asked = self.question(office, "recette")
        body = office.answer("delegate-of-neighbour", question, "-resp_no_certs", *options)
        signer = office.world.signatories["delegate-of-neighbour"].credential.certificate
        signers = Signers(office.world.issuer, (signer,))
        assert verify_answer(body, asked, signers, datetime.now(UTC)).delegate is None

    def test_s31_the_nonce_comes_back(self, office: Office) -> None:
        question, asked = self.question(office, "recette", nonce=NONCE)
        body = office.answer("ca", question)
        verify_answer(body, asked, Signers(office.world.issuer), datetime.now(UTC))

    @pytest.mark.parametrize(
        "options", [("-rmd", "sha1"), ("-rmd", "sha224"), ("-rsigopt", "rsa_padding_mode:pss")]
    )
    def test_signatures_that_are_not_taken(self, office: Office, options: tuple[str, ...]) -> None:
        assert self.refused(office, "delegate", *options) is Problem.SIGNATURE_ALGORITHM

    @pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
    def test_signatures_that_are(self, office: Office, digest: str) -> None:
        assert self.judged(office, "delegate", "recette", "sha1", "-rmd", digest)

    def test_an_answer_about_several(self, office: Office) -> None:
        """S30: to a question of OpenSSL's own about three certificates, by either hash."""
        names = ["recette", "revoked", "preproduction"]
        for name in names:
            office.write(f"{name}.pem", office.leaf(name))
        certificates = [part for name in names for part in ("-cert", f"{name}.pem")]
        command = ["openssl", "ocsp", "-issuer", "ca.pem", *certificates, "-no_nonce"]
        run([*command, "-reqout", "several"], office.folder)
        body = office.answer("delegate", (office.folder / "several").read_bytes())
        for name in names:
            _, asked = self.question(office, name)
            answer = verify_answer(body, asked, Signers(office.world.issuer), datetime.now(UTC))
            assert answer.status is CLIENTS[name]
        _, other = self.question(office, "extra-chain")
        with pytest.raises(AnswerRefused) as caught:
            verify_answer(body, other, Signers(office.world.issuer), datetime.now(UTC))
        assert caught.value.kind is Problem.OTHER_CERTIFICATE

    def question(
        self, office: Office, client: str, name: HashName = "sha1", nonce: bytes | None = None
    ) -> tuple[bytes, Asked]:
        leaf, issuer = office.leaf(client), office.world.issuer
        asked = Asked.about(leaf, issuer, nonce, nonce_required=nonce is not None)
        return build_request(leaf, issuer, name, nonce), asked

    def judged(
        self, office: Office, signatory: str, client: str, name: HashName, *options: str
    ) -> Answer:
        question, asked = self.question(office, client, name)
        body = office.answer(signatory, question, *options)
        return verify_answer(body, asked, Signers(office.world.issuer), datetime.now(UTC))

    def refused(self, office: Office, signatory: str, *options: str) -> Problem:
        with pytest.raises(AnswerRefused) as caught:
            self.judged(office, signatory, "recette", "sha1", *options)
        return caught.value.kind


class ResponderTests(TestCase):
    """`openssl ocsp` as a server, asked through the whole of our side."""

    timeout = 60.0

    @pytest.fixture(autouse=True)
    def _given(self, office: Office) -> None:
        self.office = office

    async def words(self, options: OCSPOptions, *more: str) -> dict[str, CertStatus | Problem]:
        """What is said of each client, by a responder that answers as often as it is asked."""
        command = self.office.responder("delegate", *more)
        command += ["-port", "0", "-nrequest", str(len(CLIENTS))]
        process = LoggedProcess(command, self.office.folder, environment())
        try:
            port = process.wait_for(r"ACCEPT \S*:(\d+) PID")[1]
            responder = Responder(f"http://127.0.0.1:{port}/")
            cache = OCSPCache(
                reactor,
                lambda: datetime.now(UTC),
                OCSPClient(reactor, Limits(ocsp_time=30)).ask,
                options,
                announce=lambda _leaf: None,
            )
            self.addCleanup(cache.close)
            found: dict[str, CertStatus | Problem] = {}
            for client in CLIENTS:
                word = cache.status(
                    Identity.read(self.office.leaf(client)), self.office.world.issuer, responder
                )
                said = await word if isinstance(word, Deferred) else word
                found[client] = said.status if isinstance(said, Answer) else said.kind
            assert process.wait() == 0
        finally:
            process.stop()
        return found

    async def test_each_status(self) -> None:
        assert await self.words(OCSPOptions()) == CLIENTS

    async def test_each_status_with_a_nonce_that_is_required(self) -> None:
        options = OCSPOptions(hash="sha256", nonce=OCSPNonce.REQUIRED)
        assert await self.words(options) == CLIENTS

    async def test_s29_a_spoilt_signature(self) -> None:
        words = await self.words(OCSPOptions(), "-badsig")
        assert set(words.values()) == {Problem.BAD_SIGNATURE}


STRICTER = {"delegate-cannot-sign", "delegate-sha224"}


class TestLabAnswers:
    """The lab signs, OpenSSL judges: it agrees, but where we are known to be stricter."""

    @pytest.mark.parametrize(
        ("status", "word"), [(GOOD, "good"), (REVOKED, "revoked"), (UNKNOWN, "unknown")]
    )
    @pytest.mark.parametrize("signatory", ["ca", "delegate"])
    def test_each_status(
        self, office: Office, signatory: str, status: ocsp.OCSPCertStatus, word: str
    ) -> None:
        said = self.said(office, office.world.answer(signatory, Saying(status)))
        assert "Response verify OK" in said
        assert re.search(rf"leaf.pem: {word}$", said, re.MULTILINE)

    def test_s29_every_signatory(self, office: Office) -> None:
        for name, signatory in office.world.signatories.items():
            said = self.said(office, office.world.answer(name))
            trusted = signatory.trusted or name in STRICTER
            assert ("Response verify OK" in said) == trusted, f"{name}: {said}"

    def test_s29_a_tampered_signature(self, office: Office) -> None:
        assert "Response verify OK" not in self.said(office, tampered(office.world.answer("ca")))

    def test_s31_an_answer_that_has_lapsed(self, office: Office) -> None:
        old = Saying(this_update=-timedelta(hours=3), next_update=-timedelta(hours=2))
        assert "Status times invalid" in self.said(office, office.world.answer("ca", old))

    def said(self, office: Office, body: bytes) -> str:
        (office.folder / "lab").write_bytes(body)
        office.write("leaf.pem", office.world.leaf)
        office.write(
            "anchors.pem",
            office.lab.authorities[trees.ROOT_TEST].certificate,
            office.world.issuer,
        )
        command = (
            "openssl ocsp -respin lab -issuer ca.pem -cert leaf.pem -CAfile anchors.pem -no_nonce"
        )
        done = subprocess.run(
            command.split(),
            cwd=office.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

"""`sasgate show`: what a file holds and what is wrong with it; never a traceback, nothing raw."""

import os
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
)
from cryptography.x509.oid import AttributeOID, NameOID

from command_line import done, not_writable, openssl, refused, sasgate
from pinned import lab_presets
from sasgate.commands import show as module
from sasgate.commands.csr import request
from sasgate.commands.examination import examine
from sasgate.contents import contents
from sasgate.environments import PRESETS
from sasgate.fitness import PublishedCAs
from sasgate.lab.authority import Credential
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.names import name
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Template
from sasgate.lab.trees import ORG, ORG_TEST, platform_name


NOW = datetime(2026, 6, 1, tzinfo=UTC)
GENUINE = {
    "ACR-EL": "the root of production",
    "ACI-EL-ORG": "the issuer of production",
    "ACR-EL-TEST": "the root of recette and preproduction",
    "ACI-EL-ORG-TEST": "the issuer of recette and preproduction",
}
# Everything that may come out: no control character, nothing that a terminal obeys.
PRINTABLE = re.compile(r"[\x20-\x7e\n]*")


def shown(*arguments: object) -> str:
    """All that is said, whatever the end."""
    result = sasgate("show", *arguments)
    assert result.exit_code in {0, 1}
    assert PRINTABLE.fullmatch(result.output)
    return result.output


@pytest.fixture
def pins(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's CAs are ANS's, and lie in the folder where nothing else is looked for."""
    monkeypatch.setattr(module, "PRESETS", lab_presets(lab))
    monkeypatch.chdir(lab.directory)


def wrong(path: Path) -> str:
    """What standard error says of a file with something wrong."""
    return refused("show", path)


class TestGenuineFiles:
    """ANS's own files, with OpenSSL as the other reader."""

    @pytest.mark.parametrize("ca", GENUINE)
    def test_a_ca_is_the_pinned_one_of_its_environment(self, shared: Path, ca: str) -> None:
        path = shared / "igc-sante" / f"{ca}.cer"
        held = contents(path.read_bytes())
        found = examine([(path, held)], PublishedCAs(tuple(PRESETS.values())), NOW)
        (verdict,) = found.verdicts(found.items[0])
        assert (verdict.use, verdict.good) == ("CA", True)
        assert verdict.fits == f"ANS's {ca}, {GENUINE[ca]}"
        assert not list(found.problems(found.items[0]))

    @pytest.mark.parametrize("ca", GENUINE)
    def test_a_ca_is_read_as_openssl_reads_it(self, shared: Path, ca: str) -> None:
        path = shared / "igc-sante" / f"{ca}.cer"
        said = shown(path)
        options = ("-inform", "der", "-in", path, "-noout", "-nameopt", "RFC2253")
        theirs = dict(
            line.split("=", 1)
            for line in openssl(
                "x509", *options, "-subject", "-issuer", "-serial", "-fingerprint", "-sha256"
            ).splitlines()
        )
        fingerprint = theirs["sha256 Fingerprint"].replace(":", "").lower()
        for value in (theirs["subject"], theirs["issuer"], theirs["serial"], fingerprint):
            assert value in said
        assert "2013-06-25 00:00 to 2033-06-24" in said or "2033-06-2" in said
        assert "keyCertSign, cRLSign" in said

    @pytest.mark.parametrize("name", ["ACR-EL", "ACI-EL-ORG-TEST"])
    def test_the_cn_in_our_tables_is_that_of_the_file(self, shared: Path, name: str) -> None:
        certificate = x509.load_der_x509_certificate(
            (shared / "igc-sante" / f"{name}.cer").read_bytes()
        )
        ca = next(each for each in PublishedCAs(tuple(PRESETS.values())).all if each.name == name)
        (cn,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert cn.value == ca.common_name

    @pytest.mark.parametrize(
        ("file", "number", "entries", "ca"),
        [
            ("ACI-EL-ORG-TEST-crl1287-20190627.crl", "1287", "1013", "ACI-EL-ORG-TEST"),
            ("ACR-EL-TEST-crl73-20190601.crl", "73", "0", "ACR-EL-TEST"),
        ],
    )
    def test_a_list_is_of_its_ca_and_expired(
        self, shared: Path, file: str, number: str, entries: str, ca: str
    ) -> None:
        path = shared / "igc-sante" / file
        said = shown(path)
        assert re.search(rf"number +{number}\n", said)
        assert re.search(rf"entries +{entries}\n", said)
        assert f"no, for ANS's {ca}, {GENUINE[ca]}:" in said
        assert "it expired on 2019-07-" in said
        assert "signature was not verified" not in said, "its CA lies beside it"

    def test_a_list_was_current_in_its_days(self, shared: Path) -> None:
        folder = shared / "igc-sante"
        path = folder / "ACI-EL-ORG-TEST-crl1287-20190627.crl"
        ca = x509.load_der_x509_certificate((folder / "ACI-EL-ORG-TEST.cer").read_bytes())
        cas = PublishedCAs(tuple(PRESETS.values()), {"ACI-EL-ORG-TEST": ca})
        then = datetime(2019, 6, 28, tzinfo=UTC)
        found = examine([(path, contents(path.read_bytes()))], cas, then)
        (verdict,) = found.verdicts(found.items[0])
        assert (verdict.good, verdict.notes) == (True, ())

    def test_a_list_away_from_its_ca_is_not_said_to_be_verified(
        self, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        path = tmp_path / "a.crl"
        path.write_bytes(
            (shared / "igc-sante" / "ACI-EL-ORG-TEST-crl1287-20190627.crl").read_bytes()
        )
        assert "note: by its issuer's name alone, the signature was not verified" in shown(path)
        assert "not verified" not in shown(path, "--ca", shared / "igc-sante")

    def test_a_tampered_list_is_told(self, shared: Path, tmp_path: Path) -> None:
        data = bytearray((shared / "igc-sante" / "ACR-EL-TEST-crl73-20190601.crl").read_bytes())
        data[-1] ^= 1
        (tmp_path / "a.crl").write_bytes(data)
        assert "signature" in shown(tmp_path / "a.crl", "--ca", shared / "igc-sante")

    def test_pem_says_the_same_as_der(self, shared: Path, tmp_path: Path) -> None:
        der = shared / "igc-sante" / "ACR-EL.cer"
        done("convert", der, tmp_path / "pem")
        assert shown(der).splitlines()[1:] == shown(tmp_path / "pem").splitlines()[1:]

    def test_a_tampered_ca_is_another_one_of_that_name(self, shared: Path, tmp_path: Path) -> None:
        data = bytearray((shared / "igc-sante" / "ACI-EL-ORG.cer").read_bytes())
        data[-1] ^= 1
        (tmp_path / "a.cer").write_bytes(data)
        assert "bears the name of ANS's ACI-EL-ORG and is another one" in shown(tmp_path / "a.cer")


@pytest.mark.usefixtures("pins")
class TestClients:
    """Certificates that are presented to SAS, and SAS's own."""

    @pytest.mark.parametrize(
        ("editor", "environments"),
        [("ACME_PROD", "production"), ("ACME_TEST", "recette and preproduction")],
    )
    def test_the_one_pem_is_all_right(self, lab: Lab, editor: str, environments: str) -> None:
        said = done("show", lab.editor_path(editor)).stdout
        assert re.search(rf"as client +fits {environments}\n", said)
        assert "key of      item 2" in said
        assert re.search(r"as CA +fits ANS's ACI-EL-ORG", said)
        assert "note:" not in said

    def test_an_incomplete_pem_says_what_is_missing(self, lab: Lab, tmp_path: Path) -> None:
        path = secret(tmp_path, lab.editors["ACME_PROD"].pem())
        assert "item 2: the CA that issued it is missing after it; `sasgate bundle`" in wrong(path)

    def test_a_pem_in_the_wrong_order_is_told(self, lab: Lab, tmp_path: Path) -> None:
        """S55."""
        editor = lab.editors["ACME_PROD"]
        ca = lab.authorities[ORG].certificate.public_bytes(Encoding.PEM)
        path = secret(tmp_path, editor.key_pem() + ca + editor.pem())
        assert "it must stand before the CAs in its file" in wrong(path)

    def test_the_other_environments_ca_in_the_pem_is_told(self, lab: Lab, tmp_path: Path) -> None:
        ca = lab.authorities[ORG_TEST].certificate.public_bytes(Encoding.PEM)
        path = secret(tmp_path, lab.editors["ACME_PROD"].pem() + ca)
        assert "item 2: the certificate after it is not of the CA that issued it" in wrong(path)

    @pytest.mark.parametrize("environment", PRESETS)
    def test_the_platforms_own_certificate_is_told(self, lab: Lab, environment: str) -> None:
        said = shown(lab.path_of(environment))
        assert re.search(rf"as client +fits {environment}\n", said)
        assert "it is the SAS platform's own, which calls editors" in said

    @pytest.mark.parametrize(
        ("client", "reason"),
        [
            (
                "ssl-serv",
                "it is not AUTH_CLI: clientAuth without serverAuth is needed, it has bo",
            ),
            ("server-auth", "it has serverAuth"),
            ("e-mail", "it has neither"),
            ("no-usage", "it has neither"),
            ("key-encipherment", "its key usage lacks digitalSignature"),
            ("expired", "it ended on"),
            ("not-yet-valid", "it is not valid before"),
            ("person", "not by ANS's ACI-EL-ORG-TEST or ACI-EL-ORG"),
            ("self-signed", "not by ANS's ACI-EL-ORG-TEST or ACI-EL-ORG"),
            ("other-ca", "names ANS's ACI-EL-ORG-TEST as its issuer, which did not sign it"),
            ("same-name-ca", "names ANS's ACI-EL-ORG-TEST as its issuer, which did not sign it"),
            ("bad-signature", "names ANS's ACI-EL-ORG-TEST as its issuer, which did not sign it"),
            ("unreadable-name", "it cannot be decoded"),
        ],
    )
    def test_what_sas_would_refuse_is_said(self, lab: Lab, client: str, reason: str) -> None:
        path = lab.path_of(client)
        said = shown(path)
        assert re.search(r"as client +no", said)
        assert reason in said
        assert "cannot be used with SAS as client and server" in wrong(path)

    @pytest.mark.parametrize("client", CATALOGUE)
    @pytest.mark.parametrize("chain", [False, True])
    def test_every_client_of_the_lab_is_shown(self, lab: Lab, client: str, chain: bool) -> None:
        """S5 to S11, S39: deceiving names come out escaped."""
        said = shown(lab.path_of(client, chain=chain))
        assert "1. private key" in said
        assert "2. c" in said.lower()

    def test_without_the_ca_at_hand_a_name_is_all_there_is(
        self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        path = secret(tmp_path, lab.editors["ACME_PROD"].pem())
        said = shown(path)
        assert re.search(r"as client +fits production\n", said)
        assert "note: by its issuer's name alone, the signature was not verified" in said

    def test_a_folder_of_other_cas_verifies_nothing(
        self, lab: Lab, tmp_path: Path, shared: Path
    ) -> None:
        path = secret(tmp_path, lab.editors["ACME_PROD"].pem())
        said = shown(path, "--ca", shared / "igc-sante")
        assert "the signature was not verified" in said

    def test_another_form_of_cn_is_a_note(self, lab: Lab, tmp_path: Path) -> None:
        said = shown(issued(lab, tmp_path, platform_name("ACME", "300000000000017", "ACME")))
        assert "note: its CN ACME is not of the form sas-agregateur-prod-<EDITEUR>" in said

    def test_an_ou_of_ans_is_a_note(self, lab: Lab, tmp_path: Path) -> None:
        subject = platform_name("sas-agregateur-prod-ACME", "318751275100020", "ACME")
        assert "ANS issued it on your behalf" in shown(issued(lab, tmp_path, subject))

    def test_a_near_end_is_a_note(self, lab: Lab, tmp_path: Path) -> None:
        subject = lab.editors["ACME_PROD"].certificate.subject
        said = shown(issued(lab, tmp_path, subject, not_after=timedelta(days=50)))
        assert re.search(r"note: it ends in (49|50) days: order the next one", said)

    @pytest.mark.parametrize("ou", [None, "1"])
    def test_a_missing_name_is_wrong(self, lab: Lab, tmp_path: Path, ou: str | None) -> None:
        pair = (NameOID.COMMON_NAME, "x") if ou is None else (NameOID.ORGANIZATIONAL_UNIT_NAME, ou)
        said = shown(issued(lab, tmp_path, name(pair)))
        assert "it has no CN or no OU, by which SAS knows its callers" in said

    def test_a_terminal_is_given_nothing_to_obey(self, lab: Lab, tmp_path: Path) -> None:
        """S39."""
        cn = "\x1b[2J\x1b]0;owned\x07\r\n\u2028\u202e" + "A" * 20
        said = shown(issued(lab, tmp_path, platform_name(cn, "1", "ACME")))
        assert "\\1B[2J\\1B]0" in said

    def test_a_csr_of_the_same_key_is_joined_with_it_over_files(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        editor = lab.editors["ACME_PROD"]
        csr, key, crt = (tmp_path / each for each in ("a.csr", "a.key", "a.crt"))
        csr.write_bytes(request(editor.key, "sas-agregateur-prod-ACME").public_bytes(Encoding.PEM))
        secret(tmp_path, editor.key_pem()).rename(key)
        crt.write_bytes(editor.certificate.public_bytes(Encoding.DER))
        said = done("show", csr, key, crt).stdout
        assert re.findall(r"key of +(.+)", said) == ["item 2", "item 1, item 3", "item 2"]


class TestServers:
    """The gateway's own certificate."""

    @pytest.fixture(autouse=True)
    def _publicly_known(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(lab.public_root))
        monkeypatch.setenv("SSL_CERT_DIR", str(lab.directory / "no-such-folder"))

    def test_a_public_one_fits_with_its_intermediate(self, lab: Lab) -> None:
        said = done("show", lab.server_paths()[0]).stdout
        assert re.search(r"names +localhost, 127.0.0.1, ::1\n", said)
        assert re.search(r"as server +fits\n", said)

    @pytest.mark.parametrize(
        ("server", "reason"),
        [
            ("expired", "it ended on"),
            ("no-san", "it has no subjectAltName"),
            ("client-auth", "its extended key usage is not serverAuth"),
        ],
    )
    def test_what_clients_would_refuse_is_said(self, lab: Lab, server: str, reason: str) -> None:
        assert reason in shown(lab.server_paths(server)[0])

    def test_a_missing_intermediate_is_said(self, lab: Lab, tmp_path: Path) -> None:
        path = tmp_path / "a.pem"
        path.write_bytes(lab.servers["server"].certificate.public_bytes(Encoding.PEM))
        assert "ANS's kit will not trust it: the intermediate CA is missing" in shown(path)

    def test_an_unknown_ca_is_said(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(lab.directory / "lab.json"))
        assert "ANS's kit will not trust it" in wrong_text(lab.server_paths()[0])

    def test_a_ca_that_is_not_of_ans_is_no_ca_for_clients(self, lab: Lab) -> None:
        assert "it is none of ANS's" in wrong_text(lab.public_root)


class TestRequests:
    """CSRs; what the guide wants of them is in 4.3.1."""

    @pytest.mark.parametrize(
        ("option", "environments"),
        [("--production", "production"), ("--test", "recette and preproduction")],
    )
    @pytest.mark.parametrize("form", ["DER", "PEM"])
    def test_ours_fits(self, tmp_path: Path, option: str, environments: str, form: str) -> None:
        done("csr", "--editor", "ACME", option, "--to", tmp_path)
        (path,) = tmp_path.glob("*.csr")
        if form == "DER":
            done("convert", path, tmp_path / "der")
            path = tmp_path / "der"
        assert re.search(rf"as CSR +fits {environments}\n", done("show", path).stdout)

    def test_the_guides_fits(self, tmp_path: Path) -> None:
        openssl(
            "req", "-nodes", "-newkey", "rsa:2048", "-sha256", "-subj",
            "/CN=sas-agregateur-prod-ACME", "-keyout", tmp_path / "k", "-out", tmp_path / "c",
        )  # fmt: skip
        assert "fits production" in done("show", tmp_path / "c").stdout

    @pytest.mark.parametrize(
        ("names", "reason"),
        [
            ({NameOID.COMMON_NAME: "ACME"}, "its CN ACME is not of the form"),
            ({NameOID.COMMON_NAME: "sas-agregateur-prod-"}, "is not of the form"),
            ({}, "its subject is empty; ANS wants one CN"),
            (
                {NameOID.COMMON_NAME: "sas-agregateur-prod-A", NameOID.EMAIL_ADDRESS: "a@b.fr"},
                "ANS wants one CN and no more",
            ),
            ({NameOID.ORGANIZATION_NAME: "CN=sas-agregateur-prod-A"}, "ANS wants one CN"),
        ],
    )
    def test_another_subject_is_wrong(
        self, tmp_path: Path, names: Mapping[x509.ObjectIdentifier, str], reason: str
    ) -> None:
        subject = x509.Name([x509.NameAttribute(*each) for each in names.items()])
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
        assert reason in signed(tmp_path, builder)

    def test_a_password_in_it_is_wrong(self, tmp_path: Path) -> None:
        builder = good_request().add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"secret")
        said = signed(tmp_path, builder)
        assert "it holds a password (challengePassword)" in said
        assert "secret" not in said

    def test_a_longer_digest_is_wrong(self, tmp_path: Path) -> None:
        assert "not signed with SHA-256" in signed(
            tmp_path, good_request(), algorithm=hashes.SHA512()
        )

    @pytest.mark.parametrize("key", ["rsa", "ec"])
    def test_another_key_is_wrong(self, tmp_path: Path, key: str) -> None:
        made = ec.generate_private_key(ec.SECP256R1()) if key == "ec" else rsa_key(3072)
        path = tmp_path / "a.csr"
        path.write_bytes(good_request().sign(made, hashes.SHA256()).public_bytes(Encoding.DER))
        assert "its key is not RSA 2048" in wrong_text(path)

    def test_a_tampered_one_is_wrong(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csr"
        data = bytearray(request(rsa_key(), "sas-agregateur-prod-ACME").public_bytes(Encoding.DER))
        data[data.index(b"ACME")] ^= 1
        path.write_bytes(data)
        assert "its signature is wrong" in wrong_text(path)


class TestKeys:
    """Private keys: nothing of them but their kind is ever shown (S57)."""

    @pytest.mark.parametrize("form", [Encoding.DER, Encoding.PEM])
    @pytest.mark.parametrize("layout", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
    def test_its_kind_is_shown(self, tmp_path: Path, form: Encoding, layout: PrivateFormat) -> None:
        for key, kind in ((rsa_key(), "RSA 2048"), (ec.generate_private_key(ec.SECP256R1()), "EC")):
            path = secret(tmp_path, key.private_bytes(form, layout, NoEncryption()))
            assert f"key         {kind}" in done("show", path).stdout

    def test_another_kind_is_named(self, tmp_path: Path) -> None:
        key = ed25519.Ed25519PrivateKey.generate()
        data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        assert "key         Ed25519" in done("show", secret(tmp_path, data)).stdout

    @pytest.mark.parametrize("layout", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
    def test_a_passphrase_is_told_and_not_asked_for(
        self, tmp_path: Path, layout: PrivateFormat
    ) -> None:
        data = rsa_key().private_bytes(Encoding.PEM, layout, BestAvailableEncryption(b"x"))
        path = secret(tmp_path, data)
        assert "1. private key, under a passphrase" in shown(path)
        assert "passphrase; take it off" in wrong(path)

    def test_a_key_that_everybody_can_read_is_told(self, lab: Lab, tmp_path: Path) -> None:
        """S57."""
        path = secret(tmp_path, lab.editors["ACME_PROD"].key_pem())
        path.chmod(0o604)
        assert f"every user can read the key (S57); run: chmod o-rwx {path}" in wrong(path)

    def test_a_key_of_another_certificate_is_told(self, lab: Lab, tmp_path: Path) -> None:
        """S55."""
        pem = lab.editors["ACME_PROD"].certificate.public_bytes(Encoding.PEM)
        path = secret(tmp_path, lab.servers["server"].key_pem() + pem)
        assert "item 1: is the key of none of the others" in wrong(path)


class TestDamage:
    """Files that are none."""

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"hello", "5 bytes that are neither PEM nor DER"),
            (b"<!DOCTYPE html><title>portal</title>", "a web page"),
            (b"0\x82\x06\x00cut", "DER of something else, or cut short or damaged"),
            (b"-----BEGIN CERTIFICATE-----\nMII", "a PEM block CERTIFICATE that is cut short"),
            (b"-----BEGIN CERTIFICATE-----\nMII\n-----END X509 CRL-----\n", "that is cut short"),
            (b"-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n", "not be decoded"),
            (b"-----BEGIN \x1b[2J-----\nTUlJ\n-----END \x1b[2J-----\n", "block \\1B[2J, which is"),
            (b"-----BEGIN " * 3, "cut short"),
            (b"-----BEGIN-----", "PEM without a whole block in it"),
            (b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", "without a whole"),
        ],
    )
    def test_it_is_named(self, tmp_path: Path, content: bytes, reason: str) -> None:
        path = tmp_path / "a"
        path.write_bytes(content)
        assert reason in shown(path)
        assert f"wrong: item 1: {''}" in wrong(path)

    def test_what_is_neither_is_not_called_der(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        path.write_bytes(b"hello")
        assert shown(path).startswith(f"{path}\n1. 5 bytes")

    @pytest.mark.parametrize("kind", ["missing", "empty", "folder"])
    def test_what_cannot_be_read_is_named(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "a"
        if kind == "empty":
            path.write_bytes(b" \n")
        elif kind == "folder":
            path.mkdir()
        assert f"Error: {path}: " in refused("show", path)

    def test_files_that_cannot_be_read_hide_none_of_the_others(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        (tmp_path / "empty").touch()
        server, ca = lab.server_paths()[0], lab.ca_path(ORG)
        result = sasgate("show", tmp_path / "absent", server, tmp_path / "empty", ca)
        assert result.exit_code == 1
        assert f"\n{ca}: " in result.stdout
        assert result.stdout.startswith(f"{server}: PEM\n1. ")
        assert result.stderr.splitlines()[:2] == [
            f"Error: {tmp_path}/absent: does not exist",
            f"Error: {tmp_path}/empty: is empty; get it anew",
        ]

    def test_what_this_user_may_not_read_is_named(self, tmp_path: Path) -> None:
        path = secret(tmp_path, b"x")
        with not_writable(tmp_path):
            path.chmod(0) if os.geteuid() != 65534 else None
            said = refused("show", path)
        assert "cannot be read by this user" in said

    def test_what_is_too_long_is_not_read_on(self) -> None:
        assert "is larger than 67108864 bytes" in refused("show", "/dev/zero")

    def test_more_than_a_hundred_items_are_not_looked_at(self, lab: Lab, tmp_path: Path) -> None:
        path = tmp_path / "many.pem"
        path.write_bytes(lab.servers["server"].certificate.public_bytes(Encoding.PEM) * 101)
        assert "101. more than 100 items: the rest is not looked at" in shown(path)

    def test_one_damaged_among_good_ones_does_not_hide_them(self, lab: Lab, tmp_path: Path) -> None:
        pem = lab.servers["server"].certificate.public_bytes(Encoding.PEM)
        path = tmp_path / "a.pem"
        path.write_bytes(pem + pem[: len(pem) // 2] + b"\n" + pem)
        said = shown(path)
        assert said.count("subject     CN=localhost") == 2
        assert "2. a PEM block CERTIFICATE that is cut short" in said

    def test_text_around_the_blocks_is_passed_over(self, lab: Lab, tmp_path: Path) -> None:
        path = tmp_path / "a.pem"
        path.write_text(openssl("x509", "-text", "-in", lab.server_paths()[0]))
        assert "subject     CN=localhost" in shown(path)

    @pytest.mark.parametrize("form", [Encoding.DER, Encoding.PEM])
    def test_pkcs7_is_opened(self, lab: Lab, tmp_path: Path, form: Encoding) -> None:
        certificates = [lab.authorities[each].certificate for each in ("ACR-EL", ORG)]
        path = tmp_path / "a.p7b"
        path.write_bytes(pkcs7.serialize_certificates(certificates, form))
        assert shown(path).count("CA certificate") == 2

    def test_a_pipe_can_be_shown(self, lab: Lab, tmp_path: Path) -> None:
        fifo = tmp_path / "pipe"
        os.mkfifo(fifo, 0o600)
        with subprocess.Popen(["sh", "-c", f'cat "{lab.ca_path(ORG)}" > "{fifo}"']):
            assert "1. CA certificate" in shown(fifo)


def secret(folder: Path, data: bytes) -> Path:
    """A file with a key in it, as it must be."""
    path = folder / "secret.pem"
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def wrong_text(path: Path) -> str:
    """All that is said of a file with something wrong."""
    refused("show", path)
    return shown(path)


def issued(lab: Lab, folder: Path, subject: x509.Name, **changes: timedelta) -> Path:
    """A certificate of the production CA, alone in a file."""
    key = lab.editors["ACME_PROD"].key
    made: Credential = lab.authorities[ORG].issue(
        Template(subject, **changes), key, now=lab.created
    )
    path = folder / "issued.crt"
    path.write_bytes(made.certificate.public_bytes(Encoding.DER))
    return path


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def good_request() -> x509.CertificateSigningRequestBuilder:
    cn = x509.NameAttribute(NameOID.COMMON_NAME, "sas-agregateur-prod-ACME")
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([cn]))


def signed(
    folder: Path,
    builder: x509.CertificateSigningRequestBuilder,
    algorithm: hashes.SHA256 | hashes.SHA512 | None = None,
) -> str:
    """All that is said of a request that has something wrong."""
    path = folder / "a.csr"
    made = builder.sign(rsa_key(), algorithm or hashes.SHA256())
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return wrong_text(path)

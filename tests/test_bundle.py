"""`sasgate bundle`: the one PEM of 4.3.3, of what belongs together and suits SAS (S55, S57)."""

import grp
import os
import re
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from command_line import done, mode_of, not_writable, openssl, refused, umask
from pinned import lab_presets
from processes import PATIENCE
from sasgate.commands import bundle as module
from sasgate.lab.authority import Credential
from sasgate.lab.names import OU, name
from sasgate.lab.pki import Lab
from sasgate.lab.profile import Template
from sasgate.lab.trees import ORG, ORG_TEST, platform_name
from sasgate.trust import read_certificates, read_private_key


@pytest.fixture(autouse=True)
def _pins(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PRESETS", lab_presets(lab))


class Desk:
    """A folder with a key and a certificate in it, and the bundle that comes of them."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.key, self.certificate = folder / "ACME_prod.key", folder / "ACME_PROD.crt"
        self.to = folder / "to"
        self.to.mkdir()
        self.environment = "production"
        self.give(lab.editors["ACME_PROD"])

    def give(self, credential: Credential, *, form: Encoding = Encoding.DER) -> None:
        """What an editor has: the key as made, the certificate as ANS sends it."""
        self.key.write_bytes(credential.key_pem())
        self.key.chmod(0o600)
        self.certificate.write_bytes(credential.certificate.public_bytes(form))

    def test(self) -> None:
        """From here on it is about recette."""
        self.environment = "recette"

    @property
    def arguments(self) -> tuple[object, ...]:
        return (
            "bundle", "--key", self.key, "--certificate", self.certificate,
            "--environment", self.environment, "--ca", self.lab.directory / "ca", "--to", self.to,
        )  # fmt: skip

    def made(self, *options: object) -> Path:
        done(*self.arguments, *options)
        (path,) = self.to.iterdir()
        return path

    def refused(self, *options: object) -> str:
        """Why; nothing may have been written."""
        said = refused(*self.arguments, *options)
        assert "nothing was written" in said
        assert not list(self.to.iterdir())
        return said


@pytest.fixture
def desk(lab: Lab, tmp_path: Path) -> Desk:
    return Desk(lab, tmp_path)


def test_it_holds_key_certificate_and_issuer_under_the_guides_name(desk: Desk, lab: Lab) -> None:
    path = desk.made()
    assert path.name == "ACME_PROD.key.crt.ca.pem"
    assert re.findall("-----BEGIN ([A-Z ]+)-----", path.read_text()) == [
        "PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"
    ]  # fmt: skip
    leaf, issuer = x509.load_pem_x509_certificates(path.read_bytes())
    assert leaf == lab.editors["ACME_PROD"].certificate
    assert issuer == lab.authorities[ORG].certificate


@pytest.mark.parametrize("environment", ["recette", "preproduction"])
def test_a_test_certificate_is_for_both_test_environments(
    desk: Desk, lab: Lab, environment: str
) -> None:
    desk.give(lab.editors["ACME_TEST"])
    desk.environment = environment
    path = desk.made()
    assert path.name == "ACME_TEST.key.crt.ca.pem"
    issuer = x509.load_pem_x509_certificates(path.read_bytes())[1]
    assert issuer == lab.authorities[ORG_TEST].certificate


def test_it_is_what_the_guides_commands_make(desk: Desk, lab: Lab, tmp_path: Path) -> None:
    """4.3.3: cp key; cat certificate; cat ACI-EL-ORG."""
    path, guide = desk.made(), tmp_path / "guide.pem"
    pieces = [desk.key.read_text()]
    for source in (desk.certificate, lab.ca_path(ORG)):
        pem = tmp_path / "converted.pem"
        openssl("x509", "-inform", "der", "-in", source, "-out", pem)
        pieces.append(pem.read_text())
    guide.write_text("".join(pieces))
    assert path.read_bytes() == guide.read_bytes()


def test_openssl_verifies_its_chain_up_to_the_root(desk: Desk, lab: Lab, tmp_path: Path) -> None:
    path, root = desk.made(), tmp_path / "root.pem"
    root.write_bytes(lab.authorities["ACR-EL"].certificate.public_bytes(Encoding.PEM))
    said = openssl(
        "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", root, "-untrusted", path, path
    )
    assert said.strip() == f"{path}: OK"
    assert "CN = sas-agregateur-prod-ACME" in openssl("x509", "-text", "-noout", "-in", path), (
        "the guide's `Show Info` shows the editor's certificate"
    )


def test_openssl_loads_it_as_key_and_chain(desk: Desk) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(desk.made())


def test_the_gateway_takes_it(desk: Desk) -> None:
    path = desk.made()
    assert len(read_certificates(path)) == 2
    read_private_key(path)


@pytest.mark.parametrize("form", [Encoding.DER, Encoding.PEM])
@pytest.mark.parametrize("key_form", [Encoding.DER, Encoding.PEM])
def test_der_and_pem_make_the_same_bundle(
    desk: Desk, lab: Lab, form: Encoding, key_form: Encoding
) -> None:
    editor = lab.editors["ACME_PROD"]
    desk.give(editor, form=form)
    desk.key.write_bytes(
        editor.key.private_bytes(key_form, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    assert desk.made().read_bytes() == editor.pem(chain=True)


def test_of_several_certificates_the_one_of_the_key_is_taken(desk: Desk, lab: Lab) -> None:
    mine = lab.editors["ACME_PROD"]
    others = (lab.authorities[ORG].certificate, lab.servers["server"].certificate)
    desk.certificate.write_bytes(
        b"".join(each.public_bytes(Encoding.PEM) for each in (*others, mine.certificate))
    )
    assert desk.made().read_bytes() == mine.pem(chain=True)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_only_its_owner_can_read_it(desk: Desk, mask: int) -> None:
    """S57."""
    with umask(mask):
        assert mode_of(desk.made()) == 0o600


def test_without_a_group_it_says_how_the_service_may_read_it(desk: Desk) -> None:
    name = re.escape(str(desk.to))
    assert re.search(
        f"chgrp sasgate {name}/\\S+ && chmod 0640 {name}", done(*desk.arguments).stdout
    )


def test_a_group_can_read_it_when_named(desk: Desk) -> None:
    group = grp.getgrgid(os.getegid()).gr_name
    path = desk.made("--group", group)
    assert (mode_of(path), path.stat().st_gid) == (0o640, os.getegid())
    read_private_key(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to any group")
def test_it_is_given_to_the_group(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.grp, "getgrnam", lambda _: SimpleNamespace(gr_gid=54321))
    assert desk.made("--group", "sasgate").stat().st_gid == 54321


def test_an_unknown_group_is_named(desk: Desk) -> None:
    assert "--group 'no-such-group': there is no such group" in desk.refused(
        "--group", "no-such-group"
    )


def test_an_older_bundle_stays(desk: Desk) -> None:
    older = desk.to / "ACME_PROD.key.crt.ca.pem"
    older.write_bytes(b"older")
    assert f"{older}: is there already" in refused(*desk.arguments)
    assert [each.read_bytes() for each in desk.to.iterdir()] == [b"older"]


def test_a_planted_link_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    (desk.to / "ACME_PROD.key.crt.ca.pem").symlink_to(tmp_path / "elsewhere")
    assert "is there already" in refused(*desk.arguments)
    assert not (tmp_path / "elsewhere").exists()


def test_what_this_user_may_not_read_or_write_is_named(desk: Desk) -> None:
    with not_writable(desk.to):
        said = refused(*desk.arguments)
    assert "Permission denied" in said
    assert not list(desk.to.iterdir())


def test_another_key_is_refused(desk: Desk, lab: Lab) -> None:
    """S55."""
    desk.key.write_bytes(lab.servers["server"].key_pem())
    said = desk.refused()
    assert f"{desk.key}: is not the key of {desk.certificate}" in said
    assert "its CSR was made with" in said


def test_a_key_that_everybody_can_read_is_refused(desk: Desk) -> None:
    """S57."""
    desk.key.chmod(0o644)
    assert f"can be read by every user; run: chmod o-rwx {desk.key}" in desk.refused()


@pytest.mark.parametrize("form", [Encoding.PEM, Encoding.DER])
def test_a_key_under_a_passphrase_is_refused(desk: Desk, lab: Lab, form: Encoding) -> None:
    """S55."""
    key = lab.editors["ACME_PROD"].key
    locked = key.private_bytes(form, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    desk.key.write_bytes(locked)
    assert "the key is encrypted; store it without a passphrase" in desk.refused()


def test_a_key_of_another_kind_is_refused(desk: Desk) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    desk.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert "neither RSA nor ECDSA" in desk.refused()


@pytest.mark.parametrize("which", ["key", "certificate"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "does not exist"), (b"", "is empty"), (b"<html>portal</html>", ""), (b"0\x82", "")],
)
def test_a_spoilt_file_is_named(desk: Desk, which: str, content: bytes | None, reason: str) -> None:
    """S1."""
    path: Path = getattr(desk, which)
    path.write_bytes(content or b"")
    if content is None:
        path.unlink()
    said = desk.refused()
    assert f"{path}: " in said
    assert reason in said


def test_a_folder_in_place_of_a_file_is_named(desk: Desk) -> None:
    desk.certificate.unlink()
    desk.certificate.mkdir()
    assert f"{desk.certificate}: is a directory" in desk.refused()


def test_a_certificate_of_the_other_ca_is_refused(desk: Desk, lab: Lab) -> None:
    """S9."""
    desk.give(lab.editors["ACME_TEST"])
    said = desk.refused()
    assert "this environment's is ACI-EL-ORG; use the certificate that was made for this" in said


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        ("ssl-serv", "not of the type AUTH_CLI"),
        ("server-auth", "not of the type AUTH_CLI"),
        ("no-usage", "not of the type AUTH_CLI"),
        ("e-mail", "not of the type AUTH_CLI"),
        ("expired", "the certificate expired on"),
        ("not-yet-valid", "the certificate is not valid before"),
        ("person", "this environment's is ACI-EL-ORG-TEST"),
        ("self-signed", "this environment's is ACI-EL-ORG-TEST"),
        ("other-ca", "bears the name of ACI-EL-ORG-TEST as its issuer, which did not sign it"),
        ("same-name-ca", "bears the name of ACI-EL-ORG-TEST as its issuer, which did not sign it"),
        ("bad-signature", "bears the name of ACI-EL-ORG-TEST as its issuer, which did not sign"),
        ("unreadable-name", "cannot be decoded"),
        ("recette-from-production-ca", "this environment's is ACI-EL-ORG-TEST"),
    ],
)
def test_a_certificate_that_sas_would_refuse_is_refused(
    desk: Desk, lab: Lab, client: str, reason: str
) -> None:
    desk.test()
    desk.give(lab.clients[client])
    assert reason in desk.refused()


def test_a_missing_ca_is_named_with_the_way_to_get_it(desk: Desk, tmp_path: Path) -> None:
    said = desk.refused("--ca", tmp_path / "no")
    assert f"{tmp_path / 'no' / 'ACI-EL-ORG.cer'}: does not exist" in said
    assert f"sasgate fetch-ca --environment production --to {tmp_path / 'no'}" in said


def test_a_ca_that_is_not_the_pinned_one_is_refused(desk: Desk, lab: Lab, tmp_path: Path) -> None:
    """The namesake's own certificates do not help it."""
    folder = tmp_path / "ca"
    folder.mkdir()
    (folder / "ACI-EL-ORG-TEST.cer").write_bytes(lab.authorities["SAME-NAME-ACI-EL-ORG-TEST"].der)
    desk.test()
    desk.give(lab.clients["same-name-ca"])
    assert "is not ANS's ACI-EL-ORG-TEST: SHA-256" in desk.refused("--ca", folder)


def test_the_genuine_pin_refuses_the_lab(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert "d834ee5b40686b73573f60547bf6052c6d404d942a5665cdb2c0b9137b5d27b2" in desk.refused()


def test_by_default_the_ca_is_in_the_folder_ca(
    desk: Desk, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab.directory)
    arguments = [str(each) for each in desk.arguments]
    at = arguments.index("--ca")
    done(*arguments[:at], *arguments[at + 2 :])


def issued(lab: Lab, subject: x509.Name, **changes: timedelta) -> Credential:
    return lab.authorities[ORG].issue(
        Template(subject, **changes), lab.editors["ACME_PROD"].key, now=lab.created
    )


@pytest.mark.parametrize(
    ("cn", "file"),
    [
        ("sas-agregateur-prod-Dupont ; Fils", "Dupont_Fils_PROD"),
        ("sas-agregateur-prod-../../x", "_.._x_PROD"),
        ("sas-agregateur-prod-/etc/x", "_etc_x_PROD"),
        ("sas-agregateur-prod-..", "__PROD"),
        ("something else", "ACME_PROD"),
        ("../../x", "ACME_PROD"),
    ],
)
def test_its_name_is_a_plain_one_whatever_the_cn(desk: Desk, lab: Lab, cn: str, file: str) -> None:
    desk.give(issued(lab, platform_name(cn, "300000000000017", "ACME")))
    assert desk.made().name == f"{file}.key.crt.ca.pem"


def test_another_form_of_cn_is_a_warning(desk: Desk, lab: Lab) -> None:
    desk.give(issued(lab, platform_name("ACME\x1b[31m", "300000000000017", "ACME")))
    said = done(*desk.arguments).stderr
    form = "sas-agregateur-prod-<EDITEUR>"
    assert f"warning: its CN ACME\\1B[31m is not of the form {form}" in said


def test_an_ou_of_ans_is_told(desk: Desk, lab: Lab) -> None:
    """4.3.2.2."""
    desk.give(issued(lab, platform_name("sas-agregateur-prod-ACME", "318751275100020", "ACME")))
    assert "ANS issued it on your behalf" in done(*desk.arguments).stderr


def test_a_near_end_is_told(desk: Desk, lab: Lab) -> None:
    subject = lab.editors["ACME_PROD"].certificate.subject
    desk.give(issued(lab, subject, not_after=timedelta(days=50)))
    assert "order the next one" in done(*desk.arguments).stderr


def test_nothing_is_odd_about_a_good_one(desk: Desk) -> None:
    assert done(*desk.arguments).stderr == ""


def test_it_says_where_it_goes_in_the_configuration(desk: Desk) -> None:
    said = done(*desk.arguments).stdout
    assert f"certificate = {desk.to / 'ACME_PROD.key.crt.ca.pem'}" in said
    assert "no backup" in said


def test_an_environment_of_ones_own_takes_its_ca_from_a_file(desk: Desk, lab: Lab) -> None:
    desk.environment = "atelier"
    path = desk.made("--ca", lab.ca_path(ORG))
    assert path.read_bytes() == lab.editors["ACME_PROD"].pem(chain=True)
    assert path.name == "ACME_PROD.key.crt.ca.pem"


def test_a_misspelt_environment_is_no_environment_of_ones_own(desk: Desk) -> None:
    desk.environment = "prod"
    said = desk.refused()
    assert "--environment 'prod': ANS has recette, preproduction, production" in said


def test_a_leaf_is_no_ca_of_ones_own(desk: Desk) -> None:
    desk.environment = "atelier"
    assert "is not a CA certificate" in desk.refused("--ca", desk.certificate)


def test_the_ca_of_ones_own_must_be_one(desk: Desk, lab: Lab, tmp_path: Path) -> None:
    desk.environment = "atelier"
    both = tmp_path / "both.pem"
    both.write_bytes(
        b"".join(lab.authorities[each].certificate.public_bytes(Encoding.PEM)
                 for each in (ORG, ORG_TEST))
    )  # fmt: skip
    assert "holds 2 certificates instead of the issuing CA" in desk.refused("--ca", both)


def test_without_a_cn_the_file_gives_the_name(desk: Desk, lab: Lab) -> None:
    desk.give(issued(lab, name((OU, "300000000000017"))))
    assert desk.made().name == "ACME_PROD.key.crt.ca.pem"


@contextmanager
def server_that_knows_the_root_only(lab: Lab, root: Path) -> Iterator[int]:
    """The port of a TLS server that tells its one client the CN that it saw."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*lab.server_paths())
    context.load_verify_locations(root)
    context.verify_mode = ssl.CERT_REQUIRED

    def serve() -> None:
        with suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as tls:
            subject = dict(pair for (pair,) in (tls.getpeercert() or {})["subject"])
            tls.sendall(f"seen {subject['commonName']}\n".encode())
            tls.unwrap()

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(PATIENCE)
        pool.submit(serve)
        yield listener.getsockname()[1]


def test_s_client_is_known_by_it_to_a_server_that_has_the_root_only(
    desk: Desk, lab: Lab, tmp_path: Path
) -> None:
    path, root = desk.made(), tmp_path / "root.pem"
    root.write_bytes(lab.authorities["ACR-EL"].certificate.public_bytes(Encoding.PEM))
    with server_that_knows_the_root_only(lab, root) as port:
        said = openssl(
            "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", lab.public_root, "-quiet",
            "-cert", path, "-key", path, "-cert_chain", path,
        )  # fmt: skip
    assert "seen sas-agregateur-prod-ACME" in said

"""A lab on disk: what is written, how, and that it can be read again."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding

from sasgate.lab import trees
from sasgate.lab.authority import Credential, tampered
from sasgate.lab.catalogue import CATALOGUE
from sasgate.lab.own import EDITORS, SERVERS
from sasgate.lab.pki import Lab, NotALab
from sasgate.lab.trees import KeySizes


SMALL = KeySizes(1024, 1024)


def certificates(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes())


def test_a_lab_that_is_opened_is_the_lab_that_was_created(lab: Lab) -> None:
    opened = Lab.open(lab.directory)
    for part in ("clients", "servers", "editors"):
        theirs = {each: made.pem(chain=True) for each, made in getattr(opened, part).items()}
        assert theirs == {each: made.pem(chain=True) for each, made in getattr(lab, part).items()}
    assert opened.created == lab.created
    for name, authority in lab.authorities.items():
        again = opened.authorities[name]
        assert again.credential.pem(chain=True) == authority.credential.pem(chain=True)
        assert again.publication == authority.publication


def test_every_file_with_a_key_is_for_its_owner_alone(lab: Lab) -> None:
    """S57."""
    with_key = [
        path
        for path in lab.directory.rglob("*")
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes()
    ]
    assert len(with_key) >= len(CATALOGUE) * 2 + len(SERVERS) + len(EDITORS)
    assert {stat.S_IMODE(path.stat().st_mode) for path in with_key} == {0o600}


def test_creating_over_a_key_that_was_open_closes_it(tmp_path: Path) -> None:
    """S57."""
    Lab.create(tmp_path, sizes=SMALL)
    key = tmp_path / "server.key"
    key.chmod(0o666)
    Lab.create(tmp_path, sizes=SMALL)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_creating_again_replaces_every_key(tmp_path: Path) -> None:
    first = Lab.create(tmp_path, sizes=SMALL)
    second = Lab.create(tmp_path, sizes=SMALL)
    for name in trees.IGC:
        assert first.authorities[name].key.public_key() != second.authorities[name].key.public_key()
    assert Lab.open(tmp_path).authorities["ACR-EL"].der == second.authorities["ACR-EL"].der


def test_client_file_holds_the_leaf_alone_and_chain_file_what_follows(lab: Lab) -> None:
    client = lab.clients["recette"]
    assert certificates(lab.path_of("recette")) == [client.certificate]
    assert certificates(lab.path_of("recette", chain=True)) == [
        client.certificate,
        lab.authorities["ACI-EL-ORG-TEST"].certificate,
    ]


def test_client_file_begins_with_the_key_of_its_leaf(lab: Lab) -> None:
    content = lab.path_of("production").read_bytes()
    assert content.startswith(b"-----BEGIN PRIVATE KEY-----")
    key = serialization.load_pem_private_key(content, None)
    assert key.public_key() == lab.clients["production"].certificate.public_key()


def test_ca_files_are_der_under_the_names_ans_gives_them(lab: Lab) -> None:
    assert {path.name for path in (lab.directory / "ca").iterdir()} == {
        f"{name}.cer" for name in trees.IGC
    }
    for name, authority in lab.authorities.items():
        read = x509.load_der_x509_certificate(lab.ca_path(name).read_bytes())
        assert read == authority.certificate


def test_no_stranger_stands_among_the_cas(lab: Lab) -> None:
    assert lab.ca_path(trees.SAME_NAME).parent.name == "strangers"


@pytest.mark.parametrize(("editor", "cn", "ca"), [
    ("ACME_TEST", "sas-agregateur-test-ACME", "ACI-EL-ORG-TEST"),
    ("ACME_PROD", "sas-agregateur-prod-ACME", "ACI-EL-ORG"),
])  # fmt: skip
def test_editor_file_is_the_one_pem_of_ans(editor: str, cn: str, ca: str, lab: Lab) -> None:
    """Specification, 4.3.3: key, certificate, ACI-EL-ORG, in one file named so."""
    path = lab.editor_path(editor)
    assert path.name == f"{editor}.key.crt.ca.pem"
    leaf, issuer = certificates(path)
    assert leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value == cn
    assert issuer == lab.authorities[ca].certificate
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")


def test_lists_and_ocsp_addresses_follow_the_base_url(tmp_path: Path) -> None:
    lab = Lab.create(tmp_path, sizes=SMALL, base_url="http://127.0.0.1:9")
    der = lab.clients["recette"].certificate.public_bytes(Encoding.DER)
    assert b"http://127.0.0.1:9/CRL/ACI-EL-ORG-TEST.crl" in der
    assert b"http://127.0.0.1:9/ocsp" in der
    opened = Lab.open(tmp_path).authorities["ACI-EL-ORG-TEST"].publication
    assert opened is not None
    assert opened.crl_url == "http://127.0.0.1:9/CRL/ACI-EL-ORG-TEST.crl"


def test_the_moment_of_signing_can_be_chosen(tmp_path: Path) -> None:
    then = datetime(2020, 2, 29, 12, tzinfo=UTC)
    lab = Lab.create(tmp_path, sizes=SMALL, now=then)
    leaf = lab.clients["recette"].certificate
    assert leaf.not_valid_before_utc < then < leaf.not_valid_after_utc
    assert lab.clients["expired"].certificate.not_valid_after_utc < then
    assert lab.clients["not-yet-valid"].certificate.not_valid_before_utc > then
    ca = lab.authorities["ACI-EL-ORG"].certificate
    assert ca.not_valid_before_utc < then < ca.not_valid_after_utc


def test_opening_an_empty_folder_says_how_to_make_a_lab(tmp_path: Path) -> None:
    with pytest.raises(NotALab, match="sasgate lab init"):
        Lab.open(tmp_path)


def test_a_lab_that_lacks_a_file_is_told_so(tmp_path: Path) -> None:
    Lab.create(tmp_path, sizes=SMALL)
    (tmp_path / "server.key").unlink()
    with pytest.raises(NotALab, match=r"a lab without .*server\.key; .*lab init --force"):
        Lab.open(tmp_path)


@pytest.mark.parametrize("damage", ["lab.json", "server.key", "clients/recette.chain.pem"])
def test_opening_a_damaged_lab_is_refused(damage: str, tmp_path: Path) -> None:
    Lab.create(tmp_path, sizes=SMALL)
    (tmp_path / damage).write_text("nonsense")
    with pytest.raises(NotALab):
        Lab.open(tmp_path)


def test_opening_a_lab_whose_client_is_gone_is_refused(tmp_path: Path) -> None:
    Lab.create(tmp_path, sizes=SMALL).path_of("expired", chain=True).unlink()
    with pytest.raises(NotALab, match="expired"):
        Lab.open(tmp_path)


def test_a_tampered_certificate_differs_in_its_signature_alone(lab: Lab) -> None:
    genuine = lab.clients["recette"]
    changed = tampered(genuine)
    assert changed.certificate.tbs_certificate_bytes == genuine.certificate.tbs_certificate_bytes
    with pytest.raises(InvalidSignature):
        changed.certificate.verify_directly_issued_by(
            lab.authorities["ACI-EL-ORG-TEST"].certificate
        )


class TestSplice:
    """Contents that `cryptography` won't encode, under a right signature."""

    @pytest.fixture
    def credential(self, lab: Lab) -> Credential:
        return lab.clients["recette"]

    def test_a_spliced_certificate_is_rightly_signed(
        self, lab: Lab, credential: Credential
    ) -> None:
        issuer = lab.authorities["ACI-EL-ORG-TEST"]
        spliced = issuer.splice(credential, b"agregateur", b"aggregator")
        spliced.certificate.verify_directly_issued_by(issuer.certificate)
        [cn] = spliced.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        assert cn.value == "sas-aggregator-recette"

    @pytest.mark.parametrize(
        ("old", "new"), [(b"agregateur", b"longer than it"), (b"absent", b"tnesba"), (b"FR", b"XX")]
    )
    def test_what_would_move_a_length_or_is_not_there_once_is_refused(
        self, lab: Lab, credential: Credential, old: bytes, new: bytes
    ) -> None:
        with pytest.raises(ValueError, match="in place"):
            lab.authorities["ACI-EL-ORG-TEST"].splice(credential, old, new)

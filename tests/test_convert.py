"""`sasgate convert`: .cer to PEM and back (5.1, 5.3), OpenSSL being the other one who does it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from command_line import done, mode_of, not_writable, openssl, refused, umask
from sasgate.lab.pki import Lab


GENUINE = ("ACR-EL", "ACI-EL-ORG", "ACR-EL-TEST", "ACI-EL-ORG-TEST")
LISTS = ("ACI-EL-ORG-TEST-crl1287-20190627", "ACR-EL-TEST-crl73-20190601")


def copied(source: Path, folder: Path) -> Path:
    path = folder / source.name
    path.write_bytes(source.read_bytes())
    return path


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_ca_becomes_the_guides_pem_and_comes_back(
    shared: Path, tmp_path: Path, name: str
) -> None:
    der = copied(shared / "igc-sante" / f"{name}.cer", tmp_path)
    done("convert", der)
    pem = tmp_path / f"{name}.cer.pem"
    openssl("x509", "-inform", "der", "-in", der, "-out", tmp_path / "guide")
    assert pem.read_bytes() == (tmp_path / "guide").read_bytes()
    der.rename(tmp_path / "genuine")
    done("convert", pem)
    assert der.read_bytes() == (tmp_path / "genuine").read_bytes()


@pytest.mark.parametrize("name", LISTS)
def test_a_genuine_list_becomes_the_guides_pem_and_comes_back(
    shared: Path, tmp_path: Path, name: str
) -> None:
    der = copied(shared / "igc-sante" / f"{name}.crl", tmp_path)
    done("convert", der)
    pem = tmp_path / f"{name}.crl.pem"
    openssl("crl", "-inform", "der", "-in", der, "-out", tmp_path / "guide")
    assert pem.read_bytes() == (tmp_path / "guide").read_bytes()
    der.rename(tmp_path / "genuine")
    done("convert", pem)
    assert der.read_bytes() == (tmp_path / "genuine").read_bytes()


def test_a_csr_is_converted_for_openssl(tmp_path: Path) -> None:
    done("csr", "--editor", "ACME", "--test", "--to", tmp_path)
    done("convert", tmp_path / "ACME_test.csr", tmp_path / "der")
    said = openssl("req", "-inform", "der", "-in", tmp_path / "der", "-verify", "-noout")
    assert "verify OK" in said


@pytest.mark.parametrize(
    ("given", "other"),
    [("a.pem", "a.cer"), ("a.crt.pem", "a.crt"), ("a.cer.pem", "a.cer"), ("a", "a.cer"),
     ("a.b.pem", "a.b.cer"), ("a.crt", "a.crt.cer")],
)  # fmt: skip
def test_a_pem_certificate_is_called_cer(lab: Lab, tmp_path: Path, given: str, other: str) -> None:
    certificate = lab.servers["server"].certificate
    (tmp_path / given).write_bytes(certificate.public_bytes(Encoding.PEM))
    assert f"{tmp_path / other}: DER" in done("convert", tmp_path / given).stdout
    assert (tmp_path / other).read_bytes() == certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize("name", ["a.cer", "a.crt", "a", "a.pem"])
def test_der_gets_pem_appended_as_in_the_guide(lab: Lab, tmp_path: Path, name: str) -> None:
    certificate = lab.servers["server"].certificate
    (tmp_path / name).write_bytes(certificate.public_bytes(Encoding.DER))
    done("convert", tmp_path / name)
    assert (tmp_path / f"{name}.pem").read_bytes() == certificate.public_bytes(Encoding.PEM)


def test_pkcs7_becomes_the_pem_of_its_certificates(lab: Lab, tmp_path: Path) -> None:
    certificates = [lab.authorities[each].certificate for each in ("ACR-EL", "ACI-EL-ORG")]
    path = tmp_path / "chain.p7b"
    path.write_bytes(pkcs7.serialize_certificates(certificates, Encoding.DER))
    done("convert", path)
    said = (tmp_path / "chain.p7b.pem").read_text()
    assert said.count("BEGIN CERTIFICATE") == 2
    openssl("x509", "-noout", "-in", tmp_path / "chain.p7b.pem")


@pytest.fixture
def cer(lab: Lab, tmp_path: Path) -> Path:
    return copied(lab.ca_path("ACR-EL"), tmp_path)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_the_umask_is_followed(cer: Path, mask: int) -> None:
    with umask(mask):
        done("convert", cer)
    assert mode_of(cer.with_name("ACR-EL.cer.pem")) == 0o644 & ~mask


def test_what_is_there_stays(cer: Path) -> None:
    there = cer.with_name("ACR-EL.cer.pem")
    there.write_bytes(b"older")
    assert f"{there}: is there already" in refused("convert", cer)
    assert there.read_bytes() == b"older"


def test_a_file_is_not_written_over_itself(cer: Path) -> None:
    before = cer.read_bytes()
    assert "is there already" in refused("convert", cer, cer)
    assert cer.read_bytes() == before


def test_a_link_is_not_followed(cer: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert "is there already" in refused("convert", cer, tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_written_is_named(
    cer: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("closed")
    with not_writable(folder):
        refused("convert", cer, folder / "x")
    assert not list(folder.iterdir())


def test_no_copies_are_made_of_a_key(lab: Lab, tmp_path: Path) -> None:
    path = lab.editor_path("ACME_PROD")
    said = refused("convert", path, tmp_path / "out")
    assert f"{path}: holds a private key, of which no copies are made" in said
    assert not list(tmp_path.iterdir())


def test_several_do_not_fit_into_der(lab: Lab, tmp_path: Path) -> None:
    said = refused("convert", lab.server_paths()[0], tmp_path / "out")
    assert "holds 2 items, and DER holds one" in said


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"<html>portal</html>", "a web page"),
        (b"hello", "neither PEM nor DER"),
        (b"0\x82\x06\x00cut", "cut short"),
        (b"-----BEGIN CERTIFICATE-----\nMII", "cut short"),
        (b"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n", "cannot be decoded"),
    ],
)
def test_a_spoilt_file_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "a.cer"
    if content is not None:
        path.write_bytes(content)
    said = refused("convert", path, tmp_path / "out")
    assert f"{path}: " in said
    assert reason in said
    assert not (tmp_path / "out").exists()


def test_a_certificate_with_a_byte_after_it_is_refused(cer: Path) -> None:
    cer.write_bytes(cer.read_bytes() + b"\0")
    assert "DER of something else, or cut short or damaged" in refused("convert", cer)

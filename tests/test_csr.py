"""`sasgate csr`: what the guide's openssl command makes (4.3.1), safely; OpenSSL is the reader."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from command_line import done, mode_of, not_writable, openssl, refused, sasgate, umask
from processes import PATIENCE
from sasgate.trust import read_private_key


KINDS = [("--production", "prod"), ("--test", "test")]


def made(folder: Path, option: str = "--production", editor: str = "ACME") -> str:
    return done("csr", "--editor", editor, option, "--to", folder).stdout


@pytest.mark.parametrize(("option", "kind"), KINDS)
def test_openssl_verifies_the_request_and_reads_the_predefined_cn(
    tmp_path: Path, option: str, kind: str
) -> None:
    made(tmp_path, option)
    csr = tmp_path / f"ACME_{kind}.csr"
    said = openssl("req", "-in", csr, "-verify", "-noout", "-subject", "-nameopt", "RFC2253")
    assert "verify OK" in said
    assert f"subject=CN=sas-agregateur-{kind}-ACME" in said.splitlines()


@pytest.mark.parametrize(("option", "kind"), KINDS)
def test_it_is_the_same_as_of_the_guides_command(tmp_path: Path, option: str, kind: str) -> None:
    made(tmp_path, option)
    openssl(
        "req", "-nodes", "-passout", "pass:", "-newkey", "rsa:2048", "-sha256",
        "-subj", f"/CN=sas-agregateur-{kind}-ACME",
        "-keyout", tmp_path / "guide.key", "-out", tmp_path / "guide.csr",
    )  # fmt: skip
    ours, theirs = (
        x509.load_pem_x509_csr((tmp_path / name).read_bytes())
        for name in (f"ACME_{kind}.csr", "guide.csr")
    )
    keys = [each.public_key() for each in (ours, theirs)]
    assert ours.subject.public_bytes() == theirs.subject.public_bytes()
    assert ours.signature_algorithm_oid == theirs.signature_algorithm_oid
    assert [key.key_size for key in keys if isinstance(key, RSAPublicKey)] == [2048, 2048]
    assert (len(ours.extensions), len(ours.attributes)) == (0, 0)
    first_lines = {
        (tmp_path / name).read_text().splitlines()[0] for name in (f"ACME_{kind}.key", "guide.key")
    }
    assert first_lines == {"-----BEGIN PRIVATE KEY-----"}


def test_the_key_has_no_password_and_belongs_to_the_request(tmp_path: Path) -> None:
    made(tmp_path)
    key, csr = tmp_path / "ACME_prod.key", tmp_path / "ACME_prod.csr"
    of_the_key = openssl("pkey", "-in", key, "-passin", "pass:", "-pubout")
    assert of_the_key == openssl("req", "-in", csr, "-noout", "-pubkey")
    assert "Key is valid" in openssl("pkey", "-in", key, "-check", "-noout")


def test_each_run_makes_another_key(tmp_path: Path) -> None:
    keys = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        made(tmp_path / name)
        keys.add((tmp_path / name / "ACME_prod.key").read_bytes())
    assert len(keys) == 2


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_the_key_is_its_owners_alone_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    """S57."""
    with umask(mask):
        made(tmp_path)
    assert mode_of(tmp_path / "ACME_prod.key") == 0o600
    assert mode_of(tmp_path / "ACME_prod.csr") == 0o644 & ~mask
    read_private_key(tmp_path / "ACME_prod.key")


@pytest.mark.parametrize("there", ["ACME_prod.key", "ACME_prod.csr"])
def test_nothing_is_overwritten_and_no_half_is_left(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_bytes(b"older")
    said = refused("csr", "--editor", "ACME", "--production", "--to", tmp_path)
    assert f"{tmp_path / there}: is there already" in said
    assert "nothing was written" in said
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {there: b"older"}


@pytest.mark.parametrize("there", ["ACME_prod.key", "ACME_prod.csr"])
def test_a_link_planted_at_a_path_is_not_followed(tmp_path: Path, there: str) -> None:
    (tmp_path / there).symlink_to(tmp_path / "elsewhere")
    assert "is there already" in refused(
        "csr", "--editor", "ACME", "--production", "--to", tmp_path
    )
    assert [each.name for each in tmp_path.iterdir()] == [there]


def test_production_and_test_stand_side_by_side(tmp_path: Path) -> None:
    for option, _ in KINDS:
        made(tmp_path, option)
    assert {each.name for each in tmp_path.iterdir()} == {
        "ACME_prod.key", "ACME_prod.csr", "ACME_test.key", "ACME_test.csr"
    }  # fmt: skip


def test_by_default_it_writes_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done("csr", "--editor", "ACME", "--test")
    assert {each.name for each in tmp_path.iterdir()} == {"ACME_test.key", "ACME_test.csr"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with not_writable(tmp_path):
        said = refused("csr", "--editor", "ACME", "--production", "--to", tmp_path)
    assert "Permission denied" in said


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    said = refused("csr", "--editor", "ACME", "--production", "--to", tmp_path / "no")
    assert f"mkdir -m 0700 {tmp_path / 'no'}" in said


def test_a_folder_where_everybody_may_write_is_warned_of(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    result = done("csr", "--editor", "ACME", "--production", "--to", tmp_path)
    assert f"warning: every user can replace files in {tmp_path} (mode 0777)" in result.stderr


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o1777])
def test_other_folders_are_not_warned_of(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    assert done("csr", "--editor", "ACME", "--test", "--to", tmp_path).stderr == ""


@pytest.mark.parametrize("editor", ["../x", "/etc/x", "a/b", "..", "-x", "a,OU=1", "a\nb", ""])
def test_a_name_that_cannot_be_taken_writes_nothing(tmp_path: Path, editor: str) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    said = refused("csr", f"--editor={editor}", "--production", "--to", inside)
    assert f"--editor {editor!r}: " in said
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_a_name_with_spaces_and_semicolon_is_kept_in_the_cn_only(tmp_path: Path) -> None:
    """Facts page: real CNs hold both."""
    made(tmp_path, editor="Éditions ; Fils")
    csr = tmp_path / "Editions_Fils_prod.csr"
    options = ("-noout", "-subject", "-nameopt", "utf8,sep_comma_plus")
    assert "CN=sas-agregateur-prod-Éditions ; Fils" in openssl("req", "-in", csr, *options)


@pytest.mark.parametrize("options", [(), ("--production", "--test")])
def test_exactly_one_kind_must_be_said(tmp_path: Path, options: tuple[str, ...]) -> None:
    result = sasgate("csr", "--editor", "ACME", *options, "--to", tmp_path)
    assert result.exit_code == 2
    assert "--production or --test" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "steps"),
    [
        ("--production", ("Déclaration des administrateurs", "<EDITEUR>_PROD.crt",
                          "--certificate ACME_PROD.crt --environment production")),
        ("--test", ("cartes de tests", "<EDITEUR>_TEST.crt",
                    "--certificate ACME_TEST.crt --environment recette")),
    ],
)  # fmt: skip
def test_it_says_the_next_steps_of_both_procedures(
    tmp_path: Path, option: str, steps: tuple[str, ...]
) -> None:
    said = made(tmp_path, option)
    for each in (*steps, "4.3.2.1", "4.3.2.2", "stays on this host", "no backup"):
        assert each in " ".join(said.split())


def test_a_terminal_that_lacks_letters_gets_numbers_and_no_failure(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sasgate", "csr", "--editor", "Łąka", "--test", "--to", tmp_path],
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": "latin-1:strict"},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"CN=sas-agregateur-test-\\u0141\\u0105ka" in result.stdout


def test_a_printed_command_can_be_pasted(tmp_path: Path) -> None:
    folder = tmp_path / "two words"
    folder.mkdir()
    assert f"--key '{folder / 'ACME_prod.key'}'" in made(folder)

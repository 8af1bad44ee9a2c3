"""`sasgate check`: OK with the rules in force, or every fault."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from configurations import line_of
from sasgate.commands import main
from sasgate.commands.check import check as check_command
from sasgate.environments import PRODUCTION
from sasgate.lab.lists import sign_list
from sasgate.lab.pki import Lab


ETC = Path(__file__).parents[1] / "etc"
NOBODY = 65534

GATE = """\
[inbound]
environment = own
listen = tcp:8443:interface=127.0.0.1
certificate = server.pem
key = server.key
backend = http://127.0.0.1:8080
[outbound]
environment = own
listen = unix:out.sock
certificate = acme.pem
[environment:own]
roots = root.cer
issuers = issuer.cer
clients = CN=sas-agregateur-recette,OU=499700234190004
addresses = 127.0.0.1
url = https://sas.example/
[revocation]
mode = off
"""


def check(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


@pytest.fixture
def gate(tmp_path: Path, lab: Lab) -> Path:
    """A right configuration, all of whose files may be spoilt."""
    return filled(tmp_path, lab)


def filled(folder: Path, lab: Lab) -> Path:
    certificate, key = lab.server_paths()
    for source, name in {
        certificate: "server.pem",
        key: "server.key",
        lab.editor_path("ACME_TEST"): "acme.pem",
        lab.ca_path("ACR-EL-TEST"): "root.cer",
        lab.ca_path("ACI-EL-ORG-TEST"): "issuer.cer",
    }.items():
        shutil.copy(source, folder / name)
    path = folder / "gate.ini"
    path.write_text(GATE, "utf-8")
    return path


@pytest.fixture
def production(tmp_path: Path, shared: Path, lab: Lab) -> Path:
    """etc/prod.ini with the genuine CAs, its paths set.

    Without calls to SAS: nobody here has a certificate that these CAs signed.
    """
    filled(tmp_path, lab)
    shutil.copytree(shared / "igc-sante", tmp_path / "ca")
    text = (ETC / "prod.ini").read_text("utf-8")
    text = text.partition("[outbound]")[0]
    text = text.replace("/etc/sasgate", str(tmp_path)).replace("/var/lib/sasgate", str(tmp_path))
    path = tmp_path / "prod.ini"
    path.write_text(text, "utf-8")
    return path


def test_production_with_the_genuine_cas_is_ok(production: Path) -> None:
    result = check(production)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"OK {production}\n")
    for name, ca in {
        "AC RACINE IGC-SANTE ELEMENTAIRE": PRODUCTION.root,
        "AC IGC-SANTE ELEMENTAIRE ORGANISATIONS": PRODUCTION.issuer,
    }.items():
        assert f"{name} ({production.parent}/ca/{ca.name}.cer), until 2033-06-" in result.output
        assert f"SHA-256 {ca.sha256}" in result.output
    assert f"client CN={PRODUCTION.client_cn}, OU={PRODUCTION.client_ou}" in result.output
    assert f"addresses: {PRODUCTION.address}" in result.output
    assert "/ = http://127.0.0.1:8080" in result.output


def test_an_editors_certificate_that_is_missing_is_one_fault_and_says_how_it_is_made(
    gate: Path,
) -> None:
    (gate.parent / "acme.pem").unlink()
    result = check(gate)
    assert result.exit_code == 1
    assert "1 fault\n" in result.output
    assert (
        "acme.pem: does not exist; make it: sasgate bundle --key KEY --certificate CRT"
        f" --environment own --ca {gate.parent}/issuer.cer --to {gate.parent};"
        " until then leave [outbound] out\n"
    ) in result.output


def test_of_an_environment_of_ans_it_names_the_folder_of_the_cas(production: Path) -> None:
    folder = production.parent
    with production.open("a", encoding="utf-8") as file:
        file.write(f"[outbound]\nlisten = unix:out.sock\ncertificate = {folder}/no.pem\n")
    assert f"--environment production --ca {folder}/ca --to {folder};" in check(production).output


def test_the_gateways_own_certificate_is_not_to_be_bundled(gate: Path) -> None:
    (gate.parent / "server.pem").unlink()
    output = check(gate).output
    assert "server.pem: does not exist" in output
    assert "bundle" not in output


def test_genuine_cas_of_the_other_tree_are_refused(production: Path) -> None:
    ca = production.parent / "ca"
    shutil.copy(ca / "ACI-EL-ORG-TEST.cer", ca / "ACI-EL-ORG.cer")
    result = check(production)
    assert result.exit_code == 1
    assert f"{ca}/ACI-EL-ORG.cer" in result.output
    assert "is not ANS's certificate" in result.output


def test_the_rules_are_told(gate: Path) -> None:
    gate.write_text(
        GATE.replace("backend = ", "routes = /fhir = https://app.example unix:/run/x\nbackend = ")
        .replace("addresses = 127.0.0.1", f"addresses = any\ndeny = {'ab' * 32}")
        .replace("tcp:8443", "haproxy:tcp:8443")
        .replace("key = server.key", "key = server.key\nproxies = 192.0.2.9\nbase_path = /fhir")
        + "[limits]\nanswer = 2\n[log]\npaths = full\n",
        "utf-8",
    )
    output = check(gate).output
    for told in (
        "[inbound] SAS calls haproxy:tcp:8443:interface=127.0.0.1",
        "PROXY headers believed from: 192.0.2.9",
        "addresses: any, the filter is off",
        f"denied SHA-256 {'ab' * 32}",
        "/fhir = https://app.example, unix:/run/x",
        "/fhir/check is answered here",
        "revocation: off",
        "limits: answer = 2 (default 6.5)",
        "paths full",
        "go to https://sas.example/",
        "subject CN=sas-agregateur-test-ACME",
    ):
        assert told in output


def test_a_denial_that_names_no_issuer_is_doubted(gate: Path) -> None:
    deny = "deny =\n  Some CA:AB\n  LAB TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS:CD\n"
    gate.write_text(GATE.replace("[revocation]", deny + "[revocation]"), "utf-8")
    warnings = [line for line in check(gate).output.splitlines() if "denies nobody" in line]
    assert len(warnings) == 1
    assert "Some CA" in warnings[0]


def test_an_environment_without_a_listener_is_doubted(gate: Path) -> None:
    gate.write_text(GATE + "[environment:recette]\naddresses = any\n", "utf-8")
    assert "[environment:recette] has no effect" in check(gate).output


def test_faults_of_the_file_are_all_told_on_standard_error(gate: Path) -> None:
    gate.write_text(GATE.replace("listen = tcp", "lisen = tcp").replace("= off", "= of"), "utf-8")
    result = check(gate)
    assert (result.exit_code, result.stdout) == (1, "")
    assert [line.partition(": ")[0] for line in result.stderr.splitlines()] == [
        f"{gate}:1",
        f"{gate}:3",
        f"{gate}:{line_of(GATE, 'mode')}",
        "3 faults",
    ]


def test_a_missing_configuration_is_a_fault(tmp_path: Path) -> None:
    result = check(tmp_path / "none.ini")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "none.ini" in result.stderr


def empty(path: Path) -> None:
    path.write_bytes(b"")


def web_page(path: Path) -> None:
    path.write_bytes(b"<!DOCTYPE html><html><body>Please log in</body></html>")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILT = [Path.unlink, empty, web_page, truncated, folder]
FILES = {
    "root.cer": "roots",
    "issuer.cer": "issuers",
    "server.pem": "certificate",
    "server.key": "key",
    "acme.pem": "certificate",
}


@pytest.mark.parametrize("spoil", SPOILT, ids=["missing", "empty", "html", "truncated", "folder"])
@pytest.mark.parametrize("name", FILES)
def test_s1_a_spoilt_file_is_named_with_its_key(
    gate: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    """S1: an unreadable file never means "trust somebody else"."""
    path = gate.parent / name
    spoil(path)
    result = check(gate)
    assert (result.exit_code, result.stdout) == (1, "")
    line = line_of(GATE, f"{FILES[name]} = {name}")
    assert f"{gate}:{line}: " in result.stderr
    assert str(path) in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("spoil", SPOILT, ids=["missing", "empty", "html", "truncated", "folder"])
def test_s1_a_spoilt_file_of_ans_is_named_with_the_way_out(
    production: Path, spoil: Callable[[Path], None]
) -> None:
    ca = production.parent / "ca" / "ACR-EL.cer"
    spoil(ca)
    result = check(production)
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(ca) in result.stderr
    remedy = f"run: sasgate fetch-ca --environment production --to {ca.parent}"
    assert remedy in result.stderr


def test_s1_a_spoilt_file_of_backend_roots_is_named(gate: Path) -> None:
    text = GATE.replace("http://127.0.0.1:8080", "https://app.example\nbackend_roots = app.pem")
    gate.write_text(text, "utf-8")
    result = check(gate)
    assert result.exit_code == 1
    assert str(gate.parent / "app.pem") in result.stderr


def test_s1_a_spoilt_file_of_sas_roots_is_named(gate: Path) -> None:
    gate.write_text(GATE.replace("[revocation]", "sas_roots = s.pem\n[revocation]"), "utf-8")
    result = check(gate)
    assert result.exit_code == 1
    assert str(gate.parent / "s.pem") in result.stderr


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def as_nobody(path: Path) -> tuple[int, str]:
    """Exit code and output of `sasgate check` by a user without rights; forks where root."""
    if os.getuid() != 0:
        result = CliRunner().invoke(check_command, [str(path)])
        return result.exit_code, result.output
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        result = CliRunner().invoke(check_command, [str(path)])
        os.write(writing, result.output.encode())
        os._exit(result.exit_code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        output = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output


def give(folder: Path) -> None:
    """Make nobody the owner, so that only the mode of a file keeps it from reading."""
    if os.getuid() == 0:
        for path in folder.iterdir():
            os.chown(path, NOBODY, NOBODY)


def test_a_user_without_rights_can_check_what_is_its_own(open_folder: Path, lab: Lab) -> None:
    path = filled(open_folder, lab)
    give(open_folder)
    code, output = as_nobody(path)
    assert (code, output.startswith("OK ")) == (0, True)


@pytest.mark.parametrize("name", FILES)
def test_s1_a_file_of_mode_000_is_named(open_folder: Path, lab: Lab, name: str) -> None:
    path = filled(open_folder, lab)
    (open_folder / name).chmod(0)
    give(open_folder)
    code, output = as_nobody(path)
    assert code == 1
    assert f"{open_folder / name}: cannot be read by this user" in output


def test_s1_a_configuration_of_mode_000_is_named(open_folder: Path, lab: Lab) -> None:
    path = filled(open_folder, lab)
    path.chmod(0)
    give(open_folder)
    code, output = as_nobody(path)
    assert (code, output.startswith(f"{path}: cannot be read")) == (1, True)


@pytest.mark.parametrize("name", ["server.key", "acme.pem"])
def test_s57_a_key_that_everybody_can_read_is_refused(gate: Path, name: str) -> None:
    (gate.parent / name).chmod(0o644)
    result = check(gate)
    assert result.exit_code == 1
    assert f"chmod o-rwx {gate.parent / name}" in result.stderr


def test_a_key_of_another_certificate_is_refused(gate: Path, lab: Lab) -> None:
    shutil.copy(lab.editor_path("ACME_TEST"), gate.parent / "server.key")
    assert "does not belong" in check(gate).stderr


def test_an_expired_certificate_is_refused(gate: Path, lab: Lab) -> None:
    certificate, key = lab.server_paths("expired")
    shutil.copy(certificate, gate.parent / "server.pem")
    shutil.copy(key, gate.parent / "server.key")
    assert "expired on" in check(gate).stderr


def test_warnings_are_shown_and_are_no_faults(gate: Path) -> None:
    result = check(gate)
    assert result.exit_code == 0
    assert "warning: ANS's kit will not trust it" in result.output


def sheet_of(path: Path) -> str:
    result = check("--for-ans", path)
    assert result.exit_code == 0, result.output
    return result.output


def test_sheet_for_ans_has_what_the_guide_asks(production: Path) -> None:
    """Specification, 2.1 and 3.2."""
    text = sheet_of(production)
    for told in (
        "Environnements : Production ANS",
        "Endpoint : https://localhost\n",
        "Healthcheck : https://localhost/check",
        "Versions TLS : 1.2, 1.3",
        "Autorité de certification : CN=LAB PUBLIC CA",
        "Méthode de révocation pour les certificats clients : CRL, à défaut OCSP",
        "CN = sas-aggregator-production, OU = 318751275100020",
        "Adresses sources acceptées : 51.68.88.222\n",
    ):
        assert told in text


def test_sheet_for_ans_has_the_client_s_part(gate: Path) -> None:
    """Specification, 3.2 and 4.3."""
    text = sheet_of(gate)
    for told in (
        "URL appelée : https://sas.example/",
        "Certificat client : CN = sas-agregateur-test-ACME, OU = 300000000000017",
        "Adresse IP source : À COMPLÉTER",
    ):
        assert told in text


def test_sheet_leaves_open_what_a_balancer_hides(gate: Path) -> None:
    text = GATE.replace("tcp:8443", "haproxy:tcp:8443").replace(
        "key = server.key", "key = server.key\nproxies = 127.0.0.1\nbase_path = /fhir"
    )
    gate.write_text(text, "utf-8")
    assert "Endpoint : https://localhost:À COMPLÉTER/fhir\n" in sheet_of(gate)


def test_sheet_says_the_port_and_that_nothing_is_revoked(gate: Path) -> None:
    text = sheet_of(gate)
    assert "Endpoint : https://localhost:8443\n" in text
    assert "certificats clients : aucune" in text


def test_sheet_is_not_made_of_a_faulty_file(gate: Path) -> None:
    gate.write_text(GATE.replace("= off", "= of"), "utf-8")
    result = check("--for-ans", gate)
    assert (result.exit_code, result.stdout) == (1, "")


def with_lists(gate: Path, source: Path) -> Path:
    text = gate.read_text().replace("mode = off", "mode = crl")
    gate.write_text(text.replace("url = https", f"crl = {source}\nurl = https"))
    return gate


def test_lists_in_files_are_no_fault(gate: Path, lab: Lab, tmp_path: Path) -> None:
    for name in ("ACR-EL-TEST", "ACI-EL-ORG-TEST"):
        (tmp_path / f"{name}.crl").write_bytes(sign_list(lab.authorities[name]))
    lists = tmp_path / "lists"
    lists.mkdir()
    (tmp_path / "ACR-EL-TEST.crl").rename(lists / "a")
    (tmp_path / "ACI-EL-ORG-TEST.crl").rename(lists / "b")
    assert check(with_lists(gate, lists)).exit_code == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "does not exist"), (b"", "empty"), (b"<html>log in</html>", "a web page")],
)
def test_s1_a_list_in_a_file_that_is_none_is_named(
    gate: Path, content: bytes | None, reason: str
) -> None:
    source = gate.parent / "list.crl"
    if content is not None:
        source.write_bytes(content)
    result = check(with_lists(gate, source))
    assert result.exit_code == 1
    assert f"[environment:own] crl = {source}: " in result.stderr
    assert reason in result.stderr


def test_s1_a_list_of_another_ca_is_named(gate: Path, lab: Lab) -> None:
    source = gate.parent / "list.crl"
    source.write_bytes(sign_list(lab.authorities["ACI-EL-PERS-TEST"]))
    result = check(with_lists(gate, source))
    assert result.exit_code == 1
    assert str(source) in result.stderr


def test_now_is_the_present(gate: Path) -> None:
    """The days left are counted from today."""
    end = datetime.now(UTC).year
    assert f"valid until {end + 1}" in check(gate).output

"""`sasgate crl` and `sasgate crl export`: what is on disk, verified, and said plainly."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from attrs import evolve
from click.testing import CliRunner, Result
from cryptography import x509

from processes import write_ini
from sasgate.commands import main
from sasgate.lab import trees
from sasgate.lab.lists import ListTemplate, forged, partial, revoked, sign_list
from sasgate.lab.pki import Lab
from sasgate.revocation.crl import verify_list
from sasgate.revocation.download import Validators
from sasgate.revocation.shelf import Record, Shelf, spki_of


NOW = datetime.now(UTC)
SOURCE = "http://lists.example/CRL/one.crl"
FETCHED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
CHECKED = {
    "mode = off": "mode = crl",
    "addresses = 127.0.0.1 ::1": f"addresses = 127.0.0.1 ::1\ncrl = {SOURCE}",
}
ALL = (trees.ROOT_TEST, trees.ORG_TEST, trees.ROOT, trees.ORG)


class Gateway:
    """A configuration with the lab's four CAs, and what its daemon left in `state`."""

    def __init__(self, lab: Lab, folder: Path, **options: str) -> None:
        self.lab = lab
        self.folder = folder
        self.ini = write_ini(lab, folder, **options)
        self.shelf = Shelf(folder / "state" / "crl")

    def keep(
        self,
        name: str = trees.ORG_TEST,
        *serials: int,
        record: dict[str, object] | None = None,
        **changes: object,
    ) -> Path:
        """Keep a list of a CA as the daemon does, with `record` changed; returns its file."""
        authority = self.lab.authorities[name]
        entries = tuple(map(revoked, serials))
        template = evolve(ListTemplate(entries=entries), **changes)
        der = sign_list(authority, template, now=NOW)
        facts = verify_list(der, [authority.certificate], NOW).facts
        note = Record(
            source=SOURCE, spki=spki_of(authority.certificate), fetched=FETCHED, checked=None,
            validators=Validators(), interval=None, facts=facts, held=None,
        )  # fmt: skip
        note = evolve(note, **(record or {}))
        self.shelf.prepare()
        source = self.folder / "fetched"
        source.write_bytes(der)
        descriptor = os.open(source, os.O_RDONLY)
        try:
            self.shelf.put(note, descriptor)
        finally:
            os.close(descriptor)
        return self.shelf.path_of(note.key.name)

    def keep_all(self) -> None:
        for name in ALL:
            self.keep(name)

    def run(self, *arguments: object) -> Result:
        result = CliRunner().invoke(main, ["crl", *map(str, arguments), "--config", str(self.ini)])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    def listing(self) -> list[str]:
        result = self.run()
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout.splitlines()

    def export(self, *arguments: object) -> Result:
        return self.run("export", *arguments)


@pytest.fixture
def gateway(lab: Lab, tmp_path: Path) -> Gateway:
    return Gateway(lab, tmp_path / "gateway", changes=CHECKED)


def number(pem: bytes) -> int:
    crl = x509.load_pem_x509_crl(pem)
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def numbers(pem: Path) -> list[int]:
    begin = b"-----BEGIN X509 CRL-----"
    return sorted(number(begin + part) for part in pem.read_bytes().split(begin)[1:])


def row_of(lines: list[str], name: str) -> list[str]:
    (row,) = [line.split() for line in lines if line.startswith(f"{name} ")]
    return row


def notes_of(lines: list[str], name: str) -> list[str]:
    """What stands indented below a CA's line."""
    (at,) = [at for at, line in enumerate(lines) if line.startswith(f"{name} ")]
    notes: list[str] = []
    for line in lines[at + 1 :]:
        if not line.startswith(" "):
            break
        notes.append(line.strip())
    return notes


class TestListing:
    def test_a_list_that_is_held(self, gateway: Gateway) -> None:
        issued = timedelta(hours=-5)
        gateway.keep(trees.ORG_TEST, 1, 2, 3, number=1287, this_update=issued)
        lines = gateway.listing()
        assert re.split("  +", lines[0]) == [
            *("issuer", "number", "issued (UTC)", "expires (UTC)", "entries", "age")
        ]
        row = row_of(lines, trees.ORG_TEST)
        begin, end = NOW + issued, NOW + timedelta(days=6)
        assert row[:2] == [trees.ORG_TEST, "1287"]
        assert row[2:6] == f"{begin:%Y-%m-%d %H:%M} {end:%Y-%m-%d %H:%M}".split()
        assert row[6:] == ["3", "5", "hours"]
        assert notes_of(lines, trees.ORG_TEST) == [f"from {SOURCE}, fetched 2026-03-04 05:06"]

    def test_columns_are_aligned(self, gateway: Gateway) -> None:
        gateway.keep(trees.ORG_TEST, number=7)
        gateway.keep(trees.ROOT, number=1234567890123)
        lines = [line for line in gateway.listing() if line and not line.startswith(" ")]
        at = lines[0].index("number")
        assert {line[at - 2 : at] for line in lines} == {"  "}
        assert all(line[at] != " " for line in lines)

    def test_a_ca_without_a_list_is_said_to_have_none(self, gateway: Gateway) -> None:
        gateway.keep(trees.ORG_TEST)
        lines = gateway.listing()
        for name in (trees.ROOT_TEST, trees.ROOT, trees.ORG):
            assert row_of(lines, name)[1] == "none"
            assert notes_of(lines, name) == ["NO LIST is held of this CA"]
        assert not any("NO LIST" in note for note in notes_of(lines, trees.ORG_TEST))

    def test_nothing_held_at_all_is_no_error(self, gateway: Gateway) -> None:
        lines = gateway.listing()
        assert sum("NO LIST" in line for line in lines) == 4

    def test_an_expired_list_is_said_to_be(self, gateway: Gateway) -> None:
        gateway.keep(trees.ORG_TEST, this_update=timedelta(days=-9), next_update=timedelta(days=-3))
        gateway.keep(trees.ROOT_TEST)
        lines = gateway.listing()
        assert "EXPIRED 3 days ago" in notes_of(lines, trees.ORG_TEST)[0]
        assert not any("EXPIRED" in note for note in notes_of(lines, trees.ROOT_TEST))

    def test_the_last_error_of_its_source(self, gateway: Gateway) -> None:
        trouble = {"error": "HTTP 404", "error_at": FETCHED, "checked": FETCHED}
        gateway.keep(trees.ORG_TEST, record=trouble)
        notes = notes_of(gateway.listing(), trees.ORG_TEST)
        assert notes[0].endswith("last asked 2026-03-04 05:06")
        assert notes[1] == "LAST ERROR 2026-03-04 05:06: HTTP 404"

    def test_a_text_from_outside_gives_the_terminal_no_order(self, gateway: Gateway) -> None:
        gateway.keep(trees.ORG_TEST, record={"error": "\x1b[2J\nACR-EL 9", "source": "\x1b]0;x"})
        lines = gateway.listing()
        assert "\x1b" not in "".join(lines)
        assert row_of(lines, "ACR-EL")[1] == "none"

    def test_a_partial_list_is_said_to_be(self, gateway: Gateway) -> None:
        gateway.keep(trees.ORG_TEST, extra=(partial(leaves=True),))
        assert "only for leaves" in notes_of(gateway.listing(), trees.ORG_TEST)

    def test_what_a_list_says_is_read_from_the_list_not_from_the_note(
        self, gateway: Gateway
    ) -> None:
        path = gateway.keep(trees.ORG_TEST, number=5)
        other = gateway.keep(trees.ORG_TEST, 1, 2, number=6, record={"spki": "0" * 64})
        path.write_bytes(other.read_bytes())
        other.unlink()
        row = row_of(gateway.listing(), trees.ORG_TEST)
        assert (row[1], row[6]) == ("6", "2")

    def test_of_two_lists_of_a_ca_the_newest_is_listed(self, gateway: Gateway) -> None:
        gateway.keep(trees.ORG_TEST, number=9, record={"spki": "0" * 64})
        gateway.keep(trees.ORG_TEST, number=10)
        assert row_of(gateway.listing(), trees.ORG_TEST)[1] == "10"

    def test_a_note_that_cannot_be_read_hides_no_list(self, gateway: Gateway) -> None:
        gateway.keep(trees.ORG_TEST, number=5).with_suffix(".json").write_bytes(b"{")
        lines = gateway.listing()
        assert row_of(lines, trees.ORG_TEST)[1] == "5"
        assert notes_of(lines, trees.ORG_TEST) == ["where it comes from was lost"]

    @pytest.mark.parametrize("content", [b"", b"<html>", b"0\x03\x02\x01\x01"])
    def test_what_is_no_list_is_not_listed_as_one(self, gateway: Gateway, content: bytes) -> None:
        path = gateway.keep(trees.ORG_TEST)
        path.write_bytes(content)
        lines = gateway.listing()
        assert row_of(lines, trees.ORG_TEST)[1] == "none"
        assert lines[-1].strip().startswith(f"{path}: not a revocation list")

    def test_a_forged_list_is_not_listed_as_one_s18(self, gateway: Gateway) -> None:
        path = gateway.keep(trees.ORG_TEST)
        path.write_bytes(forged(path.read_bytes()))
        lines = gateway.listing()
        assert row_of(lines, trees.ORG_TEST)[1] == "none"
        assert f"{path}: its signature is not its CA's" in lines[-1]

    def test_a_list_of_a_ca_that_is_not_configured_is_said_to_be(self, gateway: Gateway) -> None:
        path = gateway.keep(trees.PERS_TEST)
        assert f"{path}: of no CA of this configuration" in gateway.listing()[-1]

    def test_without_revocation_that_is_said(self, lab: Lab, tmp_path: Path) -> None:
        assert any("mode = off" in line for line in Gateway(lab, tmp_path / "off").listing())

    def test_root_reads_what_the_services_user_wrote(self, gateway: Gateway) -> None:
        gateway.keep(trees.ORG_TEST)
        if os.geteuid() == 0:
            for path in (gateway.shelf.folder, *gateway.shelf.folder.iterdir()):
                os.chown(path, 4242, 4242)
        with patch("os.geteuid", return_value=4243):
            lines = gateway.listing()
        assert notes_of(lines, trees.ORG_TEST)[0].startswith(f"from {SOURCE}")

    def test_a_faulty_configuration_ends_with_its_faults(self, gateway: Gateway) -> None:
        (gateway.folder / "ca" / "ACR-EL.cer").write_bytes(b"")
        result = gateway.run()
        assert (result.exit_code, result.stdout) == (1, "")
        assert "ACR-EL.cer" in result.stderr

    def test_a_state_that_cannot_be_read_ends_with_1(self, gateway: Gateway) -> None:
        (gateway.folder / "state").mkdir()
        gateway.shelf.folder.touch()
        result = gateway.run()
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{gateway.shelf.folder}: Not a directory" in result.stderr

    def test_the_default_is_the_production_file(self) -> None:
        result = CliRunner().invoke(main, ["crl", "--help"])
        assert "/etc/sasgate/prod.ini" in result.output

    @pytest.mark.parametrize(
        ("command", "way"), [("crl", "--config FILE"), ("check", "`sasgate check FILE`")]
    )
    def test_where_that_one_is_not_there_it_says_how_another_is_named(
        self, command: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        absent = tmp_path / "prod.ini"
        monkeypatch.setattr("sasgate.commands.daemon.DEFAULT_FILE", absent)
        options = ["crl", "--config"] if command == "crl" else ["check"]
        result = CliRunner().invoke(main, [*options, str(absent)])
        assert result.exit_code == 1
        assert f"{absent} does not exist; {way} names another" in result.stderr


class TestExport:
    def test_all_that_is_verified_in_one_file(self, gateway: Gateway, tmp_path: Path) -> None:
        gateway.keep_all()
        result = gateway.export("--pem", tmp_path / "crl.pem")
        assert (result.exit_code, result.stderr) == (0, "")
        assert numbers(tmp_path / "crl.pem") == [1, 1, 1, 1]
        assert result.stdout.endswith(f"written to {tmp_path}/crl.pem\n")

    def test_both_at_once(self, gateway: Gateway, tmp_path: Path) -> None:
        gateway.keep(trees.ORG_TEST, number=8)
        result = gateway.export("--pem", tmp_path / "crl.pem", "--hash-dir", tmp_path / "hashed")
        assert (result.exit_code, numbers(tmp_path / "crl.pem")) == (0, [8])
        (name,) = [path for path in (tmp_path / "hashed").iterdir() if path.suffix == ".r0"]
        assert number(name.read_bytes()) == 8

    def test_the_newest_of_a_ca(self, gateway: Gateway, tmp_path: Path) -> None:
        gateway.keep(trees.ORG_TEST, number=9, record={"spki": "0" * 64})
        gateway.keep(trees.ORG_TEST, number=10)
        gateway.export("--pem", tmp_path / "crl.pem")
        assert numbers(tmp_path / "crl.pem") == [10]

    def test_nothing_held_ends_with_1_and_leaves_the_old_file(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        (tmp_path / "crl.pem").write_bytes(b"old")
        result = gateway.export("--pem", tmp_path / "crl.pem")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "no verified list is held" in result.stderr
        assert (tmp_path / "crl.pem").read_bytes() == b"old"

    def test_a_forged_list_is_never_written_s18(self, gateway: Gateway, tmp_path: Path) -> None:
        path = gateway.keep(trees.ORG_TEST)
        path.write_bytes(forged(path.read_bytes()))
        result = gateway.export("--pem", tmp_path / "crl.pem")
        assert (result.exit_code, (tmp_path / "crl.pem").exists()) == (1, False)
        assert f"not exported: {path}: its signature" in result.stderr

    def test_a_forged_list_keeps_no_other_from_being_written(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        path = gateway.keep(trees.ORG_TEST)
        path.write_bytes(forged(path.read_bytes()))
        gateway.keep(trees.ROOT_TEST, number=3)
        result = gateway.export("--pem", tmp_path / "crl.pem")
        assert (result.exit_code, numbers(tmp_path / "crl.pem")) == (0, [3])
        assert f"not exported: {path}: its signature" in result.stderr

    def test_a_list_of_a_ca_that_is_not_configured_is_not_written(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        gateway.keep(trees.PERS_TEST)
        assert gateway.export("--pem", tmp_path / "crl.pem").exit_code == 1

    def test_a_list_over_the_limit_is_not_read(self, lab: Lab, tmp_path: Path) -> None:
        limits = "[limits]\ncrl_size = 1024\n"
        gateway = Gateway(lab, tmp_path / "small", changes=CHECKED, append=limits)
        gateway.keep(trees.ORG_TEST, *range(1, 100))
        result = gateway.export("--pem", tmp_path / "crl.pem")
        assert (result.exit_code, "more than 1024 bytes" in result.stderr) == (1, True)

    def test_a_ca_without_a_list_is_warned_of(self, gateway: Gateway, tmp_path: Path) -> None:
        gateway.keep(trees.ORG_TEST)
        result = gateway.export("--pem", tmp_path / "crl.pem")
        assert (result.exit_code, result.stderr.count("NO LIST")) == (0, 3)
        assert "refuse every client of it" in result.stderr

    def test_an_expired_list_is_written_and_warned_of(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        gateway.keep(trees.ORG_TEST, this_update=timedelta(days=-9), next_update=timedelta(days=-3))
        result = gateway.export("--pem", tmp_path / "crl.pem")
        assert (result.exit_code, numbers(tmp_path / "crl.pem")) == (0, [1])
        assert f"{trees.ORG_TEST}: EXPIRED 3 days ago; nginx, and Apache" in result.stderr

    def test_a_place_that_cannot_be_written_is_named(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        gateway.keep(trees.ORG_TEST)
        result = gateway.export("--pem", tmp_path / "absent" / "crl.pem")
        assert result.exit_code == 1
        assert f"{tmp_path}/absent" in result.stderr

    def test_without_a_place_it_is_misused(self, gateway: Gateway) -> None:
        gateway.keep(trees.ORG_TEST)
        result = gateway.export()
        assert (result.exit_code, "--pem FILE" in result.stderr) == (2, True)

    def test_the_configuration_may_be_named_before_it(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        gateway.keep(trees.ORG_TEST)
        pem = tmp_path / "crl.pem"
        arguments = ["crl", "--config", str(gateway.ini), "export", "--pem", str(pem)]
        assert CliRunner().invoke(main, arguments).exit_code == 0
        assert numbers(pem) == [1]

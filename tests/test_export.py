"""Lists written for a neighbour: whole or not at all, the newest only, and nobody else's files."""

import os
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from crl_judging import NOW, ORG, ROOT, signed
from openssl import program
from sasgate.lab.authority import Authority
from sasgate.lab.lists import many_serials, partial, plain_list, revoked
from sasgate.lab.pki import Lab
from sasgate.revocation.crl import verify_list
from sasgate.revocation.export import (
    MANIFEST,
    Export,
    Exportable,
    NotExported,
    newest,
    write_hash_dir,
    write_pem,
)


def exportable(authority: Authority, der: bytes, source: Path | None = None) -> Exportable:
    if source is not None:
        source.write_bytes(der)
    facts = verify_list(der, [authority.certificate], NOW).facts
    return Exportable(authority.certificate, facts, der if source is None else source)


def listing(authority: Authority, number: int = 1, *serials: int, **changes: object) -> Exportable:
    entries = [revoked(serial, when=NOW) for serial in serials]
    return exportable(authority, signed(authority, *entries, number=number, **changes))


@pytest.fixture
def org(lab: Lab) -> Authority:
    return lab.authorities[ORG]


@pytest.fixture
def root(lab: Lab) -> Authority:
    return lab.authorities[ROOT]


def lists_in(pem: Path) -> list[x509.CertificateRevocationList]:
    end = b"-----END X509 CRL-----\n"
    parts = pem.read_bytes().split(end)
    assert parts.pop() == b""
    return [x509.load_pem_x509_crl(part + end) for part in parts]


def numbers(pem: Path) -> list[int]:
    return sorted(number(each) for each in lists_in(pem))


def number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def in_folder(folder: Path) -> dict[str, int]:
    """The number of each list in a hash folder by its name; every other name must be hidden."""
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return {path.name: number(x509.load_pem_x509_crl(path.read_bytes())) for path in paths}


def hash_of(authority: Authority) -> str:
    command = [program("openssl"), "x509", "-noout", "-subject_hash"]
    pem = authority.certificate.public_bytes(Encoding.PEM)
    return subprocess.run(command, input=pem, capture_output=True, check=True).stdout.decode()[:-1]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestNewest:
    def test_the_highest_number_of_a_ca_and_scope(self, org: Authority) -> None:
        lists = [listing(org, each) for each in (9, 10, 2)]
        assert [each.facts.number for each in newest(lists)] == [10]

    def test_lists_of_other_scopes_stand_beside_it_s20(self, org: Authority) -> None:
        leaves = listing(org, 3, extra=(partial(leaves=True),))
        cas = listing(org, 4, extra=(partial(authorities=True),))
        whole = listing(org, 5)
        assert set(newest([leaves, cas, whole])) == {leaves, cas, whole}

    def test_lists_of_other_cas_stand_beside_it(self, org: Authority, root: Authority) -> None:
        lists = [listing(org, 1), listing(root, 2)]
        assert set(newest(lists)) == set(lists)

    def test_a_ca_certified_twice_gets_its_list_once(self, org: Authority) -> None:
        once = listing(org)
        twice = evolve(once, facts=evolve(once.facts, issuers=(*once.facts.issuers, "ab" * 32)))
        assert newest([twice]) == (twice,)

    def test_the_order_does_not_depend_on_the_order_given(
        self, org: Authority, root: Authority
    ) -> None:
        lists = [listing(org), listing(root), listing(org, extra=(partial(leaves=True),))]
        assert newest(lists) == newest(lists[::-1])


class TestPem:
    def test_every_list_byte_for_byte(
        self, org: Authority, root: Authority, tmp_path: Path
    ) -> None:
        path, lists = tmp_path / "lists.pem", [listing(org, 7, 1, 2, 3), listing(root, 8)]
        write_pem(path, lists)
        ders = {each.public_bytes(Encoding.DER) for each in lists_in(path)}
        assert ders == {each.source for each in lists}

    def test_openssl_writes_the_same(self, org: Authority, tmp_path: Path) -> None:
        path, one = tmp_path / "lists.pem", listing(org, 7, *range(1, 500))
        write_pem(path, [one])
        command = [program("openssl"), "crl", "-inform", "DER", "-outform", "PEM"]
        assert isinstance(one.source, bytes)
        theirs = subprocess.run(command, input=one.source, capture_output=True, check=True).stdout
        assert path.read_bytes() == theirs

    def test_a_long_list_from_a_file(self, org: Authority, tmp_path: Path) -> None:
        der = plain_list(org, many_serials(5000), now=NOW)
        assert len(der) > 3 * 48 * 1024
        write_pem(tmp_path / "lists.pem", [exportable(org, der, tmp_path / "org.crl")])
        assert lists_in(tmp_path / "lists.pem")[0].public_bytes(Encoding.DER) == der

    def test_everybody_may_read_it_whatever_the_umask(self, org: Authority, tmp_path: Path) -> None:
        before = os.umask(0o077)
        try:
            write_pem(tmp_path / "lists.pem", [listing(org)])
        finally:
            os.umask(before)
        assert mode(tmp_path / "lists.pem") == 0o644

    def test_a_newer_list_takes_the_place_in_one_step_s28(
        self, org: Authority, tmp_path: Path
    ) -> None:
        path = tmp_path / "lists.pem"
        write_pem(path, [listing(org, 1)])
        with path.open("rb") as reader:
            write_pem(path, [listing(org, 2)])
            assert number(x509.load_pem_x509_crl(reader.read())) == 1
        assert numbers(path) == [2]

    def test_the_same_again_touches_nothing(self, org: Authority, tmp_path: Path) -> None:
        path, one = tmp_path / "lists.pem", listing(org)
        write_pem(path, [one])
        before = path.stat()
        write_pem(path, [one])
        assert path.stat() == before

    @pytest.mark.parametrize("more", [b"", b"\n-----BEGIN X509 CRL-----\n"])
    def test_a_file_that_was_changed_is_put_right(
        self, org: Authority, tmp_path: Path, more: bytes
    ) -> None:
        path, one = tmp_path / "lists.pem", listing(org)
        write_pem(path, [one])
        good = path.read_bytes()
        path.write_bytes(good[: None if more else -1] + more)
        write_pem(path, [one])
        assert path.read_bytes() == good

    def test_a_mode_that_was_changed_is_put_right(self, org: Authority, tmp_path: Path) -> None:
        path, one = tmp_path / "lists.pem", listing(org)
        write_pem(path, [one])
        path.chmod(0o600)
        write_pem(path, [one])
        assert mode(path) == 0o644

    def test_a_symbolic_link_is_replaced_not_followed(self, org: Authority, tmp_path: Path) -> None:
        path, other = tmp_path / "lists.pem", tmp_path / "other"
        other.write_bytes(b"precious")
        path.symlink_to(other)
        write_pem(path, [listing(org)])
        assert (path.is_symlink(), other.read_bytes()) == (False, b"precious")

    def test_without_a_list_the_old_file_stays(self, org: Authority, tmp_path: Path) -> None:
        path = tmp_path / "lists.pem"
        write_pem(path, [listing(org)])
        with pytest.raises(NotExported, match=r"lists\.pem: not written, .* no verified list"):
            write_pem(path, [])
        assert numbers(path) == [1]

    def test_a_list_that_changed_since_it_was_verified_is_not_written(
        self, org: Authority, tmp_path: Path
    ) -> None:
        path, source = tmp_path / "lists.pem", tmp_path / "org.crl"
        write_pem(path, [listing(org)])
        later = exportable(org, signed(org, number=2), source)
        source.write_bytes(signed(org, number=3))
        with pytest.raises(NotExported, match=r"org\.crl: is no longer the list"):
            write_pem(path, [later])
        assert (numbers(path), leftovers(tmp_path)) == ([1], [])

    def test_a_list_cut_short_since_is_not_written(self, org: Authority, tmp_path: Path) -> None:
        source = tmp_path / "org.crl"
        one = exportable(org, signed(org), source)
        source.write_bytes(source.read_bytes()[:-1])
        with pytest.raises(NotExported):
            write_pem(tmp_path / "lists.pem", [one])
        assert not (tmp_path / "lists.pem").exists()

    def test_a_full_disk_leaves_the_old_file_and_no_half(
        self, org: Authority, tmp_path: Path
    ) -> None:
        path = tmp_path / "lists.pem"
        write_pem(path, [listing(org)])
        full = OSError(28, "No space left on device")
        with patch("os.fsync", side_effect=full), pytest.raises(NotExported, match=r"No space"):
            write_pem(path, [listing(org, 2)])
        assert (numbers(path), leftovers(tmp_path)) == ([1], [])

    @pytest.mark.parametrize(
        ("place", "reason"),
        [("absent/lists.pem", "No such file"), ("file/lists.pem", "Not a directory"),
         ("folder", "Is a directory")],
    )  # fmt: skip
    def test_a_place_that_cannot_be_is_named(
        self, org: Authority, tmp_path: Path, place: str, reason: str
    ) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "folder").mkdir()
        with pytest.raises(NotExported, match=f"^{tmp_path}/.*: {reason}"):
            write_pem(tmp_path / place, [listing(org)])


def leftovers(folder: Path) -> Sequence[str]:
    return [each.name for each in folder.iterdir() if each.name.startswith(".lists.pem")]


class TestHashDir:
    def test_names_are_openssls(self, org: Authority, root: Authority, tmp_path: Path) -> None:
        write_hash_dir(tmp_path, [listing(org, 7), listing(root, 8)])
        assert in_folder(tmp_path) == {f"{hash_of(org)}.r0": 7, f"{hash_of(root)}.r0": 8}

    def test_the_genuine_cas_names(self, shared: Path, org: Authority, tmp_path: Path) -> None:
        ca = x509.load_der_x509_certificate(
            (shared / "igc-sante" / "ACI-EL-ORG-TEST.cer").read_bytes()
        )
        write_hash_dir(tmp_path, [evolve(listing(org), authority=ca)])
        assert list(in_folder(tmp_path)) == ["acc6b270.r0"]

    def test_openssl_finds_them(self, org: Authority, root: Authority, tmp_path: Path) -> None:
        folder, cas, leaf = tmp_path / "lists", tmp_path / "cas.pem", tmp_path / "org.pem"
        write_hash_dir(folder, [listing(org), listing(root, 1, org.certificate.serial_number)])
        cas.write_bytes(root.certificate.public_bytes(Encoding.PEM))
        leaf.write_bytes(org.certificate.public_bytes(Encoding.PEM))
        command = ("verify", "-crl_check", "-no-CApath", "-CAfile", cas, "-CApath", folder,
                   "-attime", int(NOW.timestamp()) + 60, leaf)  # fmt: skip
        result = subprocess.run(
            [program("openssl"), *map(str, command)], capture_output=True, text=True, check=False
        )
        assert (result.returncode, "certificate revoked" in result.stderr) == (2, True)

    def test_lists_of_one_ca_are_numbered_without_a_gap(
        self, org: Authority, tmp_path: Path
    ) -> None:
        scopes = ((), (partial(leaves=True),), (partial(authorities=True),))
        write_hash_dir(tmp_path, [listing(org, n, extra=each) for n, each in enumerate(scopes)])
        assert set(in_folder(tmp_path)) == {f"{hash_of(org)}.r{n}" for n in range(3)}

    def test_cas_of_one_name_are_numbered_too(self, lab: Lab, tmp_path: Path) -> None:
        org, namesake = lab.authorities[ORG], lab.authorities["SAME-NAME-ACI-EL-ORG-TEST"]
        write_hash_dir(tmp_path, [listing(org, 1), listing(namesake, 2)])
        names = {f"{hash_of(org)}.r0", f"{hash_of(org)}.r1"}
        assert set(in_folder(tmp_path)) == names

    def test_a_newer_list_keeps_its_name(self, org: Authority, tmp_path: Path) -> None:
        write_hash_dir(tmp_path, [listing(org, 1)])
        write_hash_dir(tmp_path, [listing(org, 2)])
        assert in_folder(tmp_path) == {f"{hash_of(org)}.r0": 2}

    def test_what_lapsed_is_removed(self, org: Authority, root: Authority, tmp_path: Path) -> None:
        write_hash_dir(tmp_path, [listing(org, extra=(partial(leaves=True),)), listing(root)])
        write_hash_dir(tmp_path, [listing(org)])
        assert list(in_folder(tmp_path)) == [f"{hash_of(org)}.r0"]

    def test_files_of_others_are_left_alone_and_passed_over(
        self, org: Authority, root: Authority, tmp_path: Path
    ) -> None:
        theirs = signed(org, number=90)
        pem = x509.load_der_x509_crl(theirs).public_bytes(Encoding.PEM)
        taken, hidden = tmp_path / f"{hash_of(org)}.r0", tmp_path / ".others"
        taken.write_bytes(pem)
        hidden.write_bytes(b"theirs")
        (tmp_path / "README").write_bytes(b"theirs")
        write_hash_dir(tmp_path, [listing(org, 1), listing(root)])
        write_hash_dir(tmp_path, [listing(root)])
        assert (taken.read_bytes(), hidden.read_bytes()) == (pem, b"theirs")
        assert (tmp_path / "README").read_bytes() == b"theirs"
        assert not (tmp_path / f"{hash_of(org)}.r1").exists()

    def test_a_dangling_link_of_others_is_not_a_free_name(
        self, org: Authority, tmp_path: Path
    ) -> None:
        link = tmp_path / f"{hash_of(org)}.r0"
        link.symlink_to(tmp_path / "absent")
        write_hash_dir(tmp_path, [listing(org)])
        assert (link.is_symlink(), (tmp_path / f"{hash_of(org)}.r1").is_file()) == (True, True)

    @pytest.mark.parametrize(
        "line",
        ["../precious -", "precious -", "/etc/passwd -", "0123abcd.r0/../precious -", "precious"],
    )
    def test_a_manifest_makes_no_other_file_ours(
        self, org: Authority, tmp_path: Path, line: str
    ) -> None:
        folder = tmp_path / "lists"
        folder.mkdir()
        for place in (tmp_path, folder):
            (place / "precious").touch()
        (folder / MANIFEST).write_text(f"{line}\n\xff\n", "latin-1")
        write_hash_dir(folder, [listing(org)])
        assert (tmp_path / "precious").exists()
        assert (folder / "precious").exists()

    def test_after_a_death_half_way_what_was_written_is_still_ours(
        self, org: Authority, root: Authority, tmp_path: Path
    ) -> None:
        source = tmp_path / "root.crl"
        later = exportable(root, signed(root), source)
        source.write_bytes(b"changed")
        folder = tmp_path / "lists"
        # The lists are written in the order of their issuers' names.
        with pytest.raises(NotExported):
            write_hash_dir(folder, [listing(org, 5), later])
        assert in_folder(folder) == {f"{hash_of(org)}.r0": 5}
        write_hash_dir(folder, [listing(org, 6)])
        assert in_folder(folder) == {f"{hash_of(org)}.r0": 6}

    def test_the_manifest_is_replaced_last(
        self, org: Authority, root: Authority, tmp_path: Path
    ) -> None:
        write_hash_dir(tmp_path, [listing(org, 1), listing(root, 1)])
        seen: list[str] = []
        replace = os.replace

        def noting(new: str, name: str, **folders: int | None) -> None:
            seen.append(Path(name).name)
            replace(new, name, **folders)

        with patch("os.replace", noting):
            write_hash_dir(tmp_path, [listing(org, 2), listing(root, 2)])
        assert (len(seen), seen[-1]) == (3, MANIFEST)

    def test_the_same_again_touches_nothing(self, org: Authority, tmp_path: Path) -> None:
        one = listing(org)
        write_hash_dir(tmp_path, [one])
        before = {path: path.stat() for path in (tmp_path, *tmp_path.iterdir())}
        write_hash_dir(tmp_path, [one])
        assert {path: path.stat() for path in (tmp_path, *tmp_path.iterdir())} == before

    def test_a_new_folder_is_open_to_everybody_whatever_the_umask(
        self, org: Authority, tmp_path: Path
    ) -> None:
        folder, before = tmp_path / "lists", os.umask(0o077)
        try:
            write_hash_dir(folder, [listing(org)])
        finally:
            os.umask(before)
        assert (mode(folder), mode(folder / f"{hash_of(org)}.r0")) == (0o755, 0o644)

    def test_the_mode_of_an_existing_folder_is_its_owners(
        self, org: Authority, tmp_path: Path
    ) -> None:
        tmp_path.chmod(0o750)
        write_hash_dir(tmp_path, [listing(org)])
        assert mode(tmp_path) == 0o750

    def test_without_a_list_the_old_ones_stay(self, org: Authority, tmp_path: Path) -> None:
        write_hash_dir(tmp_path, [listing(org)])
        with pytest.raises(NotExported, match="no verified list"):
            write_hash_dir(tmp_path, [])
        assert len(in_folder(tmp_path)) == 1

    def test_a_file_in_the_folders_place_is_named(self, org: Authority, tmp_path: Path) -> None:
        place = tmp_path / "lists"
        place.touch()
        with pytest.raises(NotExported, match=f"^{place}.*: Not a directory"):
            write_hash_dir(place, [listing(org)])


class TestExport:
    def test_nothing_asked_nothing_written(self, org: Authority) -> None:
        Export(None, None).write([listing(org)])

    def test_one_place_that_fails_does_not_keep_the_other(
        self, org: Authority, tmp_path: Path
    ) -> None:
        export = Export(tmp_path / "absent" / "lists.pem", tmp_path / "lists")
        with pytest.raises(NotExported, match=r"absent"):
            export.write(iter([listing(org, 4)]))
        assert list(in_folder(tmp_path / "lists").values()) == [4]

    def test_all_that_went_wrong_is_said(self, org: Authority, tmp_path: Path) -> None:
        export = Export(tmp_path / "absent" / "lists.pem", tmp_path / "gone" / "lists")
        with pytest.raises(NotExported, match=r"absent.*; .*gone"):
            export.write([listing(org)])

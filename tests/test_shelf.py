"""Lists on disk: whole or not at all, and nothing believed that cannot be read (S28)."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from crl_judging import NOW, ORG, PERS, signed, verify
from sasgate import atomic
from sasgate.lab.authority import Authority
from sasgate.lab.lists import partial, revoked
from sasgate.lab.pki import Lab
from sasgate.lab.profile import authority_template
from sasgate.revocation.crl import Held
from sasgate.revocation.download import Validators
from sasgate.revocation.scope import Scope
from sasgate.revocation.shelf import Key, Record, Shelf, key_of, spki_of


@pytest.fixture
def org(lab: Lab) -> Authority:
    return lab.authorities[ORG]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path / "crl")
    shelf.prepare()
    return shelf


def record_of(der: bytes, authority: Authority, **changes: object) -> Record:
    facts = verify(der, authority).facts
    record = Record(
        source="http://crl.lab/org.crl",
        spki=spki_of(authority.certificate),
        fetched=NOW,
        checked=NOW,
        validators=Validators('"tag"', "Mon, 15 Jun 2026 05:00:00 GMT"),
        interval=timedelta(days=1),
        facts=facts,
        held=Held(facts.number, facts.this_update, facts.signed_sha256),
    )
    return evolve(record, **changes)


def put(shelf: Shelf, record: Record, content: bytes) -> None:
    source = shelf.folder.parent / "source"
    source.write_bytes(content)
    with source.open("rb") as file:
        shelf.put(record, file.fileno())


def names(shelf: Shelf) -> set[str]:
    return {path.name for path in shelf.folder.iterdir()}


class TestKept:
    def test_a_list_and_its_record_come_back(self, shelf: Shelf, org: Authority) -> None:
        der = signed(org, revoked(5), number=1 << 150)
        record = record_of(der, org, error="refused", error_at=NOW)
        put(shelf, record, der)
        (kept,), faults = shelf.read()
        assert kept.record == record
        assert not faults
        with shelf.open(kept.path) as file:
            assert file.read() == der

    def test_what_is_unknown_comes_back_unknown(self, shelf: Shelf, org: Authority) -> None:
        der = signed(org)
        record = record_of(
            der, org, checked=None, validators=Validators(), interval=None, held=None
        )
        put(shelf, record, der)
        assert shelf.read()[0][0].record == record

    def test_two_lists_of_one_instant_leave_an_interval_of_nothing(
        self, shelf: Shelf, org: Authority
    ) -> None:
        der = signed(org)
        record = record_of(der, org, interval=timedelta())
        put(shelf, record, der)
        assert shelf.read()[0][0].record == record

    def test_a_note_leaves_the_list(self, shelf: Shelf, org: Authority) -> None:
        der = signed(org)
        put(shelf, record_of(der, org), der)
        shelf.note(record_of(der, org, error="HTTP 404"))
        (kept,), _ = shelf.read()
        assert kept.record is not None
        assert kept.record.error == "HTTP 404"
        assert kept.path.read_bytes() == der

    def test_pem_is_kept_as_der(self, shelf: Shelf, org: Authority) -> None:
        der = signed(org, revoked(5))
        pem = x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
        put(shelf, record_of(pem, org), pem)
        assert shelf.read()[0][0].path.read_bytes() == der

    @pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
    def test_a_list_that_changed_since_it_was_verified_is_not_kept(
        self, encoding: Encoding, shelf: Shelf, org: Authority
    ) -> None:
        """S28."""
        other = x509.load_der_x509_crl(signed(org, number=3)).public_bytes(encoding)
        old, new = signed(org, number=1), signed(org, revoked(5), number=2)
        put(shelf, record_of(old, org), old)
        with pytest.raises(ValueError, match="changed since"):
            put(shelf, record_of(new, org), other)
        (kept,), _ = shelf.read()
        assert kept.path.read_bytes() == old
        assert kept.record is not None
        assert kept.record.facts.number == 1

    def test_modes(self, shelf: Shelf, org: Authority) -> None:
        der = signed(org)
        put(shelf, record_of(der, org), der)
        assert stat.S_IMODE(shelf.folder.stat().st_mode) == 0o750
        assert {stat.S_IMODE(path.stat().st_mode) for path in shelf.folder.iterdir()} == {0o640}

    def test_an_empty_folder_that_others_could_write_is_closed_to_them(
        self, tmp_path: Path
    ) -> None:
        folder = tmp_path / "crl"
        folder.mkdir()
        folder.chmod(0o777)
        Shelf(folder).prepare()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o750


class TestKey:
    def test_the_scope_makes_another(self, org: Authority, shelf: Shelf) -> None:
        """S20."""
        whole, leaves = signed(org), signed(org, extra=(partial(leaves=True),))
        for der in (whole, leaves):
            put(shelf, record_of(der, org), der)
        assert len(shelf.read()[0]) == 2

    def test_a_ca_certified_again_has_the_same(self, lab: Lab, org: Authority) -> None:
        template = authority_template(org.certificate.subject, NOW, path_length=0)
        again = lab.authorities["ACR-EL-TEST"].subordinate("AGAIN", template, org.key, now=NOW)
        der = signed(org)
        keys = {
            key_of(verify(der, *cas).facts, [ca.certificate for ca in cas])
            for cas in ([org], [again], [again, org])
        }
        assert len(keys) == 1

    def test_a_ca_of_the_same_name_and_another_key_has_another(self, lab: Lab) -> None:
        """S18."""
        org, other = lab.authorities[ORG], lab.authorities["SAME-NAME-ACI-EL-ORG-TEST"]
        keys = {key_of(verify(signed(ca), ca).facts, [ca.certificate]) for ca in (org, other)}
        assert len({key.name for key in keys}) == 2

    def test_nobody_elses_list_has_one(self, lab: Lab, org: Authority) -> None:
        facts = verify(signed(org), org).facts
        with pytest.raises(LookupError, match="none of the CAs"):
            key_of(facts, [lab.authorities[PERS].certificate])

    @given(st.text(max_size=300), st.lists(st.text(max_size=50), max_size=3))
    def test_its_name_is_always_a_plain_file_name(self, issuer: str, points: list[str]) -> None:
        try:
            name = Key(issuer, "00", Scope(points=tuple(points))).name
        except UnicodeEncodeError:
            return
        assert name.replace("-", "").isascii()
        assert name.replace("-", "").isalnum()
        assert len(name) <= 80


class TestDamaged:
    """What cannot be read is said, and is no crash."""

    @pytest.mark.parametrize(
        "content",
        [
            b"", b"{", b"null", b"[]", b"{}", b'"text"', b"\xff\xfe", b"[" * 100_000,
            b'{"version": 2}', b'{"version": 1}', b"9" * 10_000,
        ],
        ids=repr,
    )  # fmt: skip
    def test_a_record_that_is_none(self, content: bytes, shelf: Shelf, org: Authority) -> None:
        der = signed(org)
        record = record_of(der, org)
        put(shelf, record, der)
        (shelf.folder / f"{record.key.name}.json").write_bytes(content)
        (kept,), faults = shelf.read()
        assert kept.record is None
        assert kept.path.read_bytes() == der
        assert len(faults) == 1
        assert record.key.name in faults[0]

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("held", [True, "2026-06-15T05:00:00+00:00", "00"]),
            ("held", [1]),
            ("held", 7),
            ("fetched", "2026-06-15T05:00:00"),
            ("fetched", None),
            ("checked", 5),
            ("source", None),
            ("interval", "a day"),
            ("interval", float("inf")),
            ("interval", float("nan")),
            ("facts", {}),
            ("facts", None),
            ("spki", 0),
            ("etag", {}),
            ("error_at", "tomorrow"),
        ],
    )
    def test_a_record_with_a_wrong_value(
        self, key: str, value: Any, shelf: Shelf, org: Authority
    ) -> None:
        self.edit(shelf, org, **{key: value})
        (kept,), faults = shelf.read()
        assert kept.record is None
        assert len(faults) == 1

    def test_a_record_of_another_list(self, shelf: Shelf, org: Authority) -> None:
        """S19: nobody's numbers are taken for another's."""
        self.edit(shelf, org, spki="00")
        (kept,), faults = shelf.read()
        assert kept.record is None
        assert "speaks of" in faults[0]

    def edit(self, shelf: Shelf, org: Authority, **changes: Any) -> None:
        der = signed(org)
        record = record_of(der, org)
        put(shelf, record, der)
        path = shelf.folder / f"{record.key.name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def test_a_list_without_record_is_left_to_be_verified(
        self, shelf: Shelf, org: Authority
    ) -> None:
        der = signed(org)
        record = record_of(der, org)
        put(shelf, record, der)
        (shelf.folder / f"{record.key.name}.json").unlink()
        (kept,), faults = shelf.read()
        assert kept.record is None
        assert "missing" in faults[0]

    def test_a_record_without_list_is_still_known(self, shelf: Shelf, org: Authority) -> None:
        """S19: its number outlives it."""
        der = signed(org)
        record = record_of(der, org)
        put(shelf, record, der)
        shelf.path_of(record.key.name).unlink()
        (kept,), faults = shelf.read()
        assert kept.record == record
        assert not faults

    @pytest.mark.parametrize("mode", [0o666, 0o660])
    def test_a_record_that_others_could_write_is_not_believed(
        self, mode: int, shelf: Shelf, org: Authority
    ) -> None:
        der = signed(org)
        record = record_of(der, org)
        put(shelf, record, der)
        (shelf.folder / f"{record.key.name}.json").chmod(mode)
        (kept,), faults = shelf.read()
        assert kept.record is None
        assert "written by others" in faults[0]

    def test_a_fifo_makes_nobody_wait(self, shelf: Shelf) -> None:
        os.mkfifo(shelf.folder / "x.crl")
        (kept,), _ = shelf.read()
        with pytest.raises(OSError, match="no regular file"):
            shelf.open(kept.path)

    def test_a_link_is_not_followed(self, shelf: Shelf, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").write_bytes(b"x")
        (shelf.folder / "x.crl").symlink_to(tmp_path / "elsewhere")
        (kept,), _ = shelf.read()
        with pytest.raises(OSError, match="symbolic"):
            shelf.open(kept.path)

    def test_others_files_are_none_of_ours(self, shelf: Shelf) -> None:
        (shelf.folder / "README").write_text("x")
        assert shelf.read() == ([], [])


class TestCrash:
    """S28: killed at any moment, the shelf holds the old list or the new one."""

    def test_before_anything_was_renamed(
        self, shelf: Shelf, org: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = signed(org, number=1), signed(org, number=2)
        put(shelf, record_of(old, org), old)
        with self.killed_at(monkeypatch, rename=1):
            put(shelf, record_of(new, org), new)
        assert len(names(shelf)) == 3
        shelf.prepare()
        assert len(names(shelf)) == 2
        (kept,), faults = shelf.read()
        assert kept.path.read_bytes() == old
        assert kept.record == record_of(old, org)
        assert not faults

    def test_between_the_list_and_its_record(
        self, shelf: Shelf, org: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = signed(org, number=1), signed(org, number=2)
        put(shelf, record_of(old, org), old)
        with self.killed_at(monkeypatch, rename=2):
            put(shelf, record_of(new, org), new)
        shelf.prepare()
        (kept,), faults = shelf.read()
        assert kept.path.read_bytes() == new
        assert kept.record == record_of(old, org)
        assert not faults

    @contextmanager
    def killed_at(self, monkeypatch: pytest.MonkeyPatch, rename: int) -> Iterator[None]:
        """From that rename on nothing is done any more, no clearing up either."""
        renames: list[str] = []
        replace = os.replace

        def killing(new: str, name: str, **folders: int | None) -> None:
            renames.append(new)
            if len(renames) == rename:
                patch.setattr("os.unlink", lambda *_, **__: None)
                raise _Killed
            replace(new, name, **folders)

        with monkeypatch.context() as patch:
            patch.setattr("os.replace", killing)
            with suppress(_Killed):
                yield
        assert len(renames) == rename

    def test_a_full_disk_leaves_the_old_list(
        self, shelf: Shelf, org: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = signed(org, number=1), signed(org, number=2)
        put(shelf, record_of(old, org), old)

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(atomic.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            put(shelf, record_of(new, org), new)
        assert len(names(shelf)) == 2
        assert shelf.read()[0][0].path.read_bytes() == old


class _Killed(BaseException):
    """As SIGKILL."""


class TestOffset:
    def test_none_was_drawn(self, shelf: Shelf) -> None:
        assert shelf.offset() is None

    def test_it_stays(self, shelf: Shelf) -> None:
        shelf.set_offset(timedelta(seconds=1234.5))
        assert Shelf(shelf.folder).offset() == timedelta(seconds=1234.5)

    @pytest.mark.parametrize(
        "text", ["", "soon", "-1", "nan", "inf", "1e300", "100000000", "86401", "0x10"]
    )
    def test_nonsense_is_none(self, text: str, shelf: Shelf) -> None:
        (shelf.folder / "offset").write_text(text)
        with pytest.raises(ValueError, match=r".+"):
            shelf.offset()


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_s19_a_shelf_that_others_could_have_exchanged_is_not_used(
    tmp_path: Path, mode: int
) -> None:
    """What they put there instead may be a list of yesterday's, rightly signed."""
    state = tmp_path / "state"
    state.mkdir()
    Shelf(state / "crl").prepare()
    state.chmod(mode)
    with pytest.raises(PermissionError, match="can be written by others"):
        Shelf(state / "crl").prepare()


def test_s19_nor_one_that_others_could_have_put_lists_into(tmp_path: Path) -> None:
    folder = tmp_path / "crl"
    folder.mkdir()
    (folder / "X.crl").touch()
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="can be written by others"):
        Shelf(folder).prepare()


def test_s19_nor_one_of_another_user(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "crl"
    folder.mkdir(parents=True)
    nobody = frozenset({os.geteuid() + 1})
    with pytest.raises(PermissionError, match="belongs to uid"):
        Shelf(folder, nobody).prepare()


def test_s19_nor_a_link_to_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".kept").touch()
    (tmp_path / "crl").symlink_to(elsewhere)
    with pytest.raises(OSError, match="crl"):
        Shelf(tmp_path / "crl").prepare()
    assert (elsewhere / ".kept").exists()

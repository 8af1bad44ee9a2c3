"""Files and folders of lists: a replaced one is seen, a half-written one is not read (S27, S28)."""

import os
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, fields
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogEvent

from crl_judging import ORG, ROOT, sha256, signed
from sasgate.lab.authority import Authority
from sasgate.lab.lists import forged, partial, revoked
from sasgate.lab.pki import Lab
from sasgate.revocation.store import Plan, Store, UnusableSource
from sasgate.revocation.watch import Mark, files_of, is_url, mark_at
from stores import World, alarms, ended, load_here, number, state


@pytest.fixture
def world(lab: Lab, tmp_path: Path) -> World:
    return World(lab, tmp_path / "state" / "crl")


@pytest.fixture
def org(lab: Lab) -> Authority:
    return lab.authorities[ORG]


@pytest.fixture
def file(org: Authority, tmp_path: Path) -> Path:
    """A source that holds list 1."""
    path = tmp_path / "org.crl"
    path.write_bytes(signed(org, number=1))
    return path


@pytest.mark.parametrize("text", ["http://x/a.crl", "https://x/a.crl"])
def test_urls(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize("text", ["/etc/a.crl", "/http:/x", "a"])
def test_paths(text: str) -> None:
    assert not is_url(text)


class TestMark:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "file"
        path.write_bytes(b"old!")
        return path

    def test_it_stays_where_nothing_happens(self, path: Path) -> None:
        before = mark_at(path)
        path.read_bytes()
        assert mark_at(path) == before is not None

    def test_nothing_has_none(self, tmp_path: Path) -> None:
        assert mark_at(tmp_path / "absent") is None

    def test_another_size(self, path: Path) -> None:
        before = mark_at(path)
        path.write_bytes(b"newer")
        assert mark_at(path) != before

    def test_the_same_size_and_mtime_in_another_file(self, path: Path) -> None:
        """S27."""
        before, times = mark_at(path), path.stat()
        new = path.with_name("new")
        new.write_bytes(b"new!")
        os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
        new.replace(path)
        assert mark_at(path) != before

    def test_each_of_its_parts_tells(self, path: Path) -> None:
        """S27: ctime too, which nobody can set."""
        mark = Mark.of(path.stat())
        assert len(fields(Mark)) == 5
        for part in fields(Mark):
            assert evolve(mark, **{part.name: getattr(mark, part.name) + 1}) != mark
        status = path.stat()
        assert mark.changed == status.st_ctime_ns
        assert mark.modified == status.st_mtime_ns
        assert (mark.device, mark.inode) == (status.st_dev, status.st_ino)


class TestFilesOf:
    def test_a_file_is_its_own(self, file: Path) -> None:
        assert files_of(file) == (file,)

    def test_a_folder_holds_regular_files_that_are_not_hidden(self, tmp_path: Path) -> None:
        for name in ("b.crl", "a.r0", ".hidden", "any"):
            (tmp_path / name).write_bytes(b"x")
        (tmp_path / "folder").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "any")
        (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
        os.mkfifo(tmp_path / "fifo")
        assert [path.name for path in files_of(tmp_path)] == ["a.r0", "any", "b.crl", "link"]

    def test_an_empty_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UnusableSource, match="folder without a list"):
            files_of(tmp_path)

    def test_what_is_absent_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UnusableSource, match="absent: does not exist"):
            files_of(tmp_path / "absent")


class TestStart:
    """S1: a file or folder that cannot be used stops the start, and names itself."""

    def test_a_file_is_in_force(self, world: World, org: Authority, file: Path) -> None:
        store = world.opened(world.plan(str(file)))
        assert number(store, org) == 1
        assert state(store, str(file)).next_attempt is None

    def test_pem_is_in_force(self, world: World, org: Authority, file: Path) -> None:
        crl = x509.load_der_x509_crl(file.read_bytes())
        file.write_bytes(crl.public_bytes(Encoding.PEM))
        assert number(world.opened(world.plan(str(file))), org) == 1

    def test_each_file_of_a_folder_is_in_force(
        self, world: World, org: Authority, lab: Lab, tmp_path: Path
    ) -> None:
        root = lab.authorities[ROOT]
        folder = tmp_path / "lists"
        folder.mkdir()
        (folder / "1.crl").write_bytes(signed(org, number=4))
        (folder / "2.pem").write_bytes(signed(root, number=5))
        store = world.opened(world.plan(str(folder)))
        assert (number(store, org), number(store, root)) == (4, 5)
        assert len(store.states) == 2

    def test_of_two_files_the_highest_number_wins(
        self, world: World, org: Authority, tmp_path: Path, logged: list[LogEvent]
    ) -> None:
        """S20; and the other is an alarm, not a refusal to start."""
        folder = tmp_path / "lists"
        folder.mkdir()
        (folder / "1.crl").write_bytes(signed(org, number=5))
        (folder / "2.crl").write_bytes(signed(org, number=4))
        store = world.opened(world.plan(str(folder)))
        assert number(store, org) == 5
        assert "older than list 5" in state(store, str(folder / "2.crl")).error
        assert any("2.crl" in alarm for alarm in alarms(logged))

    def test_both_scopes_of_a_folder_are_in_force(
        self, world: World, org: Authority, tmp_path: Path
    ) -> None:
        """S20: a union only across different scopes."""
        folder = tmp_path / "lists"
        folder.mkdir()
        (folder / "1.crl").write_bytes(signed(org, revoked(5), extra=(partial(leaves=True),)))
        (folder / "2.crl").write_bytes(signed(org, revoked(6), extra=(partial(authorities=True),)))
        store = world.opened(world.plan(str(folder)))
        assert store.lists.revokes(sha256(org), 5)
        assert store.lists.revokes(sha256(org), 6)
        assert {each.scope for each in store.states} == {"leaves", "CAs"}

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "empty"),
            (b"<html>", "a web page"),
            (b"garbage", "neither DER nor PEM"),
            (b"-----BEGIN CERTIFICATE-----\n", "PEM of something else"),
        ],
    )
    def test_what_is_no_list_is_refused(
        self, content: bytes, reason: str, world: World, file: Path
    ) -> None:
        file.write_bytes(content)
        self.refused(world, str(file), file, reason)

    def test_a_list_that_is_cut_short_is_refused(self, world: World, file: Path) -> None:
        file.write_bytes(file.read_bytes()[:-1])
        self.refused(world, str(file), file, "cut short")

    def test_a_forged_list_is_refused(self, world: World, org: Authority, file: Path) -> None:
        file.write_bytes(forged(signed(org)))
        self.refused(world, str(file), file, "its signature is not its CA's")

    def test_several_lists_in_one_file_are_refused(self, world: World, file: Path) -> None:
        pem = x509.load_der_x509_crl(file.read_bytes()).public_bytes(Encoding.PEM)
        file.write_bytes(pem + pem)
        self.refused(world, str(file), file, "2 lists in one")

    def test_a_strangers_list_is_refused(self, world: World, lab: Lab, file: Path) -> None:
        file.write_bytes(signed(lab.authorities["ACI-EL-PERS-TEST"]))
        self.refused(world, str(file), file, "another CA")

    def test_an_absent_file_is_refused(self, world: World, file: Path) -> None:
        file.unlink()
        self.refused(world, str(file), file, "does not exist")

    def test_a_fifo_is_refused(self, world: World, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        self.refused(world, str(tmp_path / "fifo"), tmp_path / "fifo", "is no regular file")

    def test_one_bad_file_of_a_folder_is_refused(
        self, world: World, file: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "lists"
        folder.mkdir()
        file.replace(folder / "a.crl")
        (folder / "z.txt").write_bytes(b"read me")
        self.refused(world, str(folder), folder / "z.txt", "neither DER nor PEM")

    def refused(self, world: World, source: str, path: Path, reason: str) -> None:
        store = world.store(world.plan(source))
        with pytest.raises(UnusableSource, match=reason) as refused:
            ended(store.open())
        assert refused.value.path == path
        assert str(path) in str(refused.value)
        assert world.leftovers() == []

    def test_a_file_that_is_being_written_is_waited_for(
        self, world: World, org: Authority, file: Path
    ) -> None:
        """S28."""
        store = world.store(world.plan(str(file)), load=Writing(file, times=1))
        opening = Deferred.fromCoroutine(store.open())
        assert not opening.called
        world.pass_time(seconds=1)
        ended(opening)
        assert number(store, org) == 1

    def test_but_not_for_ever(self, world: World, file: Path) -> None:
        store = world.store(world.plan(str(file)), load=Writing(file, times=100))
        opening = Deferred.fromCoroutine(store.open())
        world.pass_time(seconds=3)
        with pytest.raises(UnusableSource, match="is being written"):
            ended(opening)
        assert world.leftovers() == []

    def test_closed_while_it_waits(self, world: World, file: Path) -> None:
        store = world.store(world.plan(str(file)), load=Writing(file, times=100))
        opening = Deferred.fromCoroutine(store.open())
        ended(store.close())
        with pytest.raises(CancelledError):
            ended(opening)
        assert world.leftovers() == []


class Writing:
    """Loads a list while somebody adds to its file."""

    def __init__(self, path: Path, times: int) -> None:
        self.path = path
        self.times = times
        self.loads = 0

    def __call__(self, reactor: Any, source: int, *rest: Any) -> Any:
        loading = load_here(reactor, source, *rest)
        self.loads += 1
        if self.loads <= self.times:
            content = self.path.read_bytes()
            self.path.write_bytes(content + b"\0")
            self.path.write_bytes(content)
            os.utime(self.path, ns=(self.loads, self.loads))
        return loading


class TestReplaced:
    """S27: whatever way a file is replaced, the next look sees it."""

    @pytest.fixture
    def store(self, world: World, file: Path) -> Store:
        return world.opened(world.plan(str(file)))

    def test_in_place(self, world: World, org: Authority, file: Path, store: Store) -> None:
        file.write_bytes(signed(org, revoked(5), number=2))
        self.next_look(world)
        assert number(store, org) == 2
        assert store.lists.revokes(sha256(org), 5)

    def test_by_rename_with_the_same_size_and_mtime(
        self, world: World, org: Authority, file: Path, store: Store
    ) -> None:
        times = file.stat()
        new = file.with_suffix(".new")
        new.write_bytes(signed(org, number=2))
        assert new.stat().st_size == times.st_size
        os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
        new.replace(file)
        self.next_look(world)
        assert number(store, org) == 2

    def test_by_a_link_that_leads_elsewhere(
        self, world: World, org: Authority, tmp_path: Path
    ) -> None:
        for each in (1, 2):
            (tmp_path / str(each)).write_bytes(signed(org, number=each))
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "1")
        store = world.opened(world.plan(str(link)))
        new = tmp_path / "new"
        new.symlink_to(tmp_path / "2")
        new.replace(link)
        self.next_look(world)
        assert number(store, org) == 2

    def test_unseen_by_stat_it_is_seen_within_ten_minutes(
        self, world: World, org: Authority, file: Path, store: Store, monkeypatch: Any
    ) -> None:
        mark = mark_at(file)
        file.write_bytes(signed(org, number=2))
        monkeypatch.setattr("sasgate.revocation.store.mark_at", lambda _: mark)
        world.pass_time(seconds=590)
        assert number(store, org) == 1
        world.pass_time(seconds=15)
        assert number(store, org) == 2

    def test_a_new_file_in_a_folder(
        self, world: World, org: Authority, lab: Lab, file: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "lists"
        folder.mkdir()
        file.replace(folder / "org.crl")
        store = world.opened(world.plan(str(folder)))
        root = lab.authorities[ROOT]
        (folder / "root.crl").write_bytes(signed(root, number=9))
        self.next_look(world)
        assert (number(store, org), number(store, root)) == (1, 9)

    def test_nothing_happened_nothing_is_loaded(self, world: World, file: Path) -> None:
        load = Writing(file, times=0)
        world.opened(world.plan(str(file)), load=load)
        # The first look comes right after the start, and finds what the start has read.
        world.pass_time(seconds=300)
        assert load.loads == 1

    def next_look(self, world: World) -> None:
        world.pass_time(seconds=5)


class TestSpoilt:
    """S18, S19, S28: the list that is held stays, with an alarm."""

    @pytest.fixture
    def store(self, world: World, file: Path) -> Store:
        return world.opened(world.plan(str(file)))

    def test_half_a_list(
        self, world: World, org: Authority, file: Path, store: Store, logged: list[LogEvent]
    ) -> None:
        whole = signed(org, revoked(5), number=2)
        file.write_bytes(whole[: len(whole) // 2])
        world.pass_time(seconds=5)
        assert number(store, org) == 1
        assert "cut short" in state(store, str(file)).error
        assert any("list 1 of" in alarm and "is kept" in alarm for alarm in alarms(logged))
        file.write_bytes(whole)
        world.pass_time(seconds=5)
        assert number(store, org) == 2
        assert not state(store, str(file)).error

    def test_an_older_list(self, world: World, org: Authority, file: Path, store: Store) -> None:
        file.write_bytes(signed(org, number=0))
        world.pass_time(seconds=5)
        assert number(store, org) == 1
        assert "is older than list 1" in state(store, str(file)).error

    def test_gone(
        self, world: World, org: Authority, file: Path, store: Store, logged: list[LogEvent]
    ) -> None:
        content = file.read_bytes()
        file.unlink()
        world.pass_time(minutes=15)
        assert number(store, org) == 1
        assert state(store, str(file)).error == "does not exist"
        assert len(alarms(logged)) == 1
        file.write_bytes(content)
        world.pass_time(seconds=5)
        assert not state(store, str(file)).error

    def test_gone_from_a_folder(
        self, world: World, org: Authority, tmp_path: Path, file: Path, logged: list[LogEvent]
    ) -> None:
        folder = tmp_path / "lists"
        folder.mkdir()
        kept, gone = folder / "kept.crl", folder / "gone.crl"
        kept.write_bytes(signed(world.lab.authorities[ROOT]))
        file.replace(gone)
        store = world.opened(world.plan(str(folder)))
        gone.unlink()
        world.pass_time(seconds=5)
        assert number(store, org) == 1
        assert any("gone.crl is gone; its list stays" in alarm for alarm in alarms(logged))
        # It is shown still, as what it is: in force without a source.
        assert state(store, str(gone)).number == 1

    def test_an_emptied_folder(
        self, world: World, org: Authority, tmp_path: Path, file: Path, logged: list[LogEvent]
    ) -> None:
        folder = tmp_path / "lists"
        folder.mkdir()
        inside = folder / "org.crl"
        file.replace(inside)
        store = world.opened(world.plan(str(folder)))
        inside.replace(file)
        world.pass_time(minutes=1)
        assert number(store, org) == 1
        assert "folder without a list" in state(store, str(folder)).error
        assert len(alarms(logged)) == 1
        file.replace(inside)
        world.pass_time(seconds=5)
        assert [each.source for each in store.states] == [str(inside)]

    def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_look(
        self, world: World, org: Authority, file: Path, logged: list[LogEvent]
    ) -> None:
        """S28: what was verified of it is not used, even if it was found to be good."""
        load = Writing(file, times=0)
        store = world.opened(world.plan(str(file)), load=load)
        file.write_bytes(signed(org, number=2))
        load.times = load.loads + 2
        world.pass_time(seconds=10)
        assert number(store, org) == 1
        assert alarms(logged) == []
        world.pass_time(seconds=5)
        assert number(store, org) == 2

    def test_a_half_that_is_being_completed_is_no_alarm(
        self, world: World, org: Authority, file: Path, logged: list[LogEvent]
    ) -> None:
        """S28."""
        load = Writing(file, times=0)
        store = world.opened(world.plan(str(file)), load=load)
        whole = signed(org, number=2)
        file.write_bytes(whole[:100])
        load.times = load.loads + 1
        world.pass_time(seconds=5)
        file.write_bytes(whole)
        world.pass_time(seconds=5)
        assert number(store, org) == 2
        assert alarms(logged) == []

    def test_a_file_that_never_rests_is_an_alarm(
        self, world: World, org: Authority, file: Path, logged: list[LogEvent]
    ) -> None:
        load = Writing(file, times=0)
        store = world.opened(world.plan(str(file)), load=load)
        file.write_bytes(signed(org, number=2))
        load.times = 10_000
        world.pass_time(minutes=1)
        assert number(store, org) == 1
        assert "changes whenever it is read" in state(store, str(file)).error
        assert len(alarms(logged)) == 1


def test_a_plan_of_files_is_examined_and_not_followed(
    world: World, org: Authority, file: Path
) -> None:
    """S1: at a reload, a bad file is told of before anything changes."""
    store = world.opened(world.plan(str(file)))
    better = file.with_name("better.crl")
    better.write_bytes(signed(org, number=2))
    ended(store.examine(world.plan(str(better))))
    assert number(store, org) == 1
    better.write_bytes(b"no list")
    with pytest.raises(UnusableSource, match=r"better\.crl"):
        ended(store.examine(world.plan(str(better))))
    better.unlink()
    with pytest.raises(UnusableSource, match="does not exist"):
        ended(store.examine(world.plan(str(better))))


def test_a_reload_begins_to_watch_other_files(world: World, org: Authority, file: Path) -> None:
    store = world.opened(Plan((), world.plan().authorities))
    store.follow(world.plan(str(file)), None)
    assert number(store, org) == 1
    other = file.with_name("other.crl")
    other.write_bytes(signed(org, number=2))
    store.follow(world.plan(str(other)), None)
    assert number(store, org) == 2
    assert [each.source for each in store.states] == [str(other)]
    ended(store.close())
    assert world.leftovers() == []

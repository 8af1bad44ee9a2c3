"""What a store keeps on disk, and how it starts from there (S19, S28)."""

import errno
import os
from pathlib import Path
from typing import Any

from twisted.logger import LogEvent

from crl_judging import NOW, ORG, ROOT, sha256, signed
from sasgate import atomic
from sasgate.lab.authority import Authority
from sasgate.lab.lists import revoked
from sasgate.revocation.download import Validators
from sasgate.revocation.store import Store
from stores import (
    ORG_URL,
    ROOT_URL,
    World,
    alarms,
    ended,
    flipped,
    never,
    number,
    org,
    refreshed,
    snapshot,
    state,
    store,
    world,
)


__all__ = ["org", "store", "world"]


class TestRestart:
    """S28: the last good list survives, without the network."""

    def test_without_network(self, world: World, org: Authority, store: Store) -> None:
        ended(store.close())
        again = world.opened(download=never)
        assert number(again, org) == 7
        assert again.lists.revokes(sha256(org), 5)
        assert state(again).fetched == NOW

    def test_what_is_current_is_not_asked_for_again(self, world: World, store: Store) -> None:
        ended(store.close())
        before = len(world.asked)
        again = world.opened()
        assert len(world.asked) == before
        assert state(again).next_attempt == state(store).next_attempt

    def test_its_validators_are_used(self, world: World, store: Store) -> None:
        ended(store.close())
        again = world.opened()
        refreshed(again)
        assert world.asked[-1][2].etag is not None
        assert not state(again).error

    def test_rollback_is_judged_by_what_is_stored(
        self, world: World, org: Authority, store: Store
    ) -> None:
        """S19."""
        ended(store.close())
        world.served[ORG_URL] = signed(org, number=6)
        again = world.opened()
        refreshed(again)
        assert number(again, org) == 7
        assert "older" in state(again).error

    def test_even_if_the_list_itself_is_lost(
        self, world: World, org: Authority, store: Store, logged: list[LogEvent]
    ) -> None:
        """S19."""
        ended(store.close())
        (crl,) = world.folder.glob("*.crl")
        crl.unlink()
        world.served[ORG_URL] = signed(org, number=6)
        again = world.opened()
        assert number(again, org) is None
        assert any("is missing" in alarm for alarm in alarms(logged))
        assert world.asked[-1][2] == Validators()
        world.served[ORG_URL] = signed(org, revoked(5), number=7)
        refreshed(again)
        assert number(again, org) == 7
        assert crl.exists()

    def test_even_if_the_record_is_lost(
        self, world: World, org: Authority, store: Store, logged: list[LogEvent]
    ) -> None:
        """S19, S28: the list is verified on its own, and its number is known from itself."""
        ended(store.close())
        (record,) = world.folder.glob("*.json")
        record.write_bytes(b"{")
        world.served[ORG_URL] = signed(org, number=6)
        again = world.opened()
        assert number(again, org) == 7
        assert any(record.name in alarm for alarm in alarms(logged))
        refreshed(again)
        assert number(again, org) == 7
        assert "older" in state(again).error

    def test_a_tampered_list_is_not_believed(
        self, world: World, org: Authority, store: Store, logged: list[LogEvent]
    ) -> None:
        """S18: what is on disk is verified anew."""
        ended(store.close())
        (crl,) = world.folder.glob("*.crl")
        crl.write_bytes(flipped(signed(org, revoked(6), number=7)))
        again = world.opened(download=never)
        assert number(again, org) is None
        assert any("its signature is not its CA's" in alarm for alarm in alarms(logged))

    def test_an_older_list_on_the_shelf_is_not_used(
        self, world: World, org: Authority, store: Store, logged: list[LogEvent]
    ) -> None:
        """S19."""
        ended(store.close())
        (crl,) = world.folder.glob("*.crl")
        crl.write_bytes(signed(org, number=6))
        again = world.opened(download=never)
        assert number(again, org) is None
        assert any("is older than list 7" in alarm for alarm in alarms(logged))

    def test_killed_between_list_and_record(
        self, world: World, org: Authority, store: Store
    ) -> None:
        """S28: the newer list counts, and the server is not told of the older one."""
        ended(store.close())
        (crl,) = world.folder.glob("*.crl")
        crl.write_bytes(signed(org, number=8))
        again = world.opened()
        assert number(again, org) == 8
        world.served[ORG_URL] = signed(org, number=8)
        refreshed(again)
        assert world.asked[-1][2] == Validators()
        world.served[ORG_URL] = signed(org, revoked(5), number=7)
        refreshed(again)
        assert number(again, org) == 8

    def test_a_list_of_a_ca_that_is_gone_stays_on_disk(
        self, world: World, org: Authority, store: Store, logged: list[LogEvent]
    ) -> None:
        ended(store.close())
        files = snapshot(world.folder)
        again = world.opened(world.plan(ROOT_URL, cas=(ROOT,)), download=never)
        assert again.lists.by_issuer == {}
        assert snapshot(world.folder) == files
        assert alarms(logged) == []

    def test_foreign_files_are_said_and_left(
        self, world: World, org: Authority, store: Store, logged: list[LogEvent]
    ) -> None:
        ended(store.close())
        (world.folder / "mine.crl").write_bytes(signed(org, number=99))
        again = world.opened(download=never)
        assert number(again, org) == 7
        assert any("mine.crl" in alarm for alarm in alarms(logged))
        assert (world.folder / "mine.crl").exists()

    def test_the_hour_stays(self, world: World, store: Store) -> None:
        ended(store.close())
        before = state(store).next_attempt
        assert state(world.opened(draw=lambda: 0.9)).next_attempt == before
        (world.folder / "offset").write_text("soon")
        assert state(world.opened(draw=lambda: 0.9)).next_attempt != before


class TestDisk:
    """A disk that can't be written is an alarm, and the list is used all the same."""

    def test_full(
        self, world: World, org: Authority, logged: list[LogEvent], monkeypatch: Any
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(atomic.os, "fsync", full)
            store = world.opened()
            assert number(store, org) == 7
            assert any("No space left" in alarm for alarm in alarms(logged))
            assert "could not be kept" in state(store).error
        assert list(world.folder.glob("*.crl")) == []
        # There is room again: the whole list is asked for, and kept.
        refreshed(store)
        assert world.asked[-1][2] == Validators()
        assert len(list(world.folder.glob("*.crl"))) == 1
        assert not state(store).error

    def test_full_at_a_newer_list_leaves_the_older_one_for_a_restart(
        self, world: World, org: Authority, store: Store, monkeypatch: Any
    ) -> None:
        world.served[ORG_URL] = signed(org, number=8)
        with monkeypatch.context() as patch:
            patch.setattr(atomic.os, "fsync", full)
            refreshed(store)
        assert number(store, org) == 8
        ended(store.close())
        assert number(world.opened(download=never), org) == 7

    def test_no_folder_can_be_made(
        self, world: World, org: Authority, logged: list[LogEvent]
    ) -> None:
        world.folder.parent.write_bytes(b"a file")
        store = world.opened()
        assert number(store, org) == 7
        assert any("cannot be kept" in alarm for alarm in alarms(logged))

    def test_nothing_is_exported_that_is_not_kept(
        self, world: World, store: Store, monkeypatch: Any
    ) -> None:
        assert [each.facts.number for each in store.exportable] == [7]
        (kept,) = store.exportable
        assert isinstance(kept.source, Path)
        assert kept.source.read_bytes() == world.served[ORG_URL]
        world.served[ORG_URL] = signed(world.lab.authorities[ORG], number=8)
        monkeypatch.setattr(atomic.os, "fsync", full)
        refreshed(store)
        assert store.exportable == ()


def full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

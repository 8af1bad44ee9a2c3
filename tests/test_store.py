"""The store: in force is only ever replaced by something newer and verified (S18 to S23, S28)."""

import errno
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogEvent, formatEvent

from crl_judging import NOW, ORG, PERS, ROOT, SAME_NAME, sha256, signed
from sasgate import atomic
from sasgate.lab.authority import Authority
from sasgate.lab.lists import delta, forged, partial, resigned, revoked
from sasgate.lab.pki import Lab
from sasgate.lab.profile import authority_template, key_usage
from sasgate.revocation.download import DownloadFailed, DownloadProblem, NotModified, Validators
from sasgate.revocation.store import Plan, Store, UnusableSource
from stores import (
    MIRROR_URL,
    ORG_URL,
    ROOT_URL,
    UNREACHABLE,
    World,
    alarms,
    ended,
    load_here,
    number,
    state,
)


@pytest.fixture
def world(lab: Lab, tmp_path: Path) -> World:
    world = World(lab, tmp_path / "state" / "crl")
    world.served[ORG_URL] = signed(lab.authorities[ORG], revoked(5), number=7)
    return world


@pytest.fixture
def org(lab: Lab) -> Authority:
    return lab.authorities[ORG]


@pytest.fixture
def store(world: World) -> Store:
    """A store that holds list 7, on which serial 5 is."""
    return world.opened()


def refreshed(store: Store) -> None:
    ended(store.refresh())


class TestFirst:
    def test_a_list_is_in_force_as_soon_as_it_came(
        self, world: World, org: Authority, store: Store
    ) -> None:
        assert number(store, org) == 7
        assert store.lists.revokes(sha256(org), 5)
        assert world.changes[-1] is store.lists
        shown = state(store)
        assert (shown.number, shown.entries, shown.scope) == (7, 1, "all certificates")
        assert shown.issuers == (sha256(org),)
        assert shown.fetched == shown.checked == NOW
        assert not shown.error

    def test_no_list_yet_does_not_stop_the_start(self, world: World, org: Authority) -> None:
        del world.served[ORG_URL]
        store = world.opened()
        assert number(store, org) is None
        assert "cannot be reached" in state(store).error
        assert state(store).next_attempt == NOW + timedelta(seconds=60)

    def test_every_source_is_asked_once(self, world: World, org: Authority, lab: Lab) -> None:
        world.served[ROOT_URL] = signed(lab.authorities[ROOT], number=3)
        store = world.opened(world.plan(ORG_URL, ROOT_URL))
        assert [url for url, *_ in world.asked] == [ORG_URL, ROOT_URL]
        assert (number(store, org), number(store, lab.authorities[ROOT])) == (7, 3)

    def test_a_pem_list_is_taken(self, world: World, org: Authority) -> None:
        der = signed(org, number=8)
        world.served[ORG_URL] = x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
        assert number(world.opened(), org) == 8


BAD = {
    "flipped byte": lambda org, _: flipped(signed(org, revoked(6), number=8)),
    "forged": lambda org, _: forged(signed(org, revoked(6), number=8)),
    "other CA of the same name": lambda _, lab: signed(lab.authorities[SAME_NAME], number=8),
    "another CA": lambda _, lab: signed(lab.authorities[PERS], number=8),
    "SHA-1": lambda org, _: resigned(org, signed(org, number=8), digest=hashes.SHA1()),
    "MD5": lambda org, _: resigned(org, signed(org, number=8), digest=hashes.MD5()),
    "older number": lambda org, _: signed(org, number=6),
    "older thisUpdate": lambda org, _: signed(org, number=8, this_update=-timedelta(days=1)),
    "same number, other content": lambda org, _: signed(org, number=7),
    "delta": lambda org, _: signed(org, number=8, extra=(delta(7),)),
    "indirect": lambda org, _: signed(org, number=8, extra=(partial(indirect=True),)),
    "from the future": lambda org, _: signed(org, number=8, this_update=timedelta(days=1)),
    "no number": lambda org, _: signed(org, number=None),
    "web page": lambda _, __: b"<!DOCTYPE html><title>Maintenance</title>",
    "empty": lambda _, __: b"",
    "cut short": lambda org, _: signed(org, number=8)[:-20],
    "two lists in one PEM": lambda org, _: 2 * x509.load_der_x509_crl(
        signed(org, number=8)
    ).public_bytes(Encoding.PEM),
    "refused": lambda *_: UNREACHABLE,
    "404": lambda *_: DownloadFailed(DownloadProblem.HTTP_STATUS, "HTTP 404"),
    "too large": lambda *_: DownloadFailed(DownloadProblem.TOO_LARGE, "more than 64 MiB"),
    "exception": lambda *_: RuntimeError("a slip"),
}  # fmt: skip


def flipped(der: bytes) -> bytes:
    """With a bit of a revoked serial turned."""
    at = der.index(bytes.fromhex("020106"))
    return der[: at + 2] + b"\x07" + der[at + 3 :]


@pytest.mark.parametrize("what", BAD)
class TestBad:
    """S18, S19, S23, S25: no download that is not newer and verified changes what is in force."""

    def test_the_held_list_stays(
        self, what: str, world: World, org: Authority, store: Store, logged: list[LogEvent]
    ) -> None:
        world.served[ORG_URL] = BAD[what](org, world.lab)
        before, changes = store.lists, len(world.changes)
        kept = snapshot(world.folder)
        refreshed(store)
        assert store.lists is before
        assert len(world.changes) == changes
        assert store.lists.revokes(sha256(org), 5)
        shown = state(store)
        assert shown.error
        assert shown.error_at == world.wall()
        assert shown.number == 7
        said = [event for event in logged if event["log_namespace"] == "sasgate.revocation"]
        texts = [formatEvent(event) for event in said if event["log_level"].name != "info"]
        assert any(ORG_URL in text and "list 7 of" in text for text in texts)
        after = snapshot(world.folder)
        assert {name: each for name, each in after.items() if name.endswith(".crl")} == {
            name: each for name, each in kept.items() if name.endswith(".crl")
        }

    def test_it_is_tried_again_within_its_bounds(
        self, what: str, world: World, org: Authority, store: Store
    ) -> None:
        """S59: an hour at the least, four at the most, since a current list is held."""
        world.served[ORG_URL] = BAD[what](org, world.lab)
        refreshed(store)
        wait = (state(store).next_attempt or NOW) - world.wall()
        # Its list is of 05:00 UTC, so the morning's regular hour comes sooner or later anyway.
        assert timedelta(hours=1) <= wait <= timedelta(hours=24)
        before = len(world.asked)
        world.pass_time(minutes=59)
        assert len(world.asked) == before

    def test_a_good_list_ends_it(
        self, what: str, world: World, org: Authority, store: Store
    ) -> None:
        world.served[ORG_URL] = BAD[what](org, world.lab)
        refreshed(store)
        world.served[ORG_URL] = signed(org, revoked(9), number=9)
        refreshed(store)
        assert number(store, org) == 9
        assert not state(store).error
        # Not the validators of what was refused: they would make the refusal last.
        assert world.asked[-1][2] == world.asked[-2][2]

    def test_it_is_remembered_over_a_restart(
        self, what: str, world: World, org: Authority, store: Store
    ) -> None:
        world.served[ORG_URL] = BAD[what](org, world.lab)
        refreshed(store)
        error = state(store).error
        ended(store.close())
        again = world.opened(download=never)
        assert number(again, org) == 7
        assert state(again).error == error

    def test_with_nothing_held_nothing_comes_in_force(
        self, what: str, lab: Lab, tmp_path: Path, org: Authority
    ) -> None:
        world = World(lab, tmp_path / "new")
        world.served[ORG_URL] = BAD[what](org, lab)
        store = world.opened()
        if what in {"older number", "older thisUpdate", "same number, other content"}:
            assert number(store, org) is not None
        else:
            assert store.lists.by_issuer == {}
            assert state(store).error


def never(*_: object) -> Deferred[Any]:
    return Deferred()


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_ca_without_crl_sign_signs_nothing(
    world: World, org: Authority, lab: Lab, store: Store
) -> None:
    """S18."""
    template = evolve(
        authority_template(org.certificate.subject, NOW), key_usage=key_usage("key_cert_sign")
    )
    silent = lab.authorities[ROOT].subordinate("SILENT", template, org.key, now=NOW)
    world.served[ORG_URL] = signed(org, number=8)
    store.follow(Plan((ORG_URL,), (silent.certificate,)), None)
    refreshed(store)
    assert store.lists.by_issuer == {}
    assert "may not sign lists" in state(store).error


class TestSuccession:
    def test_a_newer_list_takes_the_place(self, world: World, org: Authority, store: Store) -> None:
        world.served[ORG_URL] = signed(org, revoked(6), number=8)
        refreshed(store)
        assert number(store, org) == 8
        assert store.lists.revokes(sha256(org), 6)
        assert not store.lists.revokes(sha256(org), 5)

    def test_the_same_list_changes_nothing(
        self, world: World, org: Authority, store: Store, logged: list[LogEvent]
    ) -> None:
        before = store.lists
        world.clock.advance(5)
        der = world.served[ORG_URL]
        world.served[ORG_URL] = lambda: der
        ended(world.opened().close())
        refreshed(store)
        assert store.lists is before
        assert alarms(logged) == []
        assert state(store).checked == world.wall()

    def test_not_modified_moves_only_when_it_was_checked(
        self, world: World, store: Store, logged: list[LogEvent]
    ) -> None:
        before = store.lists
        world.clock.advance(5)
        refreshed(store)
        assert world.asked[-1][2].etag is not None
        assert store.lists is before
        assert state(store).checked == world.wall() == NOW + timedelta(seconds=5)
        assert state(store).fetched == NOW
        assert alarms(logged) == []

    def test_when_it_was_checked_outlives_a_restart(self, world: World, store: Store) -> None:
        world.clock.advance(5)
        refreshed(store)
        ended(store.close())
        assert state(world.opened(download=never)).checked == NOW + timedelta(seconds=5)

    def test_not_modified_of_what_another_source_has_replaced_is_asked_again_soon(
        self, world: World, org: Authority
    ) -> None:
        world.served[MIRROR_URL] = world.served[ORG_URL]
        store = world.opened(world.plan(ORG_URL, MIRROR_URL))
        world.served[ORG_URL] = waiting = Deferred[Any]()
        world.served[MIRROR_URL] = signed(org, number=8)
        refreshing = store.refresh()
        assert number(store, org) == 8
        waiting.callback(NotModified())
        ended(refreshing)
        shown = state(store)
        assert "which is not held" in shown.error
        assert shown.next_attempt == NOW + timedelta(seconds=60)

    def test_not_modified_where_nothing_is_held_is_no_answer(
        self, world: World, org: Authority
    ) -> None:
        world.served[ORG_URL] = UNREACHABLE
        store = world.opened(download=lambda *_: not_modified())
        assert number(store, org) is None
        assert "which is not held" in state(store).error

    def test_two_scopes_stand_side_by_side(
        self, world: World, org: Authority, tmp_path: Path
    ) -> None:
        """S20: each for its own certificates, each with numbers of its own."""
        world.served[ORG_URL] = signed(org, revoked(1), number=9, extra=(partial(leaves=True),))
        world.served[ROOT_URL] = signed(
            org, revoked(2), number=2, extra=(partial(authorities=True),)
        )
        world.folder = tmp_path / "two"
        store = world.opened(world.plan(ORG_URL, ROOT_URL))
        assert store.lists.revokes(sha256(org), 1)
        assert store.lists.revokes(sha256(org), 2)
        world.served[ROOT_URL] = signed(org, number=3, extra=(partial(authorities=True),))
        refreshed(store)
        assert store.lists.revokes(sha256(org), 1)
        assert not store.lists.revokes(sha256(org), 2)
        ended(store.close())
        assert len(world.opened(world.plan(ORG_URL, ROOT_URL)).states) == 2

    @pytest.mark.parametrize("order", [(ORG_URL, MIRROR_URL), (MIRROR_URL, ORG_URL)])
    def test_of_two_sources_the_highest_number_wins(
        self, order: tuple[str, str], world: World, org: Authority
    ) -> None:
        """S20."""
        world.served[MIRROR_URL] = signed(org, number=6)
        store = world.opened(world.plan(*order))
        assert number(store, org) == 7
        refreshed(store)
        assert number(store, org) == 7
        assert "older" in state(store, MIRROR_URL).error
        assert not state(store, ORG_URL).error

    def test_two_sources_of_one_list_are_both_well(
        self, world: World, org: Authority, logged: list[LogEvent]
    ) -> None:
        world.served[MIRROR_URL] = world.served[ORG_URL]
        store = world.opened(world.plan(ORG_URL, MIRROR_URL))
        refreshed(store)
        assert alarms(logged) == []
        assert {each.number for each in store.states} == {7}

    def test_another_ca_of_the_name_has_lists_of_its_own(
        self, world: World, org: Authority
    ) -> None:
        """S18, S21: one that is trusted too, with numbers of its own."""
        other = world.lab.authorities[SAME_NAME]
        world.served[MIRROR_URL] = signed(other, revoked(6), number=1)
        store = world.opened(world.plan(ORG_URL, MIRROR_URL, cas=(ORG, SAME_NAME)))
        assert (number(store, org), number(store, other)) == (7, 1)
        assert not store.lists.revokes(sha256(other), 5)
        assert not store.lists.revokes(sha256(org), 6)

    def test_an_expired_list_is_in_force_and_said_so(
        self, world: World, org: Authority, logged: list[LogEvent]
    ) -> None:
        """S22: what it revokes stays revoked."""
        world.served[ORG_URL] = signed(
            org, revoked(5), this_update=-timedelta(days=9), next_update=-timedelta(days=3)
        )
        store = world.opened()
        world.pass_time(minutes=1)
        assert store.lists.revokes(sha256(org), 5)
        assert any("expired on 2026-06-12 05:00 UTC" in alarm for alarm in alarms(logged))

    def test_one_that_expires_is_said_once(
        self, world: World, store: Store, logged: list[LogEvent]
    ) -> None:
        world.served[ORG_URL] = UNREACHABLE
        world.pass_time(days=6, hours=3)
        expired = [alarm for alarm in alarms(logged) if "expired on" in alarm]
        assert len(expired) == 1


async def _not_modified() -> NotModified:
    return NotModified()


def not_modified() -> Deferred[NotModified]:
    return Deferred.fromCoroutine(_not_modified())


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


class TestForget:
    """A CA that begins its numbers anew."""

    @pytest.mark.parametrize("name", ["CN", "file", "sha256"])
    def test_the_next_list_is_taken_whatever_its_number(
        self, name: str, world: World, org: Authority, store: Store, logged: list[LogEvent]
    ) -> None:
        world.served[ORG_URL] = signed(org, revoked(6), number=1)
        refreshed(store)
        assert number(store, org) == 7
        names = {"CN": common_name(org), "file": ORG, "sha256": sha256(org)}
        assert store.forget(names[name], "root", "new machine") == (state(store).issuer_name,)
        assert number(store, org) == 1
        assert any("by root: new machine" in alarm for alarm in alarms(logged))

    def test_what_is_in_force_stays_until_then(
        self, world: World, org: Authority, store: Store
    ) -> None:
        world.served[ORG_URL] = UNREACHABLE
        store.forget(ORG, "root", "test")
        refreshed(store)
        assert number(store, org) == 7
        assert store.lists.revokes(sha256(org), 5)

    def test_the_held_list_once_more_is_no_next_list(
        self, world: World, org: Authority, store: Store
    ) -> None:
        store.forget(ORG, "root", "test")
        refreshed(store)
        world.served[ORG_URL] = signed(org, number=1)
        refreshed(store)
        assert number(store, org) == 1

    def test_it_is_only_forgotten_once(self, world: World, org: Authority, store: Store) -> None:
        store.forget(ORG, "root", "test")
        for each in (3, 2):
            world.served[ORG_URL] = signed(org, number=each)
            refreshed(store)
        assert number(store, org) == 3
        assert "older" in state(store).error

    def test_it_outlives_a_restart(self, world: World, org: Authority, store: Store) -> None:
        world.served[ORG_URL] = UNREACHABLE
        store.forget(ORG, "root", "test")
        ended(store.close())
        world.served[ORG_URL] = signed(org, number=1)
        again = world.opened()
        assert number(again, org) == 7
        refreshed(again)
        assert number(again, org) == 1

    def test_only_that_ca_is_forgotten(self, world: World, org: Authority, lab: Lab) -> None:
        root = lab.authorities[ROOT]
        world.served[ROOT_URL] = signed(root, number=9)
        store = world.opened(world.plan(ORG_URL, ROOT_URL))
        store.forget(ORG, "root", "test")
        world.served[ROOT_URL] = signed(root, number=8)
        refreshed(store)
        assert number(store, root) == 9

    def test_a_file_is_read_again(self, world: World, org: Authority, tmp_path: Path) -> None:
        file = tmp_path / "org.crl"
        file.write_bytes(signed(org, number=7))
        store = world.opened(world.plan(str(file)))
        file.write_bytes(signed(org, number=1))
        world.pass_time(seconds=5)
        assert number(store, org) == 7
        store.forget(ORG, "root", "test")
        world.pass_time(seconds=5)
        assert number(store, org) == 1

    @pytest.mark.parametrize("name", ["", "nobody", "ACI-EL-ORG", "ROOT"])
    def test_nobody_of_that_name(self, name: str, store: Store) -> None:
        with pytest.raises(LookupError, match="no CA is called"):
            store.forget(name, "root", "test")

    def test_nothing_to_forget(self, store: Store) -> None:
        with pytest.raises(LookupError, match="no list of ACR-EL-TEST"):
            store.forget(ROOT, "root", "test")
        store.forget(ORG, "root", "test")
        with pytest.raises(LookupError, match="no list of"):
            store.forget(ORG, "root", "again")


def common_name(authority: Authority) -> str:
    names = authority.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value)


class TestFollow:
    """A reload with other sources or CAs."""

    def test_another_source_is_asked_and_the_list_stays(
        self, world: World, org: Authority, store: Store
    ) -> None:
        world.served[MIRROR_URL] = signed(org, number=8)
        store.follow(world.plan(MIRROR_URL), None)
        assert number(store, org) == 8
        assert [each.source for each in store.states] == [MIRROR_URL]

    def test_a_list_whose_source_is_gone_is_shown_as_long_as_it_is_in_force(
        self, world: World, org: Authority, store: Store
    ) -> None:
        store.follow(world.plan(MIRROR_URL), None)
        assert number(store, org) == 7
        assert state(store, ORG_URL).next_attempt is None
        assert state(store, MIRROR_URL).number is None

    def test_a_download_of_a_source_that_is_gone_is_ended(
        self, world: World, org: Authority, store: Store, logged: list[LogEvent]
    ) -> None:
        ends: list[object] = []
        world.served[ORG_URL] = Deferred(ends.append)
        refreshing = store.refresh()
        store.follow(world.plan(MIRROR_URL), None)
        assert len(ends) == 1
        ended(refreshing)
        assert not [alarm for alarm in alarms(logged) if ORG_URL in alarm]

    def test_a_ca_that_is_gone_takes_its_list_along(
        self, world: World, org: Authority, store: Store
    ) -> None:
        store.follow(world.plan(ORG_URL, cas=(ROOT,)), None)
        assert store.lists.by_issuer == {}
        store.follow(world.plan(ORG_URL), None)
        assert number(store, org) == 7

    def test_a_ca_that_comes_finds_its_list(
        self, world: World, org: Authority, store: Store
    ) -> None:
        ended(store.close())
        again = world.opened(world.plan(ORG_URL, cas=(ROOT,)), download=never)
        assert number(again, org) is None
        again.follow(world.plan(ORG_URL), None)
        assert number(again, org) == 7

    def test_a_ca_certified_again_has_its_list_at_once(
        self, world: World, org: Authority, lab: Lab, store: Store
    ) -> None:
        template = authority_template(org.certificate.subject, NOW, path_length=0)
        again = lab.authorities[ROOT].subordinate("AGAIN", template, org.key, now=NOW)
        before = len(world.asked)
        plan = world.plan()
        store.follow(evolve(plan, authorities=(*plan.authorities, again.certificate)), None)
        assert number(store, org) == number(store, again) == 7
        assert len(world.asked) == before

    def test_another_period_counts_at_once(self, world: World, store: Store) -> None:
        store.follow(world.plan(), 600.0)
        assert state(store).next_attempt == NOW + timedelta(minutes=10)
        before = len(world.asked)
        world.pass_time(minutes=10)
        assert len(world.asked) == before + 1


class TestEnd:
    """Whatever is under way when the daemon stops ends, and leaves nothing."""

    def test_at_rest(self, world: World, store: Store) -> None:
        ended(store.close())
        assert world.leftovers() == []

    def test_twice(self, world: World, store: Store) -> None:
        ended(store.close())
        ended(store.close())

    def test_while_downloading(self, world: World, logged: list[LogEvent]) -> None:
        ends: list[object] = []
        world.served[ORG_URL] = Deferred(ends.append)
        store = world.opened()
        ended(store.close())
        assert len(ends) == 1
        assert world.leftovers() == []
        assert alarms(logged) == []

    def test_while_loading(self, world: World, logged: list[LogEvent]) -> None:
        loading: Deferred[Any] = Deferred()
        store = world.opened(load=lambda *_: loading)
        ended(store.close())
        assert loading.called
        assert world.leftovers() == []
        assert store.lists.by_issuer == {}
        assert alarms(logged) == []

    def test_while_another_waits_for_its_turn(
        self, world: World, lab: Lab, logged: list[LogEvent]
    ) -> None:
        world.served[ROOT_URL] = signed(lab.authorities[ROOT])
        store = world.opened(world.plan(ORG_URL, ROOT_URL), load=lambda *_: Deferred())
        ended(store.close())
        assert world.leftovers() == []
        assert alarms(logged) == []

    def test_while_opening(self, world: World, store: Store) -> None:
        ended(store.close())
        again = world.store(load=lambda *_: Deferred())
        opening = Deferred.fromCoroutine(again.open())
        assert not opening.called
        ended(again.close())
        with pytest.raises(CancelledError):
            ended(opening)
        assert world.leftovers() == []

    def test_it_waits_for_what_is_being_written(self, world: World) -> None:
        """A descriptor that a thread reads from is not closed under it."""
        threads: list[tuple[Any, Deferred[Any]]] = []

        def in_thread(work: Any) -> Deferred[Any]:
            if getattr(getattr(work, "func", None), "__name__", "") != "put":
                return Deferred.fromCoroutine(_run(work))
            threads.append((work, Deferred()))
            return threads[-1][1]

        store = world.opened(in_thread=in_thread)
        closing = Deferred.fromCoroutine(store.close())
        assert not closing.called
        assert world.files[-1].closed is False
        ((work, done),) = threads
        done.callback(work())
        ended(closing)
        assert world.leftovers() == []
        assert len(list(world.folder.glob("*.crl"))) == 1

    def test_nothing_is_asked_any_more(self, world: World, store: Store) -> None:
        ended(store.close())
        before = len(world.asked)
        refreshed(store)
        assert len(world.asked) == before
        assert world.leftovers() == []

    def test_after_a_failed_start(self, world: World, tmp_path: Path) -> None:
        """S1."""
        store = world.store(world.plan(ORG_URL, str(tmp_path / "absent")))
        with pytest.raises(UnusableSource):
            ended(store.open())
        refreshed(store)
        assert world.leftovers() == []
        assert world.asked == []


async def _run(work: Any) -> Any:
    return work()


class TestTogether:
    def test_one_list_is_loaded_at_a_time(self, world: World, org: Authority, lab: Lab) -> None:
        world.served[ROOT_URL] = signed(lab.authorities[ROOT])
        loads: list[tuple[Deferred[Any], Deferred[Any]]] = []

        def load(*arguments: Any) -> Deferred[Any]:
            loads.append((Deferred(), load_here(*arguments)))
            return loads[-1][0]

        store = world.opened(world.plan(ORG_URL, ROOT_URL), load=load)
        for each in (1, 2):
            assert len(loads) == each
            waiting, loaded = loads[-1]
            loaded.chainDeferred(waiting)
        assert len(store.lists.by_issuer) == 2

    def test_refreshing_joins_what_is_under_way(self, world: World, store: Store) -> None:
        world.served[ORG_URL] = waiting = Deferred[Any]()
        before = len(world.asked)
        first, second = store.refresh(), store.refresh()
        assert len(world.asked) == before + 1
        assert not first.called
        waiting.errback(UNREACHABLE)
        assert "cannot be reached" in ended(first)[0].error
        ended(second)

    def test_who_gives_up_waiting_stops_nothing(self, world: World, store: Store) -> None:
        waiting = Deferred[Any]()
        world.served[ORG_URL] = waiting
        refreshing = store.refresh()
        refreshing.cancel()
        with pytest.raises(CancelledError):
            ended(refreshing)
        assert not waiting.called
        waiting.errback(UNREACHABLE)
        assert state(store).error

    def test_forgotten_while_loading(self, world: World, org: Authority, store: Store) -> None:
        world.served[ORG_URL] = waiting = Deferred[Any]()
        refreshing = store.refresh()
        store.forget(ORG, "root", "test")
        waiting.callback(world.downloaded(signed(org, number=1)))
        ended(refreshing)
        assert number(store, org) == 1

    def test_who_uses_the_lists_may_fail(
        self, world: World, org: Authority, logged: list[LogEvent]
    ) -> None:
        """An error there is no reason to lose a list."""

        def fail(_: object) -> None:
            raise RuntimeError

        store = world.opened(changed=fail)
        assert number(store, org) == 7
        assert not state(store).error
        assert any("telling so failed" in formatEvent(event) for event in logged)

    def test_it_is_in_force_before_it_is_kept(self, world: World, org: Authority) -> None:
        """S15: a slow disk delays nobody's revocation."""
        store = world.opened(
            in_thread=lambda work: (
                Deferred()
                if getattr(getattr(work, "func", None), "__name__", "") == "put"
                else Deferred.fromCoroutine(_run(work))
            )
        )
        assert number(store, org) == 7
        assert store.exportable == ()

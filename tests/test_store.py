"""The store: in force is only ever replaced by something newer and verified (S18 to S23, S28)."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, formatEvent

from crl_judging import NOW, ORG, PERS, ROOT, SAME_NAME, sha256, signed
from sasgate.lab.authority import Authority
from sasgate.lab.lists import delta, forged, partial, resigned, revoked
from sasgate.lab.pki import Lab
from sasgate.lab.profile import authority_template, key_usage
from sasgate.revocation.download import DownloadFailed, DownloadProblem, NotModified
from sasgate.revocation.store import Plan, Store
from stores import (
    MIRROR_URL,
    ORG_URL,
    ROOT_URL,
    UNREACHABLE,
    World,
    alarms,
    ended,
    flipped,
    never,
    not_modified,
    number,
    org,
    refreshed,
    snapshot,
    state,
    store,
    world,
)


__all__ = ["org", "store", "world"]


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

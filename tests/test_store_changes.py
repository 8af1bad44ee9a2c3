"""A store whose sources and CAs change, that is told to forget, or ends."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogEvent, formatEvent

from crl_judging import NOW, ORG, ROOT, sha256, signed
from sasgate.lab.authority import Authority
from sasgate.lab.lists import revoked
from sasgate.lab.pki import Lab
from sasgate.lab.profile import authority_template
from sasgate.revocation.store import Store, UnusableSource
from stores import (
    MIRROR_URL,
    ORG_URL,
    ROOT_URL,
    UNREACHABLE,
    World,
    alarms,
    ended,
    load_here,
    never,
    number,
    org,
    refreshed,
    state,
    store,
    world,
)


__all__ = ["org", "store", "world"]


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

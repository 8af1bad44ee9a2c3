"""Débrayage of a real twistd, by `sasgate disengage` and by itself: bounded, told, and no more.

A list that has run out when it is published makes a status unknown without any time to pass.
"""

import os
import re
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from raw_backend import RawBackend
from raw_client import Wire, attempts
from revoking_processes import (
    ADMITTED,
    GET,
    PRODUCTION_CAS,
    REVOKED,
    TEST_CAS,
    UNKNOWN,
    Door,
    Gateway,
    PublisherProcess,
    gateway_on,
    write_configuration,
)
from sasgate.lab import trees
from sasgate.lab.pki import Lab
from sasgate.lab.switches import ListMode


BEGUN, OVER = "revocation checks are disengaged ", "revocation checks are engaged again "
BY_HAND = "by hand for all CAs by root"
ON_LAST_LIST = "(disengaged on the last verified list: the list has expired)"


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


@pytest.fixture(scope="module")
def publisher(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublisherProcess]:
    """Whose lists of the issuing CAs have `revoked` on them, and may have run out."""
    with PublisherProcess(lab, tmp_path_factory.mktemp("publisher")) as process:
        process.board.revoke("revoked")
        yield process


@pytest.fixture
def expired(publisher: PublisherProcess) -> Iterator[PublisherProcess]:
    """The same, with lists of the issuing CAs that have run out."""
    publisher.board.lists(ListMode.EXPIRED, trees.ORG_TEST, trees.ORG)
    yield publisher
    publisher.board.lists(ListMode.GOOD, trees.ORG_TEST, trees.ORG, validity=6 * 86400.0)


def configured(
    lab: Lab, folder: Path, backend: RawBackend, publisher: PublisherProcess, **revocation: object
) -> Path:
    doors = {
        "test": Door({"crl": publisher.lists(*TEST_CAS)}),
        "production": Door.production({"crl": publisher.lists(*PRODUCTION_CAS)}),
    }
    return write_configuration(
        lab, folder, backend.url, doors, revocation={"mode": "crl", **revocation}
    )


@pytest.fixture(scope="module")
def gateway(
    lab: Lab,
    backend: RawBackend,
    publisher: PublisherProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """A gateway that admits nobody of unknown status by itself."""
    ini = configured(lab, tmp_path_factory.mktemp("refusing"), backend, publisher)
    with gateway_on(ini, lab) as gateway:
        yield gateway


@pytest.fixture
def refusing(gateway: Gateway, expired: PublisherProcess) -> Iterator[Gateway]:
    """The same with expired lists and nothing disengaged, whatever went before."""
    assert expired.board.read().lists[trees.ORG_TEST].mode is ListMode.EXPIRED
    gateway.refresh()
    yield gateway
    gateway.order("engage")


def disengage(gateway: Gateway, *options: str) -> int:
    """Order it; returns the number of the first line that was logged after that."""
    before = len(gateway.process.lines)
    done = gateway.order("disengage", "--for", "1h", "--reason", "IGC is down", *options)
    assert done.code == 0, done.said
    return before


class TestByHand:
    """S22, S23."""

    def test_s23_without_it_an_expired_list_admits_nobody(self, refusing: Gateway) -> None:
        assert refusing.word() == UNKNOWN

    def test_s22_it_admits_all_but_those_on_the_expired_list(self, refusing: Gateway) -> None:
        disengage(refusing)
        assert refusing.word() == ADMITTED
        assert refusing.word("revoked") == REVOKED
        assert refusing.word("production", "production") == ADMITTED

    def test_s23_each_admission_under_it_is_in_the_journal(self, refusing: Gateway) -> None:
        disengage(refusing)
        before = len(refusing.process.lines)
        refusing.word()
        line = refusing.process.wait_for(r"admitted SUCCESS .*", after=before)[0]
        assert ON_LAST_LIST in line

    def test_s23_who_when_why_and_until_are_told_and_its_end_with_the_count(
        self, refusing: Gateway
    ) -> None:
        before = disengage(refusing)
        instant = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00"
        term = rf"since {instant} until {instant}"
        refusing.process.wait_for(f"{BEGUN}{BY_HAND}.*, {term}, .*: IGC is down", after=before)
        refusing.word()
        assert refusing.order("engage").code == 0
        refusing.process.wait_for(
            rf"{OVER}\(engaged by root.*{term}.*; 1 admitted under it", after=before
        )

    def test_s23_it_ends_by_engage_also_for_live_connections(self, refusing: Gateway) -> None:
        disengage(refusing)
        with refusing.caller().wire() as live:
            assert live.ask(GET).status == 200
            assert refusing.order("engage").code == 0
            assert live.ask(GET).status == 401
        assert refusing.word() == UNKNOWN

    def test_s23_it_is_for_the_named_ca_only(self, refusing: Gateway) -> None:
        disengage(refusing, "--ca", trees.ORG_TEST)
        assert refusing.word() == ADMITTED
        assert refusing.word("production", "production") == UNKNOWN

    def test_s23_of_a_ca_that_is_none_nothing_is_disengaged(self, refusing: Gateway) -> None:
        done = refusing.order("disengage", "--for", "1h", "--reason", "x", "--ca", "ACI-EL-NOBODY")
        assert done.code == 1
        assert refusing.word() == UNKNOWN

    @pytest.mark.parametrize("ends", ["kill", "end"])
    def test_s23_a_restart_keeps_it(self, refusing: Gateway, ends: str) -> None:
        before = disengage(refusing)
        told = refusing.process.wait_for(rf"{BEGUN}(.* since \S+ \S+) until", after=before)[1]
        getattr(refusing, ends)()
        refusing.start()
        refusing.process.wait_for(re.escape(f"{BEGUN}{told}"))
        assert refusing.word() == ADMITTED
        assert refusing.word("revoked") == REVOKED

    def test_s23_after_engage_a_restart_does_not_bring_it_back(self, refusing: Gateway) -> None:
        disengage(refusing)
        assert refusing.order("engage").code == 0
        refusing.kill()
        refusing.start()
        assert refusing.word() == UNKNOWN

    def test_s23_it_is_nothing_where_the_status_is_known(
        self, refusing: Gateway, publisher: PublisherProcess
    ) -> None:
        """A list that has come counts, with whom it revokes and whom it does not."""
        disengage(refusing)
        publisher.board.revoke("reversed-name")
        publisher.board.lists(ListMode.GOOD, trees.ORG_TEST)
        refusing.refresh()
        before = len(refusing.process.lines)
        assert refusing.word("reversed-name") == REVOKED
        assert refusing.word() == ADMITTED
        line = refusing.process.wait_for(r"admitted SUCCESS .*", after=before)[0]
        assert "disengaged" not in line


class TestWithoutList:
    @pytest.fixture
    def empty(
        self, lab: Lab, backend: RawBackend, publisher: PublisherProcess, tmp_path: Path
    ) -> Iterator[Gateway]:
        """A gateway that never held a list of the test CA that issues clients."""
        publisher.board.lists(ListMode.NONE, trees.ORG_TEST)
        ini = configured(lab, tmp_path, backend, publisher)
        with gateway_on(ini, lab) as gateway:
            gateway.process.wait_for("no usable list from ")
            yield gateway
        publisher.board.lists(ListMode.GOOD, trees.ORG_TEST)

    def test_s23_where_no_list_was_ever_held_it_takes_more_than_disengage(
        self, empty: Gateway
    ) -> None:
        disengage(empty)
        assert empty.word() == UNKNOWN
        disengage(empty, "--without-list")
        assert empty.word() == ADMITTED

    def test_s23_the_next_list_still_counts(
        self, empty: Gateway, publisher: PublisherProcess
    ) -> None:
        disengage(empty, "--without-list")
        with empty.caller("revoked").wire() as live:
            assert live.ask(GET).status == 200
            publisher.board.lists(ListMode.EXPIRED, trees.ORG_TEST)
            empty.refresh()
            assert live.ended()
        assert empty.word("revoked") == REVOKED


def admitting(
    lab: Lab, folder: Path, backend: RawBackend, publisher: PublisherProcess, term: str
) -> Path:
    return configured(lab, folder, backend, publisher, when_unknown="admit", admit_for=term)


class TestByItself:
    """S22, S23: `when_unknown = admit`."""

    @pytest.fixture(scope="class")
    @classmethod
    def admitting_for_long(
        cls,
        lab: Lab,
        backend: RawBackend,
        publisher: PublisherProcess,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Gateway]:
        folder = tmp_path_factory.mktemp("admitting")
        with gateway_on(admitting(lab, folder, backend, publisher, "1h"), lab) as gateway:
            yield gateway

    @pytest.fixture
    def admitting_gateway(self, admitting_for_long: Gateway, expired: PublisherProcess) -> Gateway:
        """It holds lists that have run out, and is disengaged by that."""
        assert expired.board.read().lists[trees.ORG_TEST].mode is ListMode.EXPIRED
        admitting_for_long.refresh()
        return admitting_for_long

    def test_s22_it_admits_all_but_those_on_the_expired_list(
        self, admitting_gateway: Gateway
    ) -> None:
        assert admitting_gateway.word() == ADMITTED
        assert admitting_gateway.word("revoked") == REVOKED

    def test_s23_it_begins_when_a_list_runs_out_and_ends_by_itself(
        self, lab: Lab, backend: RawBackend, publisher: PublisherProcess, tmp_path: Path
    ) -> None:
        """In the order of the log: admitted, begun, over, refused; and no restart begins anew."""
        board = publisher.board
        ini = admitting(lab, tmp_path, backend, publisher, "3s")
        board.lists(ListMode.GOOD, trees.ORG_TEST, validity=4.0)
        with gateway_on(ini, lab) as gateway:
            gateway.refresh()
            board.lists(ListMode.NONE, trees.ORG_TEST)
            before = len(gateway.process.lines)
            with gateway.caller().wire() as live:
                statuses = until_refused(live)
            assert statuses == [200] * (len(statuses) - 1) + [401]
            assert gateway.word() == UNKNOWN
            gateway.process.wait_for(BEGUN, after=before)
            over = gateway.process.wait_for(rf"{OVER}\(its time has passed\).*", after=before)[0]
            assert re.search(r"by themselves for ACI-EL-ORG-TEST, .* [1-9]\d* admitted", over)
            gateway.kill()
            gateway.start()
            assert gateway.word() == UNKNOWN
            board.lists(ListMode.GOOD, trees.ORG_TEST, validity=6 * 86400.0)
            gateway.refresh()
            assert gateway.word() == ADMITTED

    def test_s23_a_restart_goes_on_from_the_same_instant(
        self, lab: Lab, backend: RawBackend, publisher: PublisherProcess, tmp_path: Path
    ) -> None:
        ini = admitting(lab, tmp_path, backend, publisher, "1h")
        with gateway_on(ini, lab) as gateway:
            gateway.refresh()
            before = len(gateway.process.lines)
            publisher.board.lists(ListMode.EXPIRED, trees.ORG_TEST)
            gateway.refresh()
            publisher.board.lists(ListMode.GOOD, trees.ORG_TEST)
            said = (
                rf"{BEGUN}by themselves for ACI-EL-ORG-TEST, (status unknown since \S+ \S+) until"
            )
            since = gateway.process.wait_for(said, after=before)[1]
            gateway.kill()
            gateway.start()
            assert gateway.process.wait_for(said)[1] == since

    def test_s23_a_current_list_ends_it(
        self, admitting_gateway: Gateway, expired: PublisherProcess
    ) -> None:
        gateway, before = admitting_gateway, len(admitting_gateway.process.lines)
        expired.board.lists(ListMode.GOOD, trees.ORG_TEST)
        gateway.refresh()
        over = rf"{OVER}\(its status is known again\).*ACI-EL-ORG-TEST"
        gateway.process.wait_for(over, after=before)

    @pytest.mark.parametrize("mode", [ListMode.FORGED, ListMode.OLD, ListMode.HTML, ListMode.NONE])
    def test_s23_what_is_no_list_neither_ends_it_nor_lets_the_revoked_in(
        self, admitting_gateway: Gateway, expired: PublisherProcess, mode: ListMode
    ) -> None:
        gateway = admitting_gateway
        expired.board.lists(mode, trees.ORG_TEST)
        before = len(gateway.process.lines)
        assert gateway.order("crl", "refresh").code == 1
        assert gateway.word("revoked") == REVOKED
        assert gateway.word() == ADMITTED
        assert OVER not in "".join(gateway.process.lines[before:])

    def test_s23_where_no_list_was_ever_held_nobody_is_admitted(
        self, lab: Lab, backend: RawBackend, publisher: PublisherProcess, tmp_path: Path
    ) -> None:
        publisher.board.lists(ListMode.NONE, trees.ORG_TEST)
        ini = admitting(lab, tmp_path, backend, publisher, "1h")
        with gateway_on(ini, lab) as gateway:
            gateway.process.wait_for("no usable list from ")
            assert gateway.word() == UNKNOWN
        publisher.board.lists(ListMode.GOOD, trees.ORG_TEST)

    def test_s23_without_its_state_it_is_not_begun_anew(
        self, lab: Lab, backend: RawBackend, expired: PublisherProcess, tmp_path: Path
    ) -> None:
        """A state file that cannot be read: nobody knows how much of the time is spent."""
        ini = admitting(lab, tmp_path, backend, expired, "1h")
        with gateway_on(ini, lab) as gateway:
            gateway.refresh()
            assert gateway.word() == ADMITTED
            gateway.kill()
            state = tmp_path / "state" / "disengagement.json"
            os.truncate(state, state.stat().st_size // 2)
            gateway.start()
            assert gateway.word() == UNKNOWN


def until_refused(live: Wire) -> list[int]:
    """What a connection was answered, asked again and again until it was refused."""
    statuses = []
    for _ in attempts():
        statuses.append(live.ask(GET).status)
        if statuses[-1] != 200:
            break
        select.select([], [], [], 0.05)
    return statuses

"""The store with the real reactor, child process, threads and files, and IGC Santé's own lists."""

import gc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from cryptography import x509
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater
from twisted.logger import LogEvent
from twisted.trial.unittest import TestCase

from crl_judging import ORG, ORG_LIST, ROOT_LIST, sha256, signed
from descriptors import descriptors, given_back
from sasgate.environments import ACI_EL_ORG_TEST, ACR_EL_TEST
from sasgate.lab.authority import Authority
from sasgate.lab.lists import forged, revoked
from sasgate.lab.pki import Lab
from sasgate.revocation.lists import Lists, Subject
from sasgate.revocation.policy import ListWord
from sasgate.revocation.store import Plan, Store, UnusableSource
from stores import ORG_URL, UNREACHABLE, World, alarms, state


@define
class Changes:
    """Hears of changes, and lets others wait for them."""

    lists: list[Lists] = field(factory=list)
    waiting: list[tuple[Callable[[Lists], bool], Deferred[None]]] = field(factory=list)

    def __call__(self, lists: Lists) -> None:
        self.lists.append(lists)
        for wanted, waiter in list(self.waiting):
            if wanted(lists):
                self.waiting.remove((wanted, waiter))
                waiter.callback(None)

    def until(self, wanted: Callable[[Lists], bool]) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        self.waiting.append((wanted, waiter))
        return waiter


class Real(TestCase):
    # A loaded machine may take its time over a child.
    timeout = 120
    lab: Lab
    org: Authority
    folder: Path
    logged: list[LogEvent]
    shared: Path

    @pytest.fixture(autouse=True)
    def _given(
        self, lab: Lab, tmp_path: Path, logged: list[LogEvent], no_failure_logged: None
    ) -> None:
        self.lab, self.org, self.logged = lab, lab.authorities[ORG], logged
        self.folder = tmp_path / "crl"
        self.world = World(lab, self.folder)

    async def setUp(self) -> None:
        # The reactor's own descriptors are there once it runs, its threads once one was used.
        await deferLater(reactor, 0)
        self.now = datetime.now(UTC)
        self.changes = Changes()
        self.before = descriptors()

    async def tearDown(self) -> None:
        # What is in force holds its index.
        del self.changes, self.world
        await deferLater(reactor, 0)
        gc.collect()
        await given_back(self.before)

    def store(self, plan: Plan, **changes: Any) -> Store:
        options = {"refresh": None, "download": self.world.download, "changed": self.changes}
        return Store(
            reactor, lambda: datetime.now(UTC), self.folder, plan, **{**options, **changes}
        )

    def serve(self, *entries: x509.RevokedCertificate, number: int, url: str = ORG_URL) -> None:
        self.world.served[url] = signed(self.org, *entries, now=self.now, number=number)


class TestReal(Real):
    async def test_fetched_kept_and_there_after_a_restart(self) -> None:
        """S28."""
        self.serve(revoked(5), number=7)
        came = self.changes.until(lambda lists: lists.revokes(sha256(self.org), 5))
        store = self.store(self.world.plan())
        await store.open()
        await came
        await store.close()
        assert len(list(self.folder.glob("*.crl"))) == 1
        again = self.store(self.world.plan(), download=lambda *_: fail(UNREACHABLE))
        await again.open()
        assert again.lists.revokes(sha256(self.org), 5)
        await again.close()

    async def test_a_forged_one_is_refused_by_the_child(self) -> None:
        """S18."""
        self.serve(revoked(5), number=7)
        store = self.store(self.world.plan())
        await store.open()
        await store.refresh()
        self.world.served[ORG_URL] = forged(signed(self.org, now=self.now, number=8))
        (shown,) = await store.refresh()
        assert "its signature is not its CA's" in shown.error
        assert shown.number == 7
        assert store.lists.revokes(sha256(self.org), 5)
        await store.close()

    async def test_closed_while_the_child_runs(self) -> None:
        self.serve(number=7)
        store = self.store(self.world.plan())
        await store.open()
        refreshing = store.refresh()
        await store.close()
        await refreshing
        assert store.lists.by_issuer == {}
        assert list(self.folder.glob("*.crl")) == []
        assert all(file.closed for file in self.world.files)

    async def test_files_in_a_folder(self) -> None:
        """S27."""
        folder = self.folder.with_name("lists")
        folder.mkdir()
        (folder / "org.crl").write_bytes(signed(self.org, now=self.now, number=1))
        store = self.store(self.world.plan(str(folder)))
        await store.open()
        new = folder / ".new"
        new.write_bytes(signed(self.org, revoked(5), now=self.now, number=2))
        new.replace(folder / "org.crl")
        await store.refresh()
        assert store.lists.revokes(sha256(self.org), 5)
        await store.close()

    async def test_a_bad_file_stops_the_start(self) -> None:
        """S1."""
        file = self.folder.with_name("org.crl")
        file.write_bytes(b"<html>")
        store = self.store(self.world.plan(str(file)))
        with pytest.raises(UnusableSource, match=r"org\.crl: .*a web page"):
            await store.open()


class TestGenuine(Real):
    """IGC Santé's own lists of June 2019, under the genuine CAs."""

    @pytest.fixture(autouse=True)
    def _shared(self, shared: Path) -> None:
        self.shared = shared / "igc-sante"

    async def test_they_are_in_force_and_said_to_have_expired(self) -> None:
        store = self.store(self.plan(str(self.shared / ORG_LIST), str(self.shared / ROOT_LIST)))
        await store.open()
        org = state(store, str(self.shared / ORG_LIST))
        root = state(store, str(self.shared / ROOT_LIST))
        assert (org.number, org.entries, org.issuers) == (1287, 1013, (ACI_EL_ORG_TEST.sha256,))
        assert (root.number, root.entries, root.issuers) == (73, 0, (ACR_EL_TEST.sha256,))
        expired = [alarm for alarm in alarms(self.logged) if "expired on" in alarm]
        assert len(expired) == 2
        assert any("list 1287 of CN=TEST AC IGC-SANTE" in alarm for alarm in expired)
        await store.close()

    async def test_what_they_say(self) -> None:
        """S22: whom an expired list revokes stays revoked, of others it says nothing."""
        store = self.store(self.plan(str(self.shared / ORG_LIST)))
        await store.open()
        crl = x509.load_der_x509_crl((self.shared / ORG_LIST).read_bytes())
        listed = crl[0].serial_number
        issuer, now = ACI_EL_ORG_TEST.sha256, datetime.now(UTC)
        word = store.lists.word(Subject(issuer, listed, ca=False), now)
        assert word.word is ListWord.REVOKED
        word = store.lists.word(Subject(issuer, listed + 1, ca=False), now)
        assert word.word is ListWord.EXPIRED
        # S21: of another CA the same serial is another certificate.
        word = store.lists.word(Subject(ACR_EL_TEST.sha256, listed, ca=False), now)
        assert word.word is ListWord.ABSENT
        await store.close()

    async def test_the_other_tree_does_not_take_them(self) -> None:
        plan = self.plan(str(self.shared / ORG_LIST), cas=("ACI-EL-ORG.cer", "ACR-EL.cer"))
        with pytest.raises(UnusableSource, match="another CA"):
            await self.store(plan).open()

    def plan(
        self, *sources: str, cas: tuple[str, ...] = ("ACI-EL-ORG-TEST.cer", "ACR-EL-TEST.cer")
    ) -> Plan:
        certificates = [
            x509.load_der_x509_certificate((self.shared / each).read_bytes()) for each in cas
        ]
        return Plan(sources, tuple(certificates))

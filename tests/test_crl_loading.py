"""A list through a child process: what comes back is whole, or a failure (S24, S26, S28)."""

import errno
import fcntl
import gc
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from crl_judging import NOW, ORG, ORG_LIST, PERS, ROOT_LIST, signed
from descriptors import descriptors, given_back
from sasgate.lab.authority import Authority
from sasgate.lab.lists import delta, forged, many_serials, plain_list, revoked
from sasgate.lab.pki import Lab
from sasgate.revocation import crl
from sasgate.revocation.crl import LoadedList, verify_list
from sasgate.revocation.loading import (
    LoadFailed,
    LoadFailure,
    LoadLimits,
    child_command,
    load_list,
)
from sasgate.revocation.refusal import ListRefused, Refusal


# What a child says that says everything right, of the serials 0 and 1.
FACTS = {
    "issuers": ["00"],
    "issuer_name": "CN=x",
    "number": 1,
    "this_update": NOW.isoformat(),
    "next_update": NOW.isoformat(),
    "entries": 2,
    "scope": {"leaves": True, "authorities": True, "points": []},
    "sha256": "00",
    "signed_sha256": "00",
}
INDEX = bytes(21) + bytes(20) + b"\1"
ANSWER = json.dumps(
    {"facts": FACTS, "length": len(INDEX), "sha256": hashlib.sha256(INDEX).hexdigest()}
)
# Everything as `child.main` does it.
PRELUDE = f"""
import json, os, signal, sys
request = json.load(sys.stdin)
index, answer = {INDEX!r}, {ANSWER!r}
def finish(code=0):
    os.pwrite(4, index, 0)
    os.write(1, answer.encode())
    os._exit(code)
"""


@define
class Reactor:
    """The real one, but for time, which `clock` tells; remembers its children."""

    clock: Clock = field(factory=Clock)
    pids: list[int] = field(factory=list)
    before: Any = None

    def spawnProcess(self, *args: Any, **options: Any) -> Any:
        if self.before is not None:
            self.before()
        process = reactor.spawnProcess(*args, **options)
        self.pids.append(process.pid)
        return process

    def callLater(self, delay: float, call: Any, *args: Any) -> Any:
        # A turn is a turn; only waiting is simulated.
        target = self.clock if delay else reactor
        return target.callLater(delay, call, *args)

    def callInThread(self, call: Any, *args: Any) -> None:
        reactor.callInThread(call, *args)


class Loading(TestCase):
    lab: Lab
    org: Authority
    folder: Path
    # A real child may have to wait for a loaded machine.
    timeout = 120

    @pytest.fixture(autouse=True)
    def _lab(self, lab: Lab, tmp_path: Path) -> None:
        self.lab, self.org, self.folder = lab, lab.authorities[ORG], tmp_path

    async def setUp(self) -> None:
        # The reactor's own pipe for signals is there once it runs.
        await turn()
        self.reactor = Reactor()
        self.descriptors = descriptors()

    async def tearDown(self) -> None:
        # Until the next turn the last Deferred's result is still held.
        await turn()
        gc.collect()
        await given_back(self.descriptors)
        for pid in self.reactor.pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    def load(self, source: bytes | int, **options: Any) -> Deferred[LoadedList]:
        authorities = [self.org.certificate, self.lab.authorities[PERS].certificate]
        return load_list(self.reactor, source, authorities, NOW, **options)

    def with_child(self, script: str, **options: Any) -> Deferred[LoadedList]:
        """A load whose child is another program."""
        command = (sys.executable, "-I", "-B", "-c", PRELUDE + script)
        return self.load(b"list", command=command, **options)

    async def started(self) -> None:
        while not self.reactor.pids:
            await turn()

    async def failure(self, loading: Deferred[LoadedList]) -> LoadFailed:
        with pytest.raises(LoadFailed) as failed:
            await loading
        assert self.reactor.clock.getDelayedCalls() == []
        return failed.value

    async def refusal(self, loading: Deferred[LoadedList]) -> ListRefused:
        with pytest.raises(ListRefused) as refused:
            await loading
        assert self.reactor.clock.getDelayedCalls() == []
        return refused.value


async def turn(seconds: float = 0) -> None:
    await deferLater(reactor, seconds)


@contextmanager
def opened(content: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.fileno()


class Taken(Loading):
    async def test_bytes_are_judged_as_in_this_process(self) -> None:
        der = signed(self.org, *map(revoked, many_serials(500)), number=1287)
        loaded = await self.load(der)
        expected = verify_list(der, [self.org.certificate], NOW)
        assert loaded.facts == expected.facts
        assert bytes(loaded.serials.buffer) == expected.serials.buffer

    async def test_a_file_is_judged_from_its_beginning(self) -> None:
        der = signed(self.org, revoked(5))
        with opened(der) as descriptor:
            loaded = await self.load(descriptor)
            assert os.lseek(descriptor, 0, os.SEEK_CUR) == len(der)
        assert loaded.facts == verify_list(der, [self.org.certificate], NOW).facts
        assert 5 in loaded.serials
        assert 6 not in loaded.serials

    async def test_pem(self) -> None:
        pem = x509.load_der_x509_crl(signed(self.org)).public_bytes(Encoding.PEM)
        assert (await self.load(pem)).facts.entries == 0

    async def test_an_empty_list_has_an_empty_index(self) -> None:
        loaded = await self.load(signed(self.org))
        assert len(loaded.serials) == 0
        assert 5 not in loaded.serials

    async def test_100_000_entries(self) -> None:
        """S26: more than one step of everything.

        What a look-up in it costs is no test's: `make bench-crl` measures new connections with
        0, 10 000, 100 000 and 1 000 000 entries, beside nginx (docs/performance.md).
        """
        der = plain_list(self.org, many_serials(100_000), now=NOW)
        loaded = await self.load(der)
        assert loaded.facts.entries == len(loaded.serials) == 100_000
        assert all(serial in loaded.serials for serial in many_serials(1000))
        assert not any(serial in loaded.serials for serial in many_serials(1000, seed=2))

    async def test_nothing_is_parsed_in_this_process(self) -> None:
        """S24, S26."""
        der = signed(self.org, revoked(5))

        def never(*_: object) -> None:
            raise AssertionError("a list was parsed here")

        self.patch(crl, "verify_into", never)
        self.patch(x509, "load_der_x509_crl", never)
        loaded = await self.load(der)
        assert 5 in loaded.serials

    async def test_the_index_cannot_be_changed_any_more(self) -> None:
        loaded = await self.load(signed(self.org, revoked(5)))
        number, *_ = [number for number, _ in descriptors() - self.descriptors]
        path = Path(f"/proc/self/fd/{number}")
        assert "sasgate-index" in str(path.readlink())
        again = os.open(path, os.O_RDWR)
        try:
            for change in (
                lambda: os.pwrite(again, b"x", 0),
                lambda: os.ftruncate(again, 0),
                lambda: os.ftruncate(again, 4096),
                lambda: fcntl.fcntl(again, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
            ):
                with pytest.raises(PermissionError):
                    change()
        finally:
            os.close(again)
        with pytest.raises(TypeError):
            loaded.serials.buffer[0] = 1  # type: ignore[index]

    async def test_its_memory_is_given_back(self) -> None:
        held = await self.load(signed(self.org, revoked(5)))
        assert 5 in held.serials
        assert descriptors() != self.descriptors
        del held
        await given_back(self.descriptors)

    async def test_two_loads_do_not_mix(self) -> None:
        pers = self.lab.authorities[PERS]
        first, second = self.load(signed(self.org, revoked(5))), self.load(signed(pers, revoked(6)))
        lists = [await second, await first]
        found = [[serial for serial in (5, 6) if serial in each.serials] for each in lists]
        assert found == [[6], [5]]

    async def test_the_child_at_its_whole_command(self) -> None:
        """What the prelude of the other tests stands for is taken, so that their faults count."""
        loaded = await self.with_child("finish()")
        assert len(loaded.serials) == 2


class Genuine(Loading):
    @pytest.fixture(autouse=True)
    def _shared(self, shared: Path) -> None:
        self.genuine = shared / "igc-sante"

    async def test_lists_of_igc_sante(self) -> None:
        files = sorted(self.genuine.glob("*.cer"))
        cas = [x509.load_der_x509_certificate(file.read_bytes()) for file in files]
        for file, number, entries in ((ORG_LIST, 1287, 1013), (ROOT_LIST, 73, 0)):
            with (self.genuine / file).open("rb") as opened_file:
                loaded = await load_list(self.reactor, opened_file.fileno(), cas, NOW)
            assert (loaded.facts.number, loaded.facts.entries) == (number, entries)
            assert len(loaded.serials) == entries
            assert loaded.facts.expired(NOW)


class Refused(Loading):
    async def test_the_kind_and_detail_come_through(self) -> None:
        refused = await self.refusal(self.load(signed(self.org, extra=(delta(12),))))
        assert refused.kind is Refusal.DELTA
        assert "list 12" in refused.detail

    async def test_a_forged_list(self) -> None:
        """S18."""
        refused = await self.refusal(self.load(forged(signed(self.org, revoked(5)))))
        assert refused.kind is Refusal.BAD_SIGNATURE

    async def test_an_empty_file(self) -> None:
        """S1, S28."""
        with opened(b"") as descriptor:
            refused = await self.refusal(self.load(descriptor))
        assert refused.kind is Refusal.NOT_A_LIST

    async def test_the_last_of_many_entries(self) -> None:
        """No part of a list is taken."""
        listed = [*many_serials(3000), 1 << 170]
        refused = await self.refusal(self.load(plain_list(self.org, listed, now=NOW)))
        assert refused.kind is Refusal.MALFORMED

    async def test_judged_by_the_present_it_was_given(self) -> None:
        refused = await self.refusal(self.load(signed(self.org, now=NOW + timedelta(days=1))))
        assert refused.kind is Refusal.FROM_THE_FUTURE

    async def test_no_ca_at_all(self) -> None:
        refused = await self.refusal(load_list(self.reactor, signed(self.org), [], NOW))
        assert refused.kind is Refusal.WRONG_ISSUER


class Failed(Loading):
    """A child that does not do as it should."""

    async def expect(self, reason: LoadFailure, script: str, detail: str = "") -> None:
        failed = await self.failure(self.with_child(script))
        assert failed.reason is reason
        assert detail in failed.detail

    async def test_dies_with_the_answer_given(self) -> None:
        await self.expect(LoadFailure.DIED, "finish(3)", "exit code 3")

    async def test_is_killed_with_the_answer_given(self) -> None:
        script = "os.pwrite(4, index, 0); os.write(1, answer.encode()); os.kill(os.getpid(), 9)"
        await self.expect(LoadFailure.DIED, script, "signal 9")

    async def test_raises(self) -> None:
        await self.expect(LoadFailure.DIED, "raise ValueError('here')", "ValueError: here")

    async def test_complains_without_end(self) -> None:
        script = "sys.stderr.write('x' * 3_000_000); sys.stderr.write('\\nlast'); sys.exit(1)"
        await self.expect(LoadFailure.DIED, script, "last")

    async def test_says_nothing(self) -> None:
        await self.expect(LoadFailure.BAD_ANSWER, "answer = ''; finish()")

    async def test_says_half(self) -> None:
        """S28."""
        await self.expect(LoadFailure.BAD_ANSWER, "answer = answer[:-20]; finish()")

    async def test_says_it_twice(self) -> None:
        await self.expect(LoadFailure.BAD_ANSWER, "answer += answer; finish()")

    async def test_writes_half_the_index(self) -> None:
        """S28."""
        await self.expect(LoadFailure.BAD_ANSWER, "index = index[:21]; finish()", "21 bytes")

    async def test_writes_too_much_of_an_index(self) -> None:
        await self.expect(LoadFailure.BAD_ANSWER, "index += index; finish()", "84 bytes")

    async def test_writes_no_index(self) -> None:
        await self.expect(LoadFailure.BAD_ANSWER, "index = b''; finish()", "0 bytes")

    async def test_writes_another_index(self) -> None:
        script = "index = bytes(42); finish()"
        await self.expect(LoadFailure.BAD_ANSWER, script, "not the one it speaks of")

    async def test_cuts_within_a_serial(self) -> None:
        script = "index = index[:-1]; answer = answer.replace('42', '41'); finish()"
        await self.expect(LoadFailure.BAD_ANSWER, script, "41 bytes")

    async def test_answers_without_end(self) -> None:
        """Killed once it has said more than an answer can be."""
        script = "while True: os.write(1, b' ' * 60000)"
        await self.expect(LoadFailure.BAD_ANSWER, script)

    async def test_answers_too_much_and_ends_well(self) -> None:
        await self.expect(LoadFailure.BAD_ANSWER, "answer += ' ' * 70000; finish()")

    async def test_leaves_somebody_who_can_write_the_index(self) -> None:
        gate = self.folder / "gate"
        os.mkfifo(gate)
        script = f"""
import mmap
os.pwrite(4, index, 0)
kept = mmap.mmap(4, 42)
if os.fork() == 0:
    for each in range(5):
        os.close(each)
    open({str(gate)!r}, "rb").read()
    os._exit(0)
finish()
"""
        failing = self.failure(self.with_child(script))
        failed = await failing
        with gate.open("wb"):
            pass
        assert failed.reason is LoadFailure.BAD_ANSWER
        assert "in use" in failed.detail

    async def test_does_not_end(self) -> None:
        loading = self.with_child("while True: signal.pause()")
        await self.started()
        self.reactor.clock.advance(119)
        assert not loading.called
        self.reactor.clock.advance(1)
        failed = await self.failure(loading)
        assert failed.reason is LoadFailure.TOO_SLOW

    async def test_does_not_end_after_its_answer(self) -> None:
        loading = self.with_child(
            "os.pwrite(4, index, 0); os.write(1, answer.encode())\nwhile True: signal.pause()"
        )
        await self.started()
        self.reactor.clock.advance(120)
        assert (await self.failure(loading)).reason is LoadFailure.TOO_SLOW

    async def test_cannot_be_started(self) -> None:
        failed = await self.failure(self.load(signed(self.org), command=("/nonexistent/python",)))
        assert failed.reason is LoadFailure.NOT_STARTED

    async def test_want_of_descriptors_is_no_fault_of_the_list(self) -> None:
        def none_left(*_: object) -> int:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        for name in ("memfd_create", "dup"):
            with patch.object(os, name, none_left):
                failed = await self.failure(self.load(signed(self.org, revoked(5))))
            assert failed.reason is LoadFailure.NO_ROOM
            assert "Too many open files" in str(failed)

    async def test_a_list_that_is_too_large_starts_nobody(self) -> None:
        der = signed(self.org)
        limits = LoadLimits(size=len(der) - 1)
        assert (await self.failure(self.load(der, limits=limits))).reason is LoadFailure.TOO_LARGE
        with opened(der) as descriptor:
            failed = await self.failure(self.load(descriptor, limits=limits))
        assert failed.reason is LoadFailure.TOO_LARGE
        assert self.reactor.pids == []
        assert (await self.load(der, limits=LoadLimits(size=len(der)))).facts.number == 1

    async def test_a_file_that_changes_meanwhile(self) -> None:
        """S28."""
        der = signed(self.org)
        for length in (len(der) - 1, len(der) + 1):
            with opened(der) as descriptor:
                self.reactor.before = lambda d=descriptor, n=length: os.ftruncate(d, n)
                failed = await self.failure(self.load(descriptor))
            assert failed.reason is LoadFailure.DIED
            assert "changed while it was read" in failed.detail


class Cancelled(Loading):
    async def test_while_the_child_runs(self) -> None:
        """The child is gone when the Deferred fires; `tearDown` looks."""
        loading = self.with_child("while True: signal.pause()")
        await self.started()
        loading.cancel()
        with pytest.raises(CancelledError):
            await loading
        assert self.reactor.clock.getDelayedCalls() == []

    async def test_while_the_list_is_copied(self) -> None:
        loading = self.load(bytes(5_000_000))
        loading.cancel()
        with pytest.raises(CancelledError):
            await loading
        assert self.reactor.pids == []

    async def test_twice(self) -> None:
        loading = self.with_child("while True: signal.pause()")
        await self.started()
        loading.cancel()
        loading.cancel()
        with pytest.raises(CancelledError):
            await loading
        await self.reaped()

    async def reaped(self) -> None:
        while any(Path(f"/proc/{pid}").exists() for pid in self.reactor.pids):
            await turn(0.01)


class Isolated(Loading):
    """What the child has of ours."""

    async def seen(self, script: str, **options: Any) -> Any:
        """What a child says of itself, as the reason for which it died."""
        failed = await self.failure(
            self.with_child(f"{script}\nsys.exit(json.dumps(seen))", **options)
        )
        assert failed.reason is LoadFailure.DIED
        return json.loads(failed.detail.removeprefix("exit code 1: "))

    async def test_five_descriptors(self) -> None:
        with open(os.devnull) as first, open(os.devnull) as second:  # noqa: PTH123
            for file in (first, second):
                os.set_inheritable(file.fileno(), True)
            seen = await self.seen(
                "seen = [n for n in range(256) if os.path.exists(f'/proc/self/fd/{n}')]"
            )
        assert seen == [0, 1, 2, 3, 4]

    async def test_each_its_own(self) -> None:
        links = await self.seen("seen = [os.readlink(f'/proc/self/fd/{n}') for n in range(5)]")
        assert [link.partition(":")[0] for link in links] == ["pipe"] * 3 + ["/memfd"] * 2
        assert [link.split()[0] for link in links[3:]] == [
            "/memfd:sasgate-list", "/memfd:sasgate-index",
        ]  # fmt: skip

    async def test_whatever_their_numbers_were_here(self) -> None:
        """The child's numbers may be taken here, even crosswise."""
        der = signed(self.org, revoked(5))
        with opened(der) as first, opened(b"") as second:
            spare = [os.dup(first) for _ in range(8)]
            for descriptor in (first, second, *spare):
                if descriptor != second:
                    assert 5 in (await self.load(descriptor)).serials
            for descriptor in spare:
                os.close(descriptor)

    async def test_no_environment(self) -> None:
        self.patch(os, "environ", {**os.environ, "SECRET": "x", "PYTHONPATH": "/nowhere"})
        os.putenv("SECRET", "x")
        try:
            seen = await self.seen("seen = sorted(set(os.environ) - {'LC_CTYPE'})")
        finally:
            os.unsetenv("SECRET")
        assert seen == []

    async def test_the_limits(self) -> None:
        options = {"limits": LoadLimits(size=1000, seconds=7.0, memory=1 << 30)}
        seen = await self.seen(restricted("seen = {n: resource.getrlimit(r) for n, r in all}"),
                               **options)  # fmt: skip
        assert seen == {
            "memory": [1 << 30] * 2, "seconds": [8] * 2, "index": [2000] * 2, "core": [0] * 2,
        }  # fmt: skip

    async def test_a_limit_is_never_raised(self) -> None:
        script = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (999, 999))\n"
        seen = await self.seen(script + restricted("seen = dict(all)['index']"), **self.small())
        assert isinstance(seen, int)
        seen = await self.seen(
            script + restricted("seen = resource.getrlimit(resource.RLIMIT_FSIZE)"), **self.small()
        )
        assert seen == [999, 999]

    def small(self) -> dict[str, Any]:
        return {"limits": LoadLimits(size=1000)}

    async def test_memory_ends_somewhere(self) -> None:
        failed = await self.failure(
            self.load(signed(self.org), limits=LoadLimits(memory=20 * 1024 * 1024))
        )
        assert failed.reason is LoadFailure.DIED

    async def test_the_working_directory_is_not_on_its_path(self) -> None:
        for module in ("json", "sasgate", "cryptography", "resource"):
            (self.folder / f"{module}.py").write_text("raise SystemExit('imported from here')\n")
        here = Path.cwd()
        os.chdir(self.folder)
        try:
            loaded = await self.load(signed(self.org, revoked(5)))
        finally:
            os.chdir(here)
        assert 5 in loaded.serials

    def test_its_command_names_only_absolute_folders(self) -> None:
        program, *options = child_command()
        assert Path(program).is_absolute()
        assert options[:2] == ["-I", "-B"]
        folders = options[options.index("-c") + 2 :]
        assert folders
        assert all(Path(folder).is_absolute() for folder in folders)


def restricted(script: str) -> str:
    """A script that runs after the child's own limits are in force."""
    folder = Path(sys.modules["sasgate"].__file__ or "").parents[1]
    return f"""
import resource
sys.path.append({str(folder)!r})
from sasgate.revocation import child
child.restrict(request["limits"])
all = child._RESOURCES.items()
{script}
"""


def test_the_answer_of_the_prelude_is_that_of_a_child(lab: Lab) -> None:
    """Or the tests of faulty children would test nothing."""
    from sasgate.revocation.answer import Answer, decode_answer, encode_answer  # noqa: PLC0415

    facts = verify_list(signed(lab.authorities[ORG]), [lab.authorities[ORG].certificate], NOW).facts
    real = json.loads(encode_answer(Answer(facts, 0, "")))
    assert shape(real) == shape(json.loads(ANSWER))
    assert decode_answer(encode_answer(Answer(facts, 0, ""))).facts == facts


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return type(value)

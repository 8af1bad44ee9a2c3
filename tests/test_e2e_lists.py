"""Lists that a real twistd must not believe, and lists that it must not lose.

The publisher is `sasgate lab serve`, the maker of lists in files is `openssl ca`.
"""

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import frozen
from cryptography.hazmat.primitives.hashes import SHA1

from openssl import program
from openssl_ca import OpenSSLCA
from processes import PATIENCE, GatewayProcess, free_port
from raw_backend import RawBackend
from raw_client import Caller, Wire
from revoking_processes import (
    ADMITTED,
    GET,
    REVOKED,
    UNKNOWN,
    Door,
    Gateway,
    PublisherProcess,
    gateway_on,
    write_configuration,
)
from sasgate.lab import trees
from sasgate.lab.authority import Authority
from sasgate.lab.lists import ListTemplate, forged, plain_list, resigned, sign_list
from sasgate.lab.pki import Lab
from sasgate.lab.switches import ListMode


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


@pytest.fixture(scope="module")
def publisher(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublisherProcess]:
    with PublisherProcess(lab, tmp_path_factory.mktemp("publisher")) as process:
        yield process


@frozen
class Tried:
    """How a gateway took what was served in the place of its next list."""

    gateway: Gateway
    code: int
    said: str
    words: tuple[str, str]
    log: list[str]


# What is served, what the command says of it, and what may be set beside the mode.
BAD = {
    ListMode.OLD: "is older than list",
    ListMode.FORGED: "signature",
    ListMode.DELTA: "delta",
    ListMode.SAME_NUMBER: "another list with the number",
    ListMode.HUGE: "too large",
    ListMode.HTML: "",
    ListMode.ERROR: "500",
    ListMode.LATE: "",
    ListMode.NONE: "",
}


class TestWhatIsServedInThePlaceOfAList:
    """S18, S19, S23, S25: each switch of the lab; `recette` is good, `revoked` is on the list."""

    @pytest.fixture(scope="class")
    @classmethod
    def gateway(
        cls,
        lab: Lab,
        backend: RawBackend,
        publisher: PublisherProcess,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Gateway]:
        ini = write_configuration(
            lab,
            tmp_path_factory.mktemp("gateway"),
            backend.url,
            {"test": Door({"crl": publisher.lists()})},
            revocation={"mode": "crl", "when_unknown": "admit", "admit_for": "7d"},
            limits={"crl_time": "2s", "crl_size": "1 MiB"},
        )
        with gateway_on(ini, lab) as gateway:
            gateway.refresh()
            yield gateway

    @pytest.fixture(scope="class", params=BAD, ids=lambda mode: mode.value)
    @classmethod
    def tried(
        cls, request: pytest.FixtureRequest, gateway: Gateway, publisher: PublisherProcess
    ) -> Iterator[Tried]:
        mode, board = request.param, publisher.board
        # The edition before is then one without the client.
        board.unrevoke("revoked")
        board.revoke("revoked")
        gateway.refresh()
        before = len(gateway.process.lines)
        board.lists(mode, trees.ORG_TEST)
        done = gateway.order("crl", "refresh")
        gateway.process.wait_for("no usable list from", after=before)
        words = gateway.word("revoked"), gateway.word()
        yield Tried(gateway, done.code, done.said, words, gateway.process.lines[before:])
        board.lists(ListMode.GOOD, trees.ORG_TEST)
        gateway.refresh()

    def test_s18_s19_s25_the_command_tells_of_it(
        self, tried: Tried, request: pytest.FixtureRequest
    ) -> None:
        mode = request.node.callspec.params["tried"]
        assert tried.code == 1
        (line,) = (line for line in tried.said.splitlines() if "ACI-EL-ORG-TEST" in line)
        assert BAD[mode] in line
        assert "until" not in line

    def test_s18_s19_s25_an_alarm_says_what_is_kept(self, tried: Tried) -> None:
        (line,) = (line for line in tried.log if "no usable list from" in line)
        assert re.search(r"CRL/ACI-EL-ORG-TEST\.crl: .+; list \d+ of .+ is kept, valid until", line)
        assert "Traceback" not in "".join(tried.log)

    def test_s23_whom_the_kept_list_revokes_stays_refused(self, tried: Tried) -> None:
        assert tried.words[0] == REVOKED

    def test_s23_the_kept_list_goes_on_to_admit(self, tried: Tried) -> None:
        assert tried.words[1] == ADMITTED

    def test_s23_nothing_is_disengaged_by_it(self, tried: Tried) -> None:
        """Although `when_unknown = admit`: what is known stays known."""
        assert "disengaged" not in "".join(tried.log)


class TestForgedFiles:
    """S18: the same, for lists that somebody has put in the place of a file."""

    @pytest.fixture(scope="class")
    @classmethod
    def gateway(
        cls, lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Gateway]:
        folder = tmp_path_factory.mktemp("forged")
        template = ListTemplate(number=5)
        serial = lab.clients["revoked"].certificate.serial_number
        (folder / "root.crl").write_bytes(sign_list(lab.authorities[trees.ROOT_TEST]))
        (folder / "org.crl").write_bytes(
            plain_list(lab.authorities[trees.ORG_TEST], [serial], template)
        )
        ini = write_configuration(
            lab,
            folder,
            backend.url,
            {"test": Door({"crl": f"{folder / 'root.crl'} {folder / 'org.crl'}"})},
            revocation={"mode": "crl"},
        )
        with gateway_on(ini, lab) as gateway:
            yield gateway

    @pytest.mark.parametrize(
        "makes",
        [
            lambda lab: forged(newer(lab.authorities[trees.ORG_TEST])),
            lambda lab: newer(lab.authorities[trees.SAME_NAME]),
            lambda lab: newer(lab.authorities[trees.OTHER_ORG]),
            lambda lab: newer(lab.authorities[trees.PERS_TEST]),
            lambda lab: weak(lab.authorities[trees.ORG_TEST]),
        ],
        ids=["flipped-bit", "same-name", "other-tree", "neighbour", "sha1"],
    )
    def test_s18_leave_the_list_that_was_there(
        self, lab: Lab, gateway: Gateway, makes: Callable[[Lab], bytes]
    ) -> None:
        path, before = gateway.ini.parent / "org.crl", len(gateway.process.lines)
        kept = path.read_bytes()
        path.write_bytes(makes(lab))
        assert gateway.order("crl", "refresh").code == 1
        gateway.process.wait_for(r"no usable list from .*org\.crl: .*; list 5 of", after=before)
        assert (gateway.word("revoked"), gateway.word()) == (REVOKED, ADMITTED)
        path.write_bytes(kept)
        gateway.refresh()


def newer(authority: Authority) -> bytes:
    """A list of a high number on which nobody is."""
    return sign_list(authority, ListTemplate(number=99))


def weak(authority: Authority) -> bytes:
    return resigned(authority, newer(authority), digest=SHA1())


@frozen
class Way:
    """A way to replace a file, and a CA with its client, so that all can be seen at one look."""

    replace: Callable[[Path, bytes], None]
    ca: str
    client: str
    door: Door


def in_place(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def by_rename_with_the_old_date(path: Path, content: bytes) -> None:
    new, status = path.with_name(f".{path.name}.new"), path.stat()
    new.write_bytes(content)
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(path)


def by_symbolic_link(path: Path, content: bytes) -> None:
    new, link = path.with_name(f"{path.name}.2"), path.with_name(f".{path.name}.link")
    new.write_bytes(content)
    link.symlink_to(new)
    link.rename(path)


WAYS = {
    "in-place": Way(in_place, trees.ORG_TEST, "recette", Door({})),
    "rename": Way(by_rename_with_the_old_date, trees.ORG, "production", Door.production({})),
    "symlink": Way(by_symbolic_link, trees.PERS_TEST, "person", Door({}, issuer=trees.PERS_TEST)),
}


class TestReplacedFiles:
    """S27: seen without a word to the daemon: who is on the new list is cut."""

    @pytest.fixture(scope="class")
    @classmethod
    def lives(
        cls, lab: Lab, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[dict[str, Wire]]:
        """A live connection of each client, whose list has been replaced meanwhile."""
        folder = tmp_path_factory.mktemp("replaced")
        roots = [folder / f"{each}.crl" for each in (trees.ROOT_TEST, trees.ROOT)]
        for path in roots:
            path.write_bytes(sign_list(lab.authorities[path.stem]))
        files = {name: folder / f"{way.ca}.crl" for name, way in WAYS.items()}
        offices = {name: OpenSSLCA(lab, folder / name, way.ca) for name, way in WAYS.items()}
        doors = {}
        for name, way in WAYS.items():
            files[name].write_bytes(offices[name].list())
            sources = " ".join(map(str, (*roots, files[name])))
            door = way.door
            doors[name] = Door({"crl": sources}, door.preset, door.root, door.issuer)
        ini = write_configuration(lab, folder, backend.url, doors, revocation={"mode": "crl"})
        with gateway_on(ini, lab) as gateway, ExitStack() as stack:
            found = {}
            for name, way in WAYS.items():
                wire = stack.enter_context(gateway.caller(way.client, name).wire())
                assert wire.ask(GET).status == 200
                found[name] = wire
            for name, way in WAYS.items():
                offices[name].revoke(way.client)
                way.replace(files[name], offices[name].list())
            yield found

    @pytest.mark.parametrize("name", WAYS)
    def test_s27_are_seen(self, lives: dict[str, Wire], name: str) -> None:
        assert lives[name].ended()


class TestHalfWrittenFile:
    """S28: what is there of a list is none; the rest makes it one."""

    def test_s28_is_never_read_half(self, lab: Lab, backend: RawBackend, tmp_path: Path) -> None:
        root, file = tmp_path / "root.crl", tmp_path / "org.crl"
        root.write_bytes(sign_list(lab.authorities[trees.ROOT_TEST]))
        office = OpenSSLCA(lab, tmp_path / "office")
        office.revoke("revoked")
        file.write_bytes(office.list())
        office.revoke("extra-chain")
        whole = office.list()
        ini = write_configuration(
            lab,
            tmp_path / "gateway",
            backend.url,
            {"test": Door({"crl": f"{root} {file}"})},
            revocation={"mode": "crl"},
        )
        with gateway_on(ini, lab) as gateway, gateway.caller("extra-chain").wire() as live:
            with file.open("wb", buffering=0) as writing:
                writing.write(whole[: len(whole) // 2])
                assert gateway.order("crl", "refresh").code == 1
                gateway.process.wait_for(r"no usable list from .*org\.crl: .*is kept")
                words = gateway.word("revoked"), gateway.word()
                assert (*words, live.ask(GET).status) == (REVOKED, ADMITTED, 200)
                writing.write(whole[len(whole) // 2 :])
            gateway.refresh()
            assert live.ended()
            assert gateway.word("extra-chain") == REVOKED


class TestKilled:
    """S28: whenever the daemon is killed, the last good list is in force at the next start.

    And from its first caller on: until then callers wait, and are not refused.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def publisher(
        cls, lab: Lab, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[PublisherProcess]:
        """One that goes away."""
        with PublisherProcess(lab, tmp_path_factory.mktemp("vanishing")) as process:
            yield process

    @pytest.fixture(scope="class")
    @classmethod
    def killed(
        cls,
        lab: Lab,
        backend: RawBackend,
        publisher: PublisherProcess,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Gateway]:
        """Killed at different moments, each time with a new list; no publisher is left."""
        ini = write_configuration(
            lab,
            tmp_path_factory.mktemp("killed"),
            backend.url,
            {"test": Door({"crl": publisher.lists()})},
            revocation={"mode": "crl"},
        )
        text, port = ini.read_text(), free_port()
        ini.write_text(text.replace("tcp:0:", f"tcp:{port}:"))
        gateway = Gateway(lab, ini)
        gateway.start().refresh()
        publisher.board.revoke("revoked")
        publisher.board.lists(ListMode.HUGE, trees.ORG_TEST, filler=50_000)
        gateway.refresh()
        gateway.kill()
        for line in ("asks to refresh", "starting up", "listens on", "serves"):
            publisher.board.publish(trees.ORG_TEST)
            process = GatewayProcess(ini)
            if line == "asks to refresh":
                process.ready()
                gateway.begin_refresh()
            process.wait_for(line)
            process.process.kill()
            process.wait()
        publisher.stop()
        yield gateway
        gateway.close()

    def test_s28_the_first_callers_of_the_next_start_get_what_is_theirs(
        self, lab: Lab, killed: Gateway
    ) -> None:
        port = int(re.findall(r"tcp:(\d+):", killed.ini.read_text())[0])
        process = GatewayProcess(killed.ini)
        try:
            await_port(port)
            statuses = [
                Caller(lab, port, client).ask(GET) for client in ("recette", "revoked", "recette")
            ]
            assert [each.status for each in statuses] == [200, 401, 200]
            assert statuses[1].json["verify"] == "FAILED:revoked"
        finally:
            process.stop()

    def test_s28_nothing_that_is_kept_is_complained_of(self, killed: Gateway) -> None:
        process = GatewayProcess(killed.ini).ready()
        assert process.stop() == -signal.SIGTERM
        for word in ("not believed", "not used", "missing", "Traceback"):
            assert word not in process.log


def await_port(port: int) -> None:
    """Come back as soon as a connection can be made; nothing is sent on it."""
    for _ in range(int(PATIENCE * 1000)):
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        except ConnectionRefusedError:
            threading.Event().wait(0.001)
        else:
            return
    pytest.fail("nobody listens")


def absent(path: Path) -> None:
    """Nothing is there."""


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><title>Maintenance</title></html>")


def truncated(path: Path) -> None:
    path.write_bytes(GOOD[0][:-100])


def unreadable(path: Path) -> None:
    """Mode 000, for a user who is not above modes."""
    path.write_bytes(GOOD[0])
    path.chmod(0)


def folder_without_lists(path: Path) -> None:
    path.mkdir()
    (path / ".hidden.crl").write_bytes(GOOD[0])


GOOD: list[bytes] = []


class TestUnusableFile:
    """S1: a file or folder of lists that cannot be used stops the start, and is named."""

    @pytest.mark.parametrize(
        ("makes", "says"),
        [
            (absent, "does not exist"),
            (emptied, ""),
            (web_page, ""),
            (truncated, ""),
            (unreadable, "cannot be read by this user"),
            (folder_without_lists, "is a folder without a list in it"),
        ],
        ids=lambda value: getattr(value, "__name__", None),
    )
    def test_s1_stops_the_start(
        self, lab: Lab, tmp_path: Path, makes: Callable[[Path], None], says: str
    ) -> None:
        GOOD[:] = [sign_list(lab.authorities[trees.ORG_TEST])]
        path, root = tmp_path / "org.crl", tmp_path / "root.crl"
        root.write_bytes(sign_list(lab.authorities[trees.ROOT_TEST]))
        makes(path)
        ini = write_configuration(
            lab,
            tmp_path,
            "http://127.0.0.1:9",
            {"test": Door({"crl": f"{root} {path}"})},
            revocation={"mode": "crl"},
        )
        limits = ("--bounding-set", "-dac_override,-dac_read_search", "--")
        before = (program("setpriv"), *limits) if makes is unreadable else ()
        process = GatewayProcess(ini, before=before)
        try:
            assert process.wait() == 1
        finally:
            process.stop()
        said = rf"sasgate: .*\[environment:lab-test\] crl = {path}: .*{says}"
        assert re.search(said, process.log)
        assert " serves " not in process.log
        assert "Traceback" not in process.log


class TestUrlWithoutAList:
    """A source that is fetched does not stop the start: the status is unknown until it came."""

    @pytest.mark.parametrize("mode", [ListMode.NONE, ListMode.HTML, ListMode.FORGED])
    def test_refuses_until_it_comes(
        self,
        lab: Lab,
        backend: RawBackend,
        publisher: PublisherProcess,
        tmp_path: Path,
        mode: ListMode,
    ) -> None:
        ini = write_configuration(
            lab,
            tmp_path,
            backend.url,
            {"test": Door({"crl": publisher.lists()})},
            revocation={"mode": "crl"},
        )
        publisher.board.lists(mode, trees.ORG_TEST)
        with gateway_on(ini, lab) as gateway:
            gateway.process.wait_for(r"no usable list from .*; it has given none that is held")
            assert gateway.word() == UNKNOWN
            publisher.board.lists(ListMode.GOOD, trees.ORG_TEST)
            gateway.refresh()
            assert gateway.word() == ADMITTED


class TestExported:
    def test_s18_is_what_is_in_force_and_not_what_a_publisher_says(
        self, lab: Lab, backend: RawBackend, publisher: PublisherProcess, tmp_path: Path
    ) -> None:
        """As OpenSSL reads it."""
        ini = write_configuration(
            lab,
            tmp_path,
            backend.url,
            {"test": Door({"crl": publisher.lists()})},
            revocation={"mode": "crl"},
        )
        publisher.board.revoke("multi-valued-rdn")
        publisher.board.lists(ListMode.GOOD, trees.ORG_TEST)
        with gateway_on(ini, lab) as gateway:
            gateway.refresh()
            publisher.board.lists(ListMode.FORGED, trees.ORG_TEST)
            assert gateway.order("crl", "refresh").code == 1
            done = gateway.order("crl", "export", "--pem", str(tmp_path / "all.pem"))
        publisher.board.lists(ListMode.GOOD, trees.ORG_TEST)
        assert done.code == 0, done.said
        said = "".join(read_by_openssl(each) for each in pems_in(tmp_path / "all.pem"))
        serial = lab.clients["multi-valued-rdn"].certificate.serial_number
        assert f"Serial Number: {serial:X}" in said


def pems_in(path: Path) -> list[str]:
    ends = "-----BEGIN X509 CRL-----", "-----END X509 CRL-----"
    return re.findall(rf"{ends[0]}.*?{ends[1]}\n", path.read_text(), re.DOTALL)


def read_by_openssl(pem: str) -> str:
    command = [program("openssl"), "crl", "-noout", "-text"]
    done = subprocess.run(
        command, input=pem, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout

"""Listeners that come, go and move at reloads, and sockets that systemd passed (S44, S56)."""

import stat
import sys
import threading
from pathlib import Path

import pytest

from calling import SLOT, answered, platform
from gateways import gateway
from processes import BackendProcess, GatewayProcess, free_port, write_ini
from raw_backend import Peer, RawBackend
from raw_client import PATIENCE, Caller, attempts, closed, connected, request
from reloading import edit, hang_up, loaded, open_files
from sasgate.environments import RECETTE
from sasgate.identity import fingerprint
from sasgate.lab.pki import Lab


FIRST = "listen = tcp:0:interface=127.0.0.1"
# Passes sockets on as systemd does, and becomes the daemon.
PASS = """
import os, socket, sys
family, names, *command = sys.argv[1:]
kinds = {"INET": socket.AF_INET, "INET6": socket.AF_INET6}
for number in range(len(names.split(":"))):
    each = socket.create_server(("::1" if family == "INET6" else "127.0.0.1", 0),
                                family=kinds[family])
    print("passes", each.getsockname()[1], flush=True)
    held = os.dup(each.fileno())
    each.close()
    if held != 3 + number:
        os.dup2(held, 3 + number)
        os.close(held)
    os.set_inheritable(3 + number, True)
os.environ.update(LISTEN_FDS=str(number + 1), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""


@pytest.fixture
def ini(lab: Lab, backend: BackendProcess, tmp_path: Path) -> Path:
    return write_ini(lab, tmp_path, backend.url)


def passed(ini: Path, *, names: str = "sas", family: str = "INET") -> GatewayProcess:
    """A gateway with sockets of these names."""
    return GatewayProcess(ini, before=(sys.executable, "-c", PASS, family, names))


def refused(port: int) -> bool:
    try:
        connected(port).close()
    except ConnectionRefusedError:
        return True
    return False


class TestPorts:
    def test_one_that_is_renamed_keeps_its_socket(self, lab: Lab, ini: Path) -> None:
        with GatewayProcess(ini) as process:
            port = process.port()
            edit(ini, ("[inbound]", "[inbound:other]"))
            hang_up(process)
            assert answered(platform(lab, port).send(SLOT)).status == 200
            assert "listener=inbound:other" in process.wait_for("listener=inbound:other")[0]

    def test_one_that_is_gone_takes_nobody_and_the_rest_go_on(self, lab: Lab, ini: Path) -> None:
        with GatewayProcess(ini) as process:
            gone, kept = process.port("inbound:production"), process.port()
            head, _, tail = ini.read_text().partition("[inbound:production]")
            ini.write_text(head + "[revocation]" + tail.partition("[revocation]")[2])
            with loaded(lab, kept) as load:
                hang_up(process)
            assert load.failed == []
            for _ in attempts():
                if refused(gone):
                    break

    def test_a_narrower_interface_needs_a_restart_and_says_so(self, lab: Lab, ini: Path) -> None:
        port = free_port()
        edit(ini, (FIRST, f"listen = tcp:{port}:interface=127.0.0.1"))
        with GatewayProcess(ini) as process:
            edit(ini, (f"tcp:{port}:interface=127.0.0.1", f"tcp:{port}"))
            said = hang_up(process, "reload refused: ")
            assert "systemctl restart sasgate" in said
            assert answered(platform(lab, port).send(SLOT)).status == 200

    def test_a_proxy_before_a_port_is_switched_on_and_off(self, lab: Lab, ini: Path) -> None:
        """S44: whoever sends no PROXY header where one is due is no caller."""
        with GatewayProcess(ini) as process:
            port = process.port()
            proxied = f"listen = haproxy:{FIRST.partition(' = ')[2]}\nproxies = 127.0.0.1"
            edit(ini, (FIRST, proxied))
            hang_up(process)
            with connected(port) as plain:
                plain.sendall(b"\x16\x03\x01\x00\x05hello" + bytes(300))
                assert closed(plain)
            with connected(port) as plain:
                plain.sendall(b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n")
                assert closed(plain)
            edit(ini, (proxied, FIRST))
            hang_up(process)
            assert answered(platform(lab, port).send(SLOT)).status == 200

    def test_those_that_come_and_go_leave_nothing(self, lab: Lab, ini: Path) -> None:
        with GatewayProcess(ini) as process:
            with_it = ini.read_text()
            head, _, tail = with_it.partition("[inbound:production]")
            without = head + "[revocation]" + tail.partition("[revocation]")[2]
            counts = []
            for _ in range(10):
                ini.write_text(without)
                hang_up(process)
                ini.write_text(with_it)
                hang_up(process)
                counts.append(open_files(process))
            assert counts[-1] <= counts[1]
            assert answered(platform(lab, process.port()).send(SLOT)).status == 200


class TestServedOut:
    def test_an_exchange_of_a_listener_that_is_gone_ends_in_order(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        go_on = threading.Event()

        def script(peer: Peer) -> None:
            peer.request()
            assert go_on.wait(PATIENCE)
            peer.answer(b"whole")

        with RawBackend() as raw:
            raw.follows(script)
            own = {"backend": raw.url}
            with (
                gateway(lab, tmp_path, own, more={"more": own}) as process,
                Caller(lab, process.port("inbound:more")).wire() as busy,
            ):
                busy.send(request("GET", "/"))
                raw.wait_until(lambda: len(raw.requests) == 1)
                text = (tmp_path / "sasgate.ini").read_text()
                head, _, tail = text.partition("[inbound:more]")
                rest = tail[tail.index("[") :]
                (tmp_path / "sasgate.ini").write_text(head + rest)
                hang_up(process)
                go_on.set()
                answer = busy.answer()
                assert (answer.status, answer.body) == (200, b"whole")
                assert answer.headers["Connection"] == "close"
                assert busy.rest() == b""


class TestUnixSocket:
    @pytest.fixture
    def path(self, lab: Lab, ini: Path) -> Path:
        path = ini.parent / "sas.sock"
        ini.write_text(
            ini.read_text()
            + f"[outbound]\nenvironment = lab-recette\nlisten = unix:{path}\n"
            + f"certificate = {lab.editor_path('ACME_TEST')}\nsocket_mode = 0600\n"
        )
        url = f"url = https://localhost:9/\nsas_roots = {lab.public_root}\naddresses ="
        edit(ini, ("addresses =", url))
        return path

    def test_who_may_use_it_is_changed(self, ini: Path, path: Path) -> None:
        with GatewayProcess(ini) as process:
            inode = path.stat().st_ino
            edit(ini, ("socket_mode = 0600", "socket_mode = 0660\nsocket_owner = root:daemon"))
            hang_up(process)
            found = path.stat()
            assert (stat.S_IMODE(found.st_mode), found.st_ino) == (0o660, inode)

    def test_a_refused_reload_opens_it_to_nobody(self, ini: Path, path: Path) -> None:
        """All or nothing: what came before the fault is taken back."""
        with GatewayProcess(ini) as process:
            changed = "socket_mode = 0666\nsocket_owner = nobody-of-this-name"
            edit(ini, ("socket_mode = 0600", changed))
            assert "socket_owner" in hang_up(process, "reload refused: ")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


class TestPassedSockets:
    """Socket activation, sd_listen_fds(3)."""

    @pytest.mark.parametrize("which", ["name=sas", "index=0"])
    def test_it_is_taken_and_survives_reloads(self, lab: Lab, ini: Path, which: str) -> None:
        edit(ini, (FIRST, f"listen = systemd:domain=INET:{which}"))
        with passed(ini) as process:
            port = process.port()
            assert str(port) == process.wait_for(r"^passes (\d+)")[1]
            for _ in range(3):
                hang_up(process)
                assert answered(platform(lab, port).send(SLOT)).status == 200

    def test_it_may_be_of_ipv6(self, ini: Path) -> None:
        edit(ini, (FIRST, "listen = systemd:domain=INET6:name=sas"))
        with passed(ini, family="INET6") as process:
            assert process.bound[0][2].startswith("[::1]:")

    def test_one_that_was_given_up_can_be_taken_again(self, lab: Lab, ini: Path) -> None:
        """Not what has its number by then."""
        edit(ini, (FIRST, "listen = systemd:domain=INET:name=sas"))
        with passed(ini) as process:
            port = process.port()
            for _ in range(2):
                edit(ini, ("listen = systemd:domain=INET:name=sas", FIRST))
                hang_up(process)
                edit(ini, (FIRST, "listen = systemd:domain=INET:name=sas"))
                hang_up(process)
                assert answered(platform(lab, port).send(SLOT)).status == 200

    @pytest.mark.parametrize(
        ("listen", "names", "words"),
        [("domain=INET:name=other", "sas", "systemd passed no such socket"),
         ("domain=INET:index=1", "sas", "systemd passed no such socket"),
         ("domain=INET6:name=sas", "sas", "write domain=INET"),
         ("domain=INET:name=sas", "sas:sas", "several sockets of the name sas")],
    )  # fmt: skip
    def test_another_than_was_meant_is_a_fault(
        self, ini: Path, listen: str, names: str, words: str
    ) -> None:
        edit(ini, (FIRST, f"listen = systemd:{listen}"))
        process = passed(ini, names=names)
        assert process.wait() == 1
        assert words in process.log
        assert "Traceback" not in process.log


class TestWithdrawn:
    def test_whom_the_same_reload_denies_is_cut_all_the_same(self, lab: Lab, ini: Path) -> None:
        """S15: a listener that is renamed keeps nobody."""
        with GatewayProcess(ini) as process, Caller(lab, process.port()).wire() as busy:
            assert busy.ask(request("GET", "/echo")).status == 200
            busy.send(_UNFINISHED)
            edit(ini, ("[inbound]", "[inbound:other]"), denied(lab, "recette"))
            hang_up(process)
            assert busy.ended()
            process.wait_for("cut FAILED:revoked listener=inbound ")

    def test_whom_a_later_reload_denies_is_cut(self, lab: Lab, ini: Path) -> None:
        """S15."""
        with GatewayProcess(ini) as process, Caller(lab, process.port()).wire() as busy:
            assert busy.ask(request("GET", "/echo")).status == 200
            busy.send(_UNFINISHED)
            edit(ini, ("[inbound]", "[inbound:other]"))
            hang_up(process)
            edit(ini, denied(lab, "recette"))
            hang_up(process)
            assert busy.ended()
            process.wait_for("cut FAILED:revoked listener=inbound ")

    def test_who_is_no_client_any_more_is_refused_its_first_request(
        self, lab: Lab, ini: Path
    ) -> None:
        """S15: who has come and not asked yet is judged by what is in force when it asks."""
        with GatewayProcess(ini) as process, Caller(lab, process.port()).wire() as silent:
            process.wait_for("admitted")
            edit(ini, ("[inbound]", "[inbound:other]"), (f"CN={RECETTE.client_cn},", "CN=other,"))
            hang_up(process)
            assert silent.ask(request("GET", "/echo")).status == 403


_UNFINISHED = b"POST /echo HTTP/1.1\r\nHost: gateway.example\r\nContent-Length: 10\r\n\r\nabc"


def denied(lab: Lab, client: str) -> tuple[str, str]:
    """The change of a configuration that denies a client of the catalogue."""
    section = f"[environment:lab-{client}]\n"
    return section, f"{section}deny = {fingerprint(lab.clients[client].certificate)}\n"

"""How a real twistd starts, or does not: exit codes, and what it says (S1, S57)."""

import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from calling import SLOT, answered, platform
from openssl import program
from processes import BackendProcess, GatewayProcess, free_port, twistd_result, write_ini
from sasgate.lab.configuration import FILE
from sasgate.lab.pki import Lab


ROOT, ISSUER, CERTIFICATE, KEY = (
    "ca/ACR-EL-TEST.cer", "ca/ACI-EL-ORG-TEST.cer", "server.pem", "server.key",
)  # fmt: skip
FILES = [ROOT, ISSUER, CERTIFICATE, KEY]
OFF = """\
[revocation]
# The lab runs without revocation: nobody publishes lists of its CAs.
mode = off
"""
OUTBOUND = """\
[outbound]
environment = lab-recette
listen = tcp:0:interface=127.0.0.1
certificate = server.pem
key = server.key
"""
WITHOUT = ("Traceback", "Usage:", "twistd --help", "Unhandled")


@frozen
class Start:
    """A start that failed, as a service manager and a person see it."""

    code: int
    said: str

    def is_refused(self, *words: str) -> bool:
        """Whether it exited with 1, said all of `words` and nothing that is for programmers."""
        assert self.code == 1, self.said
        assert [word for word in words if word not in self.said] == [], self.said
        assert [word for word in WITHOUT if word in self.said] == [], self.said
        assert " serves " not in self.said
        return True


def start(ini: Path) -> Start:
    return Start(*twistd_result(ini))


@pytest.fixture
def ini(lab: Lab, tmp_path: Path) -> Path:
    return write_ini(lab, tmp_path)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def blank(path: Path) -> None:
    path.write_bytes(b"\n \n")


def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><title>Proxy: please log in</title></html>")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


class TestFiles:
    """S1: whatever is wrong with a file, the daemon does not start, and says which it is."""

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [
            (Path.unlink, "does not exist"),
            (emptied, "is empty"),
            (blank, "is empty"),
            (web_page, ""),
            (truncated, ""),
            (directory, "is a directory"),
        ],
    )
    def test_spoilt(self, ini: Path, name: str, spoil: Callable[[Path], None], reason: str) -> None:
        spoil(ini.parent / name)
        assert start(ini).is_refused(f"{ini.parent / name}", reason)

    @pytest.mark.parametrize("name", FILES)
    def test_unreadable(self, ini: Path, name: str) -> None:
        """Mode 000, for a user who is not above modes."""
        (ini.parent / name).chmod(0)
        assert unprivileged(ini).is_refused(f"{ini.parent / name}", "cannot be read by this user")

    def test_a_link_to_nowhere(self, ini: Path) -> None:
        (ini.parent / ROOT).unlink()
        (ini.parent / ROOT).symlink_to("/nowhere")
        assert start(ini).is_refused(ROOT, "does not exist")

    @pytest.mark.parametrize("name", [ROOT, ISSUER])
    def test_another_ca_of_the_same_name(self, lab: Lab, ini: Path, name: str) -> None:
        shutil.copy(lab.directory / "strangers" / f"OTHER-{Path(name).name}", ini.parent / name)
        assert start(ini).is_refused("was not signed by any of the environment's roots")

    def test_root_and_issuer_exchanged(self, ini: Path) -> None:
        root, issuer = (ini.parent / name for name in (ROOT, ISSUER))
        root_bytes, issuer_bytes = root.read_bytes(), issuer.read_bytes()
        root.write_bytes(issuer_bytes)
        issuer.write_bytes(root_bytes)
        assert start(ini).is_refused(ROOT, "is not a root")

    def test_a_client_as_ca(self, lab: Lab, ini: Path) -> None:
        leaf = lab.clients["recette"].certificate
        (ini.parent / ISSUER).write_bytes(leaf.public_bytes(Encoding.DER))
        assert start(ini).is_refused(ISSUER, "is not a CA certificate")

    def test_a_preset_whose_file_is_not_ans_s(self, lab: Lab, ini: Path) -> None:
        """The pin of the SHA-256: the lab's CA has the right file name and is another."""
        text = ini.read_text().replace("lab-recette lab-preproduction", "recette")
        ini.write_text(text.partition("[inbound:production]")[0] + "[revocation]\nmode = off\n")
        assert start(ini).is_refused(ROOT, "is not ANS's certificate: SHA-256", "sasgate fetch-ca")

    def test_all_faults_are_said_at_once(self, ini: Path) -> None:
        for name in FILES:
            (ini.parent / name).unlink()
        assert start(ini).is_refused(*FILES)


class TestKey:
    def test_that_every_user_can_read(self, ini: Path) -> None:
        """S57."""
        (ini.parent / KEY).chmod(0o644)
        assert start(ini).is_refused(KEY, "can be read by every user", "chmod o-rwx")

    def test_that_the_group_can_read_is_allowed(self, ini: Path) -> None:
        """S57."""
        (ini.parent / KEY).chmod(0o640)
        with GatewayProcess(ini) as process:
            assert process.port()

    def test_of_another_certificate(self, lab: Lab, ini: Path) -> None:
        (ini.parent / KEY).write_bytes(lab.clients["recette"].key_pem())
        assert start(ini).is_refused(CERTIFICATE, "does not belong to the certificate")

    def test_with_a_passphrase(self, lab: Lab, ini: Path) -> None:
        encryption = BestAvailableEncryption(b"secret")
        key = lab.servers["server"].key
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        (ini.parent / KEY).write_bytes(pem)
        assert start(ini).is_refused(KEY, "encrypted", "openssl pkey")

    def test_nothing_of_it_is_ever_said(self, lab: Lab, ini: Path) -> None:
        """S57."""
        key = lab.servers["server"].key_pem().decode()
        (ini.parent / CERTIFICATE).write_text(key)
        said = start(ini).said
        assert not [line for line in key.splitlines()[1:-1] if line in said]


class TestConfiguration:
    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            (OFF, "[revocation]\nmode = crl\n", ["crl", "list.crl", "does not exist"]),
            (OFF, "", ["crl", "list.crl", "does not exist"]),
            (OFF, OUTBOUND + OFF, ["[outbound]", "certificate", "server.pem", "issued by"]),
            ("ca = ca\n", "ca = ca\nadmin = tcp:9180\n", ["admin", "other machines"]),
            ("backend =", "bakend =", ["bakend", "backend"]),
            ("http://127.0.0.1:9", "http://192.0.2.1", ["unsafe_backend"]),
            ("addresses = 127.0.0.1 ::1", "addresses = 127.0.0.300", ["127.0.0.300"]),
            ("[inbound]", "[inbond]", ["inbond"]),
        ],
        ids=["crl", "default", "outbound", "admin", "key", "backend", "address", "section"],
    )
    def test_what_cannot_be_done_is_refused_by_name(
        self, lab: Lab, tmp_path: Path, old: str, new: str, words: list[str]
    ) -> None:
        sources = {"addresses =": "crl = list.crl\nurl = https://sas.example/\naddresses ="}
        ini = write_ini(lab, tmp_path, changes={old: new, **sources})
        assert start(ini).is_refused(f"{ini}", *words)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert start(tmp_path / "absent.ini").is_refused("absent.ini", "No such file")

    def test_a_fault_names_its_line(self, ini: Path) -> None:
        lines = ini.read_text().replace("backend =", "bakend =", 1).splitlines()
        number = next(at for at, line in enumerate(lines, 1) if line.startswith("bakend"))
        ini.write_text("\n".join(lines))
        assert start(ini).is_refused(f"{FILE}:{number}: ")

    def test_nothing_is_left_behind_by_a_start_that_fails(self, ini: Path) -> None:
        (ini.parent / KEY).unlink()
        before = sorted(ini.parent.rglob("*"))
        assert start(ini).is_refused(KEY)
        assert sorted(ini.parent.rglob("*")) == before


class TestPort:
    def test_one_that_is_taken(self, lab: Lab, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            ini = write_ini(lab, tmp_path)
            ini.write_text(ini.read_text().replace("tcp:0:", f"tcp:{port}:", 1))
            assert start(ini).is_refused(f"tcp:{port}:", "another server")

    def test_an_address_that_is_not_ours(self, lab: Lab, tmp_path: Path) -> None:
        changes = {"interface=127.0.0.1": "interface=192.0.2.1"}
        assert start(write_ini(lab, tmp_path, changes=changes)).is_refused("192.0.2.1")

    def test_a_chosen_one_is_the_one_it_says(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> None:
        port = free_port()
        ini = write_ini(lab, tmp_path, backend.url)
        ini.write_text(ini.read_text().replace("tcp:0:", f"tcp:{port}:", 1))
        with GatewayProcess(ini) as process:
            assert process.port() == port
            assert answered(platform(lab, port).send(SLOT)).status == 200


class TestState:
    def test_another_daemon_cannot_have_the_same_folder(self, lab: Lab, tmp_path: Path) -> None:
        """Both would write the same lists, and obey each other's orders."""
        ini = write_ini(lab, tmp_path)
        with GatewayProcess(ini) as process:
            assert start(ini).is_refused("[sasgate] state", "in use by another sasgate")
            assert process.stop() == -signal.SIGTERM
        with GatewayProcess(ini):
            pass


class TestHangup:
    def test_it_does_not_kill(self, lab: Lab, backend: BackendProcess, tmp_path: Path) -> None:
        with GatewayProcess(write_ini(lab, tmp_path, backend.url)) as process:
            process.send_signal(signal.SIGHUP)
            process.wait_for("reloaded ")
            assert answered(platform(lab, process.port()).send(SLOT)).status == 200
            assert process.stop() == -signal.SIGTERM

    def test_it_does_not_kill_while_the_last_exchange_ends(
        self, lab: Lab, backend: BackendProcess, tmp_path: Path
    ) -> None:
        """S56."""
        backend.forget()
        with GatewayProcess(write_ini(lab, tmp_path, backend.url)) as process:
            with platform(lab, process.port()).dial() as stream:
                stream.sendall(b"GET /slow?seconds=1 HTTP/1.1\r\nHost: x\r\n\r\n")
                while not backend.recorded():
                    """It has not arrived yet."""
                process.send_signal(signal.SIGTERM)
                process.wait_for("shutting down")
                process.send_signal(signal.SIGHUP)
                assert stream.recv(12) == b"HTTP/1.1 200"
            assert process.wait() == -signal.SIGTERM


def unprivileged(ini: Path) -> Start:
    """A start without the right to read what the modes forbid, which root has."""
    if os.geteuid() != 0:
        return start(ini)
    limits = ("--bounding-set", "-dac_override,-dac_read_search", "--")
    process = GatewayProcess(ini, before=(program("setpriv"), *limits))
    try:
        return Start(process.wait(), process.log)
    finally:
        process.stop()


class TestWhereItCannotBe:
    def test_a_socket_that_systemd_did_not_pass_is_a_fault_and_no_traceback(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        ini = write_ini(lab, tmp_path)
        text = ini.read_text()
        old = "listen = tcp:0:interface=127.0.0.1"
        assert old in text
        ini.write_text(text.replace(old, "listen = systemd:domain=INET:name=https", 1))
        code, log = twistd_result(ini)
        assert code == 1
        assert "systemd passed no such socket" in log
        assert "Traceback" not in log

    def test_json_that_standard_output_would_not_get_is_refused(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        """Or a daemon's whole journal would be lost."""
        ini = write_ini(lab, tmp_path, append="[log]\nformat = json\n")
        with GatewayProcess(ini):
            pass
        process = GatewayProcess(ini, options=("--logfile", str(tmp_path / "log")))
        assert process.wait() == 1
        assert "without --logfile" in process.log

    def test_all_faults_are_told_at_once_in_the_order_of_the_file(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        ini = write_ini(lab, tmp_path)
        text = ini.read_text().replace("certificate = server.pem", "certificate = absent.pem", 1)
        ini.write_text(text.replace("certificate = server.pem", "certificate = gone.pem", 1))
        code, log = twistd_result(ini)
        assert code == 1
        assert log.index("absent.pem") < log.index("gone.pem")

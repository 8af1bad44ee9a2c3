"""`sasgate status`: one line that says all, and the exit codes that Nagios expects."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import evolve
from click.testing import CliRunner, Result

from sasgate.admin.data import json_of
from sasgate.admin.status import Port, Reload, Status
from sasgate.commands import main
from statuses import ADMITTED, DAY, NOW, WELL, disengaged, judged, revocation_list, revoking


@contextmanager
def answering(listening: socket.socket, answer: bytes) -> Iterator[None]:
    """A server that says the same to whoever connects, after it has read a question."""

    def serve() -> None:
        while True:
            try:
                line, _ = listening.accept()
            except OSError:
                return
            with line:
                line.recv(65536)
                line.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


def run(ini: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["status", "--config", str(ini), *options])


def told(tmp_path: Path, answer: bytes) -> Result:
    """What the command says of an answer that comes by TCP."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    ini = tmp_path / "sasgate.ini"
    ini.write_text(f"[sasgate]\nadmin = tcp:{port}:interface=127.0.0.1\n[inbound]\nwrong = 1\n")
    with answering(listening, answer):
        return run(ini)


def of(tmp_path: Path, status: Status) -> Result:
    return told(tmp_path, http(json_of(status)))


def test_all_is_well(tmp_path: Path) -> None:
    result = of(tmp_path, judged())
    assert result.exit_code == 0
    first = result.output.splitlines()[0]
    assert first == "SASGATE OK: all is well; 8 requests and 1 refusal in the last hour"


def test_a_warning(tmp_path: Path) -> None:
    configuration = evolve(WELL.configuration, last_reload=Reload(NOW, ("prod.ini:3: no key",)))
    result = of(tmp_path, judged(configuration=configuration))
    assert result.exit_code == 1
    assert result.output.startswith("SASGATE WARNING: the reload of 2026-11-23 12:00 UTC")
    assert "prod.ini:3: no key" in result.output


def test_critical_with_everything_that_is(tmp_path: Path) -> None:
    status = revoking(lists=(revocation_list(-DAY, error="HTTP 503"),), disengaged=(disengaged(),))
    result = of(tmp_path, status)
    assert result.exit_code == 2
    first, *rest = result.output.splitlines()
    assert first.startswith("SASGATE CRITICAL: débrayage by root")
    assert "(and 2 more)" in first
    text = "\n".join(rest)
    for word in ("number 4711", "EXPIRED", "HTTP 503", "DÉBRAYAGE", "tcp", "300 days", "admitted"):
        assert (word in text) == (word != "tcp"), word


def test_each_directions_connections_are_counted_apart(tmp_path: Path) -> None:
    inbound = WELL.listeners[0]
    listeners = (
        inbound,
        evolve(inbound, name="inbound:production", ports=(), connections=0),
        evolve(inbound, name="outbound:a", ports=(Port("tcp:8081", "127.0.0.1:8081"),)),
        evolve(inbound, name="outbound:b", ports=(Port("unix:/b", "/b"),), connections=3),
        evolve(inbound, name="admin", ports=(Port("unix:/c", "/c"),), connections=1),
    )
    lines = of(tmp_path, judged(listeners=listeners)).output.splitlines()
    at = lines.index("from SAS's side: 4 connections of 2000, 1 not admitted")
    assert lines[at + 1 : at + 8] == [
        "  inbound at 0.0.0.0:443: 4 connections",
        "  inbound:production at closed, drains: 0 connections",
        "from applications, to SAS: 7 connections",
        "  outbound:a at 127.0.0.1:8081: 4 connections",
        "  outbound:b at /b: 3 connections",
        "status page and metrics:",
        "  admin at /c: 1 connection",
    ]


def test_a_server_that_nobody_has_called_is_not_said_to_be_reachable(tmp_path: Path) -> None:
    (known,) = WELL.upstreams
    untried = evolve(known, pool=evolve(known.pool, tried=False))
    assert f"{known.pool.server} for {known.owner}: reachable" in of(tmp_path, WELL).output
    said = of(tmp_path, judged(upstreams=(untried,))).output
    assert f"{known.pool.server} for {known.owner}: not called yet" in said


def test_without_outbound_no_applications_are_counted(tmp_path: Path) -> None:
    assert "from applications" not in of(tmp_path, judged()).output


def test_it_takes_a_unix_socket(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "admin.sock"))
    listening.listen()
    ini = tmp_path / "sasgate.ini"
    ini.write_text("[sasgate]\nadmin = unix:admin.sock\n")
    with answering(listening, http(json_of(judged()))):
        assert run(ini).exit_code == 0


def test_s39_nothing_of_it_moves_a_terminal_or_ends_nagios_text(tmp_path: Path) -> None:
    hostile = evolve(ADMITTED, cn="\x1b[2J|evil\r\nSASGATE OK: fine")
    decisions = (evolve(WELL.decisions[0], decision=hostile),)
    result = of(tmp_path, judged(decisions=decisions))
    assert "\x1b" not in result.output
    assert "\r" not in result.output
    assert "|" not in result.output
    assert result.output.count("\nSASGATE") == 0


class TestNoStatus:
    """Whatever keeps it from knowing is critical, told in one line."""

    def is_critical(self, result: Result, *words: str) -> bool:
        assert result.exit_code == 2, result.output
        (line,) = result.output.splitlines()
        assert line.startswith("SASGATE CRITICAL: ")
        assert all(word in line for word in words), line
        return True

    def test_no_daemon_answers(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        ini = tmp_path / "sasgate.ini"
        ini.write_text(f"[sasgate]\nadmin = tcp:{port}:interface=127.0.0.1\n")
        assert self.is_critical(run(ini), "no daemon answers", str(port), "systemctl")

    def test_one_that_never_answers(self, tmp_path: Path) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        ini = tmp_path / "sasgate.ini"
        ini.write_text(f"[sasgate]\nadmin = tcp:{listening.getsockname()[1]}:interface=127.0.0.1\n")
        with listening:
            assert self.is_critical(run(ini, "--timeout", "0.1"), "no daemon answers")

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"SSH-2.0-OpenSSH\r\n",
            http(b"<html>it works</html>"),
            http(b"[]"),
            http(b'{"format": 99}'),
            http(b'{"format": 1, "level": "ok"}'),
            http(b'{"format": 1, "level": []}'),
            http(b"[" * 100_000),
            http(b"{}", "403 Forbidden"),
        ],
        ids=["nothing", "ssh", "html", "list", "format", "half", "odd", "deep", "403"],
    )
    def test_somebody_else_answers(self, tmp_path: Path, answer: bytes) -> None:
        assert self.is_critical(told(tmp_path, answer))

    @pytest.mark.parametrize("level", ["fine", None, ["ok"]])
    def test_a_level_that_there_is_not(self, tmp_path: Path, level: object) -> None:
        data = {**json.loads(json_of(judged())), "level": level}
        assert self.is_critical(told(tmp_path, http(json.dumps(data).encode())))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[sasgate]\n", ["names no admin endpoint", "tcp:9180"]),
            ("[sasgate]\nadmin = tcp:9180\n", ["other machines"]),
            ("[sasgate]\nadmin = tcp:0:interface=127.0.0.1\n", ["another port at each start"]),
            ("[sasgate]\nadmin = systemd:domain=UNIX:name=admin\n", ["--unix-socket"]),
            ("[sasgate]\nadmin = unix:absent.sock\n", ["No such file"]),
        ],
        ids=["none", "wide", "any", "systemd", "absent"],
    )
    def test_an_endpoint_that_leads_nowhere(
        self, tmp_path: Path, text: str, words: list[str]
    ) -> None:
        ini = tmp_path / "sasgate.ini"
        ini.write_text(text)
        assert self.is_critical(run(ini), *words)

    def test_no_file(self, tmp_path: Path) -> None:
        assert self.is_critical(run(tmp_path / "absent.ini"), "absent.ini", "No such file")

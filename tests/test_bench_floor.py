"""The floor: handshakes in memory end, refuse, and count the server's CPU alone."""

import re
import time
from pathlib import Path

import pytest

from bench.floor import floors, handshakes
from bench.peers.programs import authorities
from bench_pages import filled_in, own_part
from sasgate.lab.pki import Lab


@pytest.fixture
def sides(lab: Lab, tmp_path: Path) -> tuple[handshakes.Side, handshakes.Side]:
    """A server and the admitted client."""
    return pair(lab, tmp_path, "recette")


def pair(lab: Lab, folder: Path, client: str) -> tuple[handshakes.Side, handshakes.Side]:
    server = handshakes.server_context(authorities(lab, folder), *lab.server_paths(), "1.3")
    caller = handshakes.client_context(lab.public_root, lab.path_of(client), "1.3")
    return handshakes.Side(server, server=True), handshakes.Side(caller, server=False)


def test_the_page_has_both_versions_of_openssl(lab: Lab, tmp_path: Path) -> None:
    if not floors.SYSTEM_PYTHON.exists():
        pytest.skip("there is no Python of Debian's")
    own = own_part(filled_in("floor", lab, tmp_path, "--count", 1), "floor")
    rows = re.findall(
        r"^\| (\d+\.\d+\.\d+) \| ([\w, ]+) \| ([\d.]+) .* \| ([\d.]+) ", own, re.MULTILINE
    )
    assert [who for _, who, *_ in rows] == ["sasgate", "nginx, HAProxy, Apache, stunnel"]
    assert all(float(ms) > 0 for _, _, *both in rows for ms in both)


def test_a_strangers_handshake_is_no_figure(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(handshakes.Unfinished, match=r"(?i)certificate"):
        handshakes.server_seconds(*pair(lab, tmp_path, "other-ca"))


def test_the_clients_cpu_is_not_counted(
    sides: tuple[handshakes.Side, handshakes.Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = sides
    clock = [0]
    monkeypatch.setattr(time, "thread_time", lambda: clock[0])

    def ticking(side: handshakes.Side, ticks: int) -> None:
        step = side.step

        def tick() -> bool:
            clock[0] += ticks
            return step()

        monkeypatch.setattr(side, "step", tick)

    ticking(client, 1000)
    ticking(server, 1)
    # The server has its turn after the client's hello and after its certificate.
    assert handshakes.server_seconds(server, client) == 2


def test_another_version_of_tls_is_not_spoken(lab: Lab, tmp_path: Path) -> None:
    server, _ = pair(lab, tmp_path, "recette")
    older = handshakes.client_context(lab.public_root, lab.path_of("recette"), "1.2")
    with pytest.raises(handshakes.Unfinished, match=r"(?i)protocol"):
        handshakes.server_seconds(server, handshakes.Side(older, server=False))

"""SNI routing in front of the gateway, as `etc/haproxy-sni.cfg` shows it, with a real HAProxy."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateways import gateway
from processes import (
    CHECKOUT,
    BackendProcess,
    GatewayProcess,
    LoggedProcess,
    environment,
    free_port,
)
from sasgate.lab.pki import Lab
from sasgate.lab.platform import NoResponse, Platform, Response, check


EXAMPLE = CHECKOUT / "etc" / "haproxy-sni.cfg"


@pytest.fixture(scope="module")
def backend() -> Iterator[BackendProcess]:
    with BackendProcess() as process:
        yield process


@pytest.fixture
def behind(lab: Lab, tmp_path: Path, backend: BackendProcess) -> Iterator[GatewayProcess]:
    inbound = {
        "backend": backend.url,
        "listen": "haproxy:tcp:0:interface=127.0.0.1",
        "proxies": "127.0.0.1",
    }
    with gateway(lab, tmp_path, inbound) as process:
        yield process


@pytest.fixture
def front(behind: GatewayProcess, tmp_path: Path) -> Iterator[int]:
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed: apt-get install haproxy")
    port = free_port()
    text = EXAMPLE.read_text("utf-8")
    for old, new in (
        ("bind :443", f"bind 127.0.0.1:{port}"),
        ("127.0.0.1:8443", f"127.0.0.1:{behind.port()}"),
        ("127.0.0.1:9443", f"127.0.0.1:{free_port()}"),
        ("sas.editor.example", "localhost"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "haproxy.cfg"
    path.write_text(text, "utf-8")
    with LoggedProcess(("haproxy", "-db", "-V", "-f", path), tmp_path, environment()) as process:
        wait_until_open(process, port)
        yield port


def wait_until_open(process: LoggedProcess, port: int) -> None:
    """HAProxy says nothing once its port is open."""
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.process.poll() is None, process.log


def test_the_platform_is_admitted_through_haproxy_with_its_own_address(
    lab: Lab, front: int, behind: GatewayProcess
) -> None:
    """S44: the address that is judged and written down is the client's, not the balancer's."""
    platform = Platform("localhost", front, lab.public_root, client=lab.path_of("recette"))
    answer = platform.send(check())
    assert isinstance(answer, Response)
    assert answer.status == 200
    behind.wait_for("admitted .* peer=127.0.0.1 CN=sas-agregateur-recette")


def test_another_name_never_reaches_the_gateway(
    lab: Lab, front: int, behind: GatewayProcess
) -> None:
    platform = Platform("127.0.0.1", front, lab.public_root, client=lab.path_of("recette"))
    assert isinstance(platform.send(check()), NoResponse)
    assert "peer=" not in behind.log


def test_whoever_comes_without_the_balancer_is_refused(lab: Lab, behind: GatewayProcess) -> None:
    """S44: TLS without a PROXY header is no client of this listener."""
    platform = Platform("localhost", behind.port(), lab.public_root, client=lab.path_of("recette"))
    assert isinstance(platform.send(check()), NoResponse)
    behind.wait_for("PROXY header")

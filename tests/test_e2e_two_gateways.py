"""Two gateways behind HAProxy, of which one goes: killed, hung, or drained (S44, S56)."""

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from balanced import BALANCER, EXAMPLE, NAMES, Balanced, loaded
from processes import BackendProcess
from raw_client import Caller, attempts
from sasgate.lab.pki import Lab


CLIENTS = 3


@pytest.fixture
def pair(lab: Lab, backend: BackendProcess, tmp_path: Path) -> Iterator[Balanced]:
    with Balanced(lab, tmp_path, backend.url) as pair:
        yield pair


def test_haproxy_takes_the_example_as_it_is(tmp_path: Path) -> None:
    haproxy = shutil.which("haproxy")
    if haproxy is None:
        pytest.skip("haproxy is not installed: apt-get install haproxy")
    text = EXAMPLE.read_text("utf-8")
    for owner in ("user", "group"):
        text = text.replace(f"    {owner} haproxy\n", "")
    (tmp_path / "haproxy.cfg").write_text(text, "utf-8")
    done = subprocess.run(
        (haproxy, "-c", "-f", tmp_path / "haproxy.cfg"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_both_are_called_and_see_the_callers_own_address(lab: Lab, pair: Balanced) -> None:
    """S44; the checks, without a certificate, come from the balancer's."""
    with loaded(Caller(lab, pair.port), clients=CLIENTS) as load:
        for name in NAMES:
            pair.gateways[name].wait_for("admitted .* peer=127.0.0.1 CN=sas-agregateur-recette")
    assert load.failed == []
    for name in NAMES:
        pair.gateways[name].wait_for(f"refused 401 NONE .*peer={BALANCER} ")
        assert not re.search(f"admitted .* peer={BALANCER} ", pair.gateways[name].log)


def test_one_that_hangs_is_found_although_its_port_takes_connections(
    lab: Lab, pair: Balanced
) -> None:
    gateway = pair.gateways["gateway1"]
    gateway.send_signal(signal.SIGSTOP)
    try:
        pair.wait_until("gateway1", "DOWN")
        begun = time.monotonic()
        with loaded(Caller(lab, pair.port), clients=CLIENTS) as load:
            load.wait_for(10)
        assert load.failed == []
        assert load.served_since(begun) >= 10
    finally:
        gateway.send_signal(signal.SIGCONT)


class TestKilled:
    def test_before_any_check_notices_no_newcomer_fails(self, lab: Lab, pair: Balanced) -> None:
        """HAProxy dials the other one; what was under way on the dead one is lost, no more."""
        pair.say("disable health gateways/gateway1")
        with loaded(Caller(lab, pair.port), clients=CLIENTS) as load:
            load.wait_for(10)
            pair.gateways["gateway1"].send_signal(signal.SIGKILL)
            pair.gateways["gateway1"].wait()
            dead = time.monotonic()
            load.wait_for(30)
        assert pair.shown("gateway1", "status") == "no check"
        assert int(pair.shown("gateway1", "wredis")) > 0
        assert [call for call in load.failed if call.begun > dead] == []

    def test_it_is_found_and_once_it_is_back_it_takes_load(self, lab: Lab, pair: Balanced) -> None:
        with loaded(Caller(lab, pair.port), clients=CLIENTS) as load:
            load.wait_for(10)
            pair.gateways["gateway1"].send_signal(signal.SIGKILL)
            pair.gateways["gateway1"].wait()
            dead = time.monotonic()
            pair.wait_until("gateway1", "DOWN")
            load.wait_for(10)
            back = pair.again("gateway1")
            pair.wait_until("gateway1", "UP")
            back.wait_for("admitted .* CN=sas-agregateur-recette")
            load.wait_for(10)
        assert [call for call in load.failed if call.begun > dead] == []


class TestDrained:
    def test_nobody_fails_when_it_is_drained_stopped_and_started(
        self, lab: Lab, pair: Balanced
    ) -> None:
        with loaded(Caller(lab, pair.port), clients=CLIENTS) as load:
            load.wait_for(10)
            pair.say("set server gateways/gateway1 state drain")
            for _ in attempts():
                if pair.shown("gateway1", "scur") == "0":
                    break
            assert pair.gateways["gateway1"].stop() == -signal.SIGTERM
            load.wait_for(10)
            back = pair.again("gateway1")
            pair.say("set server gateways/gateway1 state ready")
            back.wait_for("admitted .* CN=sas-agregateur-recette")
            load.wait_for(10)
        assert load.failed == []

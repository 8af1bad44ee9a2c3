"""How many connections there may be, in all and of one address, and what each costs (S47, S49)."""

import contextlib
import resource
import select
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateways import gateway, resident
from raw_backend import RawBackend
from raw_client import Caller, attempts, closed, connected, request
from sasgate.lab.pki import Lab
from sasgate.settings import Limits


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def descriptors() -> Iterator[None]:
    """As many as allowed, here and for the gateway: a login on Debian begins with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class TestNumbers:
    MANY = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6")

    def test_s47_a_thousand_mute_peers_do_not_keep_a_good_client_out(
        self, lab: Lab, backend: RawBackend, tmp_path: Path
    ) -> None:
        """The next test says how each of them is closed; here they are as many as may be."""
        with (
            gateway(lab, tmp_path, {"backend": backend.url}, addresses="127.0.0.0/8") as process,
            ExitStack() as open_ones,
        ):
            mute = [
                open_ones.enter_context(connected(process.port(), source))
                for source in self.MANY
                for _ in range(Limits().connections_per_address)
            ]
            assert len(mute) == 1000
            for number in range(20):
                assert Caller(lab, process.port()).get(f"/{number}").status == 200
            # Not select(), whose descriptors end at 1023.
            look = select.poll()
            for each in mute:
                look.register(each, select.POLLIN)
            assert look.poll(0) == []

    def test_s47_a_thousand_mute_peers_are_closed(
        self, lab: Lab, backend: RawBackend, tmp_path: Path
    ) -> None:
        limits = {"handshake": "2 s"}
        with (
            gateway(
                lab, tmp_path, {"backend": backend.url}, addresses="127.0.0.0/8", limits=limits
            ) as process,
            ExitStack() as open_ones,
        ):
            mute = [
                open_ones.enter_context(connected(process.port(), source))
                for source in self.MANY
                for _ in range(Limits().connections_per_address)
            ]
            assert all(closed(each) for each in mute)
            assert Caller(lab, process.port()).get("/").status == 200

    def test_s49_an_address_may_hold_so_many_connections_that_are_not_admitted(
        self, lab: Lab, backend: RawBackend, tmp_path: Path
    ) -> None:
        limits = {"connections_per_address": 5}
        with (
            gateway(
                lab, tmp_path, {"backend": backend.url}, addresses="127.0.0.0/8", limits=limits
            ) as process,
            ExitStack() as open_ones,
        ):
            port = process.port()
            mute = [open_ones.enter_context(connected(port, "127.0.0.2")) for _ in range(5)]
            with connected(port, "127.0.0.2") as one_more:
                assert closed(one_more)
            process.wait_for("too many connections of this address")
            assert Caller(lab, port).get("/").status == 200
            # Not select(), whose descriptors end at 1023.
            look = select.poll()
            for each in mute:
                look.register(each, select.POLLIN)
            assert look.poll(0) == []

    def test_s49_admitted_clients_of_one_address_are_not_counted_among_them(
        self, lab: Lab, backend: RawBackend, tmp_path: Path
    ) -> None:
        with (
            gateway(
                lab, tmp_path, {"backend": backend.url}, limits={"connections_per_address": 5}
            ) as process,
            ExitStack() as open_ones,
        ):
            caller = Caller(lab, process.port())
            wires = [open_ones.enter_context(caller.wire()) for _ in range(20)]
            assert {wire.ask(request("GET", "/")).status for wire in wires} == {200}

    def test_s49_so_many_connections_and_no_more(
        self, lab: Lab, backend: RawBackend, tmp_path: Path
    ) -> None:
        with gateway(
            lab, tmp_path, {"backend": backend.url}, limits={"connections": 10}
        ) as process:
            caller = Caller(lab, process.port())
            with ExitStack() as open_ones:
                wires = [open_ones.enter_context(caller.wire()) for _ in range(10)]
                assert {wire.ask(request("GET", "/")).status for wire in wires} == {200}
                with connected(process.port()) as one_more:
                    assert closed(one_more)
                process.wait_for("too many connections")
                assert {wire.ask(request("GET", "/")).status for wire in wires} == {200}
                wires[0].close()
                for _ in attempts():  # the gateway has to notice first
                    with contextlib.suppress(OSError):
                        assert caller.get("/").status == 200
                        break

    def test_s49_where_all_places_are_taken_the_stranger_that_came_first_makes_room(
        self, lab: Lab, backend: RawBackend, tmp_path: Path
    ) -> None:
        with (
            gateway(
                lab,
                tmp_path,
                {"backend": backend.url},
                addresses="127.0.0.0/8",
                limits={"connections": 10},
            ) as process,
            ExitStack() as open_ones,
        ):
            sources = [f"127.0.0.{number}" for number in range(2, 12)]
            mute = [open_ones.enter_context(connected(process.port(), each)) for each in sources]
            with Caller(lab, process.port()).wire() as wire:
                assert wire.ask(request("GET", "/")).status == 200
                assert closed(mute[0])
                assert select.select(mute[1:], [], [], 0)[0] == []

    def test_s49_another_address_is_closed_before_the_handshake(
        self, lab: Lab, backend: RawBackend, tmp_path: Path
    ) -> None:
        with gateway(lab, tmp_path, {"backend": backend.url}) as process:
            with connected(process.port(), "127.0.0.9") as stranger:
                assert closed(stranger)
            process.wait_for("address not allowed")
            assert Caller(lab, process.port()).get("/").status == 200

    def test_s49_an_idle_client_costs_little_memory(
        self, lab: Lab, backend: RawBackend, tmp_path: Path
    ) -> None:
        """The bound is a sanity check: the measure itself is the bench's."""
        with (
            gateway(lab, tmp_path, {"backend": backend.url}) as process,
            ExitStack() as open_ones,
        ):
            caller = Caller(lab, process.port())
            caller.get("/")
            before = resident(process)
            for _ in range(200):
                wire = open_ones.enter_context(caller.wire())
                assert wire.ask(request("GET", "/")).status == 200
            assert (resident(process) - before) / 200 < 150_000

"""As many open files as connections may need, or a warning (S49, S51)."""

import re
import resource
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger

from applications import write_outbound
from processes import write_ini
from sasgate.config import load
from sasgate.deadlines import Deadlines
from sasgate.descriptors import allow, needed
from sasgate.generation import Generation, build, load_trust
from sasgate.lab.pki import Lab
from sasgate.settings import Outbound, Settings
from sasgate.upstreams import Upstreams


Told = Callable[[int, int], tuple[int, bool]]
UNLIMITED = resource.RLIM_INFINITY
UNIT = Path(__file__).parents[1] / "systemd" / "sasgate.service"


@pytest.fixture
def generation(lab: Lab, tmp_path: Path) -> Generation:
    settings = load(write_ini(lab, tmp_path))
    upstreams = Upstreams(Clock(), Deadlines(Clock()), settings.limits)
    return build(settings, load_trust(settings, datetime.now(UTC)), upstreams)


@pytest.fixture
def outbound(lab: Lab, tmp_path: Path) -> Outbound:
    (found,) = load(write_outbound(lab, tmp_path / "out", {"a": "https://sas.example"})).outbounds
    return found


def with_settings(generation: Generation, **changes: object) -> Generation:
    settings: Settings = evolve(generation.settings, **changes)  # type: ignore[arg-type]
    return evolve(generation, settings=settings)


class TestNeeded:
    def test_a_connection_of_sas_has_one_of_a_backend_beside_it(
        self, generation: Generation
    ) -> None:
        limits = generation.settings.limits
        more = with_settings(generation, limits=evolve(limits, connections=limits.connections + 10))
        assert needed(more) - needed(generation) == 20

    def test_applications_and_their_calls_to_sas_count(
        self, generation: Generation, outbound: Outbound
    ) -> None:
        before = with_settings(generation, outbounds=())
        more = with_settings(generation, outbounds=(outbound, outbound))
        # 512 connections and 32 calls each, and their ports.
        assert needed(more) - needed(before) == 2 * (512 + 32 + 1)

    def test_who_looks_at_the_status_counts(self, generation: Generation) -> None:
        before = with_settings(generation, admin=None)
        more = with_settings(generation, admin="unix:/run/admin.sock")
        assert needed(more) - needed(before) == 32 + 1

    def test_connections_that_are_kept_count(self, generation: Generation) -> None:
        before = evolve(generation, servers=frozenset())
        assert needed(generation) - needed(before) == 64 * len(generation.servers) > 0

    def test_there_is_room_for_the_rest(self, generation: Generation) -> None:
        assert needed(generation) > 2 * generation.settings.limits.connections + 100

    def test_the_unit_allows_what_the_defaults_need(self, generation: Generation) -> None:
        found = re.search(r"^LimitNOFILE=(\d+)$", UNIT.read_text("utf-8"), re.MULTILINE)
        assert found is not None
        assert needed(generation) < int(found[1])


class Process:
    """Limits of open files that are not this process's."""

    def __init__(self, soft: int, hard: int) -> None:
        self.limits = soft, hard

    def getrlimit(self, of: int) -> tuple[int, int]:
        assert of == resource.RLIMIT_NOFILE
        return self.limits

    def setrlimit(self, of: int, limits: tuple[int, int]) -> None:
        assert of == resource.RLIMIT_NOFILE
        assert limits[0] <= limits[1] or limits[1] == resource.RLIM_INFINITY
        self.limits = limits


class TestAllowed:
    @pytest.fixture
    def told(self, logged: list[LogEvent], monkeypatch: pytest.MonkeyPatch) -> Told:
        def allowed(soft: int, hard: int) -> tuple[int, bool]:
            process = Process(soft, hard)
            monkeypatch.setattr(resource, "getrlimit", process.getrlimit)
            monkeypatch.setattr(resource, "setrlimit", process.setrlimit)
            allow(5000, Logger())
            assert process.limits[1] == hard
            return process.limits[0], [event["needed"] for event in logged] == [5000]

        return allowed

    @pytest.mark.parametrize("hard", [5000, 65536, UNLIMITED])
    def test_as_many_as_are_needed(self, told: Told, hard: int) -> None:
        assert told(1024, hard) == (5000, False)

    @pytest.mark.parametrize(
        ("soft", "hard"), [(5000, 5000), (9000, 9000), (UNLIMITED, UNLIMITED), (9000, UNLIMITED)]
    )
    def test_what_suffices_is_left(self, told: Told, soft: int, hard: int) -> None:
        assert told(soft, hard) == (soft, False)

    @pytest.mark.parametrize("soft", [1024, 4096])
    def test_where_there_may_be_fewer_it_is_said(self, told: Told, soft: int) -> None:
        assert told(soft, 4096) == (4096, True)

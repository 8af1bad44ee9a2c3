"""What all tests share: one lab, one backend and one gateway in front of it."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from processes import BackendProcess, GatewayProcess, write_ini
from sasgate.lab.pki import Lab


# Its time limits for an example are timed assertions, and a loaded machine breaks them.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with keys of full size; read it, never write to it."""
    return Lab.create(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the checkout that holds the genuine CAs and the specification."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder


@pytest.fixture(scope="session")
def backend() -> Iterator[BackendProcess]:
    """The lab's backend; forget its record before looking at it."""
    with BackendProcess() as process:
        yield process


@pytest.fixture(scope="session")
def gateway(
    lab: Lab, backend: BackendProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A real twistd with the lab's configuration, in front of `backend`; leave it as it is."""
    ini = write_ini(lab, tmp_path_factory.mktemp("gateway"), backend.url)
    with GatewayProcess(ini) as process:
        yield process


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """What is logged during the test."""
    events: list[LogEvent] = []
    observer: Any = events.append
    globalLogPublisher.addObserver(observer)
    yield events
    globalLogPublisher.removeObserver(observer)


@pytest.fixture
def no_failure_logged(logged: list[LogEvent]) -> Iterator[None]:
    """The test fails if an exception was logged, also one that a Deferred was left with."""
    # What is older than the test need not be looked at for what the test left.
    gc.freeze()
    yield
    gc.collect()
    gc.unfreeze()
    failures = [event for event in logged if "log_failure" in event]
    assert not failures, "\n".join(map(formatEvent, failures))

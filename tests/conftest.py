"""What all tests share: one lab, one backend and one gateway in front of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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

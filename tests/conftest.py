"""What all tests share: one lab, created once."""

from pathlib import Path

import pytest

from sasgate.lab.pki import Lab


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

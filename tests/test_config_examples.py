"""The configurations in etc/ are right, and as short as promised."""

from pathlib import Path

import pytest

from sasgate.config import load
from sasgate.settings import RevocationMode


ETC = Path(__file__).parents[1] / "etc"


@pytest.mark.parametrize(
    ("name", "environments"),
    [
        ("prod", ("production",)),
        ("preprod", ("preproduction",)),
        ("recette", ("recette",)),
        ("recette-preprod", ("recette", "preproduction")),
    ],
)
def test_example_serves_its_environments_in_both_directions(
    name: str, environments: tuple[str, ...]
) -> None:
    settings = load(ETC / f"{name}.ini")
    assert [inbound.environments for inbound in settings.inbounds] == [environments]
    assert tuple(outbound.environment for outbound in settings.outbounds) == environments
    assert settings.revocation.mode is RevocationMode.CRL_OR_OCSP


def test_every_ini_file_of_the_folder_loads() -> None:
    assert all(load(path) for path in ETC.glob("*.ini"))


def test_production_takes_at_most_15_lines() -> None:
    assert len((ETC / "prod.ini").read_text("utf-8").splitlines()) <= 15


def test_simplified_connection_has_two_ports_and_one_certificate() -> None:
    """Specification, 3.2 and 4.3.1."""
    outbounds = load(ETC / "recette-preprod.ini").outbounds
    assert len({outbound.listen for outbound in outbounds}) == 2
    assert len({outbound.certificate for outbound in outbounds}) == 1

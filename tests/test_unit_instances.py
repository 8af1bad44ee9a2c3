"""sasgate@1 and sasgate@2 on one port, under systemd itself (S56)."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from balanced import loaded
from openssl import program
from processes import CHECKOUT, BackendProcess
from raw_client import Caller, attempts
from sasgate.environments import RECETTE
from sasgate.lab import trees
from sasgate.lab.pki import Lab
from systemd_world import World
from test_systemd_files import said


UNITS = CHECKOUT / "systemd"
INSTANCES = ("1", "2")
# One file after another, as the comment of sasgate-instance.conf has it.
INSTALLED = (
    ("sasgate.service", "sasgate@.service"),
    ("sasgate-instance.conf", "sasgate@.service.d/sasgate-instance.conf"),
    ("sasgate@.socket", "sasgate@.socket"),
)
_INI = """\
[sasgate]
environment = lab
state = /var/lib/sasgate-{instance}
[inbound]
listen = systemd:domain=INET6:name=sas
certificate = /etc/sasgate/server.pem
key = /etc/sasgate/server.key
backend = {backend}
[revocation]
mode = off
[environment:lab]
roots = ca/{root}.cer
issuers = ca/{issuer}.cer
clients = CN={cn},OU={ou}
addresses = 127.0.0.1
"""


def install(folder: Path) -> None:
    for source, target in INSTALLED:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(UNITS / source, folder / target)


@pytest.fixture(scope="module")
def world(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        world = stack.enter_context(World(tmp_path_factory.mktemp("instances")))
        with world.network():
            backend = stack.enter_context(BackendProcess())
        etc = world.root / "etc/sasgate"
        shutil.copytree(lab.directory / "ca", etc / "ca", dirs_exist_ok=True)
        for file in lab.server_paths():
            shutil.copy(file, etc)
        for instance in INSTANCES:
            text = _INI.format(
                instance=instance,
                backend=backend.url,
                root=trees.ROOT_TEST,
                issuer=trees.ORG_TEST,
                cn=RECETTE.client_cn,
                ou=RECETTE.client_ou,
            )
            (etc / f"prod-{instance}.ini").write_text(text)
        world.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/sasgate.conf", check=True)
        install(world.root / "etc/systemd/system")
        world.run("systemctl", "daemon-reload", check=True)
        yield world


@pytest.fixture
def both(world: World) -> Iterator[World]:
    world.run("systemctl", "start", *[f"sasgate@{each}" for each in INSTANCES], check=True)
    yield world
    world.systemctl("stop", *[f"sasgate@{each}.socket" for each in INSTANCES])


def admissions(world: World, instance: str) -> int:
    unit = f"sasgate@{instance}"
    return world.run("journalctl", "-o", "cat", "-u", unit).stdout.count(" admitted ")


def wait_until_called(world: World, instance: str) -> None:
    before = admissions(world, instance)
    for _ in attempts():
        if admissions(world, instance) > before:
            return


@pytest.mark.parametrize("kind", ["socket", "service"])
def test_systemd_finds_no_fault(tmp_path: Path, kind: str) -> None:
    install(tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("twistd", "sasgate"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    for path in (path for path in tmp_path.rglob("sasgate*") if path.is_file()):
        path.write_text(path.read_text().replace("/opt/sasgate/bin/", f"{programs}/"))
    analyze = program("systemd-analyze")
    for name in ("sasgate@.service", "sasgate@.socket"):
        (tmp_path / name.replace("@", "@1")).symlink_to(tmp_path / name)
    assert said(analyze, "verify", "--man=no", tmp_path / f"sasgate@1.{kind}") == (0, "")


def test_both_serve_the_one_port(lab: Lab, both: World) -> None:
    with both.network(), loaded(Caller(lab, 443)) as load:
        for instance in INSTANCES:
            wait_until_called(both, instance)
    assert load.failed == []


def test_no_caller_is_turned_away_while_one_restarts(lab: Lab, both: World) -> None:
    """What meets the close between two requests is lost, as at any stop; whoever comes waits."""
    with both.network(), loaded(Caller(lab, 443)) as load:
        load.wait_for(10)
        assert both.systemctl("restart", "sasgate@1").returncode == 0
        wait_until_called(both, "1")
    assert not [call for call in load.failed if "Refused" in call.failure]
    assert both.shown("ActiveState", "sasgate@2.service") == "active"


def test_one_that_is_taken_out_leaves_port_and_folders_to_the_other(lab: Lab, both: World) -> None:
    assert both.systemctl("stop", "sasgate@1.socket").returncode == 0
    assert both.shown("ActiveState", "sasgate@1.service") == "inactive"
    with both.network(), loaded(Caller(lab, 443)) as load:
        load.wait_for(10)
    assert load.failed == []
    assert not (both.root / "run/sasgate-1").exists()
    assert (both.root / "run/sasgate-2").is_dir()

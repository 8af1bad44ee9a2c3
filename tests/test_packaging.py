"""`twistd sasgate` works from a wheel, from `pip install .` and from `pip install -e .`.

Nothing here asks a registry: the dependencies of a fresh environment are those of the one that
runs the tests.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from configparser import ConfigParser
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sasgate.lab.configuration import FILE, Ports, configuration
from sasgate.lab.pki import Lab


CHECKOUT = Path(__file__).parents[1]
PACKAGED = ("pyproject.toml", "setup.cfg", "README.md", "LICENSE", "src", "twisted")
PLUGIN = "twisted/plugins/sasgate_plugin.py"
TWISTD = "from twisted.scripts.twistd import run; run()"
OFFLINE = ("--quiet", "--no-deps", "--no-index", "--ignore-installed", "--no-build-isolation")


def copy_of_the_sources(to: Path) -> Path:
    """Built aside, since a build leaves folders beside what it builds."""
    to.mkdir()
    generated = shutil.ignore_patterns("__pycache__", "*.egg-info", "dropin.cache")
    for name in PACKAGED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=generated)
        elif source.exists():
            shutil.copy(source, to / name)
    return to


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command that sees neither the checkout nor anything of the caller's environment."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={"PATH": os.defpath, "HOME": str(cwd)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def done(*command: object, cwd: Path) -> str:
    result = run(*command, cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


class Fresh:
    """An environment of its own, whose dependencies are borrowed, and an empty folder."""

    def __init__(self, folder: Path) -> None:
        done(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
        self.python = folder / "venv/bin/python"
        self.command = folder / "venv/bin/sasgate"
        self.folder = folder
        (site,) = (folder / "venv/lib").glob("python*/site-packages")
        borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (site / "borrowed.pth").write_text("".join(f"{path}\n" for path in sorted(borrowed)))

    def install(self, *what: object) -> None:
        pip = (sys.executable, "-m", "pip", "--python", self.python, "install")
        done(*pip, *OFFLINE, *what, cwd=self.folder)

    def twistd(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """What the console script `twistd` of this environment does, away from any sources."""
        return run(self.python, "-I", "-c", TWISTD, *arguments, cwd=self.folder)

    def started(self, ini: Path) -> subprocess.Popen[str]:
        command = ["-I", "-c", TWISTD, "-n", "--pidfile=", "sasgate", "-c", ini]
        return subprocess.Popen(
            [self.python, *command],
            cwd=self.folder,
            env={"PATH": os.defpath, "HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def ended(process: subprocess.Popen[str]) -> bool:
    try:
        process.wait(timeout=0.1)
    except subprocess.TimeoutExpired:
        return False
    return True


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the sdist, and the wheel made out of it."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("built")
    sources = copy_of_the_sources(folder / "sources")
    output = folder / "dist"
    done(sys.executable, "-m", "build", "--no-isolation", "--outdir", output, cwd=sources)
    return output


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("sasgate-*.whl")
    return path


@pytest.fixture(scope="module", params=["wheel", "sources", "editable"])
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fresh]:
    fresh = Fresh(tmp_path_factory.mktemp(request.param))
    if request.param == "wheel":
        fresh.install(request.getfixturevalue("wheel"))
    else:
        pytest.importorskip("setuptools")
        sources = copy_of_the_sources(fresh.folder / "sources")
        fresh.install(*(["-e"] if request.param == "editable" else []), sources)
    yield fresh
    shutil.rmtree(fresh.folder)


class TestInstalled:
    def test_twistd_lists_sasgate(self, installed: Fresh) -> None:
        result = installed.twistd("--help")
        assert result.returncode == 0
        assert re.search(r"^ +sasgate +Mutual-TLS gateway", result.stdout, re.MULTILINE)

    def test_the_command_of_its_own_answers(self, installed: Fresh) -> None:
        assert "Usage: sasgate" in done(installed.command, "--help", cwd=installed.folder)

    def test_it_is_this_installation_and_no_other(self, installed: Fresh) -> None:
        where = done(
            installed.python,
            "-I",
            "-c",
            "import sasgate, twisted.plugins.sasgate_plugin as plugin;"
            "print(sasgate.__file__); print(plugin.__file__)",
            cwd=installed.folder,
        )
        assert all(line.startswith(str(installed.folder)) for line in where.splitlines())

    def test_twisted_itself_is_not_covered(self, installed: Fresh) -> None:
        """A `twisted/__init__.py` of ours would hide the real package."""
        where = done(
            installed.python,
            "-I",
            "-c",
            "import twisted; print(twisted.__version__)",
            cwd=installed.folder,
        )
        assert where.strip() == distribution("twisted").version


class TestStart:
    """The real twistd, and the exit codes that a service manager sees."""

    @pytest.fixture
    def port(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as chosen:
            return chosen.getsockname()[1]

    @pytest.fixture
    def ini(self, installed: Fresh, lab: Lab, port: int, tmp_path: Path) -> Path:
        shutil.copytree(lab.directory, tmp_path / "lab")
        path = tmp_path / "lab" / FILE
        path.write_text(configuration(Ports(port, 0), "http://127.0.0.1:9"))
        return path

    def test_it_listens_until_it_is_told_to_stop(
        self, installed: Fresh, ini: Path, port: int
    ) -> None:
        with installed.started(ini) as process:
            while not listening(port):
                assert not ended(process), process.communicate()[0]
            process.terminate()
            output = process.communicate(timeout=60)[0]
        # twistd stops cleanly, then dies of the signal, which systemd counts as success.
        assert process.returncode == -signal.SIGTERM, output

    def test_a_file_that_is_not_there_ends_it_with_1_and_its_name(
        self, installed: Fresh, tmp_path: Path
    ) -> None:
        result = installed.twistd("-n", "--pidfile=", "sasgate", "-c", tmp_path / "absent.ini")
        assert result.returncode == 1
        assert "absent.ini" in result.stderr + result.stdout
        assert "Traceback" not in result.stderr + result.stdout

    def test_a_fault_of_the_file_ends_it_with_1_and_the_line(
        self, installed: Fresh, ini: Path
    ) -> None:
        ini.write_text(ini.read_text().replace("backend =", "bakend =", 1))
        result = installed.twistd("-n", "--pidfile=", "sasgate", "-c", ini)
        assert result.returncode == 1
        assert f"{ini}:" in result.stderr + result.stdout
        assert "bakend" in result.stderr + result.stdout
        assert "Traceback" not in result.stderr + result.stdout

    def test_a_port_that_is_taken_ends_it_with_1(
        self, installed: Fresh, ini: Path, port: int
    ) -> None:
        with socket.create_server(("127.0.0.1", port)):
            result = installed.twistd("-n", "--pidfile=", "sasgate", "-c", ini)
        assert result.returncode == 1


class TestWheel:
    def test_it_holds_the_package_and_the_plugin_and_nothing_else(self, wheel: Path) -> None:
        with ZipFile(wheel) as archive:
            names = archive.namelist()
        ours = re.compile(rf"sasgate/.+|{re.escape(PLUGIN)}|sasgate-[^/]+\.dist-info/.+")
        assert [name for name in names if not ours.fullmatch(name)] == []

    def test_it_holds_every_module_the_typing_marker_and_the_licence(self, wheel: Path) -> None:
        with ZipFile(wheel) as archive:
            names = set(archive.namelist())
        root = wheel.parents[1] / "sources/src"
        modules = {path.relative_to(root).as_posix() for path in root.rglob("*.py")}
        assert modules | {PLUGIN, "sasgate/py.typed"} <= names
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)

    def test_the_sdist_holds_the_plugin(self, built: Path) -> None:
        (path,) = built.glob("sasgate-*.tar.gz")
        with tarfile.open(path) as archive:
            assert any(name.endswith(PLUGIN) for name in archive.getnames())


class TestConstraints:
    def pins(self) -> dict[str, str]:
        lines = (CHECKOUT / "constraints.txt").read_text().splitlines()
        parted = (line.split("==") for line in lines if line and not line.startswith("#"))
        return {canonicalize_name(name): version for name, version in parted}

    def declared(self) -> list[Requirement]:
        setup = ConfigParser(interpolation=None)
        setup.read(CHECKOUT / "setup.cfg")
        lists = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
        return [Requirement(line) for text in lists for line in text.splitlines() if line]

    def test_every_declared_requirement_allows_the_pinned_version(self) -> None:
        pins = self.pins()
        wrong = [
            str(requirement)
            for requirement in self.declared()
            if pins.get(canonicalize_name(requirement.name), "") not in requirement.specifier
        ]
        assert wrong == []

    def test_what_the_requirements_require_is_pinned_too(self) -> None:
        pins, seen, waiting = self.pins(), set(), self.declared()
        while waiting:
            requirement = waiting.pop()
            name = canonicalize_name(requirement.name)
            if name in seen or name in {"mypy", "mypy-zope", "ruff"}:
                continue  # The linters are not in every environment that runs the tests.
            seen.add(name)
            waiting += [
                needed
                for needed in map(Requirement, distribution(name).requires or ())
                if needed.marker is None
                or any(
                    needed.marker.evaluate({"extra": extra}) for extra in requirement.extras or {""}
                )
            ]
        assert seen - set(pins) == set()

    def test_every_line_is_an_exact_version_and_names_no_index(self) -> None:
        lines = (CHECKOUT / "constraints.txt").read_text().splitlines()
        exact = re.compile(r"#.*|[A-Za-z0-9._-]+==[0-9][0-9.]*(\.post[0-9]+)?")
        assert [line for line in lines if not exact.fullmatch(line)] == []

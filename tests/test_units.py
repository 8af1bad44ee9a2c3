"""The systemd units in etc/ are what systemd takes, and watch what is written."""

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from processes import CHECKOUT
from sasgate.revocation.export import MANIFEST


ETC = CHECKOUT / "etc"
WATCHES = sorted(ETC.glob("*.path"))
UNITS = sorted(path for suffix in ("path", "service") for path in ETC.glob(f"*.{suffix}"))


def unit(path: Path) -> ConfigParser:
    parser = ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#", ";"))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text("ascii"))
    return parser


def by_name(path: Path) -> str:
    return path.name


def test_there_is_a_watch_for_nginx_and_for_apache() -> None:
    assert [path.name for path in WATCHES] == ["sasgate-apache.path", "sasgate-nginx.path"]


@pytest.mark.parametrize("path", UNITS, ids=by_name)
def test_systemd_finds_no_fault(path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    command = (program, "verify", "--man=no", path)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("path", WATCHES, ids=by_name)
def test_a_watch_has_the_service_that_it_starts(path: Path) -> None:
    service = unit(path.with_suffix(".service"))
    assert service["Service"]["Type"] == "oneshot"
    assert unit(path)["Install"]["WantedBy"] == "multi-user.target"


@pytest.mark.parametrize("path", WATCHES, ids=by_name)
def test_many_lists_within_seconds_do_not_end_the_watch(path: Path) -> None:
    assert unit(path.with_suffix(".service"))["Unit"]["StartLimitIntervalSec"] == "0"


@pytest.mark.parametrize(
    ("name", "key", "within"),
    [("sasgate-nginx.path", "export_pem", ""),
     ("sasgate-apache.path", "export_hash_dir", f"/{MANIFEST}")],
)  # fmt: skip
def test_a_watch_looks_where_its_comment_says_to_write(name: str, key: str, within: str) -> None:
    text = (ETC / name).read_text("ascii")
    (written,) = [line.split(" = ")[1] for line in text.splitlines() if f" {key} = " in line]
    assert unit(ETC / name)["Path"]["PathChanged"] == written + within

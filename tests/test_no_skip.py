"""SASGATE_NO_SKIP=1 lets no test be passed over in silence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


PLUGIN = Path(__file__).with_name("plugin_no_skip.py")
SKIPPED = {
    "call": "import pytest\n\ndef test_it(): pytest.skip('nginx is not installed')\n",
    "mark": "import pytest\n\n@pytest.mark.skip(reason='later')\ndef test_it(): pass\n",
    "module": "import pytest\n\npytest.importorskip('nowhere_to_be_found')\n",
    "trial": (
        "from twisted.trial.unittest import SkipTest, TestCase\n\n"
        "class T(TestCase):\n    def test_it(self): raise SkipTest('no port')\n"
    ),
}
NEEDS_SHARED = (
    "import pytest\nfrom pathlib import Path\n\n"
    "def test_it():\n"
    "    folder = Path(__file__).parents[2] / 'shared'\n"
    "    if not folder.is_dir():\n        pytest.skip(f'{folder} is absent')\n"
    "    pytest.skip(f'{folder} was not liked')\n"
)
EXPECTED_FAILURE = "import pytest\n\n@pytest.mark.xfail\ndef test_it(): assert False\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    tests = tmp_path / "checkout/tests"
    tests.mkdir(parents=True)
    shutil.copy(PLUGIN, tests)
    return tests.parent


def passes(checkout: Path, test: str, *, no_skip: bool = True) -> bool:
    (checkout / "tests/test_it.py").write_text(test)
    command = ["-m", "pytest", "-q", "-p", "tests.plugin_no_skip", "-p", "no:cacheprovider"]
    environment = {key: value for key, value in os.environ.items() if "PYTEST" not in key}
    result = subprocess.run(
        [sys.executable, *command, "tests/test_it.py"],
        cwd=checkout,
        env={**environment, "SASGATE_NO_SKIP": "1" if no_skip else "0"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return result.returncode in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}


@pytest.mark.parametrize("test", SKIPPED.values(), ids=SKIPPED)
def test_a_skip_fails(checkout: Path, test: str) -> None:
    assert not passes(checkout, test)


@pytest.mark.parametrize("test", SKIPPED.values(), ids=SKIPPED)
def test_a_skip_is_a_skip_where_it_was_not_asked_for(checkout: Path, test: str) -> None:
    assert passes(checkout, test, no_skip=False)


def test_what_stands_beside_the_checkout_may_be_absent(checkout: Path) -> None:
    assert passes(checkout, NEEDS_SHARED)


def test_what_stands_beside_the_checkout_is_no_excuse_where_it_is_there(checkout: Path) -> None:
    (checkout.parent / "shared").mkdir()
    assert not passes(checkout, NEEDS_SHARED)


def test_an_expected_failure_is_no_skip(checkout: Path) -> None:
    assert passes(checkout, EXPECTED_FAILURE)

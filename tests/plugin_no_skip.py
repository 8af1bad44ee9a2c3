"""With SASGATE_NO_SKIP=1 a skipped test is a failed one: a machine that has all must run all.

The one exception are tests of what lies beside the checkout (`../shared`), where that is absent.
"""

import os
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

SHARED = Path(__file__).parents[2] / "shared"


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("SASGATE_NO_SKIP") == "1":
        config.pluginmanager.register(NoSkip(), "no-skip")


def forgiven(reason: str) -> bool:
    return not SHARED.exists() and str(SHARED) in reason


class NoSkip:
    """Turns skips into failures, of single tests and of whole modules."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        return self._judged(report)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        return self._judged(report)

    def _judged(self, report: Report) -> Report:
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            if not forgiven(reason):
                report.outcome = "failed"
                report.longrepr = f"{reason}\n(SASGATE_NO_SKIP=1: nothing may be skipped here)"
        return report

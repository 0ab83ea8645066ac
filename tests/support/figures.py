"""A pytest plugin: what tests measure is shown at the end of a run. pytest drops what a passing test prints."""

from collections.abc import Callable
from functools import partial

import pytest

FIGURE = "figure"


@pytest.fixture
def show_figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Have a text shown under the test's name, whether the test passes or not. To be called before what may fail."""
    return partial(record_property, FIGURE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ended = [item for reports in terminalreporter.stats.values() for item in reports]
    told = {
        report.nodeid: [str(value) for name, value in report.user_properties if name == FIGURE]
        for report in ended
        if isinstance(report, pytest.TestReport) and report.when == "call"
    }
    if any(told.values()):
        terminalreporter.section("figures")
    for test, figures in sorted(told.items()):
        lines = [line for figure in figures for line in figure.splitlines()]
        for line in [test, *(f"  {line}" for line in lines)] if lines else ():
            terminalreporter.write_line(line)

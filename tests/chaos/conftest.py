"""Storms take all there is, so they run alone; what they counted is shown at the end, whether or not output is."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

Tally = Callable[[str, Counter[str]], None]
_counts = pytest.StashKey[list[str]]()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Give a function that takes what a test has counted, to be shown in the summary."""

    def note(what: str, counts: Counter[str]) -> None:
        shown = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        lines = request.config.stash.setdefault(_counts, [])
        lines.append(f"{request.node.name}: {what}: {shown or 'none'}")

    return note


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, before anything is chosen by its marks."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.alone)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts."""
    if lines := terminalreporter.config.stash.get(_counts, []):
        terminalreporter.section("counts")
        for line in lines:
            terminalreporter.write_line(line)

"""What storms counted is shown at the end of the run, whether or not output is."""

from collections import Counter
from collections.abc import Callable

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts."""
    if lines := terminalreporter.config.stash.get(_counts, []):
        terminalreporter.section("counts")
        for line in lines:
            terminalreporter.write_line(line)

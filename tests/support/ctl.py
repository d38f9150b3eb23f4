"""Name the fixture that runs `mlxctl` in the test's own process."""

from typing import Protocol

from click.testing import Result


class Ctl(Protocol):
    """Run one command line."""

    def __call__(self, *words: str, stdin: str | None = None) -> Result:
        """Return what it said and its exit code."""
        ...

"""Whatever kills the supervisor, no worker outlives it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import doomed_supervisor
from support.children import has_ended, run_directory
from support.deadline import until

TESTS = Path(__file__).parents[1]
TOGETHER = 4


@contextmanager
def supervisors(folder: Path) -> Iterator[list[tuple[subprocess.Popen[str], int]]]:
    """Start some supervisors; give each with the pid of its child, which is ready."""
    script = str(doomed_supervisor.__file__)
    started = [
        subprocess.Popen(
            [sys.executable, "-P", script, str(TESTS), str(folder / f"{number}.sock")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(TOGETHER)
    ]
    try:
        yield [(process, int((process.stdout or sys.stdin).readline())) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("attempt", range(5))
def test_no_child_outlives_a_supervisor_that_is_killed(attempt: int) -> None:
    """Twenty times in all."""
    with run_directory() as folder, supervisors(folder) as found:
        for process, child in found:
            assert not has_ended(child)
            os.kill(process.pid, signal.SIGKILL)
        for _, child in found:
            until(lambda child=child: has_ended(child), within=60, what=f"{child} ends")  # type: ignore[misc]

"""A worker that was left behind is known where the system hides its environment, and nothing else is taken for it."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import spawn

import psutil
import pytest

from mlxd.supervisor.lifecycle.stale_workers import NONCE, Note, is_noted

WAITING = "import sys; print(flush=True); sys.stdin.read()"
SPAWNED = "--multiprocessing-fork"


@contextmanager
def running(word: str, env: Mapping[str, str]) -> Iterator[psutil.Process]:
    """Run a process with this last word on its command line, and this environment."""
    line = [sys.executable, "-S", "-c", WAITING, word]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as child:
        assert child.stdout is not None and child.stdout.readline()
        try:
            yield psutil.Process(child.pid)
        finally:
            child.kill()


@pytest.mark.parametrize(
    ("word", "env", "known"),
    [
        ("x", {NONCE: "abc"}, True),
        (SPAWNED, {NONCE: "other"}, False),
        (SPAWNED, {"HOME": "/"}, False),
        (SPAWNED, {}, True),
        ("x", {}, False),
    ],
    ids=["ours", "of another mlxd", "of no mlxd", "hidden", "hidden, no worker"],
)
def test_a_worker_is_known_by_its_word_or_where_that_is_hidden_by_how_it_was_started(
    word: str, env: dict[str, str], known: bool
) -> None:
    with running(word, env) as process:
        note = Note(process.pid, process.create_time(), "abc")
        assert is_noted(note, process) is known
        assert not is_noted(Note(process.pid, process.create_time() - 1.0, "abc"), process)


def test_workers_are_spawned_with_that_word() -> None:
    assert spawn.get_command_line(pipe_handle=3)[-1] == SPAWNED

"""Workers that a killed supervisor left behind are found and ended by the next one; no other process ever is."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
from support.children import has_ended, run_directory, scripted, spawning
from support.daemon import Daemon, Home
from support.deadline import until
from support.pools import make_pool, soon

from mlxd.supervisor.lifecycle.stale_workers import (
    NONCE,
    Graces,
    Note,
    NotingLauncher,
    end_stale,
    find_stale,
)

IGNORING = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); sys.stdin.read()"
WAITING = "import sys; print(flush=True); sys.stdin.read()"
LEFT_BY = "999999999"
"""A pid that no supervisor has."""


@pytest.fixture
def parent() -> Iterator[Path]:
    """Give the folder of all run folders, with one whose supervisor is gone."""
    with run_directory() as folder:
        (folder / LEFT_BY).mkdir()
        yield folder


@pytest.fixture
def left() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Give a list of processes that are ended after the test, whatever became of them."""
    found: list[subprocess.Popen[bytes]] = []
    yield found
    for process in found:
        process.kill()
        process.communicate()


def leave_behind(
    parent: Path, code: str = WAITING, *, nonce: str = "abc", later: float = 0.0, by: str = LEFT_BY
) -> "subprocess.Popen[bytes]":
    """Start a process that carries the nonce abc, with a note of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {NONCE: "abc"},
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    note = Note(process.pid, psutil.Process(process.pid).create_time() + later, nonce)
    (parent / by).mkdir(exist_ok=True)
    (parent / by / f"{process.pid}.worker").write_bytes(msgspec.json.encode(note))
    return process


@pytest.mark.parametrize(
    ("code", "grace", "number"),
    [(WAITING, 60.0, signal.SIGTERM), (IGNORING, 0.5, signal.SIGKILL)],
)
def test_one_that_was_left_is_asked_to_leave_and_killed_only_if_it_does_not(
    parent: Path,
    left: list["subprocess.Popen[bytes]"],
    code: str,
    grace: float,
    number: signal.Signals,
    caplog: pytest.LogCaptureFixture,
) -> None:
    left.append(leave_behind(parent, code))
    found = find_stale(parent)
    assert [process.pid for process in found] == [left[0].pid]
    end_stale(found, Graces(terminate=grace, kill=60.0))
    assert has_ended(left[0].pid)
    assert caplog.messages[-1].endswith(number.name)


@pytest.mark.parametrize("change", [{"nonce": "other"}, {"later": 1.0}, {"by": str(os.getppid())}])
def test_a_process_that_only_resembles_one_is_left_alone(
    parent: Path, left: list["subprocess.Popen[bytes]"], change: dict[str, str]
) -> None:
    left.append(leave_behind(parent, **change))  # type: ignore[arg-type]
    assert find_stale(parent) == []
    assert left[0].poll() is None


def test_notes_of_processes_that_ended_and_what_is_no_note_are_passed_over(
    parent: Path, left: list["subprocess.Popen[bytes]"]
) -> None:
    left.append(leave_behind(parent))
    left[0].kill()
    left[0].wait()
    (parent / LEFT_BY / "1.worker").write_bytes(b"{torn")
    assert find_stale(parent) == []
    assert find_stale(parent / "nowhere") == []


async def test_a_worker_is_noted_while_it_lives(parent: Path) -> None:
    with spawning() as launcher:
        noting = NotingLauncher(launcher, parent)
        pool = make_pool(noting, parent)
        result = await soon(pool.load(scripted(parent)))
        (path,) = notes(parent)
        note = msgspec.json.decode(path.read_bytes(), type=Note)
        process = psutil.Process(result.pid)
        assert (note.pid, note.started_at) == (result.pid, process.create_time())
        assert process.environ()[NONCE] == note.nonce
        await soon(pool.shutdown())
        assert notes(parent) == []


def notes(folder: Path) -> list[Path]:
    """Return what is noted in a folder."""
    return list(folder.glob("*.worker"))


def test_a_daemon_answers_at_once_and_ends_what_an_earlier_one_left(
    home: Home, left: list["subprocess.Popen[bytes]"]
) -> None:
    home.env["MLXD_DEFAULTS_KILL_GRACE"] = "1s"
    left.append(leave_behind(Path(home.environment()["MLXD_RUN_DIR"]), IGNORING))
    daemon = Daemon(home)
    try:
        pid = left[0].pid
        until(lambda: has_ended(pid), within=60, what="it is ended")
        assert f"stale worker pid={pid} did not leave after SIGTERM" in daemon.log
    finally:
        daemon.end()

"""Each daemon has a folder for its sockets; those of dead daemons go."""

import os
import subprocess
import sys
from pathlib import Path

from mlxd.supervisor.lifecycle.run_directory import RunDirectory


def test_the_folder_is_private_and_goes_with_its_content(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    made = run.create()
    assert made == tmp_path / "run" / str(os.getpid())
    assert made.stat().st_mode & 0o777 == 0o700
    (made / "1.sock").touch()
    run.remove()
    assert not made.exists()


def test_what_dead_daemons_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    alive, dead = tmp_path / str(os.getppid()), tmp_path / str(child.pid)
    foreign, file = tmp_path / "notes", tmp_path / "123456789"
    for folder in (alive, dead, foreign):
        folder.mkdir()
        (folder / "1.sock").touch()
    file.touch()
    RunDirectory(tmp_path).create()
    assert not dead.exists()
    assert (alive / "1.sock").exists()
    assert (foreign / "1.sock").exists()
    assert file.exists()


def test_a_folder_left_under_our_own_pid_is_emptied(tmp_path: Path) -> None:
    left = tmp_path / str(os.getpid())
    left.mkdir()
    (left / "1.sock").touch()
    assert list(RunDirectory(tmp_path).create().iterdir()) == []

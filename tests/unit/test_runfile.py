"""The run file names the daemon that runs, and nobody else."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mlxd.supervisor import runfile
from mlxd.supervisor.runfile import RunFile

URL = "http://127.0.0.1:10240"


def test_what_was_written_is_read_and_alive(tmp_path: Path) -> None:
    run = runfile.own(URL, "1.2.3")
    runfile.write(tmp_path / "state", run)
    assert runfile.running(tmp_path / "state") == run
    assert (run.pid, run.url, run.version) == (os.getpid(), URL, "1.2.3")


def test_only_its_owner_may_read_it_and_nothing_else_lies_beside_it(tmp_path: Path) -> None:
    runfile.write(tmp_path, runfile.own(URL, "1"))
    assert [path.name for path in tmp_path.iterdir()] == [runfile.NAME]
    assert (tmp_path / runfile.NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_file_that_is_none_counts_as_absent(tmp_path: Path, content: str) -> None:
    (tmp_path / runfile.NAME).write_text(content)
    assert runfile.read(tmp_path) is None
    assert runfile.running(tmp_path) is None


def test_a_pid_that_now_belongs_to_another_process_is_not_the_daemon(tmp_path: Path) -> None:
    before = msgspec.structs.replace(runfile.own(URL, "1"), started_at=1000.0)
    runfile.write(tmp_path, before)
    assert runfile.read(tmp_path) == before
    assert runfile.running(tmp_path) is None


def test_a_process_that_ended_is_not_running_even_before_it_is_reaped() -> None:
    import psutil

    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        run = RunFile(
            pid=child.pid, started_at=psutil.Process(child.pid).create_time(), url=URL, version="1"
        )
        assert run.is_alive()
        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not run.is_alive()
    assert not run.is_alive()


def test_a_daemon_removes_its_own_file_and_no_newer_ones(tmp_path: Path) -> None:
    runfile.write(tmp_path, runfile.own(URL, "1"))
    runfile.remove(tmp_path, os.getpid() + 1)
    assert runfile.read(tmp_path) is not None
    runfile.remove(tmp_path, os.getpid())
    assert runfile.read(tmp_path) is None
    runfile.remove(tmp_path, os.getpid())

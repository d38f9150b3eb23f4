"""Starting says why a daemon left; stopping never kills unasked."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from mlxd.config.paths import Paths
from mlxd.supervisor.cli import background
from mlxd.supervisor.cli.daemon import stated
from mlxd.supervisor.cli.failure import Failure, Misused
from mlxd.supervisor.runfile import RunFile


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Give the folders of a home of its own."""
    return Paths.of({"MLXD_HOME": str(tmp_path)})


def python(code: str) -> list[str]:
    """Return the command line of a child that runs this code."""
    return [sys.executable, "-S", "-c", code]


@contextmanager
def child(code: str) -> Iterator[RunFile]:
    """Run a child that has printed a line, as the daemon to stop; it is gone afterwards."""
    with subprocess.Popen(python(code), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        started_at = psutil.Process(process.pid).create_time()
        try:
            yield RunFile(pid=process.pid, started_at=started_at, url="http://x", version="1")
        finally:
            process.kill()


def test_a_daemon_that_leaves_at_once_is_quoted(paths: Paths) -> None:
    with pytest.raises(Failure) as caught:
        background.start(python("print('no GPU here'); raise SystemExit(7)"), paths, timeout=30)
    log = paths.log_dir / "mlxd.log"
    assert caught.value.sentence == (
        f"mlxd left with exit code 7 before it answered; {log} says:\n  no GPU here"
    )
    assert caught.value.exit_code == 1


def test_only_what_this_start_said_is_quoted_and_exit_2_stays_2(paths: Paths) -> None:
    for word in ("first", "second"):
        with pytest.raises(Misused) as caught:
            background.start(python(f"print('{word}'); raise SystemExit(2)"), paths, timeout=30)
    assert caught.value.sentence.endswith("says:\n  second")
    assert caught.value.exit_code == 2


def test_a_daemon_that_never_answers_is_stopped(paths: Paths) -> None:
    before = set(psutil.Process().children())
    with pytest.raises(Failure, match="did not answer within 0.5 s and was stopped"):
        background.start(python("import time; time.sleep(1000)"), paths, timeout=0.5)
    assert set(psutil.Process().children()) <= before


def test_a_large_log_is_moved_aside(paths: Paths) -> None:
    paths.log_dir.mkdir(parents=True)
    log = paths.log_dir / "mlxd.log"
    log.write_bytes(b"x" * 10_000_001)
    with pytest.raises(Failure):
        background.start(python("raise SystemExit(1)"), paths, timeout=30)
    assert log.stat().st_size == 0
    assert log.with_suffix(".log.1").stat().st_size == 10_000_001


def test_stopping_returns_when_the_process_is_gone() -> None:
    with child("import time; print(1, flush=True); time.sleep(1000)") as run:
        background.stop(run, timeout=30, force=False, waiting=lambda _: None)
        assert not run.is_alive()
        background.stop(run, timeout=30, force=False, waiting=lambda _: None)


STUBBORN = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(1000)"
)


def test_a_daemon_that_stays_is_reported_not_killed() -> None:
    heard: list[float] = []
    with child(STUBBORN) as run:
        with pytest.raises(Failure, match="still runs after 0.4 s") as caught:
            background.stop(run, timeout=0.4, force=False, waiting=heard.append)
        assert run.is_alive()
    assert "`mlxctl stop --force` kills it" in caught.value.sentence
    assert heard


def test_force_kills_what_stays() -> None:
    with child(STUBBORN) as run:
        background.stop(run, timeout=0.2, force=True, waiting=lambda _: None)
        assert not run.is_alive()


FRAMEWORK = "/opt/homebrew/Frameworks/Python.framework/Versions/3.13/Resources/Python.app/Contents/MacOS/Python"


@pytest.mark.parametrize(
    "runs",
    [
        ["/home/ann/venv/bin/python", "/home/ann/venv/bin/mlxd"],
        [FRAMEWORK, "/Users/ann/venv/bin/mlxd"],
        [FRAMEWORK, "-P", "-m", "mlxd.supervisor.daemon"],
    ],
    ids=["Linux", "a framework of a Mac", "a framework, as a module"],
)
@pytest.mark.parametrize(
    "options", [[], ["--config", "mine.yaml", "--port", "0"], ["--host", "0.0.0.0"]]
)
def test_a_restart_keeps_the_options_and_not_what_runs_them(
    runs: list[str], options: list[str]
) -> None:
    assert stated([*runs, *options]) == options


def test_a_restart_knows_options_written_in_one_word() -> None:
    assert stated(["mlxd", "--port=8080"]) == ["--port", "8080"]

"""Run the daemon behind the terminal's back, and end it again."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mlxd.config.paths import Paths
from mlxd.supervisor import runfile
from mlxd.supervisor.cli.client import Client
from mlxd.supervisor.cli.failure import Exit, Failure, Misused
from mlxd.supervisor.cli.tail import last_lines
from mlxd.supervisor.runfile import RunFile

if TYPE_CHECKING:
    import psutil

LOG = "mlxd.log"
_LOG_LIMIT = 10_000_000
"""Bytes after which a start moves the log aside."""
_SHOWN_LINES = 20
_LOOK_AGAIN_S = 0.05
_KILL_AFTER_S = 10.0
STOP_S = 150.0
"""Longer than the daemon's own drain_timeout and kill_grace together."""


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of a daemon from this very installation."""
    script = Path(sys.executable).with_name("mlxd")
    if script.exists():
        return [str(script), *arguments]
    return [sys.executable, "-P", "-m", "mlxd.supervisor.daemon", *arguments]


def options(config: Path | None, host: str | None, port: int | None) -> list[str]:
    """Return what `mlxd` is told on its command line."""
    given = {"--config": config, "--host": host, "--port": port}
    pairs = ((name, str(value)) for name, value in given.items() if value is not None)
    return [word for pair in pairs for word in pair]


def start(
    line: Sequence[str], paths: Paths, *, timeout: float, folder: Path | None = None
) -> RunFile:
    """Start a daemon in a session of its own and return once it answers.

    Raises Failure with the end of its log where it left before that, or did not answer in time and was stopped.
    """
    paths.log_dir.mkdir(parents=True, exist_ok=True)
    log = paths.log_dir / LOG
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as sink:
        before = sink.tell()
        child = _spawn(line, sink, folder)
    try:
        if found := _wait_for_answer(child, paths, timeout):
            return found
        code = child.poll()
    except BaseException:
        # Whoever gave up waiting does not want a daemon that nobody knows of.
        _end(child)
        raise
    if code is None:
        _end(child)
        raise Failure(f"mlxd did not answer within {timeout:g} s and was stopped; see {log}")
    said = "".join(f"\n  {text}" for text in last_lines(log, _SHOWN_LINES, after=before))
    kind = Misused if code == Exit.USAGE else Failure
    raise kind(f"mlxd left with exit code {code} before it answered; {log} says:{said}")


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    child.wait()


def _wait_for_answer(
    child: "subprocess.Popen[bytes]", paths: Paths, timeout: float
) -> RunFile | None:
    deadline = time.monotonic() + timeout
    while child.poll() is None and time.monotonic() < deadline:
        found = runfile.read(paths.state_dir)
        if found is not None and found.pid == child.pid and answers(found):
            return found
        time.sleep(_LOOK_AGAIN_S)
    return None


def _spawn(line: Sequence[str], sink: IO[bytes], folder: Path | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=sink,
        cwd=folder,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        # A closed terminal or a Ctrl-C in it must not reach the daemon.
        start_new_session=True,
    )


def answers(run: RunFile) -> bool:
    """Tell whether a daemon takes requests."""
    try:
        Client(run.url).get("/health", timeout=2)
    except Failure:
        return False
    return True


def stop(
    run: RunFile,
    *,
    timeout: float,
    force: bool,
    waiting: Callable[[float], None],
    asked: bool = False,
) -> None:
    """Ask the daemon to leave and return once it has; `waiting` hears the seconds passed.

    One that was `asked` is not asked again: a second SIGTERM tells it to hurry.

    Raises Failure where it still runs after `timeout`. SIGKILL only with `force`: a killed daemon cannot see its
    workers off, though they leave by themselves.
    """
    import psutil

    try:
        process = psutil.Process(run.pid)
        if not asked:
            process.terminate()
        if _wait(run, process, min(timeout, _KILL_AFTER_S) if force else timeout, waiting):
            return
        if not force:
            raise Failure(
                f"mlxd (pid {run.pid}) still runs after {timeout:g} s: it waits for running requests or for a "
                "worker to free its memory; `mlxctl ps` shows which, `mlxctl stop --force` kills it"
            )
        process.kill()
        _wait(run, process, _KILL_AFTER_S, waiting)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise Failure(f"mlxd (pid {run.pid}) belongs to another user") from None


def _wait(
    run: RunFile, process: "psutil.Process", timeout: float, waiting: Callable[[float], None]
) -> bool:
    import psutil

    started = time.monotonic()
    while (passed := time.monotonic() - started) < timeout:
        try:
            process.wait(timeout=min(0.25, timeout))
            return True
        except psutil.TimeoutExpired:
            # Where nobody reaps it, an ended process stays visible as a zombie.
            if not run.is_alive():
                return True
        waiting(passed)
    return False

"""Real workers under a real daemon that die or freeze: requests are answered, and the next worker is there."""

import concurrent.futures
import os
import signal
import urllib.error
from typing import Any

from conftest import RunDaemon
from support.daemon import Daemon, is_gone
from support.deadline import until

QUESTION = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
WITHIN_S = 60.0


def worker(daemon: Daemon) -> int:
    """Load the demo model and return its worker."""
    pid: int = daemon.post("/v1/models/load", {"model": "demo"})["pid"]
    return pid


def ask(daemon: Daemon) -> Any:
    """Ask once; return the answer, or the refusal's status and error."""
    try:
        return daemon.post("/v1/chat/completions", QUESTION, WITHIN_S)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def wait_until_asked(daemon: Daemon) -> None:
    """Wait until the worker has a request."""
    until(lambda: daemon.ps()[0]["active_requests"], within=WITHIN_S, what="it is asked")


def test_a_request_whose_worker_dies_before_the_first_byte_is_answered_by_the_next(
    running_daemon: RunDaemon,
) -> None:
    daemon = running_daemon()
    first = worker(daemon)
    os.kill(first, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        asked = threads.submit(ask, daemon)
        wait_until_asked(daemon)
        os.kill(first, signal.SIGKILL)
        answer = asked.result()
    assert answer["choices"][0]["message"]["content"]
    assert daemon.ps()[0]["pid"] != first
    assert "tried once more" in daemon.log


def test_a_request_whose_worker_is_stopped_by_force_is_refused(
    running_daemon: RunDaemon,
) -> None:
    daemon = running_daemon(env={"MLXD_DEFAULTS_KILL_GRACE": "1s"})
    first = worker(daemon)
    os.kill(first, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        asked = threads.submit(ask, daemon)
        wait_until_asked(daemon)
        unloading = threads.submit(
            daemon.post, "/v1/models/unload", {"model": "demo", "force": True}
        )
        status, error = asked.result()
        os.kill(first, signal.SIGCONT)
        assert unloading.result()["pid_reaped"]
    assert status == 503 and "worker_died" in error
    assert daemon.ps() == []


def test_a_frozen_worker_is_found_out_failed_killed_late_and_replaced(
    running_daemon: RunDaemon,
) -> None:
    """Given a worker under SIGSTOP, when no step came for step_stall, then its request fails and SIGKILL comes last."""
    daemon = running_daemon(
        env={"MLXD_DEFAULTS_STEP_STALL": "3s", "MLXD_DEFAULTS_KILL_GRACE": "1s"}
    )
    first = worker(daemon)
    os.kill(first, signal.SIGSTOP)
    status, error = ask(daemon)
    assert status == 503 and "no step for 3 s" in error
    until(lambda: is_gone(first), within=WITHIN_S, what="it is killed in the end")
    assert daemon.log.index("status=503") < daemon.log.index("SIGKILL"), "nobody was killed yet"
    assert ask(daemon)["choices"]
    (before,) = lines(daemon, "SIGKILL")
    (after,) = lines(daemon, "was killed")
    assert all(f"pid={first}" in line and "available=" in line for line in (before, after))
    assert "footprint=" in before


def lines(daemon: Daemon, words: str) -> list[str]:
    """Return the errors of the daemon's log with these words."""
    return [line for line in daemon.log.splitlines() if words in line and "level=error" in line]

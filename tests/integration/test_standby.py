"""A daemon with a reserve: the next model gets the process that waits, and the end leaves none of them."""

import os
import signal
from typing import Any

import psutil
import pytest
from conftest import RunDaemon
from support.daemon import Daemon, is_gone
from support.deadline import until

IDLE_S = 2.0
BUSY_SHARE = 0.02


@pytest.fixture
def daemon(running_daemon: RunDaemon) -> Daemon:
    """Give a daemon that keeps one process ahead."""
    return running_daemon(env={"MLXD_DEFAULTS_STANDBY_WORKERS": "1"})


def reserve(daemon: Daemon) -> list[dict[str, Any]]:
    """Return what waits for a model."""
    found: list[dict[str, Any]] = daemon.get("/v1/queue/stats")["standby"]
    return found


def has_imported(pid: int) -> bool:
    """Tell whether the process has MLX mapped."""
    maps = {entry.path for entry in psutil.Process(pid).memory_maps()}
    return any("libmlx" in path for path in maps)


def test_the_next_model_gets_the_process_that_waits_and_it_is_replaced(daemon: Daemon) -> None:
    (waiting,) = until(lambda: reserve(daemon), within=60, what="one waits")
    assert waiting["memory_bytes"] > 0
    assert daemon.ps() == [], "it is no model"
    loaded = daemon.post("/v1/models/load", {"model": "mlxd-demo"})
    assert loaded["pid"] == waiting["pid"]
    (fresh,) = until(lambda: reserve(daemon), within=60, what="it was replaced")
    answer = daemon.post(
        "/v1/chat/completions",
        {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2},
    )
    assert answer["model"] == "mlxd-demo"
    daemon.end()
    assert is_gone(waiting["pid"]) and is_gone(fresh["pid"])


@pytest.mark.alone
def test_one_that_waits_takes_no_time_of_the_processor(daemon: Daemon) -> None:
    (waiting,) = until(lambda: reserve(daemon), within=60, what="one waits")
    until(lambda: has_imported(waiting["pid"]), within=60, what="it has imported")
    process = psutil.Process(waiting["pid"])
    # One that the others on this machine let do nothing for an instant only seems to rest.
    until(
        lambda: process.cpu_percent(IDLE_S) / 100 < BUSY_SHARE,
        within=60,
        what="it takes no time of the processor",
    )


def test_one_that_waits_does_not_outlive_a_daemon_that_is_killed(daemon: Daemon) -> None:
    (waiting,) = until(lambda: reserve(daemon), within=60, what="one waits")
    os.kill(daemon.pid, signal.SIGKILL)
    until(lambda: is_gone(waiting["pid"]), within=60, what="it left by itself")

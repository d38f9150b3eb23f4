"""The supervisor stays small, and nothing wakes it nor a worker while nobody asks."""

import subprocess

import psutil
import pytest
from conftest import RunDaemon
from support.daemon import Daemon
from support.daemon_calls import CHAT, chat, model, pids

SMALL = 60 * 10**6
IDLE_SHARE = 0.005
TICK_S = 0.01
"""What the kernel counts processor time in."""


def spent(process: psutil.Process) -> float:
    """Return the processor seconds a process has taken."""
    times = process.cpu_times()
    return float(times.user + times.system)


@pytest.fixture
def daemon(running_daemon: RunDaemon) -> Daemon:
    """Give a daemon with a loaded model that has answered."""
    daemon = running_daemon({"models": [model("tiny")]})
    for _ in range(20):
        daemon.post(CHAT, chat("tiny"))
    return daemon


def test_it_stays_small_beside_a_model_that_answers(daemon: Daemon) -> None:
    supervisor = psutil.Process(daemon.pid)
    assert supervisor.memory_info().rss < SMALL
    mapped = {entry.path for entry in supervisor.memory_maps()} if psutil.LINUX else set()
    assert not any("mlx" in path or "numpy" in path for path in mapped if path.endswith(".so"))


@pytest.mark.alone
@pytest.mark.parametrize("seconds", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_an_idle_model_takes_no_time_of_the_processor(daemon: Daemon, seconds: int) -> None:
    watched = [psutil.Process(pid) for pid in (daemon.pid, pids(daemon)["tiny"])]
    before = [spent(process) for process in watched]
    wakes = [process.num_ctx_switches().voluntary for process in watched]
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.process.wait(timeout=seconds)
    took = [spent(process) - start for process, start in zip(watched, before, strict=True)]
    assert all(share <= seconds * IDLE_SHARE + TICK_S for share in took), took
    now = [process.num_ctx_switches().voluntary for process in watched]
    assert all(new - old < 5 * seconds for new, old in zip(now, wakes, strict=True))

"""`mlxctl` against a real `mlxd`: start, look, stop."""

import json
import os
import resource
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest
from support.daemon import BIN, Daemon, Home, is_gone

from mlxd.supervisor import runfile

RunDaemon = Callable[..., Daemon]


def pid_in(home: Home) -> int:
    """Return the pid of the daemon that runs in this home."""
    found = runfile.running(home.state_dir)
    assert found is not None
    return found.pid


def test_start_status_restart_stop_as_an_operator_does_it(home: Home) -> None:
    assert home.ctl("status").returncode == 3

    done = home.ctl("start")
    assert (done.returncode, done.stderr) == (0, "")
    first = pid_in(home)
    assert done.stdout.startswith("mlxd is running at http://127.0.0.1:")
    assert done.stdout.endswith(f", pid {first}\n")
    assert os.getsid(first) != os.getsid(0)

    again = home.ctl("start")
    assert (again.returncode, pid_in(home)) == (0, first)
    assert again.stdout.startswith("mlxd is already running at ")

    status = json.loads(home.ctl("status", "--json").stdout)
    assert (status["running"], status["pid"], status["models"]) == (True, first, [])

    assert home.ctl("restart").returncode == 0
    second = pid_in(home)
    assert second != first and is_gone(first)

    done = home.ctl("stop")
    assert (done.returncode, done.stdout) == (0, f"stopped mlxd, pid {second}\n")
    assert runfile.read(home.state_dir) is None

    done = home.ctl("stop")
    assert (done.returncode, done.stdout) == (0, "mlxd is not running\n")


def test_restart_keeps_the_options_of_the_start(home: Home) -> None:
    other = home.folder / "other.yaml"
    other.write_text("demo: false\n")
    assert home.ctl("start", "--config", str(other)).returncode == 0
    assert home.ctl("restart").returncode == 0
    assert str(other) in psutil.Process(pid_in(home)).cmdline()


def test_a_wrong_configuration_is_told_before_anything_starts(home: Home) -> None:
    home.configure("server:\n  prot: 1\n")
    done = home.ctl("start")
    assert done.returncode == 2
    assert "config.yaml" in done.stderr and "server.prot" in done.stderr
    assert runfile.read(home.state_dir) is None


def test_a_start_that_fails_shows_what_the_daemon_said(home: Home, shared_daemon: Daemon) -> None:
    done = home.ctl("start", "--port", str(shared_daemon.port))
    assert done.returncode == 1
    assert "mlxd left with exit code 1 before it answered" in done.stderr
    assert f"port {shared_daemon.port} on 127.0.0.1 is taken" in done.stderr


def test_the_run_file_of_a_crashed_daemon_misleads_nobody(home: Home) -> None:
    home.ctl("start")
    crashed = pid_in(home)
    os.kill(crashed, signal.SIGKILL)
    assert home.ctl("stop").stdout == "mlxd is not running\n"
    assert home.ctl("status").returncode == 3
    assert home.ctl("start").returncode == 0
    assert pid_in(home) != crashed


def test_stop_signals_nobody_whose_pid_was_reused(home: Home) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        stale = runfile.RunFile(pid=bystander.pid, started_at=1.0, url="http://x", version="0")
        runfile.write(home.state_dir, stale)
        assert home.ctl("stop").stdout == "mlxd is not running\n"
        assert bystander.poll() is None
        bystander.kill()


def test_load_ps_chat_unload_on_the_embedded_model(running_daemon: RunDaemon) -> None:
    daemon = running_daemon()
    assert "mlxd-demo" in daemon.ctl("list").stdout
    assert daemon.ctl("load", "demo").stdout.startswith("loaded mlxd-demo in ")
    (model,) = json.loads(daemon.ctl("ps", "--json").stdout)["models"]
    assert (model["id"], model["state"]) == ("mlxd-demo", "ready")
    assert model["memory_bytes"] > model["weights_bytes"] > 0

    done = daemon.ctl("chat", "demo", "Hello!", "--temperature", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) > 1

    assert daemon.ctl("logs", "demo").returncode == 0
    done = daemon.ctl("unload", "demo")
    assert f"pid {model['pid']} has left\n" in done.stdout
    assert is_gone(model["pid"])
    assert daemon.ctl("ps").stdout.count("\n") == 1


def test_an_unknown_model_is_the_daemons_sentence_with_near_names(shared_daemon: Daemon) -> None:
    done = shared_daemon.ctl("load", "demmo")
    assert done.returncode == 1
    assert "no model is named 'demmo'" in done.stderr and "demo" in done.stderr


def test_a_daemon_with_a_key_answers_its_own_user_and_nobody_without_it(
    running_daemon: RunDaemon,
) -> None:
    daemon = running_daemon(env={"MLXD_SERVER_API_KEY": "secret"})
    assert daemon.ctl("ps").returncode == 0
    done = daemon.ctl("ps", "--url", daemon.url)
    assert done.returncode == 1
    assert "pass --api-key or set MLXD_API_KEY" in done.stderr
    assert daemon.ctl("ps", "--url", daemon.url, "--api-key", "secret").returncode == 0


def cpu_seconds(command: list[str], home: Home) -> float:
    """Return the CPU time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=home.environment(), capture_output=True, check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(("words", "most"), [(["--help"], 2.5), (["ps"], 4.0)])
def test_a_command_costs_little_cpu(shared_daemon: Daemon, words: list[str], most: float) -> None:
    """Times what no command can do without, run in turn with it: a second is another thing on each machine."""
    inevitable = [sys.executable, "-c", "import click, msgspec, importlib.metadata"]
    ratios = []
    for _ in range(5):
        least = cpu_seconds(inevitable, shared_daemon.place)
        ratios.append(cpu_seconds([str(BIN / "mlxctl"), *words], shared_daemon.place) / least)
    assert statistics.median(ratios) < most, ratios

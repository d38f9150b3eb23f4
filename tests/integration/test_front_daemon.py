"""The command `mlxd`: what it refuses to do, what it leaves behind, and how it stops."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from support.daemon import BIN, Daemon, Home
from support.deadline import until

from mlxd.supervisor import runfile

SCRIPT = Path(__file__).parents[1] / "support" / "server_script.py"


def run(home: Home, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run `mlxd` where it should leave at once."""
    return subprocess.run(
        [BIN / "mlxd", *words],
        env=home.environment() | env,
        capture_output=True,
        text=True,
        timeout=110,
    )


@contextmanager
def started(
    command: list[str | Path], env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """Start a command; it is killed should the test leave it running."""
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: "subprocess.Popen[str]") -> str:
    """Wait for the first line of output."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wakes(watched: psutil.Process, process: "subprocess.Popen[str]") -> int:
    """Return how often the process woke up within two seconds."""
    before = watched.num_ctx_switches().voluntary
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=2)
    return int(watched.num_ctx_switches().voluntary - before)


def run_dir(home: Home) -> Path:
    """Return the folder of all daemons' sockets."""
    return Path(home.environment()["MLXD_RUN_DIR"])


def test_it_sees_its_workers_end_whoever_started_it(home: Home) -> None:
    """Regression: under a parent that ignores SIGCHLD no worker was ever seen to end, so no unload came back."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        daemon = Daemon(home)
    finally:
        signal.signal(signal.SIGCHLD, before)
    try:
        daemon.post("/v1/models/load", {"model": "demo"})
        assert daemon.post("/v1/models/unload", {"model": "demo"})["pid_reaped"]
    finally:
        assert daemon.end() == 0


def test_it_says_in_one_line_that_the_disk_is_full(home: Home) -> None:
    """Regression: the reason was the last line of a traceback. Files that cannot grow stand for a full disk."""
    command = ["sh", "-c", f"ulimit -f 0; exec {BIN / 'mlxd'}"]
    answer = subprocess.run(
        command, env=home.environment(), capture_output=True, text=True, timeout=30
    )
    assert answer.returncode == 1
    assert (
        answer.stderr
        == f"mlxd: {home.state_dir / runfile.NAME} cannot be written: File too large\n"
    )
    assert not list(home.state_dir.glob(f".{runfile.NAME}*"))


def test_it_says_where_it_listens_and_leaves_nothing_behind(home: Home) -> None:
    stale = run_dir(home) / "999999999"
    stale.mkdir(parents=True)
    with started([BIN / "mlxd"], home.environment()) as process:
        said, _, url = first_line(process).rpartition(" ")
        assert said == "mlxd listening on"
        assert httpx.get(url + "/health", timeout=60).json()["status"] == "ok"
        found = runfile.running(home.state_dir)
        assert found is not None
        assert (found.pid, found.url) == (process.pid, url)
        sockets = run_dir(home) / str(process.pid)
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert not stale.exists()
        process.terminate()
        assert process.wait(timeout=60) == 0
    assert not sockets.exists()
    assert runfile.read(home.state_dir) is None


def test_it_is_small_and_never_wakes_up_for_nothing(home: Home) -> None:
    with started([BIN / "mlxd"], home.environment()) as process:
        url = first_line(process).rpartition(" ")[2]
        for _ in range(20):
            httpx.get(url + "/v1/models", timeout=60)
        watched = psutil.Process(process.pid)
        # What it still has to do may take it a while; then it sleeps for good.
        until(lambda: wakes(watched, process) < 10, within=60, what="nothing wakes it up")
        assert watched.memory_info().rss < 60e6


def test_a_taken_port_is_refused_naming_its_holder(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = run(home, "--port", str(port))
    assert done.returncode == 1
    # The holder is this very process, which psutil can see.
    assert f"port {port} on 127.0.0.1 is taken by pid {os.getpid()}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_that_others_reach_needs_a_key(home: Home, host: str) -> None:
    done = run(home, "--host", host)
    assert done.returncode == 2
    assert f"server.host: {host} can be reached from other machines" in done.stderr


def test_with_a_key_it_listens_for_others_too(home: Home) -> None:
    env = home.environment() | {"MLXD_SERVER_API_KEY": "k"}
    with started([BIN / "mlxd", "--host", "0.0.0.0"], env) as process:
        url = first_line(process).rpartition(" ")[2]
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(url + "/v1/models", timeout=60).status_code == 401
        shown = httpx.get(url + "/v1/models", headers={"x-api-key": "k"}, timeout=60)
        assert shown.status_code == 200


@pytest.mark.parametrize(
    ("words", "env", "named"),
    [
        (["--config", "/no/such/file"], {}, "/no/such/file"),
        ([], {"MLXD_SERVER_PORT": "high"}, "MLXD_SERVER_PORT"),
        (["--host", "no such host"], {}, "server.host: 'no such host'"),
        (["--port", "65536"], {}, "expected 0 to 65535"),
        (["--what"], {}, "--what"),
    ],
)
def test_nonsense_is_a_sentence_and_exit_code_2(
    home: Home, words: list[str], env: dict[str, str], named: str
) -> None:
    done = run(home, *words, **env)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_it_tells_its_version(home: Home) -> None:
    done = run(home, "--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "mlxd")


def test_a_signal_lets_requests_end_and_takes_no_new_ones() -> None:
    with started([sys.executable, "-P", SCRIPT, "finish"]) as process:
        url = first_line(process)
        with httpx.stream("GET", url, timeout=60) as response:
            chunks = response.iter_raw()
            assert next(chunks) == b"begun "
            process.terminate()
            assert b"".join(chunks) == b"ended"
        output, errors = process.communicate(timeout=60)
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, timeout=60)
    assert (process.returncode, output) == (0, "draining\nover\n")
    assert "Traceback" not in errors


def test_a_second_signal_does_not_wait_for_requests() -> None:
    with started([sys.executable, "-P", SCRIPT, "wait"]) as process:
        url = first_line(process)
        with (
            pytest.raises(httpx.RemoteProtocolError),
            httpx.stream("GET", url, timeout=60) as response,
        ):
            chunks = response.iter_raw()
            assert next(chunks) == b"begun "
            process.terminate()
            assert first_line(process) == "draining"
            process.terminate()
            next(chunks)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "over\n")
    assert "hurrying" in errors
    assert "Traceback" not in errors

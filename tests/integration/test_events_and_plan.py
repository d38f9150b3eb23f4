"""A real daemon tells what happened and why, and what a load would do before it does it."""

import json
import os
import signal
import subprocess
from typing import Any

import httpx
import pytest
from support.daemon import BIN, Daemon
from support.deadline import until
from support.tiny_models import folder

BODY = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}


@pytest.fixture
def daemon(running_daemon: Any) -> Daemon:
    """Run a daemon with room for one of two models."""
    models = [{"id": kind, "source": str(folder(kind))} for kind in ("qwen3", "llama")]
    config = {"models": models, "memory": {"max_loaded": 1}, "demo": False, "hub": False}
    started: Daemon = running_daemon(config)
    return started


def ask(daemon: Daemon, model: str) -> None:
    """Have a model answer."""
    daemon.post("/v1/chat/completions", BODY | {"model": model})


def pids(daemon: Daemon) -> list[int]:
    """Return the processes of all models."""
    return [model["pid"] for model in daemon.ps() if model["pid"]]


def events(daemon: Daemon, *words: str) -> list[dict[str, Any]]:
    """Return what `mlxctl events --json` shows."""
    found = daemon.ctl("events", "--json", "-n", "1000", *words)
    assert found.returncode == 0, found.stderr
    return [json.loads(line) for line in found.stdout.splitlines()]


def test_a_swap_is_foretold_and_told_with_its_causes(daemon: Daemon) -> None:
    assert daemon.post("/v1/models/plan", {"model": "qwen3"})["verdict"] == "fits"
    ask(daemon, "qwen3")
    assert daemon.post("/v1/models/plan", {"model": "qwen3"})["verdict"] == "loaded"
    said = daemon.ctl("plan", "llama")
    assert said.returncode == 0 and said.stdout.startswith("llama would evict qwen3")
    plan = daemon.post("/v1/models/plan", {"model": "llama"})
    assert plan["need_bytes"] > 0 and plan["evicts"][0]["held_bytes"] > 0
    assert [one["model"] for one in plan["evicts"]] == ["qwen3"]
    assert [one["id"] for one in daemon.ps()] == ["qwen3"]
    (pid,) = [one["pid"] for one in daemon.ps()]
    ask(daemon, "llama")
    ended = [one for one in events(daemon) if one["event"] == "worker_ended"]
    assert len(ended) == 1
    assert ended[0] | {"seq": 0, "at": 0, "freed_bytes": 0} == {
        "event": "worker_ended", "seq": 0, "at": 0, "model": "qwen3", "pid": pid,
        "pid_reaped": True, "exit_code": 0, "freed_bytes": 0, "reason": "evicted",
        "cause": "room was needed for llama",
    }  # fmt: skip
    assert ended[0]["freed_bytes"] > 10 << 20
    moves = [one["state"] for one in events(daemon, "qwen3") if one["event"] == "worker_moved"]
    assert moves == ["starting", "loading", "ready", "stopping", "stopped"]


def test_a_crash_is_told_with_its_cause_and_a_pin_outlives_it(daemon: Daemon) -> None:
    assert daemon.ctl("load", "qwen3", "--pin").returncode == 0
    (before,) = daemon.ps()
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: not pids(daemon), within=60, what="the worker is gone")
    ask(daemon, "qwen3")
    (after,) = daemon.ps()
    assert after["pinned"] and after["pid"] != before["pid"]
    (ended,) = [one for one in events(daemon) if one["event"] == "worker_ended"]
    assert "SIGKILL" in ended["cause"] and ended["exit_code"] == -9
    plan = daemon.post("/v1/models/plan", {"model": "llama"})
    assert plan["verdict"] == "all_pinned"
    daemon.post("/v1/models/unload", {"model": "qwen3"})
    ask(daemon, "qwen3")
    assert not daemon.ps()[0]["pinned"], "whoever unloads a model lets its pin go"


def test_a_follower_hears_of_everything_up_to_the_end(daemon: Daemon) -> None:
    with httpx.stream("GET", f"{daemon.url}/v1/events", timeout=60) as stream:
        lines = stream.iter_lines()
        next(lines)
        (daemon.home / "config.yaml").write_text("models: [")
        daemon.process.send_signal(signal.SIGHUP)
        number = next(line for line in lines if line.startswith("id: ")).removeprefix("id: ")
        assert next(lines) == "event: reload_refused"
        assert json.loads(next(lines).removeprefix("data: "))["seq"] == int(number)
        path = f"/v1/events?follow=false&after={int(number) - 1}"
        assert "reload_refused" in httpx.get(daemon.url + path, timeout=60).text
        follower = subprocess.Popen(
            [str(BIN / "mlxctl"), "events", "-f", "-n", "5", "--json"],
            env=daemon.place.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert follower.stdout is not None
            told = [json.loads(follower.stdout.readline())["event"]]
            assert daemon.end() == 0
            told += [json.loads(line)["event"] for line in follower.stdout]
            assert told == ["daemon_started", "reload_refused", "daemon_stopping"]
            assert follower.wait(60) == 3
        finally:
            follower.kill()
            follower.communicate()
        assert "event: daemon_stopping" in list(lines)


@pytest.mark.parametrize("query", ["last=x", "follow=maybe", "after=-1"])
def test_a_wrong_parameter_is_named(shared_daemon: Daemon, query: str) -> None:
    answer = httpx.get(f"{shared_daemon.url}/v1/events?{query}", timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == query.partition("=")[0]

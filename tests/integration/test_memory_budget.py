"""Real workers of a small model share a small budget."""

import json
import urllib.error
from typing import Any

import psutil
import pytest
from conftest import RunDaemon
from support.daemon import Daemon, is_gone

from mlxd.config import demo
from mlxd.supervisor.budget import memory

MB = 10**6


def config(budget: int, **more: Any) -> dict[str, Any]:
    """Return a configuration of two models with the same files."""
    folder = demo.find()
    assert folder is not None
    models = [{"id": name, "source": str(folder.path), **more} for name in "ab"]
    return {"memory": {"budget": budget}, "models": models, "demo": False}


def ask(daemon: Daemon, name: str) -> None:
    daemon.post("/v1/completions", {"model": name, "prompt": "Hello", "max_tokens": 2})


def pids(daemon: Daemon) -> dict[str, int]:
    return {model["id"]: model["pid"] for model in daemon.ps() if model["pid"]}


def test_two_models_that_fit_run_side_by_side(running_daemon: RunDaemon) -> None:
    daemon = running_daemon(config(400 * MB))
    ask(daemon, "a")
    ask(daemon, "b")
    running = pids(daemon)
    assert running.keys() == {"a", "b"}
    assert sum(map(memory.footprint, running.values())) <= 400 * MB


def test_a_model_that_does_not_fit_beside_another_takes_its_place_once_it_is_gone(
    running_daemon: RunDaemon,
) -> None:
    """Promise A6."""
    daemon = running_daemon(config(120 * MB))
    ask(daemon, "a")
    old = pids(daemon)["a"]
    ask(daemon, "b")
    assert is_gone(old) and pids(daemon).keys() == {"b"}
    assert memory.footprint(pids(daemon)["b"]) <= 120 * MB
    log = daemon.log
    assert log.index(f"reaped pid={old}") < log.index("model=b state=starting")


def test_a_model_larger_than_the_budget_is_refused_at_once_with_the_bytes(
    running_daemon: RunDaemon,
) -> None:
    """Promises B7 and B9."""
    daemon = running_daemon(config(20 * MB))
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(daemon, "a")
    error = json.load(caught.value)["error"]
    assert caught.value.code == 503 and error["code"] == "insufficient_memory"
    assert "budget 20000000 bytes" in error["message"] and "largest" in error["message"]
    assert not {"context", "length"} & set(error["message"].split())
    assert daemon.ps() == [] and not psutil.Process(daemon.pid).children()


def test_what_a_model_took_is_known_at_the_next_start(running_daemon: RunDaemon) -> None:
    daemon = running_daemon(config(400 * MB))
    ask(daemon, "a")
    daemon.ctl("unload", "a")
    file = daemon.place.state_dir / "costs.json"
    (cost,) = json.loads(file.read_bytes())["costs"].values()
    assert cost["kv_bytes_per_token"] > 0
    assert 32 * MB < cost["steady"] <= 400 * MB and cost["load_peak"] >= cost["steady"] // 2
    assert cost["seconds_per_byte"] > 0
    daemon.end()
    # It is now known to need nearly all of this: the guess would have been the same for one of half the size.
    cost["steady"] = cost["load_peak"] = 399 * MB
    kept = json.loads(file.read_bytes())
    kept["costs"] = dict.fromkeys(kept["costs"], cost)
    file.write_text(json.dumps(kept))
    again = Daemon(daemon.place)
    try:
        ask(again, "a")
        ask(again, "b")
        assert pids(again).keys() == {"b"}
    finally:
        again.end()

"""A changed configuration is taken while requests run; a broken one changes nothing."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon, Home, is_gone
from support.deadline import until

from mlxd.config.load import load
from mlxd.config.settings import Settings
from mlxd.protocol.journal import ConfigReloaded, Entry
from mlxd.supervisor.cli.reload import option
from mlxd.supervisor.reload import Reload, needs_restart

PLAIN: dict[str, Any] = {"hub": False, "defaults": {"standby_workers": 0}}


def configured(demo: Path, **changes: Any) -> dict[str, Any]:
    """Return a configuration that gives the demo model's folder a name of the user's own."""
    models = [{"id": "mine", "source": str(demo), "aliases": ["gpt-4o"]}]
    return PLAIN | {"models": models} | changes


def names(daemon: Daemon) -> set[str]:
    """Return the ids of the models the daemon lists."""
    return {model["id"] for model in daemon.get("/v1/models")["data"]}


def audited(daemon: Daemon) -> list[tuple[str, str, str]]:
    """Return who did what and how it ended, without the loads."""
    lines = (daemon.place.log_dir / "audit.log").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return [(e["who"], e["what"], e["result"]) for e in entries if e["what"] == "reload"]


@pytest.fixture
def demo() -> Path:
    """Give the folder of the demo model."""
    from mlxd.config import demo

    return Path(demo.__file__).parent / "demo_model"


def test_a_new_model_is_known_and_a_loaded_one_stays(running_daemon: Any, demo: Path) -> None:
    daemon = running_daemon(PLAIN)
    pid = daemon.post("/v1/models/load", {"model": "mlxd-demo"})["pid"]

    daemon.place.configure(configured(demo))
    answer = daemon.ctl("reload")

    assert answer.returncode == 0, answer.stderr
    until(lambda: "mine" in names(daemon), within=60, what="the new model is listed")
    assert [model["pid"] for model in daemon.ps()] == [pid]
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    assert daemon.post("/v1/chat/completions", body)["model"] == "mine"
    assert audited(daemon) == [("signal", "reload", "ok")]


def test_a_model_that_nobody_declares_any_more_can_be_unloaded(
    running_daemon: Any, demo: Path
) -> None:
    """Regression: its name was unknown from then on, and pinned it kept its memory until the daemon's end."""
    daemon = running_daemon(configured(demo))
    pid = daemon.post("/v1/models/load", {"model": "mine", "pin": True})["pid"]

    daemon.place.configure(PLAIN)
    assert daemon.ctl("reload").returncode == 0
    until(lambda: "mine" not in names(daemon), within=60, what="the model is gone from the list")
    answer = daemon.ctl("unload", "mine")

    assert answer.returncode == 0, answer.stderr
    assert daemon.ps() == [] and is_gone(pid)
    assert daemon.ctl("unload", "mine").returncode == 1


def test_one_that_runs_in_a_terminal_reloads_and_ends_only_as_that_closes(home: Home) -> None:
    """Regression: the signal was that of a terminal which closes, so that `mlxctl reload` ended the daemon."""
    ours, theirs = os.openpty()
    daemon = Daemon(home, stdin=theirs)
    try:
        assert daemon.ctl("reload").returncode == 0
        until(lambda: "reload done" in daemon.log, within=30, what="the configuration is taken")
        assert daemon.get("/health")["status"] == "ok"
        os.kill(daemon.pid, signal.SIGHUP)
        assert daemon.process.wait(timeout=60) == 0
    finally:
        daemon.end()
        os.close(ours)
        os.close(theirs)


def test_a_mistake_is_logged_and_changes_nothing(running_daemon: Any, demo: Path) -> None:
    daemon = running_daemon(configured(demo))
    daemon.place.configure(configured(demo, defaults={"idle_timeout": "banana"}))

    answer = daemon.ctl("reload")
    assert answer.returncode == 2
    assert "idle_timeout" in answer.stderr

    os.kill(daemon.pid, signal.SIGHUP)
    until(lambda: "reload refused" in daemon.log, within=60, what="the refusal is logged")
    assert "mine" in names(daemon)
    assert audited(daemon) == [("signal", "reload", "config_error")]


def test_without_a_daemon_there_is_nothing_to_reload(home: Any) -> None:
    assert home.ctl("reload").returncode == 3


def test_what_was_bound_at_the_start_is_named_as_waiting() -> None:
    old = load(None, {})
    new = load(None, {"MLXD_SERVER_PORT": "1234", "MLXD_MEMORY_BUDGET": "50%", "MLXD_HUB": "false"})
    assert isinstance(old, Settings)
    assert needs_restart(old, new) == ["server.port", "memory.budget"]


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("MLXD_MEMORY_WIRED", "true", "memory.wired"),
        ("MLXD_DEFAULTS_STEP_STALL", "10m", "defaults.step_stall"),
        ("MLXD_DEFAULTS_QUARANTINE_AFTER", "9", "defaults.quarantine_after"),
        ("MLXD_RESPONSES_MAX_STORED", "7", "responses.max_stored"),
        ("MLXD_MEDIA_ALLOW_URLS", "true", "media.allow_urls"),
        ("MLXD_TRACING_RATIO", "0.5", "tracing.ratio"),
    ],
)
def test_no_change_that_waits_for_a_restart_is_passed_over(
    variable: str, value: str, key: str
) -> None:
    """Regression: times of workers' lives and limits of media were neither taken nor named."""
    assert needs_restart(load(None, {}), load(None, {variable: value})) == [key]


def test_a_change_waits_until_the_restart_however_often_the_rest_is_read() -> None:
    told: list[Entry] = []
    new = load(None, {"MLXD_SERVER_PORT": "1234"})
    reload = Reload(load(None, {}), lambda: new, tell=told.append)
    assert reload() and reload()
    assert [e.needs_restart for e in told if isinstance(e, ConfigReloaded)] == [["server.port"]] * 2


def test_what_a_running_daemon_takes_waits_for_nothing() -> None:
    variables = {"MLXD_MEMORY_MAX_LOADED": "3", "MLXD_DEFAULTS_MAX_SWAP_WAIT": "5s"}
    assert needs_restart(load(None, {}), load(None, variables)) == []


@pytest.mark.parametrize("line", [["mlxd", "--config", "a"], ["mlxd", "--config=a", "--port", "1"]])
def test_the_configuration_of_the_running_daemon_is_the_one_checked(line: list[str]) -> None:
    assert option(line, "--config") == "a"
    assert option(["mlxd"], "--config") is None

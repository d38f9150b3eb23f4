"""When a model was used last outlives its worker and the daemon, and every view tells the same."""

import json

from conftest import RunDaemon
from support.daemon import Daemon

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}


def listed(daemon: Daemon) -> float | None:
    """Return what `mlxctl list --json` says of the demo model."""
    (entry,) = json.loads(daemon.ctl("list", "--json").stdout)["data"]
    at: float | None = entry["last_used_at"]
    return at


def test_a_restart_and_an_unload_change_nothing_about_it(running_daemon: RunDaemon) -> None:
    daemon = running_daemon({"defaults": {"standby_workers": 0}})
    assert listed(daemon) is None
    daemon.post("/v1/chat/completions", CHAT)
    used = listed(daemon)
    (running,) = daemon.ps()
    assert used is not None and used == running["last_used_at"] >= running["loaded_at"]
    daemon.post("/v1/models/unload", {"model": "demo"})
    assert listed(daemon) == used

    try:
        assert daemon.ctl("restart").returncode == 0
        assert listed(daemon) == used
        assert " ago " in daemon.ctl("list").stdout
    finally:
        daemon.ctl("stop", "--force")

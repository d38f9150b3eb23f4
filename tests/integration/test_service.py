"""`mlxctl install` hands the daemon to the operating system, and takes it back without leaving anything."""

import json
import plistlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemon import Home, is_gone
from support.launchd import Launchd

LABEL = "mlxd.daemon"


@pytest.fixture
def launchd(tmp_path: Path, home: Home) -> Iterator[Launchd]:
    """Give a home whose `mlxctl` calls our own launchctl."""
    agent = Launchd(tmp_path / "launchd")
    home.env["MLXD_LAUNCHCTL"] = str(agent.program())
    yield agent
    home.ctl("uninstall")


def plist(home: Home) -> Path:
    """Return where launchd looks for agents."""
    return home.folder / "Library/LaunchAgents" / f"{LABEL}.plist"


def verbs(launchd: Launchd) -> list[str]:
    """Return what launchctl was asked to change, in order."""
    return [call[0] for call in launchd.calls() if call[0] != "print"]


def test_install_status_reinstall_uninstall(home: Home, launchd: Launchd) -> None:
    done = home.ctl("install", "--json")
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout)
    assert first["file"] == str(plist(home))
    assert plist(home).stat().st_mode & 0o777 == 0o600
    status = json.loads(home.ctl("status", "--json").stdout)
    assert status["service"]["kind"] == "launchd"
    assert status["service"]["pid"] == status["pid"] == first["pid"]

    again = json.loads(home.ctl("install", "--json").stdout)
    assert again["pid"] == first["pid"], "nothing changed, so nothing was restarted"
    home.env["MLXD_DEFAULTS_KILL_GRACE"] = "5m"
    changed = json.loads(home.ctl("install", "--json").stdout)
    assert changed["pid"] != first["pid"] and is_gone(first["pid"])
    assert plistlib.loads(plist(home).read_bytes())["ExitTimeOut"] >= 360

    assert json.loads(home.ctl("uninstall", "--json").stdout)["uninstalled"]
    assert is_gone(changed["pid"]) and not plist(home).exists() and launchd.known() == {}
    assert json.loads(home.ctl("status", "--json").stdout)["service"] is None
    assert not json.loads(home.ctl("uninstall", "--json").stdout)["uninstalled"]
    assert verbs(launchd) == ["enable", "bootstrap", "bootout", "enable", "bootstrap", "bootout"]


def test_once_installed_start_stop_and_restart_go_through_launchd(
    home: Home, launchd: Launchd
) -> None:
    pid = json.loads(home.ctl("install", "--json").stdout)["pid"]
    assert home.ctl("stop").returncode == 0
    assert is_gone(pid) and LABEL in launchd.known()
    assert "not running" in home.ctl("status").stdout
    refused = home.ctl("start", "--port", "1")
    assert (refused.returncode, "mlxctl install" in refused.stderr) == (2, True)
    started = json.loads(home.ctl("start", "--json").stdout)["pid"]
    restarted = json.loads(home.ctl("restart", "--json").stdout)["pid"]
    assert is_gone(started) and not is_gone(restarted)
    assert home.ctl("stop", "--force").returncode == 0
    assert is_gone(restarted) and launchd.known() == {}
    assert home.ctl("start").returncode == 0
    changes = ["kill", "kickstart", "kill", "kickstart", "bootout", "enable", "bootstrap"]
    assert verbs(launchd)[2:] == changes


def test_unloading_the_agent_under_a_loaded_model_sends_term_waits_and_leaves_nothing(
    home: Home, launchd: Launchd
) -> None:
    installed = json.loads(home.ctl("install", "--json").stdout)
    worker = json.loads(home.ctl("load", "demo", "--json").stdout)
    pids = [installed["pid"], *(model["pid"] for model in _models(home))]
    assert len(pids) == 2, worker
    assert home.ctl("uninstall").returncode == 0
    assert all(is_gone(pid) for pid in pids)
    assert not (launchd.folder / "killed").exists()
    assert "exit=0" in (home.log_dir / "mlxd.log").read_text()
    assert not list(home.state_dir.glob("mlxd.json"))


def test_a_daemon_in_the_background_makes_way_for_the_service(home: Home, launchd: Launchd) -> None:
    before = json.loads(home.ctl("start", "--json").stdout)["pid"]
    after = json.loads(home.ctl("install", "--json").stdout)["pid"]
    assert is_gone(before) and launchd.known()[LABEL]["pid"] == after


def test_a_service_that_cannot_start_is_quoted(home: Home, launchd: Launchd) -> None:
    home.configure("server: {host: 0.0.0.0}\n")
    done = home.ctl("install", timeout=120)
    assert done.returncode == 1
    assert "0.0.0.0" in done.stderr or "api_key" in done.stderr


def _models(home: Home) -> list[dict[str, int]]:
    models: list[dict[str, int]] = json.loads(home.ctl("ps", "--json").stdout)["models"]
    return [model for model in models if model["pid"]]

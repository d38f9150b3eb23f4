"""`mlxctl doctor` on a real daemon: it looks, makes a token, and leaves everything as it was."""

import json

from conftest import RunDaemon
from support.daemon import Home

from mlxd.supervisor.doctor.checks import CHECKS


def test_a_running_daemon_is_examined_and_left_as_it_was(running_daemon: RunDaemon) -> None:
    daemon = running_daemon({"server": {"api_key": "topsecret-0123"}})
    done = daemon.ctl("doctor", "--json", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    findings = json.loads(done.stdout)
    assert list(findings) == list(CHECKS)
    for name in ("config", "daemon", "port", "demo_token", "unload", "docker_host"):
        assert findings[name]["verdict"] == "ok", findings[name]
    assert json.loads(daemon.ctl("ps", "--json").stdout)["models"] == []

    assert daemon.ctl("load", "demo").returncode == 0
    report = daemon.ctl("doctor", "--report", timeout=120)
    assert report.returncode == 0
    assert "### mlxd" in report.stdout and "skip unload" in report.stdout
    assert "topsecret" not in report.stdout and str(daemon.home) not in report.stdout
    assert [m["id"] for m in json.loads(daemon.ctl("ps", "--json").stdout)["models"]] == [
        "mlxd-demo"
    ]


def test_without_a_daemon_it_says_what_is_wrong_and_leaves_with_1(home: Home) -> None:
    home.configure("server: {prot: 1}\n")
    done = home.ctl("doctor")
    assert done.returncode == 1
    assert "fail  config" in done.stdout and "server.prot" in done.stdout
    assert "warn  daemon" in done.stdout

"""The page of operators shows what a real daemon does, and does what its buttons say.

Its own scripts run, in Node, on as little of a document as they need: no browser is at hand where the tests run.
"""

import json
import os
import signal
from pathlib import Path

import pytest
from conftest import RunDaemon
from support.daemon import Daemon
from support.page import ENGINE, Seen, opened

from mlxd.config import demo as demo_model

pytestmark = pytest.mark.skipif(ENGINE is None, reason="no JavaScript engine is installed")

EVIL = "<script>alert(1)</script>"
BROKEN = '<img src=x onerror="alert(2)">'


def is_open(seen: Seen) -> bool:
    """Tell whether the page shows the models."""
    return "main" not in seen["hidden"] and "login" in seen["hidden"]


def test_a_daemon_without_keys_is_shown_and_steered(running_daemon: RunDaemon) -> None:
    """Given a model, when its buttons are clicked, then it loads, is pinned, let go and unloaded, and it says so."""
    daemon = running_daemon({"hub": False})
    with opened(daemon.url) as page:
        page.wait("the model", lambda seen: "mlxd-demo" in seen["parts"]["models"])
        page.do("click", label="Load")
        seen = page.wait("it is ready", lambda seen: "Pin" in seen["buttons"])
        assert "ready" in seen["parts"]["models"] and " of " in seen["parts"]["memory"]
        page.do("click", label="Pin")
        page.wait("it is pinned", lambda seen: "Unpin" in seen["buttons"])
        assert daemon.ps()[0]["pinned"]
        page.do("click", label="Unpin")
        page.wait("it is not any more", lambda seen: "Pin" in seen["buttons"])
        page.do("click", label="Unload")
        seen = page.wait("it is gone", lambda seen: "free again" in seen["parts"]["message"])
        page.wait("the state of it", lambda seen: seen["buttons"] == ["Load"])
        seen = page.wait("its events", lambda seen: any("stopped" in e for e in seen["events"]))
    assert seen["parts"]["queue"] == "nobody waits"
    assert any("worker_moved" in line for line in seen["events"])
    assert all(key is None for _, _, key in seen["asked"])


def test_what_the_daemon_says_never_becomes_markup(running_daemon: RunDaemon) -> None:
    demo = Path(demo_model.__file__).parent / "demo_model"
    config = {"hub": False, "demo": False, "models": [{"id": EVIL, "source": str(demo)}]}
    daemon = running_daemon(config)
    with opened(daemon.url) as page:
        page.wait("the model", lambda seen: EVIL in seen["parts"]["models"])
        page.do("click", label="Load")
        page.wait("the event", lambda seen: any(EVIL in line for line in seen["events"]))
        page.wait("the answer", lambda seen: seen["parts"]["message"] == f"{EVIL}: ready")
        daemon.place.configure({**config, "defaults": {"idle_timeout": BROKEN}})
        os.kill(daemon.pid, signal.SIGHUP)
        seen = page.wait("the error", lambda seen: any("<img src=x" in e for e in seen["events"]))
    assert EVIL in seen["parts"]["models"]
    assert not {"script", "img"} & set(seen["tags"])


def test_a_key_is_asked_for_kept_in_the_tab_and_sent_in_a_header(running_daemon: RunDaemon) -> None:
    daemon = running_daemon({"hub": False})
    made = daemon.ctl("keys", "add", "me", "--right", "admin", "--json")
    key = json.loads(made.stdout)["key"]
    with opened(daemon.url) as page:
        seen = page.wait("the question", lambda seen: "login" not in seen["hidden"])
        assert "main" in seen["hidden"] and seen["parts"]["models"] == ""
        page.do("unlock", key="wrong")
        seen = page.wait("the refusal", lambda seen: "not known" in seen["parts"]["refused"])
        assert seen["kept"] == {}
        page.do("unlock", key="schlüssel")
        assert "ASCII" in page.do("show")["parts"]["refused"]
        page.do("unlock", key=key)
        seen = page.wait("the models", is_open)
        assert list(seen["kept"].values()) == [key]
        assert not any(key in path for _, path, _ in seen["asked"])
        seen = page.do("click", label="forget")
        assert seen["kept"] == {} and "main" in seen["hidden"]
        assert (seen["parts"]["models"], seen["events"]) == ("", [])
        daemon.ctl("keys", "revoke", "me")
        page.do("unlock", key=key)
        page.wait(
            "nothing is locked any more", lambda seen: is_open(seen) or seen["parts"]["refused"]
        )


def test_a_key_without_rights_sees_its_models_and_is_told_what_it_may_not(
    running_daemon: RunDaemon,
) -> None:
    daemon = running_daemon({"hub": False})
    key = json.loads(daemon.ctl("keys", "add", "me", "--json").stdout)["key"]
    with opened(daemon.url) as page:
        page.do("unlock", key=key)
        seen = page.wait("the models", lambda seen: "mlxd-demo" in seen["parts"]["models"])
        lacking = "this API key lacks the right 'watch'"
        assert seen["parts"]["queue"] == seen["parts"]["memory"] == lacking
        page.wait("the events too", lambda seen: seen["parts"]["events-state"] == lacking)
        page.do("click", label="Load")
        page.wait("the refusal", lambda seen: "'admin'" in seen["parts"]["message"])


def test_the_page_waits_for_a_daemon_that_is_away_and_goes_on(running_daemon: RunDaemon) -> None:
    """Given an open page, when the daemon is killed and starts again, then no event is lost or told twice."""
    first = running_daemon({"hub": False})
    place, port = first.place, first.port
    with opened(first.url) as page:
        page.wait(
            "the first start", lambda seen: sum("daemon_started" in e for e in seen["events"]) == 1
        )
        first.kill()
        page.wait("its absence", lambda seen: "trying again" in seen["parts"]["status"])
        place.env["MLXD_SERVER_PORT"] = str(port)
        second = Daemon(place)
        try:
            page.wait("that it runs", lambda seen: seen["parts"]["status"] == "running")
            page.wait(
                "its start", lambda seen: any(f"pid={second.pid}" in e for e in seen["events"])
            )
            seen = page.do("show")
            assert len(seen["events"]) == len(set(seen["events"]))
            assert any(f"pid={first.pid}" in line for line in seen["events"])
        finally:
            second.end()

"""`mlxctl unload` says what came back."""

import json

from support.ctl import Ctl
from support.scripted_http import Script
from support.statuses import status, unloaded

UNLOAD = "POST /v1/models/unload"


def test_an_unload_says_what_was_freed_and_that_the_process_is_gone(
    ctl: Ctl, daemon: Script
) -> None:
    daemon.answer(UNLOAD, unloaded())
    done = ctl("unload", "demo", "--url", daemon.url)
    assert done.stdout == "unloaded mlxd-demo: 85.2 MB freed, pid 4242 has left\n"
    assert daemon.asked == [(UNLOAD, {"model": "demo", "force": False})]


def test_a_worker_that_left_badly_is_told(ctl: Ctl, daemon: Script) -> None:
    daemon.answer(UNLOAD, unloaded(exit_code=-9))
    done = ctl("unload", "demo", "--force", "--url", daemon.url)
    assert done.stdout == (
        "unloaded mlxd-demo: 85.2 MB freed, pid 4242 has left with exit code -9\n"
    )
    assert daemon.asked == [(UNLOAD, {"model": "demo", "force": True})]


def test_a_model_that_was_not_loaded_is_no_failure(ctl: Ctl, daemon: Script) -> None:
    daemon.answer(UNLOAD, unloaded(was_loaded=False, pid=None, freed_bytes=0, exit_code=None))
    done = ctl("unload", "demo", "--url", daemon.url)
    assert (done.stdout, done.exit_code) == ("mlxd-demo was not loaded\n", 0)


def test_all_unloads_what_has_a_process_and_nothing_else(ctl: Ctl, daemon: Script) -> None:
    models = [status(id="a"), status(id="b", state="backoff"), status(id="c", state="loading")]
    daemon.answer("GET /v1/ps", {"models": models})
    daemon.answer(UNLOAD, unloaded())
    ctl("unload", "--all", "--url", daemon.url)
    assert [body["model"] for call, body in daemon.asked if call == UNLOAD] == ["a", "c"]


def test_all_with_nothing_loaded_says_so(ctl: Ctl, daemon: Script) -> None:
    daemon.answer("GET /v1/ps", {"models": []})
    assert ctl("unload", "--all", "--url", daemon.url).stdout == "no model is loaded\n"
    assert json.loads(ctl("unload", "--all", "--url", daemon.url, "--json").stdout) == []


def test_neither_a_name_nor_all_is_a_usage_error(ctl: Ctl) -> None:
    for words in (["unload"], ["unload", "--all", "demo"]):
        done = ctl(*words)
        assert done.exit_code == 2
        assert "name the models to unload, or use --all" in done.stderr

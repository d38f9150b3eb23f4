"""`mlxctl load` says what is loaded, and its exit code tells whether it is."""

import json

import msgspec
from support.ctl import Ctl
from support.scripted_http import Script
from support.statuses import loaded, status

from mlxd.protocol.admin import ModelStatus
from mlxd.supervisor.cli.load import progress_line

LOAD = "POST /v1/models/load"


def test_a_load_says_how_long_it_took_and_what_it_takes(ctl: Ctl, daemon: Script) -> None:
    daemon.answer(LOAD, loaded())
    done = ctl("load", "demo", "--url", daemon.url)
    assert (done.stdout, done.stderr, done.exit_code) == (
        "loaded mlxd-demo in 1.9 s: pid 4242, 85.2 MB\n",
        "",
        0,
    )
    assert daemon.asked == [(LOAD, {"model": "demo"})]


def test_a_model_that_was_loaded_already_is_no_failure(ctl: Ctl, daemon: Script) -> None:
    daemon.answer(LOAD, loaded(already_loaded=True))
    done = ctl("load", "demo", "--url", daemon.url)
    assert done.stdout == "mlxd-demo was loaded already: pid 4242, 85.2 MB\n"
    assert done.exit_code == 0


def test_keep_alive_and_pin_are_sent_only_when_given(ctl: Ctl, daemon: Script) -> None:
    daemon.answer(LOAD, loaded())
    ctl("load", "demo", "--keep-alive", "30m", "--no-pin", "--url", daemon.url)
    assert daemon.asked == [(LOAD, {"model": "demo", "keep_alive": "30m", "pin": False})]


def test_a_refusal_is_the_daemons_sentence_and_exit_code_1(ctl: Ctl, daemon: Script) -> None:
    error = {"message": "no model is named 'dem'; did you mean demo?", "code": "model_not_found"}
    daemon.answer(LOAD, {"error": error}, status=404)
    done = ctl("load", "dem", "--url", daemon.url)
    assert (done.stdout, done.stderr, done.exit_code) == (
        "",
        "mlxctl: no model is named 'dem'; did you mean demo?\n",
        1,
    )


def test_several_models_are_loaded_in_the_order_given(ctl: Ctl, daemon: Script) -> None:
    daemon.answer(LOAD, loaded())
    done = ctl("load", "a", "b", "--url", daemon.url, "--json")
    assert [body["model"] for _, body in daemon.asked] == ["a", "b"]
    assert json.loads(done.stdout) == [loaded(), loaded()]


def test_progress_names_state_time_and_bytes() -> None:
    loading = status(state="loading", memory_bytes=1_200_000_000, weights_bytes=4_300_000_000)
    line = progress_line("qwen", msgspec.convert(loading, ModelStatus), 3.2)
    assert line == "qwen: loading, 3 s, 1.2 GB in memory of 4.3 GB weights"
    assert progress_line("qwen", None, 0.4) == "qwen: waiting, 0 s"

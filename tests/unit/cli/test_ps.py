"""`mlxctl ps` shows every field of the daemon's answer, and only what applies."""

import json

import msgspec
import pytest
from support.ctl import Ctl
from support.scripted_http import Script
from support.statuses import status

from mlxd.protocol.admin import ModelStatus
from mlxd.supervisor.cli import ps

NOW = 1_700_000_000.0


def test_a_busy_model_a_pinned_one_and_one_that_failed(ctl: Ctl, daemon: Script) -> None:
    busy = status(active_requests=3, queued_requests=1, generation_tokens_per_second=812.34)
    pinned = status(id="qwen3-8b", kind="vision", pid=77, memory_bytes=9 * 10**9, pinned=True)
    failed = status(id="broken", state="backoff", pid=None, memory_bytes=0, error="no weights")
    daemon.answer("GET /v1/ps", {"models": [busy, pinned, failed]})
    done = ctl("ps", "--url", daemon.url)
    assert done.stdout == (
        "NAME       KIND    STATE    PID   MEMORY   ACTIVE  QUEUED  IDLE-UNLOAD-IN  TOK/S\n"
        "mlxd-demo  text    ready    4242  85.2 MB  3       1       -               812.3\n"
        "qwen3-8b   vision  ready    77    9.0 GB   0       0       pinned          -\n"
        "broken     text    backoff  -     -        0       0       -               -\n"
    )
    assert done.stderr == "broken: no weights\n"
    assert done.exit_code == 0


def test_nothing_loaded_is_a_header_alone(ctl: Ctl, daemon: Script) -> None:
    daemon.answer("GET /v1/ps", {"models": []})
    done = ctl("ps", "--url", daemon.url)
    assert done.stdout == (
        "NAME  KIND  STATE  PID  MEMORY  ACTIVE  QUEUED  IDLE-UNLOAD-IN  TOK/S\n"
    )


def test_json_is_the_daemons_own_answer(ctl: Ctl, daemon: Script) -> None:
    answer = {"models": [status(expires_at=NOW)]}
    daemon.answer("GET /v1/ps", answer)
    assert json.loads(ctl("--json", "ps", "--url", daemon.url).stdout) == answer


def test_a_newer_daemons_extra_fields_do_no_harm(ctl: Ctl, daemon: Script) -> None:
    daemon.answer("GET /v1/ps", {"models": [status(temperature_celsius=61)]})
    assert ctl("ps", "--url", daemon.url).exit_code == 0


def test_something_else_on_the_port_is_named_as_such(ctl: Ctl, daemon: Script) -> None:
    daemon.answers["GET /v1/ps"] = (200, b"<html>hello</html>")
    done = ctl("ps", "--url", daemon.url)
    assert (
        done.stderr == f"mlxctl: what answers at {daemon.url} is not mlxd: its answer is no JSON\n"
    )
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"expires_at": NOW + 599.6}, "10m"),
        ({"expires_at": NOW - 3}, "0s"),
        ({"expires_at": None}, "never"),
        ({"expires_at": None, "active_requests": 1}, "-"),
        ({"expires_at": None, "state": "loading"}, "-"),
        ({"expires_at": NOW + 60, "pinned": True}, "pinned"),
    ],
)
def test_the_time_left_is_counted_from_now(changes: dict[str, object], text: str) -> None:
    model = msgspec.convert(status(**changes), ModelStatus)
    assert ps.idle_unload_in(model, NOW) == text


def test_a_failed_model_says_when_it_may_be_tried_again() -> None:
    model = msgspec.convert(status(state="backoff", retry_at=NOW + 30), ModelStatus)
    assert ps.retry(model, NOW) == "; may be tried again in 30s"

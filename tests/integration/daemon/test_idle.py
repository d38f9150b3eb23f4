"""A model that nobody asks leaves; what counts is the end of the last request, and what the body said of it."""

import json
import time
from typing import Any

import httpx
import psutil
import pytest
from conftest import RunDaemon
from support.daemon import Daemon
from support.daemon_calls import CHAT, ENDLESS, chat, client, idle, model, pids, shown, streaming
from support.deadline import eventually, until

SHORT_S = 0.5
SLACK_S = 0.2
"""Wall clock and monotonic clock are read one after the other."""


def left(daemon: Daemon, name: str) -> float | None:
    """Return the seconds between the end of the last request and the model's own end; None for never."""
    found = shown(daemon, name)
    assert found is not None
    if found["expires_at"] is None:
        return None
    return float(found["expires_at"] - found["last_used_at"])


async def test_no_request_is_cut_and_the_clock_starts_when_the_last_one_has_ended(
    running_daemon: RunDaemon,
) -> None:
    """A second model that is idle for as long shows that the time was over in the middle of the answer."""
    config = {"models": [model("asked"), model("idle", "llama")]}
    daemon = running_daemon(config | {"defaults": {"idle_timeout": SHORT_S}})
    async with client(daemon) as asker, streaming(asker, "asked", 3, **ENDLESS) as events:
        pid = pids(daemon)["asked"]
        await asker.post(CHAT, json=chat("idle"))
        await eventually(lambda: "idle" not in pids(daemon), within=60, what="the other leaves")
        busy = shown(daemon, "asked")
        assert busy and (busy["pid"], busy["active_requests"]) == (pid, 1)
        assert busy["expires_at"] is None
        assert all("error" not in event for event in await events.take(5))
        before_the_end = time.time()
    # Asking every few milliseconds does not keep it.
    until(lambda: shown(daemon, "asked") is None, within=60, what="it leaves as well")
    assert not psutil.pid_exists(pid)
    used = daemon.get("/v1/models/asked")["last_used_at"]
    assert used > before_the_end - SLACK_S
    told = daemon.ctl("events", "--json", "-n", "1000", "asked").stdout.splitlines()
    (leaves,) = [one for one in map(json.loads, told) if one.get("state") == "stopping"]
    assert leaves["reason"] == "idle" and leaves["at"] >= used + SHORT_S - SLACK_S


def left_of(status: dict[str, Any]) -> float:
    """Return the seconds between the end of the last request and the model's own end."""
    return float(status["expires_at"] - status["last_used_at"])


def test_whoever_only_looks_keeps_no_model(trio: Daemon) -> None:
    trio.post(CHAT, chat("gemma", keep_alive=600))
    before = shown(trio, "gemma")
    assert before is not None and before["expires_at"] is not None
    paths = ["/health", "/v1/ready", "/v1/ps", "/v1/queue/stats", "/v1/batch/stats"]
    for path in [*paths, "/v1/models", "/v1/models/gemma", "/anthropic/v1/models"]:
        trio.get(path)
    trio.ctl("ps")
    trio.ctl("status")
    after = shown(trio, "gemma")
    assert after is not None
    assert after["last_used_at"] == before["last_used_at"]
    assert after["expires_at"] == pytest.approx(before["expires_at"], abs=SLACK_S)


@pytest.mark.parametrize(
    ("keep_alive", "seconds"),
    [(-1, None), ("-1", None), ("-5m", None), (90, 90), (90.5, 90.5), ("90", 90), ("30m", 1800)],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
def test_a_body_says_how_long_its_model_stays(
    trio: Daemon, path: str, keep_alive: object, seconds: float | None
) -> None:
    fields = {"prompt": "Hello", "messages": None} if path != CHAT else {}
    trio.post(path, chat("gemma", keep_alive=keep_alive) | fields)
    assert left(trio, "gemma") == (seconds and pytest.approx(seconds, abs=SLACK_S))


async def test_a_stream_says_so_too(trio: Daemon, asker: httpx.AsyncClient) -> None:
    async with streaming(asker, "gemma", 1, keep_alive="30m") as events:
        assert [event async for event in events][-1] == "[DONE]"
    assert left_of(await idle(trio, "gemma")) == pytest.approx(1800, abs=SLACK_S)


async def test_zero_sends_the_model_away_with_the_end_of_the_last_request(
    running_daemon: RunDaemon,
) -> None:
    daemon = running_daemon({"models": [model("tiny")]})
    async with client(daemon) as asker, streaming(asker, "tiny", 3, **ENDLESS) as events:
        pid = pids(daemon)["tiny"]
        answer = await asker.post(CHAT, json=chat("tiny", keep_alive=0))
        assert answer.status_code == 200
        assert pids(daemon) == {"tiny": pid}, "somebody is still answered"
        assert all("error" not in event for event in await events.take(5))
    until(lambda: not pids(daemon), within=60, what="it left")
    assert not psutil.pid_exists(pid)

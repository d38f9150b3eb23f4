"""Whatever kills a process, nobody takes half an answer for a whole one and nothing is left."""

import os
import signal
from typing import Any

import httpx
import psutil
import pytest
from conftest import RunDaemon
from support.daemon import Daemon, is_gone
from support.daemon_calls import CHAT, ENDLESS, chat, client, model, pids, streaming
from support.deadline import until

ATTEMPTS = 20
BY_DEFAULT = 3


async def test_a_worker_killed_in_a_stream_ends_it_with_an_error_and_the_next_request_gets_another(
    running_daemon: RunDaemon,
) -> None:
    daemon = running_daemon({"models": [model("tiny")]})
    async with client(daemon) as asker, streaming(asker, "tiny", 3, **ENDLESS) as events:
        old = pids(daemon)["tiny"]
        os.kill(old, signal.SIGKILL)
        rest: list[Any] = []
        with pytest.raises(httpx.RemoteProtocolError):  # a whole body would be a good end
            async for event in events:
                rest.append(event)
        assert "[DONE]" not in rest
        assert rest[-1]["error"]["code"] == "worker_died"
        assert "SIGKILL" in rest[-1]["error"]["message"]
        answer = await asker.post(CHAT, json=chat("tiny"))
    assert answer.status_code == 200
    assert is_gone(old)
    assert pids(daemon)["tiny"] != old
    assert "Traceback" not in daemon.log


def workers(daemon: Daemon) -> set[int]:
    """Return the processes that hold models or wait for one."""
    standby = daemon.get("/v1/queue/stats")["standby"]
    return {*pids(daemon).values(), *(process["pid"] for process in standby)}


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(number, marks=() if number < BY_DEFAULT else pytest.mark.slow)
        for number in range(ATTEMPTS)
    ],
)
async def test_no_worker_outlives_a_supervisor_that_is_killed(
    running_daemon: RunDaemon, attempt: int
) -> None:
    """Two hold models, one of them in the middle of an answer; one waits for a model."""
    config = {"models": [model("busy"), model("resting", "llama")]}
    daemon = running_daemon(config, env={"MLXD_DEFAULTS_STANDBY_WORKERS": "1"})
    async with client(daemon) as asker:
        await asker.post("/v1/models/load", json={"model": "resting"})
        async with streaming(asker, "busy", 3, **ENDLESS):
            left = until(
                lambda: found if len(found := workers(daemon)) == 3 else None,
                within=60,
                what="two models and a reserve",
            )
            children = {child.pid for child in psutil.Process(daemon.pid).children()}
            assert left < children
            os.kill(daemon.pid, signal.SIGKILL)
            until(lambda: all(map(is_gone, left)), within=60, what="every worker has left")
    until(lambda: all(map(is_gone, children)), within=60, what="nothing else is left either")

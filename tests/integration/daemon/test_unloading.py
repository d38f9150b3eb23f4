"""An unload says what came back, and only once it did."""

import asyncio
from typing import Any

import httpx
import psutil
import pytest
from conftest import RunDaemon
from support.daemon import Daemon
from support.daemon_calls import CHAT, ENDLESS, chat, client, model, pids, shown, streaming
from support.deadline import eventually

UNLOAD = "/v1/models/unload"
LONG: dict[str, Any] = {"max_tokens": 400, "ignore_eos": True}


@pytest.fixture
def daemon(running_daemon: RunDaemon) -> Daemon:
    """Give a daemon whose model is loaded."""
    daemon = running_daemon({"models": [model("tiny")]})
    daemon.post("/v1/models/load", {"model": "tiny"})
    return daemon


async def unload(asker: httpx.AsyncClient, pid: int, **fields: Any) -> dict[str, Any]:
    """Unload the model; at the moment of the answer its process is no more, not even as a zombie."""
    answer = await asker.post(UNLOAD, json={"model": "tiny"} | fields)
    assert not psutil.pid_exists(pid)
    assert answer.status_code == 200
    result: dict[str, Any] = answer.json()
    return result


async def test_it_answers_after_the_process_was_reaped_with_the_bytes_it_held(
    daemon: Daemon,
) -> None:
    before = shown(daemon, "tiny")
    assert before is not None
    async with client(daemon) as asker:
        unloaded = await unload(asker, before["pid"])
        assert unloaded["was_loaded"] and unloaded["pid_reaped"]
        assert (unloaded["pid"], unloaded["exit_code"]) == (before["pid"], 0)
        assert unloaded["freed_bytes"] == pytest.approx(before["memory_bytes"], rel=0.25)
        assert unloaded["freed_bytes"] > before["weights_bytes"]
        assert shown(daemon, "tiny") is None
        again = (await asker.post(UNLOAD, json={"model": "tiny"})).json()
        assert (again["was_loaded"], again["freed_bytes"]) == (False, 0)
        assert (await asker.post(CHAT, json=chat("tiny"))).status_code == 200
    assert pids(daemon)["tiny"] != before["pid"]


async def test_requests_in_flight_end_first_and_later_ones_get_the_next_process(
    daemon: Daemon,
) -> None:
    """One that does not end by itself keeps the worker in its drain for as long as somebody looks."""
    pid = pids(daemon)["tiny"]
    async with client(daemon) as asker:
        async with streaming(asker, "tiny", 1, **ENDLESS):
            async with streaming(asker, "tiny", 1, **LONG) as events:
                leaving = [asyncio.create_task(unload(asker, pid)) for _ in range(2)]
                await eventually(
                    lambda: (shown(daemon, "tiny") or {}).get("state") == "draining",
                    within=60,
                    what="it drains",
                )
                later = asyncio.create_task(asker.post(CHAT, json=chat("tiny")))
                chunks = [event async for event in events]
            assert chunks.pop() == "[DONE]"
            assert chunks[-1]["choices"][0]["finish_reason"] == "length"
            assert not any(task.done() for task in (*leaving, later))
        results = await asyncio.gather(*leaving)
        assert {result["pid"] for result in results} == {pid}
        assert all(result["freed_bytes"] > 0 for result in results)
        assert (await later).status_code == 200
    assert pids(daemon)["tiny"] != pid

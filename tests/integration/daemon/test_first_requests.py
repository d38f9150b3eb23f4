"""Whoever asks for a model that does not run yet is answered, and one process is started for all of them."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest
from conftest import RunDaemon
from support.daemon import Daemon
from support.daemon_calls import CHAT, chat, client, model, pids, shown, streaming
from support.deadline import eventually

CROWD = 20


@pytest.fixture
def daemon(running_daemon: RunDaemon) -> Daemon:
    """Give a daemon with two models of which none is loaded."""
    return running_daemon({"models": [model("first"), model("second", "llama")]})


def starts(daemon: Daemon, name: str) -> int:
    """Count the processes a model was given so far."""
    return daemon.log.count(f"model={name} state=starting")


async def ask(asker: httpx.AsyncClient, name: str, number: int) -> tuple[int, Any]:
    """Ask once, every second time for a stream; return the status and how the answer ended."""
    if number % 2:
        answer = await asker.post(CHAT, json=chat(name))
        return answer.status_code, answer.json()["choices"][0]["finish_reason"]
    async with streaming(asker, name) as events:
        chunks = [event async for event in events]
    assert chunks.pop() == "[DONE]"
    return 200, chunks[-1]["choices"][0]["finish_reason"]


async def test_twenty_first_requests_at_once_start_one_process(daemon: Daemon) -> None:
    async with client(daemon) as asker:
        answers = await asyncio.gather(*(ask(asker, "first", number) for number in range(CROWD)))
    assert Counter(status for status, _ in answers) == {200: CROWD}
    assert {reason for _, reason in answers} <= {"length", "stop"}
    assert starts(daemon, "first") == 1
    assert pids(daemon).keys() == {"first"}


async def test_before_during_and_after_a_load_everybody_is_answered(daemon: Daemon) -> None:
    """Requests of a model that runs do not wait for another model's load either."""
    async with client(daemon) as asker:
        await ask(asker, "first", 1)
        before = [asyncio.create_task(ask(asker, "second", number)) for number in range(3)]
        during = []
        for state in ("starting", "loading"):
            await eventually(
                lambda state=state: (shown(daemon, "second") or {}).get("state") == state,  # type: ignore[misc]
                within=30,
                what=f"the other model is {state}",
            )
            during += [asyncio.create_task(ask(asker, "second", number)) for number in range(3)]
            assert await ask(asker, "first", 0) == await ask(asker, "first", 1)
            assert not any(task.done() for task in before + during), "the load was over too early"
        loaded = await asker.post("/v1/models/load", json={"model": "second"})
        after = [asyncio.create_task(ask(asker, "second", number)) for number in range(3)]
        answers = await asyncio.gather(*before, *during, *after)
    assert loaded.json()["state"] == "ready"
    assert {status for status, _ in answers} == {200}
    assert starts(daemon, "second") == 1

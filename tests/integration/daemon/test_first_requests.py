"""Whoever asks for a model that does not run yet is answered, and one process is started for all of them."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from conftest import RunDaemon
from support.daemon import Daemon
from support.daemon_calls import CHAT, chat, client, model, pids, shown, streaming
from support.deadline import eventually
from support.gates import Gates

CROWD = 20
CONFIG = {"models": [model("first"), model("second", "llama")]}


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


async def test_twenty_first_requests_at_once_start_one_process(running_daemon: RunDaemon) -> None:
    daemon = running_daemon(CONFIG)
    async with client(daemon) as asker:
        answers = await asyncio.gather(*(ask(asker, "first", number) for number in range(CROWD)))
    assert Counter(status for status, _ in answers) == {200: CROWD}
    assert {reason for _, reason in answers} <= {"length", "stop"}
    assert starts(daemon, "first") == 1
    assert pids(daemon).keys() == {"first"}


async def test_before_during_and_after_a_load_everybody_is_answered(
    running_daemon: RunDaemon, tmp_path: Path
) -> None:
    """Requests of a model that runs do not wait for another model's load either."""
    gates = Gates(tmp_path / "gates", "mlx_lm.models.llama")
    daemon = running_daemon(CONFIG, env=gates.env)
    asked: list[asyncio.Task[tuple[int, Any]]] = []

    async def beside(state: str) -> None:
        await eventually(
            lambda: (shown(daemon, "second") or {}).get("state") == state,
            within=60,
            what=f"the other model is {state}",
        )
        asked.extend(asyncio.create_task(ask(asker, "second", number)) for number in range(3))
        assert await ask(asker, "first", 0) == await ask(asker, "first", 1)
        assert not any(task.done() for task in asked), "they waited for no load"

    async with client(daemon) as asker:
        await ask(asker, "first", 1)
        with gates.shut("loading"):
            with gates.shut("starting"):
                asked += [asyncio.create_task(ask(asker, "second", number)) for number in range(3)]
                await beside("starting")
            await beside("loading")
        loaded = await asker.post("/v1/models/load", json={"model": "second"})
        after = [asyncio.create_task(ask(asker, "second", number)) for number in range(3)]
        answers = await asyncio.gather(*asked, *after)
    assert loaded.json()["state"] == "ready"
    assert {status for status, _ in answers} == {200}
    assert starts(daemon, "second") == 1

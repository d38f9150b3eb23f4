"""A client that leaves takes its row along within a few steps, wherever the row is."""

import asyncio

import httpx
import pytest
from support.daemon import Daemon
from support.daemon_calls import CHAT, ENDLESS, batch, chat, idle, streaming
from support.deadline import eventually

FEW = 5000
"""Steps of a few milliseconds each that pass while three busy processes hear of it; the answer would take 30000."""


@pytest.fixture(autouse=True)
async def rested(trio: Daemon) -> None:
    """Begin with models that are loaded and have nothing to do."""
    for name in ("llama", "org/qwen"):
        trio.post("/v1/models/load", {"model": name})
        await idle(trio, name)


async def test_leaving_a_stream_at_its_third_token_ends_its_row(
    trio: Daemon, asker: httpx.AsyncClient
) -> None:
    before = batch(trio, "org/qwen")
    async with streaming(asker, "org/qwen", 3, **ENDLESS):
        assert batch(trio, "org/qwen")["decode"] == 1
    read = batch(trio, "org/qwen")
    await idle(trio, "org/qwen")
    after = batch(trio, "org/qwen")
    assert after["cancelled"] == before["cancelled"] + 1
    assert after["generated_tokens"] - read["generated_tokens"] <= FEW


async def test_leaving_an_answer_that_is_not_streamed_ends_its_row(
    trio: Daemon, asker: httpx.AsyncClient
) -> None:
    before = batch(trio, "org/qwen")
    request = asyncio.create_task(asker.post(CHAT, json=chat("org/qwen", **ENDLESS)))
    begun = before["generated_tokens"] + 3
    await eventually(
        lambda: batch(trio, "org/qwen")["generated_tokens"] >= begun, within=60, what="it answers"
    )
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    read = batch(trio, "org/qwen")
    await idle(trio, "org/qwen")
    after = batch(trio, "org/qwen")
    assert after["cancelled"] == before["cancelled"] + 1
    assert after["generated_tokens"] - read["generated_tokens"] <= FEW


@pytest.mark.parametrize("stream", [False, True])
async def test_leaving_the_queue_of_the_batch_gives_up_the_place_and_disturbs_nobody(
    trio: Daemon, asker: httpx.AsyncClient, stream: bool
) -> None:
    """The worker runs one row at a time."""
    before = batch(trio, "llama")
    async with streaming(asker, "llama", 3, **ENDLESS) as events:
        body = chat("llama", stream=stream, **ENDLESS)
        waiting = asyncio.create_task(asker.post(CHAT, json=body))
        await eventually(lambda: batch(trio, "llama")["waiting"] == 1, within=60, what="it waits")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        read = batch(trio, "llama")
        await eventually(lambda: batch(trio, "llama")["waiting"] == 0, within=60, what="it left")
        after = batch(trio, "llama")
        assert after["cancelled"] == before["cancelled"] + 1
        assert after["steps"] - read["steps"] <= FEW
        assert after["decode"] == 1
        assert all("error" not in event for event in await events.take(5))

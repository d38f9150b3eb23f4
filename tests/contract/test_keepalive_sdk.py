"""While a model takes its time to load, each official client's stream hears something, and then gets its answer."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest
from conftest import RunDaemon
from support.byte_clock import ByteClock, between
from support.daemon import Daemon
from support.deadline import eventually, until

ASKED: Any = [{"role": "user", "content": "Count to 8"}]
EIGHT = "1, 2, 3, 4, 5, 6, 7, 8"
PATIENCE_S = 150.0
PULSE_S = 0.05
LOAD, UNLOAD = "/v1/models/load", "/v1/models/unload"
PROMPT = "<|im_start|>user\nCount to 8<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
PLAIN: Any = {"chat_template_kwargs": {"enable_thinking": False}}


async def chat(url: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as sdk:
        stream = await sdk.chat.completions.create(
            model="demo", messages=ASKED, stream=True, temperature=0, extra_body=PLAIN
        )
        return "".join([part.choices[0].delta.content or "" async for part in stream])


async def completions(url: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as sdk:
        stream = await sdk.completions.create(
            model="demo", prompt=PROMPT, stream=True, temperature=0, max_tokens=60
        )
        return "".join([part.choices[0].text async for part in stream])


async def responses(url: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as sdk:
        async with sdk.responses.stream(
            model="demo", input="Count to 8", temperature=0, extra_body=PLAIN
        ) as stream:
            return (await stream.get_final_response()).output_text


async def messages(url: str) -> str:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as sdk:
        async with sdk.messages.stream(
            model="demo", messages=ASKED, max_tokens=60, extra_body={"temperature": 0}
        ) as stream:
            return await stream.get_final_text()


async def ollama_chat(url: str) -> str:
    async with ollama.AsyncClient(url) as sdk:
        stream = await sdk.chat("demo", ASKED, stream=True, think=False, options={"temperature": 0})
        return "".join([part.message.content or "" async for part in stream])


async def ollama_generate(url: str) -> str:
    async with ollama.AsyncClient(url) as sdk:
        stream = await sdk.generate(
            "demo", "Count to 8", stream=True, think=False, options={"temperature": 0}
        )
        return "".join([part.response or "" async for part in stream])


CALLS: dict[str, tuple[Callable[[str], Awaitable[str]], bytes]] = {
    "chat": (chat, b"\r\n: "),
    "completions": (completions, b"\r\n: "),
    "responses": (responses, b"event: response.in_progress\n"),
    "messages": (messages, b"event: ping\n"),
    "ollama chat": (ollama_chat, b'"done":false,"message":{"role":"assistant","content":""}}'),
    "ollama generate": (ollama_generate, b'"done":false,"response":""}'),
}
"""Each client's call, and how its dialect says that there is nothing to say."""


def shown(daemon: Daemon) -> dict[str, Any]:
    """Return what is told of the model, nothing where it has no process."""
    return next((model for model in daemon.ps() if model["pid"]), {})


def freeze(daemon: Daemon) -> int | None:
    """Stop the worker in the middle of its load, as a disk that does not answer would; None if it was ready before."""
    pid = int(until(lambda: shown(daemon), within=60, what="a worker is started")["pid"])
    os.kill(pid, signal.SIGSTOP)
    if shown(daemon)["state"] in ("starting", "loading"):
        return pid
    os.kill(pid, signal.SIGCONT)
    return None


@asynccontextmanager
async def frozen(daemon: Daemon) -> AsyncIterator[int]:
    """Give the pid of a worker that is stopped in the middle of a load, which ends well after the block."""
    while True:
        load = asyncio.create_task(asyncio.to_thread(daemon.post, LOAD, {"model": "demo"}))
        if (pid := await asyncio.to_thread(freeze, daemon)) is not None:
            break
        await load  # we were held up for longer than the load took
        await asyncio.to_thread(daemon.post, UNLOAD, {"model": "demo"})
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        await load


async def longest_delay(daemon: Daemon, over: asyncio.Event) -> float:
    """Return how much longer than usual anything took meanwhile: what the machine adds to every wait."""
    worst = 0.0
    async with httpx.AsyncClient(base_url=daemon.url, timeout=60) as client:
        before = time.monotonic()
        while not over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), PULSE_S)
            await client.get("/health")
            now = time.monotonic()
            worst, before = max(worst, now - before - PULSE_S), now
    return worst


async def answers_after(
    daemon: Daemon, seconds: float, often: int
) -> tuple[dict[str, tuple[str, ByteClock]], float]:
    """Return what each client was answered by a model that took so long to load, and when bytes came.

    The second is by how much the machine delayed what happened meanwhile.
    """
    clocks: dict[str, ByteClock] = {}
    found: dict[str, tuple[str, ByteClock]] = {}
    over = asyncio.Event()

    async def one(name: str) -> None:
        async with between(daemon.url) as clock:
            clocks[name] = clock
            found[name] = await CALLS[name][0](clock.url), clock

    def all_wait() -> bool:
        model = shown(daemon)
        return bool(model["queued_requests"] + model["active_requests"] > len(CALLS))

    def all_heard() -> bool:
        return all(clocks[name].content.count(CALLS[name][1]) >= often for name in CALLS)

    async with asyncio.timeout(seconds + PATIENCE_S), asyncio.TaskGroup() as asking:
        async with frozen(daemon):
            delay = asking.create_task(longest_delay(daemon, over))
            asked = [asking.create_task(one(name)) for name in CALLS]
            await asyncio.to_thread(until, all_wait, within=60, what="all are there")
            thaws = time.monotonic() + seconds
            await eventually(lambda: time.monotonic() > thaws, within=seconds + 60)
            await eventually(all_heard, what="each hears that its stream is alive")
        await asyncio.wait(asked)
        over.set()
    return found, delay.result()


def each_was_kept_alive(
    found: dict[str, tuple[str, ByteClock]], load: float, interval: float, noise: float
) -> None:
    """Check that every client got its answer, and never waited longer for a byte than it should."""
    assert found.keys() == CALLS.keys()
    for name, (text, clock) in found.items():
        print(f"{name}: {clock.longest_silence:.2f} s silent at most, of {clock.lasted:.1f} s")
        assert text == EIGHT, name
        assert clock.lasted >= load, name
        assert clock.longest_silence <= interval + noise, (name, noise)


@pytest.mark.timeout(300)
async def test_every_dialects_stream_hears_something_each_interval_while_its_model_loads(
    running_daemon: RunDaemon,
) -> None:
    daemon = running_daemon({"server": {"keepalive_interval": 0.5}})
    found, delay = await answers_after(daemon, 3.0, often=2)
    each_was_kept_alive(found, 3.0, 0.5, noise=1.0 + delay)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_every_dialects_stream_hears_something_each_five_seconds_of_a_load_of_twenty(
    running_daemon: RunDaemon,
) -> None:
    found, delay = await answers_after(running_daemon(), 20.0, often=3)
    each_was_kept_alive(found, 20.0, 5.0, noise=0.2 + delay)

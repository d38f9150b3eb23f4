"""While a model takes its time to load, each official client's stream hears something, and then gets its answer."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anthropic
import ollama
import openai
import pytest
from conftest import RunDaemon
from support.byte_clock import ByteClock, between
from support.daemon import Daemon
from support.deadline import eventually

ASKED: Any = [{"role": "user", "content": "Count to 8"}]
EIGHT = "1, 2, 3, 4, 5, 6, 7, 8"
PATIENCE_S = 150.0
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


async def freeze(daemon: Daemon) -> int:
    """Stop the worker in the middle of its load, as a disk that does not answer would; return its pid."""

    async def state() -> dict[str, Any] | None:
        models = await asyncio.to_thread(daemon.ps)
        return next((model for model in models if model["pid"]), None)

    deadline = time.monotonic() + 60
    while (found := await state()) is None:
        assert time.monotonic() < deadline, "no worker is started"
    os.kill(found["pid"], signal.SIGSTOP)
    held = await state()
    assert held is not None and held["state"] in ("starting", "loading"), held
    return int(found["pid"])


async def answers_after(daemon: Daemon, seconds: float) -> dict[str, tuple[str, ByteClock]]:
    """Return what each client was answered by a model that took so long to load, and when bytes came."""
    found: dict[str, tuple[str, ByteClock]] = {}

    async def one(name: str) -> None:
        async with between(daemon.url) as clock:
            found[name] = await CALLS[name][0](clock.url), clock

    async with asyncio.timeout(seconds + PATIENCE_S), asyncio.TaskGroup() as asking:
        for name in CALLS:
            asking.create_task(one(name))
        pid = await freeze(daemon)
        thaws = time.monotonic() + seconds
        try:
            await eventually(lambda: time.monotonic() > thaws, within=seconds + 60)
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return found


def each_was_kept_alive(
    found: dict[str, tuple[str, ByteClock]], load: float, interval: float, noise: float, often: int
) -> None:
    """Check that every client got its answer, and never waited longer for a byte than it should."""
    assert found.keys() == CALLS.keys()
    for name, (text, clock) in found.items():
        print(f"{name}: {clock.longest_silence:.2f} s silent at most, of {clock.lasted:.1f} s")
        assert text == EIGHT, name
        assert clock.lasted >= load - noise, name
        assert clock.longest_silence <= interval + noise, name
        heard = clock.content.count(CALLS[name][1])
        assert heard >= often, (name, clock.content)


@pytest.mark.timeout(300)
async def test_every_dialects_stream_hears_something_each_interval_while_its_model_loads(
    running_daemon: RunDaemon,
) -> None:
    daemon = running_daemon({"server": {"keepalive_interval": 0.5}})
    found = await answers_after(daemon, 3.0)
    each_was_kept_alive(found, 3.0, 0.5, noise=2.5, often=2)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_every_dialects_stream_hears_something_each_five_seconds_of_a_load_of_twenty(
    running_daemon: RunDaemon,
) -> None:
    found = await answers_after(running_daemon(), 20.0)
    each_was_kept_alive(found, 20.0, 5.0, noise=0.2, often=3)

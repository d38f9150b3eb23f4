"""A model that takes a minute to load holds nobody up who asks for another one."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
import pytest
from support.children import run_directory, scripted
from support.pools import model
from support.storm import storm
from support.tiny_models import folder

LOAD_S = 60
ROUND_S = 20.0
NOISE_S = 0.02
"""What the machine's own jitter may add to a few milliseconds."""


def body(name: str) -> dict[str, object]:
    """Return a short request to a model."""
    message = {"role": "user", "content": "Hello"}
    return {"model": name, "messages": [message], "max_tokens": 4, "temperature": 0}


async def timed(call: Callable[[], Awaitable[httpx.Response]]) -> float:
    """Return the seconds a call takes that must succeed."""
    began = time.perf_counter()
    response = await call()
    assert response.status_code == 200, response.text
    return time.perf_counter() - began


def at(share: float, samples: list[float]) -> float:
    """Return the sample below which this share of them lies."""
    return sorted(samples)[int(share * (len(samples) - 1))]


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_c1_a_resident_model_is_as_quick_while_another_loads_for_a_minute() -> None:
    with run_directory() as place:
        slow = scripted(place, "scripted-slow", load_steps=LOAD_S, load_step_s=1.0)
        models = [model("resident", folder("qwen3")), slow]
        async with (
            # Nobody shall hang here: a step that the machine held up is no reason to end a worker.
            storm(models, place, seed=0, step_stall=60.0, load_stall=60.0) as quiet,
            httpx.AsyncClient(base_url=quiet.url, timeout=120) as client,
        ):

            async def ask() -> httpx.Response:
                return await client.post("/v1/chat/completions", json=body("resident"))

            async def asked(until: Callable[[], bool]) -> tuple[list[float], list[float]]:
                answers, healths = [], []
                while not until():
                    answers.append(await timed(ask))
                    healths.append(await timed(lambda: client.get("/health")))
                return answers, healths

            async def undisturbed() -> float:
                over = time.perf_counter() + ROUND_S
                answers, _ = await asked(lambda: time.perf_counter() > over)
                return at(0.95, answers)

            await ask()
            before = await undisturbed()
            streamed = body("scripted-slow") | {"stream": True}
            load = asyncio.create_task(client.post("/v1/chat/completions", json=streamed))
            beside, healths = await asked(load.done)
            assert (await load).status_code == 200
            # Others use the machine too: what came before or after the load is as good a measure of it alone.
            alone = max(before, await undisturbed())

    print(f"\np95 alone {alone:.4f} s, beside a load {at(0.95, beside):.4f} s")
    print(f"/health p99 beside a load {at(0.99, healths):.4f} s, {len(beside)} requests")
    assert len(beside) > 100
    assert at(0.95, beside) <= max(1.2 * alone, alone + NOISE_S)

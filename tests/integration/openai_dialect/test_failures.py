"""What goes wrong is said in OpenAI's shape, and leaves no row behind."""

import asyncio
import logging
from typing import Any

import httpx
import pytest
from support.deadline import eventually
from support.openai_calls import USER, WITHIN, chunks
from support.scripted_engine import ScriptedEngine

from mlxd.protocol.errors import WorkerDied


async def test_a_row_that_fails_ends_its_stream_with_an_error_and_never_cleanly(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.fail_after = (3, WorkerDied("the device is gone"))
    for events in (await chunks(client), await chunks(client, "completions", prompt="x", n=2)):
        assert events[-1]["error"]["code"] == "worker_died"
        assert "[DONE]" not in events
    response = await client.post("/v1/chat/completions", json={"model": "m", "messages": [USER]})
    assert response.status_code == 503
    assert response.json()["error"]["message"] == "the device is gone"
    await eventually(lambda: script.live == 0, within=WITHIN, what="all rows to leave")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("running", [True, False])
async def test_a_client_that_leaves_takes_its_rows_along(
    client: httpx.AsyncClient, script: ScriptedEngine, stream: bool, running: bool
) -> None:
    script.says("x" * 4000)
    script.gate.clear()
    body = {"model": "m", "messages": [USER], "stream": stream, "n": 2}

    async def ask() -> None:
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            async for _ in response.aiter_bytes():
                pass

    asking = asyncio.create_task(ask())
    await eventually(lambda: len(script.seen) == 2, within=WITHIN, what="the rows to be queued")
    if running:
        script.steps_left = 3  # no more: they would be over before anybody has left
        await eventually(lambda: not script.steps_left, within=WITHIN, what="the rows to run")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await eventually(
        lambda: len(script.cancelled) == 2, within=WITHIN, what="the rows to be cancelled"
    )
    script.gate.set()
    await eventually(lambda: script.live == 0, within=WITHIN, what="the rows to leave")


async def test_errors_come_in_openais_shape(client: httpx.AsyncClient) -> None:
    async def error(method: str, path: str, **sent: Any) -> tuple[int, Any]:
        response = await client.request(method, path, **sent)
        return response.status_code, response.json()["error"]

    status, shown = await error("POST", "/v1/chat/completions", content=b"\xff{")
    assert (status, shown["code"], shown["type"]) == (
        400,
        "invalid_request",
        "invalid_request_error",
    )
    status, shown = await error("GET", "/v1/chat/completions")
    assert (status, shown["code"]) == (405, "method_not_allowed")
    status, shown = await error("GET", "/nowhere")
    assert (status, shown["code"]) == (404, "route_not_found")
    body = {"model": "m", "messages": [USER], "logit_bias": {"99999": 1}, "stream": True}
    status, shown = await error("POST", "/v1/chat/completions", json=body)
    assert (status, shown["param"]) == (400, "logit_bias")


async def test_a_prompt_longer_than_the_window_names_both_numbers(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    message = {"role": "user", "content": "x" * 5000}
    body = {"model": "m", "messages": [message], "stream": True}
    response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert str(script.model.context_length) in error["message"]
    response = await client.post("/v1/completions", json={"model": "m", "prompt": "x" * 5000})
    assert "5000" in response.json()["error"]["message"]
    assert response.json()["error"]["param"] == "prompt"


async def test_a_full_queue_is_answered_at_once_and_holds_no_row(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    response = await client.post(
        "/v1/chat/completions", json={"model": "m", "messages": [USER], "n": 65, "stream": True}
    )
    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"
    assert response.json()["error"]["code"] == "queue_full"
    await eventually(lambda: script.live == 0, within=WITHIN, what="the rows to leave")


async def test_what_nobody_foresaw_is_logged_and_never_shown(
    client: httpx.AsyncClient, script: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    script.engine.submit = None  # type: ignore[assignment, method-assign]
    with caplog.at_level(logging.ERROR):
        response = await client.post(
            "/v1/chat/completions", json={"model": "m", "messages": [USER]}
        )
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "NoneType" not in response.text
    assert "Traceback" in caplog.text


async def test_health_and_counts_answer_while_the_engine_stands_still(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.gate.clear()
    assert (await client.get("/health")).json() == {"status": "ok"}
    assert "steps" in (await client.get("/v1/batch/stats")).json()

"""What goes wrong is told in Anthropic's shape, and never looks like a good end."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from support.anthropic_calls import USER, body, events, message
from support.deadline import eventually
from support.scripted_engine import ScriptedEngine

from mlxd.protocol.errors import InsufficientMemory, MlxdError, WorkerDied


async def refused(client: httpx.AsyncClient, path: str = "/v1/messages", **fields: object) -> Any:
    response = await client.post(path, json=body(**fields))
    told = response.json()
    assert told["type"] == "error"
    return response.status_code, told["error"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0]"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"container": "c"}, "container"),
    ],
)
async def test_a_wrong_body_is_refused_by_its_field(
    client: httpx.AsyncClient, script: ScriptedEngine, fields: dict[str, Any], named: str
) -> None:
    for stream in (False, True):
        status, error = await refused(client, stream=stream, **fields)
        assert (status, error["type"]) == (400, "invalid_request_error")
        assert error["message"].startswith(named)
    assert not script.seen


async def test_an_overflow_is_told_in_the_words_that_make_claude_code_compact(
    client: httpx.AsyncClient,
) -> None:
    long = [{"role": "user", "content": "x" * 5000}]
    status, error = await refused(client, messages=long)
    assert (status, error["type"], error["code"]) == (
        400, "invalid_request_error", "context_length_exceeded",
    )  # fmt: skip
    assert error["message"].startswith("prompt is too long: 50")
    assert error["message"].endswith(" tokens > 4096 maximum")
    count = await client.post("/v1/messages/count_tokens", json=body(messages=long))
    assert count.json()["input_tokens"] > 5000


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (WorkerDied("gone"), "api_error", 503),
        (InsufficientMemory(needed=3, free=2, budget=1), "overloaded_error", 529),
    ],
)
async def test_a_row_that_fails_is_an_error_and_no_end(
    client: httpx.AsyncClient, script: ScriptedEngine, error: MlxdError, kind: str, status: int
) -> None:
    script.fail_after = (2, error)
    assert await refused(client) == (
        status,
        {"type": kind, "message": error.message, "code": error.code},
    )
    *begun, last = await events(client)
    assert last[0] == "error"
    assert last[1]["error"]["type"] == kind
    names = [name for name, _ in begun]
    assert names[0] == "message_start"
    assert not {"message_delta", "message_stop"} & set(names)


async def test_a_client_that_leaves_takes_its_row_along(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.gate.clear()
    async with client.stream("POST", "/v1/messages", json=body(stream=True)) as response:
        await anext(response.aiter_lines())
    await eventually(lambda: len(script.cancelled) == 1)
    asking = asyncio.create_task(client.post("/v1/messages", json=body()))
    await eventually(lambda: len(script.seen) == 2)
    asking.cancel()
    await asyncio.wait((asking,))
    await eventually(lambda: len(script.cancelled) == 2)


async def test_wrong_paths_and_methods_are_told_in_the_same_shape(
    client: httpx.AsyncClient,
) -> None:
    for path, status in (("/anthropic/v1/nothing", 404), ("/v1/messages", 405)):
        response = await client.get(path)
        assert response.status_code == status
        assert response.json()["type"] == "error"


async def test_a_malformed_call_is_text(client: httpx.AsyncClient, script: ScriptedEngine) -> None:
    tool = {"name": "f", "input_schema": {"type": "object"}}
    for text in (
        "<tool_call>\nnonsense\n</tool_call>",
        '<tool_call>\n{"name": "f", "arguments": {"x": NaN}}\n</tool_call>',
        '<tool_call>\n{"name": "\\ud800", "arguments": {}}\n</tool_call>',
    ):
        script.says(text)
        whole = await message(client, tools=[tool])
        assert [block["type"] for block in whole["content"]] == ["text"]
        assert whole["content"][0]["text"] == text
        assert whole["stop_reason"] == "end_turn"


async def test_a_template_that_refuses_says_so(client: httpx.AsyncClient) -> None:
    broken = json.dumps(body(messages=[USER])).replace('"hi"', '"\\ud800"').encode()
    response = await client.post("/v1/messages", content=broken)
    assert response.status_code == 400

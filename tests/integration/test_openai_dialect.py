"""The worker's app speaks OpenAI: real HTTP, real hand-over, scripted tokens."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai
import pytest
from support.app_server import serving
from support.deadline import eventually
from support.scripted_engine import ScriptedEngine
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.protocol.errors import WorkerDied
from mlxd.protocol.sse import Parser
from mlxd.workers.api.app import build

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
WITHIN = 10.0


@pytest.fixture
def script() -> Iterator[ScriptedEngine]:
    tokenizer = byte_tokenizer(CHATML)
    engine = ScriptedEngine(tokenizer, lambda request: tokenizer.encode("Hello, wörld 🙂"))
    yield engine
    engine.stop()


@pytest.fixture
async def client(script: ScriptedEngine) -> AsyncIterator[httpx.AsyncClient]:
    app = build(script.model, script.engine)
    async with serving(app) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=WITHIN) as client:
            yield client
    app.state.pipeline.close()


@pytest.fixture
async def sdk(client: httpx.AsyncClient) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=str(client.base_url.join("/v1")), api_key="none", max_retries=0
    ) as sdk:
        yield sdk


async def chat(client: httpx.AsyncClient, **fields: object) -> Any:
    body = {"model": "any", "messages": [USER]} | fields
    response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def chunks(
    client: httpx.AsyncClient, path: str = "chat/completions", **fields: object
) -> Any:
    """Return the events of a stream, the end marker as a string."""
    body = {"model": "any", "stream": True} | fields
    if path.startswith("chat"):
        body = {"messages": [USER]} | body
    parser = Parser()
    found: list[Any] = []
    async with client.stream("POST", f"/v1/{path}", json=body) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        async for part in response.aiter_bytes():
            for _, data in parser.feed(part):
                found.append("[DONE]" if data == b"[DONE]" else json.loads(data))
    return found


async def test_an_answer_names_what_ran_and_counts_its_tokens(client: httpx.AsyncClient) -> None:
    whole = await chat(client)
    assert whole["object"] == "chat.completion"
    assert whole["id"].startswith("chatcmpl-")
    assert whole["model"] == "the-model"
    [choice] = whole["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "Hello, wörld 🙂",
        "refusal": None,
    }
    assert choice["finish_reason"] == "stop"
    usage = whole["usage"]
    assert usage["completion_tokens"] == len("Hello, wörld 🙂".encode()) + 1
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 3}


async def test_a_stream_opens_with_the_role_before_any_token(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.gate.clear()
    body = {"model": "any", "messages": [USER], "stream": True}
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = response.aiter_lines()
        opening = json.loads((await anext(lines)).removeprefix("data: "))
        assert opening["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        script.gate.set()
        rest = [line async for line in lines if line]
    assert rest[-1] == "data: [DONE]"


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        f"<think>\nhm\n</think>\n\nOn it.\n{CALL}\n{CALL}",
        f"{CALL}",
        "<tool_call>{</tool_call>",
    ],
)
@pytest.mark.parametrize("extra", [{}, {"max_tokens": 9}, {"stop": "n i"}, {"logprobs": True}])
async def test_a_stream_says_what_the_whole_answer_says(
    client: httpx.AsyncClient, script: ScriptedEngine, text: str, extra: dict[str, object]
) -> None:
    script.says(text)
    whole = await chat(client, tools=[TOOL], **extra)
    events = await chunks(client, tools=[TOOL], stream_options={"include_usage": True}, **extra)
    assert events.pop() == "[DONE]"
    assert events.pop()["usage"] == whole["usage"]
    assert all(event["usage"] is None for event in events)
    message = whole["choices"][0]["message"]
    deltas = [event["choices"][0]["delta"] for event in events]
    for key in ("content", "reasoning_content"):
        assert "".join(delta.get(key, "") for delta in deltas) == (message.get(key) or "")
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert [call["function"] for call in calls] == [
        call["function"] for call in message.get("tool_calls", [])
    ]
    assert [call["index"] for call in calls] == list(range(len(calls)))
    reasons = [event["choices"][0]["finish_reason"] for event in events]
    assert reasons[-1] == whole["choices"][0]["finish_reason"]
    assert set(reasons[:-1]) == {None}
    if extra.get("logprobs"):
        shown = [event["choices"][0]["logprobs"] for event in events]
        streamed = [entry for part in shown if part for entry in part["content"]]
        assert streamed == whole["choices"][0]["logprobs"]["content"]


async def test_calls_and_reasoning_come_apart_from_the_text(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says(f"<think>\nhm\n</think>\n\nOn it.\n{CALL}")
    whole = await chat(client, tools=[TOOL])
    message = whole["choices"][0]["message"]
    assert message["content"] == "On it."
    assert message["reasoning_content"] == "hm"
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x": 1}'}
    assert message["tool_calls"][0]["id"].startswith("call_")
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] == len("\nhm\n") + 1


async def test_a_malformed_call_is_the_answers_text(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says("<tool_call>{nonsense</tool_call>")
    [choice] = (await chat(client, tools=[TOOL]))["choices"]
    assert choice["message"]["content"] == "<tool_call>{nonsense</tool_call>"
    assert choice["finish_reason"] == "stop"


async def test_without_tools_a_call_is_text(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says(CALL)
    for fields in ({}, {"tools": [TOOL], "tool_choice": "none"}):
        [choice] = (await chat(client, **fields))["choices"]
        assert choice["message"]["content"] == CALL


async def test_one_call_ends_the_answer_where_calls_may_not_come_together(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says(f"{CALL}\n{CALL}")
    [choice] = (await chat(client, tools=[TOOL], parallel_tool_calls=False))["choices"]
    assert len(choice["message"]["tool_calls"]) == 1
    assert choice["finish_reason"] == "tool_calls"


async def test_an_answer_ends_just_before_a_stop_string(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says("one two three")
    [choice] = (await chat(client, stop=["x", " three"]))["choices"]
    assert choice["message"]["content"] == "one two"
    assert choice["finish_reason"] == "stop"
    await eventually(lambda: script.live == 0, within=WITHIN, what="the row to leave")


async def test_the_token_limit_and_the_window_end_an_answer_as_length(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says("x" * 5000)
    limited = await chat(client, max_completion_tokens=5)
    assert limited["choices"][0]["message"]["content"] == "xxxxx"
    assert limited["choices"][0]["finish_reason"] == "length"
    endless = await chat(client)
    assert endless["usage"]["total_tokens"] == script.model.context_length
    assert endless["choices"][0]["finish_reason"] == "length"


async def test_log_probabilities_come_in_openais_shape(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says("<think>no</think>é!")
    whole = await chat(client, logprobs=True, top_logprobs=2)
    content = whole["choices"][0]["logprobs"]["content"]
    assert [entry["bytes"] for entry in content] == [[0xC3], [0xA9], [ord("!")]]
    assert content[2]["token"] == "!"
    assert content[2]["logprob"] == -0.5
    assert [entry["logprob"] for entry in content[2]["top_logprobs"]] == [-1.0, -2.0]


async def test_every_sampling_field_reaches_the_engine(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    fields: dict[str, object] = {
        "temperature": 0.5, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1,
        "presence_penalty": 0.2, "frequency_penalty": 0.3, "seed": 7,
    }  # fmt: skip
    await chat(client, logit_bias={"5": 2}, max_tokens=4, n=2, **fields)
    first, second = script.seen
    for name, value in fields.items():
        assert getattr(first.sampling, name) == value
    assert first.sampling.logit_bias == {5: 2}
    assert first.max_tokens == 4
    assert second.sampling.seed == 8


async def test_choices_share_a_prompt_that_counts_once(client: httpx.AsyncClient) -> None:
    one = await chat(client)
    three = await chat(client, n=3)
    assert [choice["index"] for choice in three["choices"]] == [0, 1, 2]
    assert three["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]
    assert three["usage"]["completion_tokens"] == 3 * one["usage"]["completion_tokens"]
    events = await chunks(client, n=3)
    text = ["".join(_content(event, index) for event in events[:-1]) for index in range(3)]
    assert text == ["Hello, wörld 🙂"] * 3


def _content(event: Any, index: int) -> str:
    return "".join(c["delta"].get("content", "") for c in event["choices"] if c["index"] == index)


async def test_completions_continue_each_prompt(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    async def complete(**fields: object) -> Any:
        response = await client.post("/v1/completions", json={"model": "m", **fields})
        assert response.status_code == 200, response.text
        return response.json()

    script.says(" <think>time")
    whole = await complete(prompt=["once", [104, 105]], n=2, echo=True)
    assert [choice["text"] for choice in whole["choices"]] == [
        *["once <think>time"] * 2,
        *[script.tokenizer.decode([104, 105]) + " <think>time"] * 2,
    ]
    assert whole["usage"]["prompt_tokens"] == len("once") + 2
    assert whole["model"] == "the-model"
    scored = await complete(prompt="x", logprobs=2, max_tokens=2)
    logprobs = scored["choices"][0]["logprobs"]
    assert logprobs["tokens"] == [" ", "<think>"]
    assert logprobs["token_logprobs"] == [-0.5, -0.5]
    assert logprobs["text_offset"] == [0, 1]
    events = await chunks(client, "completions", prompt="x", logprobs=0, max_tokens=2, echo=False)
    assert "".join(event["choices"][0]["text"] for event in events[:-1]) == " <think>"
    assert [e["choices"][0]["finish_reason"] for e in events[:-1]][-1] == "length"


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
        script.gate.set()
        await asyncio.sleep(0)
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


async def test_the_official_client_reads_answers_streams_and_errors(
    sdk: openai.AsyncOpenAI, script: ScriptedEngine
) -> None:
    script.says(f"<think>hm</think>On it.\n{CALL}")
    tools: Any = [TOOL]
    messages: Any = [USER]
    whole = await sdk.chat.completions.create(model="m", messages=messages, tools=tools)
    assert whole.choices[0].message.tool_calls
    async with sdk.chat.completions.stream(
        model="m", messages=messages, tools=tools, stream_options={"include_usage": True}
    ) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == whole.choices[0].message.content == "On it."
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.usage == whole.usage
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.chat.completions.create(model="m", messages=messages, temperature=-1)
    assert caught.value.param == "temperature"
    script.fail_after = (2, WorkerDied("gone"))
    with pytest.raises(openai.APIError, match="gone"):
        async for _ in await sdk.chat.completions.create(model="m", messages=messages, stream=True):
            pass
    completion = sdk.completions.create(model="m", prompt="x")
    with pytest.raises(openai.InternalServerError):
        await completion

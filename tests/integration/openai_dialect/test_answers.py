"""Whole answers and streams say the same, in OpenAI's shapes."""

import json
from typing import Any

import httpx
import pytest
from support.deadline import eventually
from support.openai_calls import CALL, TOOL, USER, WITHIN, chat, chunks
from support.scripted_engine import ScriptedEngine


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
    client: httpx.AsyncClient, script: ScriptedEngine, text: str, extra: dict[str, Any]
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

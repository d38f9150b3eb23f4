"""What comes back of a request: items, calls in the client's own terms, usage, the state of the response."""

import json
from typing import Any

import httpx
import pytest
from openai.types.responses import Response as TheirResponse
from support.openai_responses_calls import (
    CALL,
    CUSTOM,
    FUNCTION,
    events,
    nameless,
    put_together,
    respond,
)
from support.scripted_engine import ScriptedEngine


def prompt(script: ScriptedEngine) -> str:
    return str(script.tokenizer.decode(script.seen[-1].prompt))


async def test_an_answer_is_one_message(client: httpx.AsyncClient) -> None:
    response = await respond(client, instructions="Be brief.", metadata={"a": "b"})
    theirs = TheirResponse.model_validate(response)
    assert theirs.output_text == "Hello, wörld 🙂"
    assert theirs.status == "completed"
    assert theirs.model == "the-model"
    assert theirs.instructions == "Be brief."
    assert theirs.metadata == {"a": "b"}
    (message,) = response["output"]
    assert message["content"] == [
        {"type": "output_text", "text": "Hello, wörld 🙂", "annotations": [], "logprobs": []}
    ]
    assert theirs.usage is not None
    assert theirs.usage.input_tokens_details.cached_tokens == 3
    assert theirs.usage.total_tokens == theirs.usage.input_tokens + theirs.usage.output_tokens


@pytest.mark.parametrize(
    ("text", "tools"),
    [
        ("Hello, wörld 🙂", []),
        ("", []),
        ("<think>hm\nhm</think>Aha.", []),
        (f"<think>hm</think>On it.\n{CALL}", [FUNCTION]),
        (CALL + "\n" + CALL.replace("1", "2"), [FUNCTION]),
        (
            '<tool_call>\n{"name": "note", "arguments": {"input": "a\\nb"}}\n</tool_call>',
            [CUSTOM, FUNCTION],
        ),
        ("<tool_call>\n{broken}\n</tool_call>", [FUNCTION]),
    ],
)
async def test_a_stream_adds_up_to_the_whole_answer(
    client: httpx.AsyncClient, script: ScriptedEngine, text: str, tools: list[Any]
) -> None:
    script.says(text)
    whole = await respond(client, tools=tools)
    stream = await events(client, tools=tools)
    assert [event["type"] for event in stream[:2]] == ["response.created", "response.in_progress"]
    assert stream[-1]["type"] == "response.completed"
    assert stream[0]["sequence_number"] == 0
    final = stream[-1]["response"]
    assert put_together(stream) == final["output"]
    assert nameless(final["output"]) == nameless(whole["output"])
    assert final["usage"] == whole["usage"]
    assert {event["response"]["id"] for event in stream if "response" in event} == {final["id"]}


async def test_an_answer_that_hits_its_limit_is_incomplete(client: httpx.AsyncClient) -> None:
    whole = await respond(client, max_output_tokens=3)
    assert whole["status"] == "incomplete"
    assert whole["incomplete_details"] == {"reason": "max_output_tokens"}
    assert whole["output"][0]["status"] == "incomplete"
    stream = await events(client, max_output_tokens=3)
    assert stream[-1]["type"] == "response.incomplete"
    assert stream[-1]["response"]["status"] == "incomplete"


async def test_reasoning_is_an_item_of_its_own_and_counted(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says("<think>hm</think>Aha.")
    response = await respond(client, reasoning={"effort": "high", "summary": "auto"})
    reasoning, message = response["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert reasoning["summary"] == []
    assert "encrypted_content" not in reasoning
    assert message["content"][0]["text"] == "Aha."
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    assert response["reasoning"] == {"effort": "high", "summary": None}


async def test_reasoning_comes_back_through_a_client_that_only_keeps_it_encrypted(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says(f"<think>hm hm</think>{CALL}")
    include = ["reasoning.encrypted_content"]
    first = await respond(client, tools=[FUNCTION], include=include, store=False)
    asked = prompt(script)
    said = script.tokenizer.decode(script.tokenizer.encode(f"<think>hm hm</think>\n{CALL}"))
    reasoning, call = first["output"]
    # What Codex sends back: neither ids nor the reasoning's text.
    history = [
        {"role": "user", "content": "hi"},
        {
            "type": "reasoning",
            "summary": [],
            "content": None,
            "encrypted_content": reasoning["encrypted_content"],
        },
        {key: call[key] for key in ("type", "call_id", "name", "arguments")},
        {"type": "function_call_output", "call_id": call["call_id"], "output": "42"},
    ]
    await respond(client, input=history, tools=[FUNCTION])
    assert prompt(script).startswith(asked + said)


async def test_calls_come_back_as_what_the_client_declared(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    tools = [
        {"type": "namespace", "name": "mcp__files__", "description": "", "tools": [FUNCTION]},
        {"type": "namespace", "name": "notes", "tools": [CUSTOM]},
        {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}},
        {"type": "local_shell"},
        {"type": "web_search", "external_web_access": True},
        {"type": "image_generation", "output_format": "png"},
    ]

    async def called(name: str, arguments: str) -> Any:
        script.says(f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>')
        (item,) = (await respond(client, tools=tools))["output"]
        return item

    item = await called("mcp__files__f", '{"x": 1}')
    assert (item["type"], item["namespace"], item["name"]) == (
        "function_call",
        "mcp__files__",
        "f",
    )
    assert json.loads(item["arguments"]) == {"x": 1}
    item = await called("f", "{}")
    assert (item["namespace"], item["name"]) == ("mcp__files__", "f")
    item = await called("notes__note", '{"input": "*** Begin"}')
    assert (item["type"], item["namespace"], item["name"], item["input"]) == (
        "custom_tool_call",
        "notes",
        "note",
        "*** Begin",
    )
    item = await called("tool_search", '{"query": "mail"}')
    assert (item["type"], item["execution"], item["arguments"]) == (
        "tool_search_call",
        "client",
        {"query": "mail"},
    )
    item = await called("local_shell", '{"command": ["ls"]}')
    assert (item["type"], item["action"]) == (
        "local_shell_call",
        {"type": "exec", "command": ["ls"], "env": {}},
    )
    assert "web_search" not in prompt(script)
    assert "image_generation" not in prompt(script)


@pytest.mark.parametrize(
    ("choice", "offered"),
    [
        ("auto", {"f", "note"}),
        ("none", set()),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "custom", "name": "note"}]},
         {"note"}),
    ],
)  # fmt: skip
async def test_the_choice_of_tools_decides_what_is_offered(
    client: httpx.AsyncClient, script: ScriptedEngine, choice: Any, offered: set[str]
) -> None:
    response = await respond(client, tools=[FUNCTION, CUSTOM], tool_choice=choice)
    assert {name for name in ("f", "note") if f'"name": "{name}"' in prompt(script)} == offered
    assert response["tool_choice"] == choice
    assert response["tools"] == [FUNCTION, CUSTOM]


async def test_logprobs_come_where_they_are_included(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says("ab")
    include = ["message.output_text.logprobs"]
    whole = await respond(client, include=include, top_logprobs=2)
    (part,) = whole["output"][0]["content"]
    assert [entry["token"] for entry in part["logprobs"]] == ["a", "b"]
    assert [len(entry["top_logprobs"]) for entry in part["logprobs"]] == [2, 2]
    stream = await events(client, include=include, top_logprobs=2)
    deltas = [event for event in stream if event["type"] == "response.output_text.delta"]
    assert sum((event["logprobs"] for event in deltas), []) == part["logprobs"]


async def test_an_empty_input_is_answered(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    empties: list[Any] = [[], ""]
    for empty in empties:
        response = await respond(client, input=empty, max_output_tokens=1, store=False)
        assert response["status"] == "incomplete"
    assert prompt(script) == "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"


async def test_a_stream_goes_on_where_the_supervisor_has_begun(client: httpx.AsyncClient) -> None:
    told = {
        "x-mlxd-response-id": "resp_given",
        "x-mlxd-created-at": "77",
        "x-mlxd-sequence-number": "5",
    }
    stream = await events(client, headers=told)
    assert [event["type"] for event in stream[:1]] == ["response.in_progress"]
    assert stream[0]["sequence_number"] == 5
    assert stream[-1]["response"]["id"] == "resp_given"
    assert stream[-1]["response"]["created_at"] == 77
    put_together(stream)


async def test_a_silent_stream_says_again_that_it_is_in_progress(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.gate.clear()
    waiting = 0
    numbers = []
    body = {"model": "m", "input": "hi", "stream": True}
    headers = {"x-mlxd-longest-pause": "0.02"}
    async with client.stream("POST", "/v1/responses", json=body, headers=headers) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                numbers.append(event["sequence_number"])
                waiting += event["type"] == "response.in_progress"
                if waiting == 4:
                    script.gate.set()
    assert waiting >= 4
    assert event["type"] == "response.completed"
    assert numbers == list(range(len(numbers)))


async def test_chat_and_responses_make_the_same_tokens_of_a_conversation(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    function = {"name": "f", "parameters": {"type": "object"}}
    called = {"name": "f", "arguments": '{"x": 1}'}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "On it.",
            "reasoning_content": "hm",
            "tool_calls": [{"id": "c1", "type": "function", "function": called}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    body = {"model": "m", "messages": messages, "reasoning_effort": "low"}
    tools = [{"type": "function", "function": function}]
    answer = await client.post("/v1/chat/completions", json=body | {"tools": tools})
    assert answer.status_code == 200, answer.text
    thought = [{"type": "reasoning_text", "text": "hm"}]
    items = [
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": thought},
        {"role": "assistant", "content": "On it."},
        {"type": "function_call", "call_id": "c1", **called},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
    ]
    await respond(
        client,
        input=items,
        instructions="Be brief.",
        tools=[FUNCTION],
        reasoning={"effort": "low"},
    )
    chat, ours = script.seen
    assert chat.prompt == ours.prompt
    assert chat.sampling == ours.sampling

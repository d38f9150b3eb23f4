"""The worker's app speaks Anthropic: real HTTP, real hand-over, scripted tokens."""

import json
from typing import Any

import httpx
import pytest
from support.anthropic_calls import (
    CALL,
    THINK,
    TOOL,
    USER,
    body,
    counted,
    events,
    message,
    prompt_tokens,
    put_together,
    without_ids,
)
from support.scripted_engine import ScriptedEngine

from mlxd.workers.engine.thinking_budget import ThinkingBudget

THOUGHT = "<think>\nhm\n</think>\n\n"


def prompt(script: ScriptedEngine) -> str:
    """Return the last prompt as text."""
    return str(script.tokenizer.decode(list(script.seen[-1].prompt)))


async def test_an_answer_names_what_ran_and_counts_its_tokens(client: httpx.AsyncClient) -> None:
    whole = await message(client)
    assert whole["type"] == "message"
    assert whole["id"].startswith("msg_")
    assert whole["role"] == "assistant"
    assert whole["model"] == "the-model"
    assert whole["content"] == [{"type": "text", "text": "Hello, wörld 🙂", "citations": None}]
    assert (whole["stop_reason"], whole["stop_sequence"]) == ("end_turn", None)
    usage = whole["usage"]
    assert usage["output_tokens"] == len("Hello, wörld 🙂".encode()) + 1
    assert usage["cache_read_input_tokens"] == 3
    assert usage["cache_creation_input_tokens"] == 0
    assert usage["output_tokens_details"] == {"thinking_tokens": 0}


async def test_both_prefixes_and_a_beta_flag_reach_the_same_route(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/v1/messages", "/v1/messages?beta=true", "/anthropic/v1/messages"):
        assert (await message(client, path))["content"][0]["text"] == "Hello, wörld 🙂"


async def test_a_stream_opens_with_the_prompts_length_and_a_ping_before_any_token(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.gate.clear()
    async with client.stream("POST", "/v1/messages", json=body(stream=True)) as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "event: message_start"
        start = json.loads((await anext(lines)).removeprefix("data: "))
        assert start["message"]["content"] == []
        assert start["message"]["stop_reason"] is None
        assert start["message"]["usage"]["input_tokens"] == await counted(client)
        assert await anext(lines) == ""
        assert await anext(lines) == "event: ping"
        assert await anext(lines) == 'data: {"type":"ping"}'
        script.gate.set()
        rest = [line async for line in lines if line]
    assert rest[-2:] == ["event: message_stop", 'data: {"type":"message_stop"}']


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "",
        f"{THOUGHT}On it.\n{CALL}\n{CALL}",
        f"{CALL}",
        f"Well.\n{CALL}\nAnd {THOUGHT}more.",
        "<tool_call>{</tool_call>",
        '<tool_call>{"name": "f", "arguments": {"x": NaN}}</tool_call>',
        '<tool_call>{"name": "f", "arguments": {"x": "\\ud800"}}</tool_call>',
    ],
)
@pytest.mark.parametrize(
    "extra",
    [
        {},
        THINK,
        {"max_tokens": 9},
        {"stop_sequences": ["zz", "n i"]},
        {"max_tokens": 0},
        {"thinking": {"type": "adaptive", "display": "omitted"}},
    ],
)
async def test_a_stream_says_what_the_whole_answer_says(
    client: httpx.AsyncClient, script: ScriptedEngine, text: str, extra: dict[str, Any]
) -> None:
    script.says(text)
    whole = await message(client, tools=[TOOL], **extra)
    told = put_together(await events(client, tools=[TOOL], **extra))
    assert without_ids(told.pop("content")) == without_ids(whole.pop("content"))
    assert told.keys() == whole.keys()
    assert {**told, "id": ""} == {**whole, "id": ""}


async def test_calls_and_reasoning_come_apart_from_the_text(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says(f"{THOUGHT}On it.\n{CALL}\n{CALL}")
    whole = await message(client, tools=[TOOL])
    thinking, text, first, second = whole["content"]
    assert thinking["type"] == "thinking" and thinking["thinking"] == "hm"
    assert thinking["signature"]
    assert text["text"] == "On it."
    assert first == {"type": "tool_use", "id": first["id"], "name": "f", "input": {"x": 1}}
    assert first["id"].startswith("toolu_") and first["id"] != second["id"]
    assert whole["stop_reason"] == "tool_use"
    assert whole["usage"]["output_tokens_details"]["thinking_tokens"] > 0


async def test_the_same_thought_has_the_same_signature_shown_or_not(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says(f"{THOUGHT}Yes.")
    hidden: dict[str, Any] = {"thinking": {"type": "adaptive", "display": "omitted"}}
    shown, omitted = await message(client), await message(client, **hidden)
    assert shown["content"][0]["signature"] == omitted["content"][0]["signature"]
    assert (shown["content"][0]["thinking"], omitted["content"][0]["thinking"]) == ("hm", "")


async def test_one_call_at_a_time_where_parallel_ones_are_not_wanted(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says(f"{CALL}\n{CALL}")
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    whole = await message(client, tools=[TOOL], tool_choice=choice)
    assert [block["type"] for block in whole["content"]] == ["tool_use"]
    assert whole["stop_reason"] == "tool_use"


async def test_tools_that_must_not_be_called_are_not_offered(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says(CALL)
    whole = await message(client, tools=[TOOL], tool_choice={"type": "none"})
    assert [block["type"] for block in whole["content"]] == ["text"]
    assert "Do f" not in prompt(script)


@pytest.mark.parametrize(
    ("stops", "text", "hit"),
    [(["wör", "zz"], "Hello, ", "wör"), (["ld", "örld"], "Hello, w", "örld"), ([], None, None)],
)
async def test_an_answer_says_which_stop_sequence_ended_it(
    client: httpx.AsyncClient, stops: list[str], text: str | None, hit: str | None
) -> None:
    for answer in (
        await message(client, stop_sequences=stops),
        put_together(await events(client, stop_sequences=stops)),
    ):
        assert answer["stop_sequence"] == hit
        assert answer["stop_reason"] == ("stop_sequence" if hit else "end_turn")
        assert answer["content"][0]["text"] == (text or "Hello, wörld 🙂")


async def test_an_answer_that_is_cut_says_by_what(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says("x" * 5000)
    assert (await message(client, max_tokens=7))["stop_reason"] == "max_tokens"
    full = await message(client, max_tokens=100_000)
    assert full["stop_reason"] == "model_context_window_exceeded"
    assert prompt_tokens(full["usage"]) + full["usage"]["output_tokens"] == 4096


async def test_zero_tokens_read_the_prompt_and_answer_nothing(client: httpx.AsyncClient) -> None:
    whole = await message(client, max_tokens=0)
    assert whole["content"] == []
    assert whole["stop_reason"] == "max_tokens"
    assert whole["usage"]["output_tokens"] == 0
    assert prompt_tokens(whole["usage"]) == await counted(client)


@pytest.mark.parametrize(
    ("thinking", "end"),
    [
        (None, "<think>\n\n</think>\n\n"),
        ({"type": "disabled"}, "<think>\n\n</think>\n\n"),
        ({"type": "between_tools"}, "<think>\n\n</think>\n\n"),
        ({"type": "adaptive"}, "<think>\n"),
        ({"type": "enabled", "budget_tokens": 1024}, "<think>\n"),
    ],
)
async def test_the_model_thinks_where_it_is_asked_to(
    client: httpx.AsyncClient, script: ScriptedEngine, thinking: object, end: str
) -> None:
    await message(client, thinking=thinking)
    assert prompt(script).endswith(f"<|im_start|>assistant\n{end}")


async def test_a_budget_of_thinking_reaches_the_engine_unless_it_leaves_no_room_for_an_answer(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    await message(client, max_tokens=1026, thinking=thinking)
    budget = script.seen[-1].grammar
    assert isinstance(budget, ThinkingBudget)
    marks = [script.tokenizer.encode(mark) for mark in ("<think>", "</think>")]
    assert [[budget.opening], [budget.closing]] == marks
    assert (budget.tokens, budget.is_open) == (1024, True)
    for fields in ({"thinking": thinking, "max_tokens": 1025}, {"thinking": {"type": "adaptive"}}):
        await message(client, **fields)
        assert script.seen[-1].grammar is None


async def test_an_answer_goes_on_from_the_words_put_into_its_mouth(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says(" 42, of course.")
    for given in ("It is", [{"type": "text", "text": "It is"}]):
        begun = [USER, {"role": "assistant", "content": given}]
        whole = await message(client, messages=begun)
        assert prompt(script).endswith("<think>\n\n</think>\n\nIt is")
        assert whole["content"][0]["text"] == " 42, of course."
        await message(client, messages=begun, **THINK)
        assert prompt(script).endswith("<think>\n\n</think>\n\nIt is")


async def test_a_conversation_reaches_the_model_in_its_order(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    conversation: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "xx"},
                {"type": "text", "text": "On it."},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": "no",
                    "is_error": True,
                },
                {"type": "text", "text": "Again", "cache_control": {"type": "ephemeral"}},
            ],
        },
    ]
    await message(client, system="Be brief.", messages=conversation)
    shown = prompt(script).replace("<|im_end|>", "").split("<|im_start|>")[1:-1]
    assert shown == [
        "system\nBe brief.\n",
        "user\na\nb\n",
        'assistant\n<think>hm</think>On it.\n<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>\n',
        "tool\nError: no\n",
        "user\nAgain\n",
    ]


async def test_counting_gives_the_length_of_the_prompt_and_runs_nothing(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    bodies: list[dict[str, Any]] = [
        {},
        {"system": "Be brief."},
        {"system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"tools": [TOOL]},
        {"tools": [TOOL], "tool_choice": {"type": "none"}},
        THINK,
        {"messages": [USER, {"role": "assistant", "content": "So"}]},
    ]
    for fields in bodies:
        ran = len(script.seen)
        for path in ("/v1/messages", "/anthropic/v1/messages"):
            number = await counted(client, f"{path}/count_tokens?beta=true", **fields)
            assert len(script.seen) == ran
            assert prompt_tokens((await message(client, path, **fields))["usage"]) == number
            stream = put_together(await events(client, path, **fields))
            assert prompt_tokens(stream["usage"]) == number
            ran += 2
    fields = body()
    del fields["max_tokens"]
    response = await client.post("/v1/messages/count_tokens", json=fields)
    assert response.json() == {"input_tokens": await counted(client)}

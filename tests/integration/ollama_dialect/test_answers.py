"""The worker's app speaks Ollama: real HTTP, real hand-over, scripted tokens."""

import json
from datetime import datetime
from typing import Any

import httpx
import pytest
from support.ollama_calls import CALL, CALLED, TOOL, USER, answer, body, lines, plain, put_together
from support.scripted_engine import ScriptedEngine

from mlxd.protocol.errors import WorkerDied

THOUGHT = "<think>\nhm\n</think>\n\n"
BOTH = pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])


def prompt(script: ScriptedEngine) -> str:
    """Return the last prompt as text."""
    return str(script.tokenizer.decode(list(script.seen[-1].prompt)))


@BOTH
async def test_an_answer_names_what_ran_and_counts_in_nanoseconds(
    client: httpx.AsyncClient, path: str
) -> None:
    response = await client.post(
        path, json=body(path, stream=False), headers={"x-mlxd-queued-ns": "5000000000"}
    )
    whole = response.json()
    assert whole["model"] == "the-model"
    assert datetime.fromisoformat(whole["created_at"]).tzinfo is not None
    assert plain(whole)["text"] == "Hello, wörld 🙂"
    assert (whole["done"], whole["done_reason"]) == (True, "stop")
    assert whole["eval_count"] == len("Hello, wörld 🙂".encode()) + 1
    assert whole["prompt_eval_count"] > 3
    assert whole["load_duration"] == 5_000_000_000
    spent = whole["prompt_eval_duration"] + whole["eval_duration"]
    assert whole["total_duration"] == 5_000_000_000 + spent
    assert whole["eval_duration"] > 0 and whole["prompt_eval_duration"] > 0


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "",
        f"{THOUGHT}On it.\n{CALL}\n{CALL}",
        CALL,
        f"Well.\n{CALL}\nAnd {THOUGHT}more.",
        "<tool_call>{</tool_call>",
    ],
)
@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"think": True},
        {"think": "high"},
        {"options": {"num_predict": 9}},
        {"options": {"stop": ["zz", "n i"]}},
        {"logprobs": True, "top_logprobs": 2},
    ],
)
async def test_a_stream_says_what_the_whole_answer_says(
    client: httpx.AsyncClient, script: ScriptedEngine, path: str, text: str, extra: dict[str, Any]
) -> None:
    script.says(text)
    given = extra | ({"tools": [TOOL]} if path == "/api/chat" else {})
    whole = await answer(client, path, **given)
    assert put_together(await lines(client, path, **given)) == plain(whole)


async def test_calls_and_reasoning_come_apart_from_the_text(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    script.says(f"{THOUGHT}On it.\n{CALL}\n{CALL}")
    whole = await answer(client, tools=[TOOL])
    message = whole["message"]
    assert (message["role"], message["thinking"], message["content"]) == (
        "assistant",
        "hm",
        "On it.",
    )
    first, second = message["tool_calls"]
    assert first["function"] == CALLED
    assert second["function"] == CALLED | {"index": 1}
    assert first["id"] != second["id"]
    assert whole["done_reason"] == "stop"


async def test_a_malformed_call_is_text(client: httpx.AsyncClient, script: ScriptedEngine) -> None:
    script.says("<tool_call>\n{nonsense\n</tool_call>")
    message = (await answer(client, tools=[TOOL]))["message"]
    assert "{nonsense" in message["content"]
    assert "tool_calls" not in message


async def test_an_answer_that_is_cut_says_so(client: httpx.AsyncClient) -> None:
    assert (await answer(client, options={"num_predict": 3}))["done_reason"] == "length"
    for limit in (-1, -2, 0):
        whole = await answer(client, options={"num_predict": limit})
        assert whole["done_reason"] == "stop"


async def test_every_option_reaches_the_engine(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    wanted = {
        "temperature": 0.5, "top_k": 4, "top_p": 0.9, "min_p": 0.1, "seed": 7, "num_predict": 5,
        "repeat_penalty": 1.25, "presence_penalty": 0.5, "frequency_penalty": -0.5,
        "num_ctx": 4096, "num_gpu": 1, "use_mmap": True, "typical_p": 1.0, "mirostat": 0,
    }  # fmt: skip
    await answer(client, options=wanted)
    sampling = script.seen[-1].sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p) == (0.5, 4, 0.9)
    assert (sampling.min_p, sampling.seed, script.seen[-1].max_tokens) == (0.1, 7, 5)
    assert (sampling.repetition_penalty, sampling.presence_penalty) == (1.25, 0.5)
    assert sampling.frequency_penalty == -0.5
    await answer(client, options=wanted | {"repeat_last_n": 0, "seed": -1, "top_k": -1})
    sampling = script.seen[-1].sampling
    assert (sampling.repetition_penalty, sampling.presence_penalty, sampling.seed) == (1, 0, None)
    assert sampling.top_k == 0


async def test_think_is_what_the_template_is_told(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    for think, end in ((True, "<think>\n"), ("low", "<think>\n"), (False, "</think>\n\n")):
        await answer(client, think=think)
        assert prompt(script).endswith(end)
    await answer(client)
    assert prompt(script).endswith("<|im_start|>assistant\n")


async def test_generate_is_a_conversation_of_one_message_or_a_raw_prompt(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    await answer(client, "/api/generate", prompt="one", system="Be brief.")
    assert prompt(script) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\n"
    )
    await answer(client, "/api/generate", prompt="one", raw=True)
    assert prompt(script) == "one"


async def test_results_find_their_calls_by_id_by_name_and_by_place(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    calls = [
        {"function": {"name": name, "arguments": {"x": 1}}, **extra}
        for name, extra in (("f", {}), ("g", {}), ("f", {"id": "c9"}), ("h", {}))
    ]
    results: list[dict[str, object]] = [
        {"role": "tool", "content": "third", "tool_call_id": "c9"},
        {"role": "tool", "content": "second", "tool_name": "g"},
        {"role": "tool", "content": "first"},
        {"role": "tool", "content": "fourth"},
        {"role": "tool", "content": "nobody's"},
    ]
    messages = [USER, {"role": "assistant", "tool_calls": calls}, *results]
    await answer(client, messages=messages, tools=[TOOL])
    assert prompt(script).count("<|im_start|>tool") == 5
    assert prompt(script).count('<tool_call>\n{"name": "f", "arguments": {"x": 1}}') == 2


async def test_a_tool_loop_of_three_turns(
    client: httpx.AsyncClient, script: ScriptedEngine
) -> None:
    messages: list[Any] = [USER]
    for turn in range(3):
        script.says(f"Step {turn}.\n{CALL}" if turn != 1 else f"{CALL}\n{CALL}")
        told = put_together(await lines(client, messages=messages, tools=[TOOL]))
        assert told == plain(await answer(client, messages=messages, tools=[TOOL]))
        assert len(told["calls"]) == 1 + (turn == 1)
        called = [{"function": call} for call in told["calls"]]
        messages.append({"role": "assistant", "content": told["text"], "tool_calls": called})
        messages += [{"role": "tool", "tool_name": "f", "content": str(turn)} for _ in called]
    script.says("Done.")
    assert (await answer(client, messages=messages, tools=[TOOL]))["message"]["content"] == "Done."
    assert prompt(script).count("<|im_start|>tool") == 4


async def test_logprobs_come_with_their_tokens(client: httpx.AsyncClient) -> None:
    whole = await answer(client, logprobs=True, top_logprobs=2)
    first = whole["logprobs"][0]
    assert (first["token"], first["logprob"], first["bytes"]) == ("H", -0.5, [72])
    assert len(first["top_logprobs"]) == 2
    assert "logprobs" not in await answer(client)


@BOTH
@pytest.mark.parametrize("stream", [True, False])
async def test_a_body_that_asks_nothing_only_loads(
    client: httpx.AsyncClient, script: ScriptedEngine, path: str, stream: bool
) -> None:
    response = await client.post(path, json={"model": "any", "stream": stream})
    (line,) = response.text.splitlines()
    told = json.loads(line)
    assert (told["done"], told["done_reason"]) == (True, "load")
    assert not script.seen


@BOTH
async def test_a_stream_that_fails_ends_with_an_error_and_without_an_end(
    client: httpx.AsyncClient, script: ScriptedEngine, path: str
) -> None:
    script.fail_after = (2, WorkerDied("gone"))
    *parts, last = await lines(client, path)
    assert last == {"error": "gone", "code": "worker_died"}
    assert parts and not any(part["done"] for part in parts)

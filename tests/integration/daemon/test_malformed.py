"""Whatever is wrong with a body, its sender is told which field it is, and the batch goes on."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from support.daemon import Daemon
from support.daemon_calls import CHAT, ENDLESS, batch, chat, streaming

MODEL = "org/qwen"
COMPLETIONS = "/v1/completions"
USER = {"role": "user", "content": "Hello"}
HUNDRED_MB = 100 * 10**6


async def refused(
    asker: httpx.AsyncClient, trio: Daemon, path: str, **request: Any
) -> tuple[int, dict[str, Any]]:
    """Send a request beside a stream that goes on; return status and error after checking their shape."""
    async with streaming(asker, MODEL, 1, **ENDLESS) as events:
        response = await asker.post(path, **request)
        went_on = await events.take(5)
    assert all(event["choices"] for event in went_on)
    assert 400 <= response.status_code < 500, response.text
    assert "Traceback" not in response.text
    error: dict[str, Any] = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    return response.status_code, error


@pytest.fixture(autouse=True)
def in_order(trio: Daemon) -> Iterator[None]:
    """See that nobody's mistake is logged as ours, nor counted as a row that failed."""
    trio.post("/v1/models/load", {"model": MODEL})
    logged, failed = len(trio.log), batch(trio, MODEL)["failed"]
    yield
    assert "Traceback" not in trio.log[logged:]
    assert batch(trio, MODEL)["failed"] == failed


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b'"text"',
        b"[1]",
        b'{"model": "org/qwen", "messages": [{"role": "user", "content": "\xff\xfe"}], "prompt": "\xff"}',
        b'{"model": "org/qwen", "messages": [{"role": "user", "content": "\xed\xa0\x80"}], "prompt": "\xed\xa0\x80"}',
        b'{"model": "org/qwen", "messages": ' + b"[" * 100_000,
        b'{"model": "org/qwen", "prompt": "x", "messages": [], "x": NaN}',
    ],
    ids=["nothing", "cut", "null", "text", "list", "bytes", "surrogate", "deep", "nan"],
)
async def test_what_is_no_json_object_is_a_400(
    trio: Daemon, asker: httpx.AsyncClient, path: str, body: bytes
) -> None:
    status, error = await refused(asker, trio, path, content=body)
    assert (status, error["code"]) == (400, "invalid_request")


COMMON: list[tuple[dict[str, Any], str]] = [
    ({"model": 7}, "model"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": True}, "stream_options"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"n": 0}, "n"),
    ({"n": 10**6}, "n"),
    ({"stop": 5}, "stop"),
    ({"stop": [5]}, "stop[0]"),
    ({"stop": ["x"] * 17}, "stop"),
    ({"seed": "x"}, "seed"),
    ({"temperature": -1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": 2}, "top_p"),
    ({"top_k": -2}, "top_k"),
    ({"min_p": -0.1}, "min_p"),
    ({"presence_penalty": 9}, "presence_penalty"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"logit_bias": [1]}, "logit_bias"),
    ({"logit_bias": {"hello": 1}}, "logit_bias"),
    ({"logit_bias": {"99999999": 1}}, "logit_bias"),
    ({"keep_alive": "soon"}, "keep_alive"),
    ({"keep_alive": [1]}, "keep_alive"),
]
IN_CHAT: list[tuple[dict[str, Any], str]] = [
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "Hello"}, "messages"),
    ({"messages": ["Hello"]}, "messages[0]"),
    ({"messages": [{"content": "Hello"}]}, "messages[0].role"),
    ({"messages": [USER, {"role": "robot", "content": "x"}]}, "messages[1].role"),
    ({"messages": [{"role": 1, "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [5]}]}, "messages[0].content[0]"),
    ({"max_completion_tokens": -1}, "max_completion_tokens"),
    ({"tools": "all"}, "tools"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {"name": 5}}]}, "tools[0].function.name"),
    ({"tool_choice": 5}, "tool_choice"),
    ({"top_logprobs": 50}, "top_logprobs"),
    ({"logprobs": 3}, "logprobs"),
]
IN_COMPLETIONS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": None}, "prompt"),
    ({"prompt": 5}, "prompt"),
    ({"prompt": {"a": "b"}}, "prompt"),
    ({"prompt": [-1]}, "prompt"),
    ({"prompt": [10**9]}, "prompt"),
    ({"logprobs": -1}, "logprobs"),
]


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [(CHAT, *case) for case in COMMON + IN_CHAT]
    + [(COMPLETIONS, *case) for case in COMMON + IN_COMPLETIONS],
)
async def test_a_field_that_cannot_be_is_a_400_that_names_it(
    trio: Daemon, asker: httpx.AsyncClient, path: str, fields: dict[str, Any], param: str
) -> None:
    whole = chat(MODEL) if path == CHAT else {"model": MODEL, "prompt": "Hello"}
    status, error = await refused(asker, trio, path, json=whole | fields)
    assert (status, error["param"]) == (400, param)
    assert param.rpartition(".")[2].partition("[")[0] in error["message"]
    assert error["code"] in ("invalid_request", "unsupported_field")


@pytest.mark.parametrize("missing", ["model", "messages"])
async def test_a_field_that_is_missing_is_a_400_that_names_it(
    trio: Daemon, asker: httpx.AsyncClient, missing: str
) -> None:
    body = {name: value for name, value in chat(MODEL).items() if name != missing}
    status, error = await refused(asker, trio, CHAT, json=body)
    assert (status, error["param"]) == (400, missing)


async def test_a_prompt_beyond_the_window_is_a_400_with_both_numbers(
    trio: Daemon, asker: httpx.AsyncClient
) -> None:
    body = {"model": MODEL, "prompt": [1] * 40_000}
    status, error = await refused(asker, trio, COMPLETIONS, json=body)
    assert (status, error["code"], error["param"]) == (400, "context_length_exceeded", "prompt")
    assert "40000" in error["message"] and "32768" in error["message"]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_of_100_mb_is_a_413_and_not_kept(
    trio: Daemon, asker: httpx.AsyncClient, declared: bool
) -> None:
    """Three times: what an error holds on to adds up."""

    async def pieces() -> Any:
        for _ in range(HUNDRED_MB // 10**6):
            yield b" " * 10**6

    size = {"content-length": str(HUNDRED_MB)} if declared else {}
    before = psutil.Process(trio.pid).memory_info().rss
    for _ in range(3):
        status, error = await refused(asker, trio, CHAT, content=pieces(), headers=size)
        assert (status, error["code"]) == (413, "request_too_large")
        assert "64000000" in error["message"]
    assert psutil.Process(trio.pid).memory_info().rss - before < HUNDRED_MB // 4


def test_every_case_above_is_wrong_in_one_field_only(trio: Daemon) -> None:
    assert trio.post(CHAT, chat(MODEL))["object"] == "chat.completion"
    body = {"model": MODEL, "prompt": "Hello", "max_tokens": 2}
    assert trio.post(COMPLETIONS, body)["object"] == "text_completion"
    unknown = {"my_own": {"a": [1]}, "user": 5, "metadata": "x", "max_tokens": 2}
    assert json.dumps(trio.post(CHAT, chat(MODEL) | unknown)["choices"])

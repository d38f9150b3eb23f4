"""A real daemon speaks Anthropic on a real model, and counts tokens without one."""

import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import anthropic
import psutil
import pytest
from anthropic.types import ToolUseBlock
from conftest import RunDaemon
from support import tiny_models
from support.anthropic_calls import prompt_tokens
from support.daemon import Daemon, is_gone

HI: list[Any] = [{"role": "user", "content": "Hello!"}]
WEATHER: Any = {
    "name": "get_weather",
    "description": "Tell the weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
GREEDY: dict[str, Any] = {"extra_body": {"temperature": 0}}


def client(daemon: Daemon) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=daemon.url, api_key="none", max_retries=0, timeout=200)


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "demo", "max_tokens": 200, "messages": HI, **GREEDY, **fields}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"system": "Be brief."},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"tools": [WEATHER], "messages": [{"role": "user", "content": "What is the weather in Paris?"}]},
    ],
)  # fmt: skip
def test_a_stream_says_what_the_whole_answer_says(
    shared_daemon: Daemon, fields: dict[str, Any]
) -> None:
    with client(shared_daemon) as sdk:
        whole = sdk.messages.create(**asked(**fields))
        with sdk.messages.stream(**asked(**fields)) as stream:
            told = stream.get_final_message()
        count = sdk.messages.count_tokens(
            **{key: value for key, value in asked(**fields).items() if key != "max_tokens"}
        )

    def shown(message: Any) -> list[Any]:
        return [{**block.to_dict(), "id": ""} for block in message.content]

    assert shown(told) == shown(whole)
    assert told.stop_reason == whole.stop_reason
    for message in (told, whole):
        assert prompt_tokens(message.usage.to_dict()) == count.input_tokens
        assert message.model == "mlxd-demo"


def test_a_prompt_that_was_read_before_is_told_to_be_cached(shared_daemon: Daemon) -> None:
    """F7: the same numbers, streamed or not."""
    words = " ".join(f"word{number}" for number in range(60))
    body = asked(messages=[{"role": "user", "content": words}], max_tokens=2)
    with client(shared_daemon) as sdk:
        sdk.messages.create(**body)
        again = sdk.messages.create(**body).usage
        with sdk.messages.stream(**body) as stream:
            streamed = stream.get_final_message().usage
    assert again == streamed
    assert again.cache_creation_input_tokens == 0


def test_the_model_calls_a_tool(shared_daemon: Daemon) -> None:
    question = [{"role": "user", "content": "What is the weather in Paris?"}]
    with client(shared_daemon) as sdk:
        message = sdk.messages.create(**asked(tools=[WEATHER], messages=question))
        calls = [block for block in message.content if isinstance(block, ToolUseBlock)]
        assert [(call.name, call.input) for call in calls] == [("get_weather", {"city": "Paris"})]
        assert message.stop_reason == "tool_use"
        result = {"type": "tool_result", "tool_use_id": calls[0].id, "content": "18 degrees"}
        rest = [message.to_param(), {"role": "user", "content": [result]}]
        last = sdk.messages.create(**asked(tools=[WEATHER], messages=question + rest))
    assert last.stop_reason == "end_turn"


def test_thinking_ends_where_its_budget_does(shared_daemon: Daemon) -> None:
    with client(shared_daemon) as sdk:
        for tokens in (3, 1000):
            thinking = {"type": "enabled", "budget_tokens": tokens}
            message = sdk.messages.create(**asked(max_tokens=1100, thinking=thinking))
            spent = message.to_dict()["usage"]["output_tokens_details"]["thinking_tokens"]
            assert spent <= tokens + 2, "the marks count too"
            assert message.content[-1].type == "text"
    assert spent > 5, "left alone, it takes longer"


def test_keep_alive_is_honoured(running_daemon: RunDaemon) -> None:
    daemon = running_daemon()
    body = {"model": "demo", "max_tokens": 2, "messages": HI}
    daemon.post("/v1/messages", body | {"keep_alive": -1})
    (model,) = daemon.ps()
    assert model["expires_at"] is None


def test_a_count_reads_no_weights(running_daemon: RunDaemon, tmp_path: Path) -> None:
    """Given weights that nobody can read, when tokens are counted, then the count is right; only an answer fails."""
    whole = tiny_models.folder("qwen3")
    broken = tiny_models.copy("qwen3", tmp_path / "broken")
    for weights in broken.glob("*.safetensors"):
        weights.write_bytes(b"x" * weights.stat().st_size)
    models = [{"id": "broken", "source": str(broken)}, {"id": "whole", "source": str(whole)}]
    daemon = running_daemon({"models": models})
    body = {"max_tokens": 2, "messages": HI}
    count = daemon.post("/v1/messages/count_tokens", body | {"model": "broken"})
    answer = daemon.post("/v1/messages", body | {"model": "whole"})
    assert count["input_tokens"] == prompt_tokens(answer["usage"])
    with pytest.raises(HTTPError) as caught:
        daemon.post("/v1/messages", body | {"model": "broken"})
    assert caught.value.code == 503
    assert json.load(caught.value)["error"]["type"] == "api_error"


def test_a_count_pushes_nobody_out_and_its_process_goes_with_the_model(
    running_daemon: RunDaemon,
) -> None:
    models = [{"id": name, "source": str(tiny_models.folder("qwen3"))} for name in ("a", "b")]
    daemon = running_daemon({"models": models, "memory": {"max_loaded": 1}})
    daemon.ctl("load", "a")
    (loaded,) = daemon.ps()
    own = set(psutil.Process(daemon.pid).children())
    count = daemon.post("/v1/messages/count_tokens", {"model": "b", "messages": HI})
    assert count["input_tokens"] > 0
    assert [(model["id"], model["pid"]) for model in daemon.ps()] == [("a", loaded["pid"])]
    (counter,) = set(psutil.Process(daemon.pid).children()) - own
    daemon.ctl("unload", "b")
    assert is_gone(counter.pid)
    assert not is_gone(loaded["pid"])

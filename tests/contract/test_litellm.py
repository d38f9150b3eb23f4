"""LiteLLM, which many programs reach models through, reads what mlxd writes by its routes to OpenAI and Anthropic."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support import tiny_models
from support.daemon import Daemon, Home
from support.litellm_environment import LiteLlm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Say what the weather is",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
COUNT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Count to 8"}]
ASKED = [{"role": "user", "content": "What is the weather in Paris?"}]
EIGHT = "1, 2, 3, 4, 5, 6, 7, 8"
BOTH = pytest.mark.parametrize("route", ["openai", "anthropic"])


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon with the demo model and one that makes vectors."""
    with ExitStack() as stack:
        home = Home(tmp_path_factory.mktemp("litellm") / "home")
        stack.callback(home.remove)
        home.configure({"models": [{"id": "vectors", "source": str(tiny_models.folder("bert"))}]})
        daemon = Daemon(home)
        stack.callback(daemon.end)
        yield daemon


@pytest.fixture(scope="module")
def litellm() -> Iterator[LiteLlm]:
    with LiteLlm() as found:
        yield found


def told(
    litellm: LiteLlm, daemon: Daemon, route: str, function: str = "completion", **fields: Any
) -> tuple[str, Any]:
    """Return what LiteLLM makes of the daemon's answer."""
    model = f"{route}/{fields.pop('model', 'demo')}"
    base = daemon.url if route == "anthropic" else f"{daemon.url}/v1"
    return litellm.call(function, model=model, api_base=base, api_key="none", **fields)


def complete(litellm: LiteLlm, daemon: Daemon, route: str, messages: Any, **fields: Any) -> Any:
    """Return an answer, whole or in parts."""
    wanted: dict[str, Any] = {"temperature": 0, "max_tokens": 100} | fields
    kind, answer = told(litellm, daemon, route, messages=messages, **wanted)
    assert kind in ("whole", "parts"), (kind, answer)
    return answer


def joined(parts: Any) -> tuple[str, list[tuple[str, str]], str]:
    """Return the text, the calls and the end of a stream."""
    text, calls, end = "", dict[int, list[str]](), ""
    for choice in (choice for part in parts for choice in part["choices"]):
        delta = choice["delta"]
        text += delta.get("content") or ""
        for call in delta.get("tool_calls") or ():
            held = calls.setdefault(call["index"], ["", ""])
            held[0] += call["function"].get("name") or ""
            held[1] += call["function"].get("arguments") or ""
        end = choice["finish_reason"] or end
    return text, [(name, arguments) for name, arguments in calls.values()], end


@BOTH
def test_an_answer_and_a_stream_read_the_same(litellm: LiteLlm, daemon: Daemon, route: str) -> None:
    whole = complete(litellm, daemon, route, COUNT)
    (choice,) = whole["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (EIGHT, "stop")
    assert whole["model"] == "mlxd-demo"
    parts = complete(
        litellm, daemon, route, COUNT, stream=True, stream_options={"include_usage": True}
    )
    assert joined(parts) == (EIGHT, [], "stop")
    assert len(parts) > 3
    counted = [part["usage"] for part in parts if part.get("usage")][-1]
    for name in ("prompt_tokens", "completion_tokens"):
        assert counted[name] == whole["usage"][name] > 0


@BOTH
def test_an_answer_that_was_cut_says_so(litellm: LiteLlm, daemon: Daemon, route: str) -> None:
    whole = complete(litellm, daemon, route, COUNT, max_tokens=3)
    assert whole["choices"][0]["finish_reason"] == "length"
    assert joined(complete(litellm, daemon, route, COUNT, max_tokens=3, stream=True))[2] == "length"


@BOTH
def test_a_tool_loop_ends_with_an_answer(litellm: LiteLlm, daemon: Daemon, route: str) -> None:
    messages: list[Any] = [*ASKED]
    asked = complete(litellm, daemon, route, messages, tools=[TOOL])
    (choice,) = asked["choices"]
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    streamed = joined(complete(litellm, daemon, route, messages, tools=[TOOL], stream=True))
    assert streamed[2] == "tool_calls"
    assert [(name, json.loads(given)) for name, given in streamed[1]] == [
        ("get_weather", {"city": "Paris"})
    ]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "18 degrees and sunny"}
    messages += [choice["message"], result]
    (last,) = complete(litellm, daemon, route, messages, tools=[TOOL])["choices"]
    assert last["finish_reason"] == "stop"
    assert "18" in last["message"]["content"]


@BOTH
def test_a_call_can_be_demanded(litellm: LiteLlm, daemon: Daemon, route: str) -> None:
    asked = complete(litellm, daemon, route, COUNT, tools=[TOOL], tool_choice="required")
    assert [call["function"]["name"] for call in asked["choices"][0]["message"]["tool_calls"]]


def test_reasoning_comes_apart(litellm: LiteLlm, daemon: Daemon) -> None:
    fields: dict[str, Any] = {
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "max_tokens": 1100,
    }
    fields |= {"allowed_openai_params": ["thinking"]}  # LiteLLM does not know the model
    whole = complete(litellm, daemon, "anthropic", COUNT[1:], **fields, temperature=1)
    message = whole["choices"][0]["message"]
    assert message["reasoning_content"] and "</think>" not in message["content"]


@BOTH
def test_a_refusal_is_raised_as_what_it_is(litellm: LiteLlm, daemon: Daemon, route: str) -> None:
    kind, about = told(litellm, daemon, route, model="nobody", messages=COUNT)
    assert (kind, about["status"]) == ("NotFoundError", 404)
    assert "mlxctl list" in about["message"]
    long = [{"role": "user", "content": "word " * 9000}]
    kind, about = told(litellm, daemon, route, messages=long, max_tokens=5)
    assert kind in ("ContextWindowExceededError", "BadRequestError"), about
    assert about["status"] == 400


def test_responses_and_embeddings_are_read(litellm: LiteLlm, daemon: Daemon) -> None:
    kind, told_back = told(litellm, daemon, "openai", "responses", input="Count to 8")
    assert kind == "whole", told_back
    (message,) = [item for item in told_back["output"] if item["type"] == "message"]
    assert message["content"][0]["text"]
    kind, vectors = told(
        litellm, daemon, "openai", "embedding", model="vectors", input=["a cat", "a dog"]
    )
    assert kind == "whole", vectors
    assert [len(one["embedding"]) for one in vectors["data"]] == [32, 32]

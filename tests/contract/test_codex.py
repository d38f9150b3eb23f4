"""Codex's requests replay against a real daemon: no 4xx, the events it counts, a prompt that only grows."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import httpx
import pytest
from support import tiny_models
from support.codex import NAMES, Request, load
from support.daemon import Daemon, Home
from support.openai_responses_calls import put_together, read
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.protocol import openai_responses as wire
from mlxd.protocol.sse import Parser
from mlxd.workers.api.openai_responses_tools import toolbox
from mlxd.workers.api.openai_responses_turns import transcript
from mlxd.workers.chat.request import ChatRequest
from mlxd.workers.chat.template import PromptWriter

SHORT = 12
"""A model of random weights does not know when to end."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon with one model for all names that Codex may have."""
    coder = {"id": "coder", "source": str(tiny_models.folder("qwen3")), "aliases": ["gpt-*"]}
    config = {"models": [coder], "demo": False, "hub": False}
    with ExitStack() as stack:
        home = Home(tmp_path_factory.mktemp("codex") / "home")
        stack.callback(home.remove)
        home.configure(config)
        running = Daemon(home)
        stack.callback(running.end)
        yield running


def send(daemon: Daemon, request: Request) -> tuple[Any, list[Any]]:
    """Return the response, and the events where it was streamed."""
    answer = httpx.post(
        daemon.url + request.path, json=request.body, headers=request.headers, timeout=200
    )
    assert answer.status_code == 200, answer.text
    if not request.body.get("stream"):
        return answer.json(), []
    events = [read(name, data) for name, data in Parser().feed(answer.content)]
    put_together(events)
    return events[-1]["response"], events


@pytest.mark.parametrize("name", NAMES)
def test_a_request_of_codex_is_answered(daemon: Daemon, name: str) -> None:
    request = load(name)
    limit = SHORT if "schema" not in name else None
    response, events = send(
        daemon, load(name, max_output_tokens=request.body.get("max_output_tokens", limit))
    )
    assert response["model"] == "coder"
    assert response["status"] in ("completed", "incomplete")
    assert response["store"] is False
    assert response["usage"]["total_tokens"] > 0
    assert response["tools"] == request.body.get("tools", [])
    if events:
        assert [event["type"] for event in events[:2]] == [
            "response.created",
            "response.in_progress",
        ]
    if "schema" in name:
        text = response["output"][-1]["content"][0]["text"]
        assert json.loads(text)["outcome"] in ("allow", "deny")


def test_the_list_of_models_answers_codex(daemon: Daemon) -> None:
    answer = httpx.get(f"{daemon.url}/v1/models?client_version=0.154.0", timeout=60)
    assert answer.status_code == 200


def test_nothing_that_is_not_to_be_stored_is_stored(daemon: Daemon) -> None:
    response, _ = send(daemon, load("03_first_turn", max_output_tokens=SHORT))
    url = f"{daemon.url}/v1/responses/{response['id']}"
    assert httpx.get(url, timeout=60).status_code == 404


@pytest.fixture(scope="module")
def writer() -> Iterator[PromptWriter]:
    found = PromptWriter(byte_tokenizer(CHATML))
    yield found
    found.close()


def prompt(writer: PromptWriter, body: dict[str, Any]) -> str:
    request = wire.decode(json.dumps(body).encode())
    found = transcript(request.input, request.instructions)
    given = [(f"tools[{at}]", spec) for at, spec in enumerate(request.tools or ())]
    asked = ChatRequest(turns=tuple(found.turns), tools=toolbox([*given, *found.tools]).tools)
    tokens = writer.render_chat(asked).tokens
    return str(byte_tokenizer(CHATML).decode(list(tokens)))


@pytest.mark.parametrize("name", ["04_tool_loop", "06_desktop_mixed_history"])
def test_each_step_of_a_session_only_adds_to_the_prompt(writer: PromptWriter, name: str) -> None:
    """F3: the prompt of a step begins with that of the step before, whatever the client sends of it."""
    body = load(name).body
    items = body["input"]
    ends = [
        at
        for at, item in enumerate(items, 1)
        if is_output(item) and not (at < len(items) and is_output(items[at]))
    ]
    assert len(ends) > 2
    for earlier, later in pairwise(ends):
        if not any("tools" in item for item in items[earlier:later]):
            before = prompt(writer, body | {"input": items[:earlier]})
            assert prompt(writer, body | {"input": items[:later]}).startswith(before)


def is_output(item: dict[str, Any]) -> bool:
    return str(item.get("type", "")).endswith("_output")


def test_what_codex_sees_of_a_call_is_what_it_sends_back(writer: PromptWriter) -> None:
    """The reasoning it cannot read comes back to the model."""
    body = load("04_tool_loop").body
    text = prompt(writer, body)
    assert "<think>Look first.</think>I will look at the code first." in text
    assert "not-ours" not in text
    assert '"name": "apply_patch", "arguments": {"input": "*** Begin Patch' in text
    assert "web_search" not in text

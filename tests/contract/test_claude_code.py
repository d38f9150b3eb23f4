"""Claude Code's requests replay against a real daemon: no 4xx, no swap, right counts, a prompt that only grows."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import tiny_models
from support.anthropic_calls import prompt_tokens, put_together
from support.claude_code import NAMES, Request, load
from support.daemon import Daemon, Home
from support.tokenizers import CHATML, byte_tokenizer

from mlxd.protocol import anthropic_messages as wire
from mlxd.protocol.sse import Parser
from mlxd.workers.api.anthropic_messages import translate
from mlxd.workers.chat.template import PromptWriter

SHORT = 12
"""A model of random weights does not know when to end."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon with one model for all names of Claude's, one that must stay out, and room for one."""
    models = [
        {"id": "coder", "source": str(tiny_models.folder("qwen3")), "aliases": ["claude-*"]},
        {"id": "other", "source": str(tiny_models.folder("llama"))},
    ]
    config = {"models": models, "memory": {"max_loaded": 1}, "demo": False, "hub": False}
    with ExitStack() as stack:
        home = Home(tmp_path_factory.mktemp("claude") / "home")
        stack.callback(home.remove)
        home.configure(config)
        running = Daemon(home)
        stack.callback(running.end)
        yield running


def send(daemon: Daemon, request: Request) -> Any:
    """Return what the daemon answers: a stream put together, or the JSON."""
    response = httpx.post(
        daemon.url + request.path, json=request.body, headers=request.headers, timeout=200
    )
    assert response.status_code == 200, response.text
    if not request.body.get("stream"):
        return response.json()
    events = Parser().feed(response.content)
    return put_together((name, json.loads(data)) for name, data in events)


def short(name: str, **changes: Any) -> Request:
    """Return a fixture whose answer is short, if it wants one."""
    found = load(name, **changes)
    limit = found.body.get("max_tokens")
    return found if limit is None else load(name, **changes, max_tokens=min(limit, SHORT))


@pytest.mark.parametrize("name", NAMES)
def test_a_request_of_claude_code_is_answered(daemon: Daemon, name: str) -> None:
    request = short(name)
    answer = send(daemon, request)
    if "count_tokens" in request.path:
        assert set(answer) == {"input_tokens"} and answer["input_tokens"] > 0
    else:
        assert answer["model"] == "coder"
        assert 0 < answer["usage"]["output_tokens"] <= SHORT
        assert answer["stop_reason"]


def test_a_session_starts_one_model_and_swaps_none(daemon: Daemon) -> None:
    """I1: whichever of Claude's names a request says, one model answers all."""
    daemon.ctl("unload", "coder")
    pids: set[int] = set()
    for name in NAMES:
        send(daemon, short(name))
        pids |= {model["pid"] for model in daemon.ps()}
    assert [model["id"] for model in daemon.ps()] == ["coder"]
    assert len(pids) == 1


@pytest.mark.parametrize("name", ["04_first_turn", "05_tool_loop", "08_budget_thinking"])
def test_a_count_is_what_the_answer_says_it_read(daemon: Daemon, name: str) -> None:
    """I2, from a cold start: first counted without a model, then by the model itself."""
    daemon.ctl("unload", "coder")
    request = short(name)
    count = Request("/v1/messages/count_tokens?beta=true", request.headers, request.body)
    cold = send(daemon, Request(count.path, count.headers, count.body | {"stream": False}))
    assert daemon.ps() == []
    usage = send(daemon, request)["usage"]
    warm = send(daemon, Request(count.path, count.headers, count.body | {"stream": False}))
    assert cold["input_tokens"] == warm["input_tokens"] == prompt_tokens(usage)


def test_the_same_request_paid_for_differently_is_the_same_prompt() -> None:
    """F2."""
    request = load("04_first_turn")
    line = request.body["system"][0]["text"]
    for old, new in (("fa690", "0aaa9"), ("2.1.280.3d9", "2.1.281.01c")):
        other = json.loads(json.dumps(request.body).replace(line, line.replace(old, new)))
        assert other != request.body
        assert prompt(other) == prompt(request.body)
    assert "billing" not in prompt(request.body)


def test_the_second_request_begins_with_all_of_the_first() -> None:
    """F3: notes and countdowns that come later leave what was read already as it was."""
    first, second = (prompt(load(name).body) for name in ("04_first_turn", "05_tool_loop"))
    said = first.removesuffix("<|im_start|>assistant\n<think>\n")
    assert said != first
    assert second.startswith(said)
    assert "total_tokens" not in second
    assert "Today is a Monday" in first and "task tools" in second


def prompt(body: dict[str, Any]) -> str:
    """Return the prompt that a body makes."""
    tokenizer = byte_tokenizer(CHATML)
    writer = PromptWriter(tokenizer)
    asked = translate(wire.decode(json.dumps(body).encode()), callable_here=True)
    found = writer.render_chat(asked)
    writer.close()
    return str(tokenizer.decode(list(found.tokens)))


def test_a_search_that_only_a_hosted_model_can_do_is_refused_by_its_name(daemon: Daemon) -> None:
    tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
    request = short("03_title", tools=[tool], stream=False)
    response = httpx.post(daemon.url + request.path, json=request.body, timeout=200)
    assert response.status_code == 400
    assert "web_search_20250305" in response.json()["error"]["message"]


def test_the_fixtures_hold_what_they_are_meant_to() -> None:
    bodies = [load(name).body for name in NAMES]
    assert any(len(body.get("tools") or []) > 20 for body in bodies)
    assert any(path.endswith("count_tokens?beta=true") for path in (load(n).path for n in NAMES))
    assert {"enabled", "adaptive", "disabled"} <= {
        body["thinking"]["type"] for body in bodies if "thinking" in body
    }
    assert any("haiku" in body["model"] for body in bodies)
    assert Path(__file__).with_name("fixtures").is_dir()

"""Conversations through the daemon are read once, in every dialect, and outlive the worker (promises F1, F6, F7)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.daemon import Daemon, Home
from support.daemon_calls import model

SYSTEM = "You answer as briefly as you can, and never about the weather. " * 8
CONFIG: dict[str, Any] = {
    "models": [model("qwen", "qwen3"), model("hybrid", "qwen3_next")],
    "demo": False,
    "defaults": {"idle_timeout": "never", "standby_workers": 0},
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon that only this file unloads models of."""
    home = Home(tmp_path_factory.mktemp("cache") / "home")
    home.configure(CONFIG)
    made = Daemon(home)
    try:
        yield made
    finally:
        made.end()
        home.remove()


def conversation(topic: str, *answers: str) -> list[dict[str, str]]:
    """Return a conversation about a topic, in which so much was answered."""
    said = [{"role": "system", "content": f"{topic}: {SYSTEM}"}]
    for answer in answers:
        said += [_question(topic), {"role": "assistant", "content": answer}]
    return [*said, _question(topic)]


def _question(topic: str) -> dict[str, str]:
    return {"role": "user", "content": f"A question about {topic}, please."}


def chat(
    daemon: Daemon, name: str, said: list[dict[str, str]], **more: Any
) -> tuple[str, int, int]:
    """Return an answer, how many tokens its prompt has and how many of them were known."""
    body = {"model": name, "messages": said, "max_tokens": 12, "temperature": 0, **more}
    if not more.get("stream"):
        answer = daemon.post("/v1/chat/completions", body)
        message, usage = answer["choices"][0]["message"]["content"], answer["usage"]
    else:
        body["stream_options"] = {"include_usage": True}
        reply = httpx.post(daemon.url + "/v1/chat/completions", json=body, timeout=60)
        events = [
            json.loads(line[6:])
            for line in reply.text.splitlines()
            if line.startswith("data: ") and line != "data: [DONE]"
        ]
        deltas = [choice["delta"] for event in events for choice in event["choices"]]
        message = "".join(delta.get("content") or "" for delta in deltas)
        usage = events[-1]["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return message or "", usage["prompt_tokens"], cached


@pytest.mark.parametrize("name", ["qwen", "hybrid"])
def test_a_growing_conversation_is_read_once(daemon: Daemon, name: str) -> None:
    answers: list[str] = []
    before = 0
    for turn in range(5):
        said = conversation("growing", *answers)
        said[0]["content"] += SYSTEM * 3
        text, tokens, cached = chat(daemon, name, said)
        if turn:
            # The last message of the turn before, but for the tail that opened its answer.
            assert cached >= before - 9
        before = tokens
        answers.append(text)
    assert cached >= 0.9 * tokens


@pytest.mark.parametrize("name", ["qwen", "hybrid"])
def test_streams_and_whole_answers_share_what_is_known(daemon: Daemon, name: str) -> None:
    cold, tokens, cached = chat(daemon, name, conversation("sharing"), stream=True)
    assert cached < tokens / 2
    for stream in (False, True):
        warm, _, cached = chat(daemon, name, conversation("sharing"), stream=stream)
        assert warm == cold
        assert tokens - 9 <= cached < tokens


@pytest.mark.parametrize("name", ["qwen", "hybrid"])
def test_an_unloaded_model_has_not_forgotten(daemon: Daemon, name: str) -> None:
    cold, tokens, _ = chat(daemon, name, conversation("leaving"))
    assert daemon.ctl("unload", name).returncode == 0
    warm, _, cached = chat(daemon, name, conversation("leaving"))
    assert warm == cold
    assert tokens - 9 <= cached < tokens
    files = _states(daemon)
    assert files, "prompts are private"
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert {file.parent.stat().st_mode & 0o777 for file in files} == {0o700}


def test_a_damaged_file_is_no_more_than_a_miss(daemon: Daemon) -> None:
    cold, _, _ = chat(daemon, "qwen", conversation("damage"))
    assert daemon.ctl("unload", "qwen").returncode == 0
    for file in _states(daemon):
        content = bytearray(file.read_bytes())
        content[-5] ^= 1
        file.write_bytes(content)
    warm, _, cached = chat(daemon, "qwen", conversation("damage"))
    assert warm == cold and cached == 0


Call = Callable[[Daemon], tuple[int, int]]


def _completion(daemon: Daemon) -> tuple[int, int]:
    usage = daemon.post(
        "/v1/completions", {"model": "qwen", "prompt": "completion " + SYSTEM, "max_tokens": 4}
    )["usage"]
    return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


def _response(daemon: Daemon) -> tuple[int, int]:
    usage = daemon.post(
        "/v1/responses", {"model": "qwen", "input": "response " + SYSTEM, "max_output_tokens": 16}
    )["usage"]
    return usage["input_tokens"], usage["input_tokens_details"]["cached_tokens"]


def _message(daemon: Daemon) -> tuple[int, int]:
    said = [{"role": "user", "content": "message " + SYSTEM}]
    usage = daemon.post("/v1/messages", {"model": "qwen", "messages": said, "max_tokens": 4})[
        "usage"
    ]
    cached = usage["cache_read_input_tokens"]
    return usage["input_tokens"] + cached, cached


@pytest.mark.parametrize("call", [_completion, _response, _message])
def test_every_dialect_says_how_much_was_known(daemon: Daemon, call: Call) -> None:
    tokens, cached = call(daemon)
    assert cached < tokens / 2
    assert call(daemon) == (tokens, tokens - 1)


def test_the_batchs_counts_show_the_prompt_cache(daemon: Daemon) -> None:
    chat(daemon, "qwen", conversation("counts"))
    before = _counts(daemon)
    chat(daemon, "qwen", conversation("counts"))
    after = _counts(daemon)
    assert 0 < after["bytes"] <= after["limit"] <= 2 * 10**9
    assert after["disk"]["limit"] == 10**10
    assert after["hits"] > before["hits"] and after["misses"] >= 1


def _counts(daemon: Daemon) -> Any:
    models = daemon.get("/v1/batch/stats")["models"]
    return next(item["prompt_cache"] for item in models if item["id"] == "qwen")


def _states(daemon: Daemon) -> list[Path]:
    folder = daemon.place.state_dir / "prompt-cache"
    return [file for file in folder.rglob("*.safetensors") if "quarantine" not in file.parts]

"""A name reaches the worker of its model, whichever of its names it is."""

import json
from typing import Any
from urllib.error import HTTPError

import httpx
import psutil
import pytest
from support.daemon import Daemon
from support.daemon_calls import CHAT, batch, chat, pids, streaming

NAMES = {
    "org/qwen": ["org/qwen", "gpt-4o-mini", "gpt-5-nano"],
    "llama": ["llama", "small", "claude-sonnet-5"],
    "gemma": ["gemma", "claude-haiku-4-5"],
}
"""Each model's id, its aliases, and names that only a pattern of it covers."""


@pytest.fixture
def loaded(trio: Daemon) -> Daemon:
    for name in NAMES:
        trio.post("/v1/models/load", {"model": name})
    return trio


def finished(daemon: Daemon) -> dict[str, int]:
    return {name: batch(daemon, name)["finished"] for name in NAMES}


@pytest.mark.parametrize(
    ("model", "name"), [(model, name) for model, names in NAMES.items() for name in names]
)
@pytest.mark.parametrize(
    ("path", "fields"), [(CHAT, {}), ("/v1/completions", {"prompt": "Hello", "messages": None})]
)
def test_a_name_is_answered_by_its_models_worker_and_by_no_other(
    loaded: Daemon, model: str, name: str, path: str, fields: dict[str, Any]
) -> None:
    before = finished(loaded)
    answer = loaded.post(path, chat(name) | fields)
    assert answer["model"] == model
    assert finished(loaded) == before | {model: before[model] + 1}


def test_every_model_has_a_process_of_its_own(loaded: Daemon) -> None:
    running = pids(loaded)
    assert running.keys() == NAMES.keys()
    assert len(set(running.values())) == 3
    assert set(running.values()) < {child.pid for child in psutil.Process(loaded.pid).children()}


async def test_a_stream_names_the_model_that_runs(asker: httpx.AsyncClient, loaded: Daemon) -> None:
    async with streaming(asker, "claude-haiku-4-5") as events:
        chunks = [event async for event in events]
    assert chunks.pop() == "[DONE]"
    assert {chunk["model"] for chunk in chunks} == {"gemma"}


@pytest.mark.parametrize(
    ("path", "fields"),
    [(CHAT, chat("lama")), ("/v1/completions", {"prompt": "Hello"}), ("/v1/models/load", {})],
)
def test_an_unknown_name_is_a_404_with_near_names_and_starts_nothing(
    loaded: Daemon, path: str, fields: dict[str, Any]
) -> None:
    running = pids(loaded)
    with pytest.raises(HTTPError) as caught:
        loaded.post(path, fields | {"model": "lama"})
    assert caught.value.code == 404
    error = json.load(caught.value)["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "'lama'" in error["message"] and "llama" in error["message"].partition("mean")[2]
    assert pids(loaded) == running

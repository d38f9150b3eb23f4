"""A prompt that is far too long is refused at the price of one that fits, by every route that reads words."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import psutil
import pytest
from support.daemon import Daemon, Home
from support.daemon_calls import model

LONG = 20_000_000
"""Characters of the prompts here; read as a whole, one would take gigabytes."""
MOST_GROWTH = 10 * LONG
"""Bytes: the body, its words, the message, the prompt, and what the template makes on the way."""
WORDS = "The quick brown fox, 12 dogs. "
TEXT = (WORDS * (LONG // len(WORDS) + 1))[:LONG]
SAID = [{"role": "user", "content": TEXT}]
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": "writes", "messages": SAID}),
    "completions": ("/v1/completions", {"model": "writes", "prompt": TEXT}),
    "messages": ("/v1/messages", {"model": "writes", "messages": SAID, "max_tokens": 5}),
    "count": ("/v1/messages/count_tokens", {"model": "writes", "messages": SAID}),
    "responses": ("/v1/responses", {"model": "writes", "input": TEXT}),
    "ollama chat": ("/api/chat", {"model": "writes", "messages": SAID}),
    "ollama": ("/api/generate", {"model": "writes", "prompt": TEXT}),
    "ollama raw": ("/api/generate", {"model": "writes", "prompt": TEXT, "raw": True}),
    "cut": ("/v1/chat/completions", {"model": "cuts", "messages": SAID}),
    "embeddings": ("/v1/embeddings", {"model": "vectors", "input": TEXT}),
    "ollama embed": ("/api/embed", {"model": "vectors", "input": TEXT, "truncate": False}),
    "rerank": ("/v1/rerank", {"model": "ranks", "query": TEXT, "documents": ["a"]}),
}  # fmt: skip
CUT: dict[str, tuple[str, dict[str, Any]]] = {
    "ollama embed": ("/api/embed", {"model": "vectors", "input": TEXT}),
    "document": ("/v1/rerank", {"model": "ranks", "query": "fox", "documents": [TEXT]}),
    "old message": (
        "/v1/chat/completions",
        {
            "model": "cuts",
            "max_tokens": 5,
            "messages": [
                *SAID,
                {"role": "assistant", "content": "Ok."},
                {"role": "user", "content": "Hi"},
            ],
        },
    ),
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon whose models have all answered once."""
    models = [
        model("writes", "qwen3"), model("cuts", "qwen3", overflow="truncate"),
        model("vectors", "bert"), model("ranks", "bert_reranker"),
    ]  # fmt: skip
    with ExitStack() as stack:
        home = Home(tmp_path_factory.mktemp("long") / "home")
        stack.callback(home.remove)
        home.configure({"models": models, "hub": False})
        daemon = Daemon(home)
        stack.callback(daemon.end)
        for name in ("writes", "cuts", "vectors", "ranks"):
            daemon.post("/v1/models/load", {"model": name})
        yield daemon


def pids(daemon: Daemon) -> dict[str, int]:
    """Return the process of each model."""
    return {entry["id"]: entry["pid"] for entry in daemon.ps()}


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """Note how much a process grows at the most."""
    process, done, growth = psutil.Process(pid), threading.Event(), [0]
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.02):
            growth[0] = max(growth[0], process.memory_info().rss - before)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield growth
        finally:
            done.set()
        watching.result()


@contextmanager
def others_served(daemon: Daemon, name: str) -> Iterator[None]:
    """See that a model goes on answering others meanwhile."""
    done = threading.Event()
    asks: dict[str, tuple[str, dict[str, Any]]] = {
        "vectors": ("/v1/embeddings", {"model": "vectors", "input": "Hi"}),
        "ranks": ("/v1/rerank", {"model": "ranks", "query": "a", "documents": ["b"]}),
    }
    own = "/v1/completions", {"model": name, "prompt": "Hi", "max_tokens": 1}
    path, body = asks.get(name, own)

    def ask() -> int:
        served = 0
        while not (served and done.is_set()):
            daemon.post(path, body)
            served += 1
        return served

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield
        finally:
            done.set()
        assert asking.result() > 0


def post(daemon: Daemon, path: str, body: dict[str, Any]) -> httpx.Response:
    """Ask beside others, and see that it costs the worker little."""
    name = body["model"]
    pid = pids(daemon)[name]
    with others_served(daemon, name), watched(pid) as growth:
        answer = httpx.post(f"{daemon.url}{path}", json=body, timeout=110)
    assert pids(daemon)[name] == pid
    assert growth[0] < MOST_GROWTH
    return answer


@pytest.mark.parametrize("case", REFUSED)
def test_a_prompt_far_too_long_is_refused_for_little_while_others_are_served(
    daemon: Daemon, case: str
) -> None:
    path, body = REFUSED[case]
    answer = post(daemon, path, body)
    assert answer.status_code == 400, answer.text[:1000]
    error = answer.json()["error"]
    if isinstance(error, dict):
        assert error["code"] == "context_length_exceeded" and "at least" in error["message"]
    else:
        assert answer.json()["code"] == "context_length_exceeded" and "at least" in error


@pytest.mark.parametrize("case", CUT)
def test_what_may_be_cut_is_cut_for_little(daemon: Daemon, case: str) -> None:
    path, body = CUT[case]
    answer = post(daemon, path, body)
    assert answer.status_code == 200, answer.text[:1000]

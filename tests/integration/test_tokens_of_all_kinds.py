"""Vectors, ranks and sound cost tokens as text does: the key pays, and `/metrics` counts."""

from typing import Any

import httpx
from conftest import RunDaemon
from prometheus_client.parser import text_string_to_metric_families
from support import sounds
from support.daemon_calls import model
from support.deadline import until

OWN = {"x-api-key": "the-settings-own-key"}
SECONDS = 2
VECTORS = {"model": "vectors", "input": ["Hello world", "again"]}
OLLAMA = {"model": "vectors", "input": "Hello world"}
RANK = {"model": "order", "query": "who", "documents": ["you", "me"]}
PICTURE = {"model": "turbo", "prompt": "A red fox", "size": "64x64", "n": 2}
SPEECH = {"model": "mouth", "input": "One two three", "response_format": "wav"}
HEARD = {
    "files": {"file": ("a.wav", sounds.file("wav", sounds.chirp(SECONDS)))},
    "data": {"model": "ears"},
}


def tokens(client: httpx.Client, key: str) -> dict[str, tuple[float, float]]:
    """Return the tokens read and made by model, as they are counted for a key."""
    page = client.get("/metrics", headers=OWN).text
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.labels.get("key") == key:
                found.setdefault(sample.name, {})[sample.labels["model"]] = sample.value
    made = found.get("mlxd_generated_tokens_total", {})
    return {
        name: (read, made[name]) for name, read in found.get("mlxd_prompt_tokens_total", {}).items()
    }


def test_every_kind_is_charged_and_counted(running_daemon: RunDaemon) -> None:
    """Given a key of few tokens for each kind, when it has asked once, then it has to wait, and metrics say why."""
    models = [
        model("vectors", "qwen3_embedding"), model("order", "bert_reranker"),
        model("mouth", "pocket_tts"), model("ears", "whisper"), model("turbo", "z_image_turbo"),
    ]  # fmt: skip
    daemon = running_daemon(
        {"models": models, "hub": False, "server": {"api_key": OWN["x-api-key"]}}
    )
    asks: dict[str, tuple[str, dict[str, Any]]] = {
        "embedder": ("/v1/embeddings", {"json": VECTORS}),
        "ollama": ("/api/embed", {"json": OLLAMA}),
        "ranker": ("/v1/rerank", {"json": RANK}),
        "speaker": ("/v1/audio/speech", {"json": SPEECH}),
        "painter": ("/v1/images/generations", {"json": PICTURE}),
        "listener": ("/v1/audio/transcriptions", HEARD),
    }
    answers = {}
    with httpx.Client(base_url=daemon.url, timeout=200) as client:
        for name, (path, body) in asks.items():
            wanted = {"name": name, "tokens_per_minute": 1}
            key = {"x-api-key": client.post("/v1/keys", json=wanted, headers=OWN).json()["key"]}
            answers[name] = client.post(path, headers=key, **body)
            assert answers[name].status_code == 200, answers[name].text
            count = until(lambda n=name: tokens(client, n), within=60, what="tokens are counted")  # type: ignore[misc]
            answers[name].extensions["counted"] = count
            assert client.post(path, headers=key, **body).status_code == 429
    counted = {name: answer.extensions["counted"] for name, answer in answers.items()}
    read = answers["embedder"].json()["usage"]["total_tokens"]
    assert counted["embedder"] == {"vectors": (read, 0)} and read > 2
    assert counted["ollama"] == {"vectors": (answers["ollama"].json()["prompt_eval_count"], 0)}
    assert counted["ranker"] == {"order": (answers["ranker"].json()["usage"]["total_tokens"], 0)}
    usage = answers["painter"].json()["usage"]
    assert counted["painter"] == {"turbo": (usage["input_tokens"], usage["output_tokens"])}
    assert counted["speaker"] == {"mouth": (3, 100)}  # 4.96 seconds are made of three words
    ((heard, _),) = counted["listener"].values()
    assert heard == 10 * SECONDS

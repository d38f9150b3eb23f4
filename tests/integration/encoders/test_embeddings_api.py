"""Embeddings and rerank through a daemon, by the official client where it knows the route."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import numpy as np
import ollama
import openai
import pytest
from support.daemon import Daemon, Home
from support.tiny_models import folder


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon with an embedder and two rerankers."""
    with ExitStack() as stack:
        home = Home(tmp_path_factory.mktemp("encoders") / "home")
        stack.callback(home.remove)
        models = [
            {"id": "vectors", "source": str(folder("qwen3_embedding"))},
            {"id": "order", "source": str(folder("bert_reranker"))},
            {"id": "judge", "source": str(folder("qwen3_reranker"))},
        ]
        home.configure({"models": models, "hub": False})
        daemon = Daemon(home)
        stack.callback(daemon.end)
        yield daemon


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Iterator[openai.OpenAI]:
    """Give the official client."""
    with openai.OpenAI(base_url=f"{daemon.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def http(daemon: Daemon) -> Iterator[httpx.Client]:
    """Give a client for the routes that the official one does not know."""
    with httpx.Client(base_url=daemon.url, timeout=60) as client:
        yield client


def test_one_text_and_many_give_the_same_vectors(client: openai.OpenAI) -> None:
    texts = ["Hello world", "What is the weather?", "Hello world"]
    many = client.embeddings.create(model="vectors", input=texts)
    assert [item.index for item in many.data] == [0, 1, 2] and many.model == "vectors"
    one = client.embeddings.create(model="vectors", input=texts[1])
    assert one.usage.prompt_tokens < many.usage.prompt_tokens == many.usage.total_tokens
    vectors = np.array([item.embedding for item in many.data])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[1], one.data[0].embedding, atol=1e-6)
    assert np.array_equal(vectors[0], vectors[2])


def test_numbers_and_base64_say_the_same(http: httpx.Client) -> None:
    body = {"model": "vectors", "input": "Hello"}
    plain = http.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]
    coded = http.post("/v1/embeddings", json={**body, "encoding_format": "base64"}).json()
    told = np.frombuffer(base64.b64decode(coded["data"][0]["embedding"]), "<f4")
    assert np.allclose(told, plain, atol=1e-7)


def test_fewer_dimensions_are_the_first_ones_at_length_one(client: openai.OpenAI) -> None:
    whole = client.embeddings.create(model="vectors", input="Hello").data[0].embedding
    short = client.embeddings.create(model="vectors", input="Hello", dimensions=8).data[0].embedding
    assert np.allclose(short, np.array(whole[:8]) / np.linalg.norm(whole[:8]), atol=1e-6)


def test_token_ids_are_taken_as_they_are(client: openai.OpenAI) -> None:
    some = client.embeddings.create(model="vectors", input=[20, 30, 40])
    same = client.embeddings.create(model="vectors", input=[[20, 30, 40], [50]])
    assert some.usage.prompt_tokens == 4  # and the token that ends each text
    assert np.allclose(some.data[0].embedding, same.data[0].embedding, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": [[]]}, "input[0]"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [1, 10**9]}, "input[1]"),
        ({"input": [-1]}, "input[0]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "word " * 2000}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 4096}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"prompt_name": "query"}, "prompt_name"),
        ({"input_type": "query"}, "input_type"),
    ],
)
def test_a_bad_body_is_refused_by_the_name_of_its_field(
    http: httpx.Client, change: dict[str, Any], field: str
) -> None:
    answer = http.post("/v1/embeddings", json={"model": "vectors", "input": "a", **change})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field


def test_a_long_text_is_cut_off_only_on_request(http: httpx.Client) -> None:
    body = {"model": "vectors", "input": "word " * 2000}
    refused = http.post("/v1/embeddings", json=body).json()["error"]
    assert refused["code"] == "context_length_exceeded" and "512" in refused["message"]
    cut = http.post("/v1/embeddings", json={**body, "truncate": True}).json()
    assert cut["usage"]["prompt_tokens"] == 512


def test_many_callers_at_once_get_their_own_vectors(client: openai.OpenAI) -> None:
    texts = [
        f"{word} {number}" for number in range(16) for word in ("Hello", "What is the weather")
    ]
    wanted = client.embeddings.create(model="vectors", input=texts).data

    def ask(text: str) -> list[float]:
        return client.embeddings.create(model="vectors", input=text).data[0].embedding

    with ThreadPoolExecutor(16) as pool:
        for item, got in zip(wanted, pool.map(ask, texts), strict=True):
            assert np.allclose(item.embedding, got, atol=1e-6)


@pytest.mark.parametrize("model", ["order", "judge"])
def test_documents_come_back_in_the_order_of_their_scores(http: httpx.Client, model: str) -> None:
    documents: list[Any] = [
        "The weather is fine.",
        {"text": "A lazy dog."},
        "Bonjour.",
        "Paris is a city.",
    ]
    body = {"model": model, "query": "What is the weather in Paris?", "documents": documents}
    whole = http.post("/v1/rerank", json=body).json()
    scores = [result["relevance_score"] for result in whole["results"]]
    assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)
    assert sorted(result["index"] for result in whole["results"]) == [0, 1, 2, 3]
    assert whole["model"] == model and whole["usage"]["total_tokens"] > 20
    best = http.post("/v1/rerank", json={**body, "top_n": 2, "return_documents": True}).json()
    assert [r["index"] for r in best["results"]] == [r["index"] for r in whole["results"][:2]]
    texts = [item if isinstance(item, str) else item["text"] for item in documents]
    for result in best["results"]:
        assert result["document"] == {"text": texts[result["index"]]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"query": ""}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": ["a", ""]}, "documents[1]"),
        ({"documents": ["a"] * 1001}, "documents"),
        ({"documents": [{"title": "a"}]}, "documents[0].text"),
        ({"top_n": 0}, "top_n"),
        ({"instruction": "Be strict"}, "instruction"),
        ({"max_chunks_per_doc": 3}, "max_chunks_per_doc"),
        ({"query": "word " * 2000}, "query"),
    ],
)
def test_a_bad_rerank_is_refused_by_the_name_of_its_field(
    http: httpx.Client, change: dict[str, Any], field: str
) -> None:
    body = {"model": "order", "query": "a", "documents": ["b"], **change}
    answer = http.post("/v1/rerank", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field


def test_a_long_document_is_cut_off(http: httpx.Client) -> None:
    for model in ("order", "judge"):
        body = {"model": model, "query": "dog", "documents": ["word " * 3000, "dog"]}
        assert http.post("/v1/rerank", json=body).status_code == 200


@pytest.fixture
def own(daemon: Daemon) -> Iterator[ollama.Client]:
    """Give Ollama's client."""
    client = ollama.Client(host=daemon.url)
    yield client
    client._client.close()


def test_ollamas_client_gets_the_same_vectors(client: openai.OpenAI, own: ollama.Client) -> None:
    texts = ["Hello world", "What is the weather?"]
    wanted = np.array(
        [item.embedding for item in client.embeddings.create(model="vectors", input=texts).data]
    )
    told = own.embed(model="vectors", input=texts)
    assert np.allclose(np.array(told.embeddings), wanted, atol=1e-6)
    assert told.prompt_eval_count and told.total_duration
    assert len(own.embed(model="vectors", input="Hello", dimensions=8).embeddings[0]) == 8
    assert np.allclose(
        own.embeddings(model="vectors", prompt=texts[0]).embedding, wanted[0], atol=1e-6
    )
    assert own.embed(model="vectors", input="word " * 2000).prompt_eval_count == 512
    assert not own.embed(model="vectors", input="").embeddings
    for wrong in (
        {"truncate": False, "input": "word " * 2000},
        {"input": ["a", ""]},
        {"dimensions": 999},
    ):
        with pytest.raises(ollama.ResponseError) as refused:
            own.embed(**{"model": "vectors", "input": "a", **wrong})  # type: ignore[arg-type]
        assert refused.value.status_code == 400


def test_a_model_of_another_kind_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/embeddings", json={"model": "order", "input": "a"})
    assert answer.status_code == 400
    assert "of kind rerank" in answer.json()["error"]["message"]
    chat = {"model": "vectors", "messages": [{"role": "user", "content": "a"}]}
    assert http.post("/v1/chat/completions", json=chat).status_code == 400

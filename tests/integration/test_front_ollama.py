"""The front speaks Ollama: its names, its keep-alive lines, its lists, its way to load and unload."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.deadline import eventually
from support.front import ALIAS, MODEL, Front, running_front, spec

from mlxd.protocol.admin import ModelStatus
from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.lifecycle import WorkerState

INTERVAL = 0.05
LINE = b'{"message":{"role":"assistant","content":"x"},"done":true}\n'
ASKS = [("/api/chat", "messages", [{"role": "user", "content": "x"}]), ("/api/generate", "prompt", "x")]  # fmt: skip
BOTH = pytest.mark.parametrize(("path", "field", "asked"), ASKS)


def script(front: Front, *lines: bytes) -> None:
    """Have the worker answer these lines."""
    front.worker.headers = {"content-type": "application/x-ndjson"}
    front.worker.steps = lines or (LINE,)


def status(**changes: Any) -> ModelStatus:
    values: dict[str, Any] = {
        "id": MODEL, "kind": ModelKind.TEXT, "state": WorkerState.READY, "pid": 7, "memory_bytes": 5000,
        "weights_bytes": 1000, "active_requests": 0, "queued_requests": 0, "pinned": False, "loaded_at": 1.0,
        "last_used_at": 2.0, "expires_at": 1_800_000_000.0, "generation_tokens_per_second": 0.0,
    }  # fmt: skip
    return ModelStatus(**values | changes)


@BOTH
async def test_a_stream_that_waits_gets_lines_that_add_nothing(
    path: str, field: str, asked: object
) -> None:
    async with running_front(gate=False, keepalive_interval=INTERVAL) as front:
        script(front)
        async with front.client.stream("POST", path, json={"model": MODEL, field: asked}) as reply:
            assert reply.headers["content-type"] == "application/x-ndjson"
            lines = reply.aiter_lines()
            for _ in range(3):
                waiting = json.loads(await anext(lines))
                assert (waiting["model"], waiting["done"]) == (MODEL, False)
                assert waiting.get("message", waiting).get("content", waiting.get("response")) == ""
            front.pool.gate.set()
            rest = [line async for line in lines]
    assert [line for line in rest if json.loads(line)["done"]] == [LINE.decode().strip()]


@BOTH
async def test_a_refusal_after_such_lines_is_an_error_and_no_good_end(
    path: str, field: str, asked: object
) -> None:
    content = b""
    async with running_front(gate=False, keepalive_interval=INTERVAL) as front:
        front.pool.refusal = ModelLoadFailed("no weights")
        async with front.client.stream("POST", path, json={"model": MODEL, field: asked}) as reply:
            with pytest.raises(httpx.RemoteProtocolError):
                async for chunk in reply.aiter_raw():
                    content += chunk
                    front.pool.gate.set()
    *_, last = content.splitlines()
    assert json.loads(last) == {"error": "no weights", "code": "model_load_failed"}


@BOTH
async def test_an_answer_in_one_piece_waits_in_silence_and_gets_its_status(
    path: str, field: str, asked: object
) -> None:
    async with running_front(gate=False, keepalive_interval=0.01) as front:
        front.pool.refusal = ModelLoadFailed("no weights")
        body = {"model": MODEL, field: asked, "stream": False}
        asking = asyncio.create_task(front.client.post(path, json=body))
        await eventually(lambda: front.pool.waiting == 1)
        asyncio.get_running_loop().call_later(0.1, front.pool.gate.set)
        response = await asking
    assert (response.status_code, response.json()["error"]) == (503, "no weights")


async def test_a_worker_hears_how_long_its_request_waited() -> None:
    async with running_front(gate=False) as front:
        script(front)
        asking = asyncio.create_task(
            front.client.post("/api/chat", json={"model": MODEL}, headers={"x-mlxd-queued-ns": "9"})
        )
        await eventually(lambda: front.pool.waiting == 1)
        asyncio.get_running_loop().call_later(0.1, front.pool.gate.set)
        await asking
    assert int(front.worker.seen[0].headers["x-mlxd-queued-ns"]) >= 50_000_000


@pytest.mark.parametrize("name", [MODEL, ALIAS, f"{MODEL}:latest", f"{ALIAS}:latest"])
async def test_a_name_may_end_in_latest(name: str) -> None:
    async with running_front() as front:
        script(front)
        body = {"model": name, "messages": [{"role": "user", "content": "x"}], "keep_alive": "5m"}
        assert (await front.client.post("/api/chat", json=body)).status_code == 200
        shown = await front.client.post("/api/show", json={"name": name})
    assert front.pool.asked == [(MODEL, 300.0)]
    assert shown.status_code == 200


async def test_an_unknown_name_is_not_found_in_ollamas_shape() -> None:
    async with running_front() as front:
        for path in ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"):
            response = await front.client.post(path, json={"model": "nobody:latest"})
            assert response.status_code == 404
            told = response.json()
            assert told.keys() == {"error", "code"}
            assert "'nobody'" in told["error"] and told["code"] == "model_not_found"


@pytest.mark.parametrize("stream", [None, True, False])
@BOTH
async def test_a_body_that_asks_nothing_and_keeps_nothing_unloads(
    path: str, field: str, asked: object, stream: bool | None
) -> None:
    async with running_front() as front:
        empty: dict[str, object] = {"model": MODEL, "keep_alive": 0, "stream": stream}
        for body in (empty, empty | {field: type(asked)()}, empty | {"keep_alive": "0s"}):
            told = (await front.client.post(path, json=body)).json()
            assert (told["model"], told["done"], told["done_reason"]) == (MODEL, True, "unload")
        assert front.pool.unloads == [(MODEL, False)] * 3
        assert not front.worker.seen


async def test_a_body_that_asks_something_or_keeps_it_goes_to_the_worker() -> None:
    async with running_front() as front:
        script(front)
        chat: dict[str, object] = {"model": MODEL, "messages": ASKS[0][2]}
        for body, kept in (
            (chat | {"keep_alive": 0}, 0.0),
            ({"model": MODEL, "keep_alive": -1}, float("inf")),
            ({"model": MODEL, "messages": "wrong", "keep_alive": 0}, 0.0),
        ):
            assert (await front.client.post("/api/chat", json=body)).status_code == 200
            assert front.pool.asked[-1] == (MODEL, kept)
    assert not front.pool.unloads


async def test_embeddings_reach_models_that_embed() -> None:
    embedding = spec("org/embedding", kind=ModelKind.EMBEDDING)
    async with running_front(spec(), embedding) as front:
        front.worker.headers = {"content-type": "application/json"}
        front.worker.steps = [b'{"embeddings":[[1.0]]}']
        for path, field in (("/api/embed", "input"), ("/api/embeddings", "prompt")):
            body = {"model": "org/embedding", field: "x", "stream": True}
            assert (await front.client.post(path, json=body)).json() == {"embeddings": [[1.0]]}
            wrong = await front.client.post(path, json=body | {"model": MODEL})
            assert wrong.status_code == 400
            assert "kind embedding" in wrong.json()["error"]


async def test_the_models_are_listed_with_their_details() -> None:
    other = spec("org/other", quantization_bits=4, weights_bytes=4_500_000_000, revision="abc")
    broken = spec("org/broken", error="no weights")
    speaks = spec("org/speech", kind=ModelKind.SPEECH)
    async with running_front(spec(architecture="Qwen3ForCausalLM"), other, broken, speaks) as front:
        models = (await front.client.get("/api/tags")).json()["models"]
    assert [model["name"] for model in models] == [MODEL, "org/other"]
    first, second = models
    assert first["model"] == MODEL
    assert first["size"] == 1000
    assert datetime.fromisoformat(first["modified_at"]) == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)  # fmt: skip
    assert first["details"]["family"] == "qwen3"
    assert first["details"]["quantization_level"] == "none"
    assert second["details"]["quantization_level"] == "Q4"
    assert second["details"]["parameter_size"] == "8.0B"
    assert len({model["digest"] for model in models}) == 2
    assert all(len(model["digest"]) == 64 for model in models)


async def test_ps_lists_what_is_loaded() -> None:
    async with running_front(spec(), spec("org/b"), spec("org/c")) as front:
        front.status.running = [
            status(),
            status(id="org/b", state=WorkerState.LOADING),
            status(id="org/c", expires_at=None, pinned=True),
            status(id="org/gone"),
        ]
        models = (await front.client.get("/api/ps")).json()["models"]
    assert [model["name"] for model in models] == [MODEL, "org/c"]
    assert (models[0]["size"], models[0]["size_vram"]) == (5000, 5000)
    assert models[0]["context_length"] == 2048
    assert datetime.fromisoformat(models[0]["expires_at"]).timestamp() == 1_800_000_000
    assert datetime.fromisoformat(models[1]["expires_at"]).year > 2100


@pytest.mark.parametrize("where", ["entry", "file", "config", "list"])
async def test_show_tells_what_a_model_can_do_by_its_template(tmp_path: Path, where: str) -> None:
    template = "{% if tools %}x{% endif %}<think>"
    if where == "file":
        (tmp_path / "chat_template.jinja").write_text(template)
    elif where != "entry":
        named = [{"name": "other", "template": "x"}, {"name": "default", "template": template}]
        content = {"chat_template": template if where == "config" else named}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(content))
    own = template if where == "entry" else None
    model = spec(path=tmp_path, chat_template=own, architecture="Qwen3ForCausalLM")
    async with running_front(model) as front:
        shown = (await front.client.post("/api/show", json={"model": MODEL})).json()
    assert shown["template"] == template
    assert shown["capabilities"] == ["completion", "tools", "thinking"]
    assert shown["model_info"]["general.architecture"] == "qwen3"
    assert shown["model_info"]["qwen3.context_length"] == 2048


async def test_show_without_a_template_or_for_other_kinds() -> None:
    embeds, sees = spec("e", kind=ModelKind.EMBEDDING), spec("v", kind=ModelKind.VISION)
    async with running_front(embeds, sees, spec("s", kind=ModelKind.SPEECH)) as front:
        found = {
            name: (await front.client.post("/api/show", json={"model": name})).json()
            for name in ("e", "v", "s")
        }
        nameless = await front.client.post("/api/show", json={})
    assert found["e"]["capabilities"] == ["embedding"]
    assert found["v"]["capabilities"] == ["completion", "vision"]
    assert found["s"]["capabilities"] == []
    assert nameless.status_code == 400 and nameless.json()["error"].startswith("model")


async def test_who_looks_for_ollama_finds_it() -> None:
    async with running_front() as front:
        root = await front.client.get("/")
        head = await front.client.head("/")
        version = (await front.client.get("/api/version")).json()
        nothing = await front.client.post("/api/copy", json={})
    assert (root.status_code, root.text) == (200, "Ollama is running")
    assert (head.status_code, head.text) == (200, "")
    assert version.keys() == {"version", "mlxd"}
    assert nothing.status_code == 404 and nothing.json()["code"] == "route_not_found"

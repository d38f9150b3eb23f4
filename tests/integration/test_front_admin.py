"""What operators ask: which models there are, whether calls have a chance, load and unload."""

import asyncio
import time
from pathlib import Path

import pytest
from support.deadline import eventually
from support.front import ALIAS, MODEL, running_front, spec

from mlxd.protocol.admin import ModelStatus
from mlxd.protocol.generation import SamplingDefaults
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.routes.model_entry import beginning

STATUS = ModelStatus(
    id=MODEL,
    kind=ModelKind.TEXT,
    state=WorkerState.READY,
    pid=42,
    memory_bytes=7,
    weights_bytes=5,
    active_requests=1,
    queued_requests=0,
    pinned=False,
    loaded_at=1.0,
    last_used_at=2.0,
    expires_at=None,
    generation_tokens_per_second=3.5,
)


async def test_health_says_that_the_daemon_lives() -> None:
    async with running_front() as front:
        response = await front.client.get("/health")
    assert response.json()["status"] == "ok"
    assert response.json()["version"]


async def test_the_list_holds_what_can_be_served_with_kind_aliases_and_state() -> None:
    async with running_front(spec(), spec("broken", error="no weights")) as front:
        response = await front.client.get("/v1/models")
        assert front.pool.asked == []
        assert front.catalog.scans == 1
    listed = response.json()
    assert listed["object"] == "list"
    (entry,) = listed["data"]
    assert entry == {
        "id": MODEL,
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "org",
        "kind": "text",
        "state": "ready",
        "last_used_at": None,
        "context_length": 2048,
        "aliases": [ALIAS],
        "architecture": "qwen3",
        "weights_bytes": 1000,
        "source": "config",
    }


async def test_what_an_entry_sets_of_its_answers_is_told_and_of_a_system_prompt_the_beginning() -> (
    None
):
    entry = spec(
        "set",
        sampling=SamplingDefaults(temperature=0.0, max_tokens=100),
        system_prompt="\nYou are a pirate.\nSay arr.",
        overflow="summarize",
        draft_model=Path("/models/small"),
        prompt_lookup=8,
    )
    async with running_front(entry) as front:
        told = (await front.client.get("/v1/models/set")).json()
    assert told["sampling"] == {"temperature": 0.0, "max_tokens": 100}
    assert told["system_prompt"] == "You are a pirate.…"
    assert (told["overflow"], told["draft_model"]) == ("summarize", "small")
    assert told["prompt_lookup"] == 8


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Be brief.", "Be brief."),
        (" \n Be brief. \n", "Be brief."),
        ("One.\n\nTwo.", "One.…"),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 99 + "…"),
        ("\n", ""),
    ],
)
def test_the_beginning_of_a_prompt_is_one_short_line(text: str, shown: str) -> None:
    assert beginning(text) == shown


@pytest.mark.parametrize("name", [MODEL, ALIAS, "org%2Ftiny"])
async def test_a_model_is_found_by_id_and_alias_slashes_included(name: str) -> None:
    async with running_front() as front:
        response = await front.client.get(f"/v1/models/{name}")
    assert response.json()["id"] == MODEL


async def test_a_model_that_cannot_be_served_is_shown_with_the_reason() -> None:
    async with running_front(spec("broken", error="no weights")) as front:
        response = await front.client.get("/v1/models/broken")
    assert response.json()["error"] == "no weights"


async def test_an_unknown_model_is_a_404() -> None:
    async with running_front() as front:
        response = await front.client.get("/v1/models/org/other")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


@pytest.mark.alone
async def test_five_hundred_models_are_listed_at_once() -> None:
    async with running_front(*(spec(f"org/m{number}") for number in range(500))) as front:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            response = await front.client.get("/v1/models")
            times.append(time.perf_counter() - began)
    assert len(response.json()["data"]) == 500
    assert min(times) < 0.1  # promise K9; the other tries were disturbed by other work


async def test_ps_and_stats_are_passed_on() -> None:
    async with running_front() as front:
        front.status.running = [STATUS]
        ps = (await front.client.get("/v1/ps")).json()
        queue = (await front.client.get("/v1/queue/stats")).json()
        batch = (await front.client.get("/v1/batch/stats")).json()
    assert ps["models"][0]["pid"] == 42
    assert ps["models"][0]["state"] == "ready"
    assert queue["models"][0]["waiting"] == 2
    assert batch["models"][0]["rows"] == 1


async def test_ready_names_its_checks() -> None:
    async with running_front() as front:
        front.status.running = [STATUS]
        response = await front.client.get("/v1/ready")
    assert response.status_code == 200
    checks = response.json()["checks"]
    assert checks == {"models": {"ok": True, "servable": 1}, "workers": {"ok": True, "running": 1}}


async def test_without_a_model_to_serve_it_is_not_ready() -> None:
    async with running_front(spec(error="no weights")) as front:
        response = await front.client.get("/v1/ready")
    assert response.status_code == 503
    assert response.json()["checks"]["models"] == {"ok": False, "servable": 0}


async def test_with_workers_that_cannot_be_asked_it_is_not_ready() -> None:
    async with running_front() as front:
        front.status.is_stuck = True
        response = await front.client.get("/v1/ready")
    assert response.status_code == 503
    assert response.json()["checks"]["workers"]["ok"] is False


async def test_a_load_answers_when_the_model_is_ready() -> None:
    async with running_front(gate=False) as front:
        body = {"model": ALIAS, "keep_alive": "5m", "pin": True}
        asking = asyncio.create_task(front.client.post("/v1/models/load", json=body))
        await eventually(lambda: front.pool.waiting == 1)
        assert not asking.done()
        front.pool.gate.set()
        response = await asking
        assert front.pool.loads == [(MODEL, 300.0, True)]
    assert response.json()["state"] == "ready"


async def test_an_unload_is_passed_on_and_says_what_came_back() -> None:
    async with running_front() as front:
        body = {"model": MODEL, "force": True}
        response = await front.client.post("/v1/models/unload", json=body)
        assert front.pool.unloads == [(MODEL, True)]
    assert response.json()["pid_reaped"] is True


async def test_a_model_that_cannot_be_served_is_not_loaded() -> None:
    async with running_front(spec("broken", error="no weights")) as front:
        response = await front.client.post("/v1/models/load", json={"model": "broken"})
        assert front.pool.loads == []
    assert response.json()["error"]["code"] == "model_load_failed"


@pytest.mark.parametrize("path", ["/v1/models/load", "/v1/models/unload"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "model"),
        (b"", None),
        (b"nonsense", None),
        (b'"text"', None),
        (b'{"model": 3}', "model"),
        (b'{"model": "\xff"}', None),
        (b'{"model": "tiny", "what": 1}', "what"),
    ],
)
async def test_a_malformed_body_is_a_400_that_names_the_field(
    path: str, body: bytes, field: str | None
) -> None:
    async with running_front() as front:
        response = await front.client.post(path, content=body)
        assert not front.pool.loads and not front.pool.unloads
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, field)
    assert field is None or field in error["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "tiny", "keep_alive": "soon"}, "keep_alive"),
        ({"model": "tiny", "keep_alive": []}, "keep_alive"),
        ({"model": "tiny", "pin": "yes"}, "pin"),
    ],
)
async def test_a_load_with_a_wrong_value_names_it(body: dict[str, object], field: str) -> None:
    async with running_front() as front:
        response = await front.client.post("/v1/models/load", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, field)

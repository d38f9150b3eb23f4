"""A worker that loses its device before it has said anything costs its requests nothing but time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.app_server import serving
from support.children import run_directory
from support.failing_worker import MARK, POISON
from support.front import FixedCatalog, settings
from support.pools import make_pool, model, quick
from support.tiny_models import folder

from mlxd.supervisor.app import build_app
from mlxd.supervisor.budget import memory
from mlxd.supervisor.clock import SystemClock
from mlxd.supervisor.front import upstream
from mlxd.supervisor.lifecycle.process import SpawnLauncher
from mlxd.supervisor.scheduling.pool import Pool
from mlxd.supervisor.scheduling.worker_pools import WorkerPools
from mlxd.supervisor.status import Status

BAD: dict[str, Any] = {"model": "tiny", "prompt": [1, 2, POISON, 3], "max_tokens": 4}


@asynccontextmanager
async def front(entry: str) -> AsyncIterator[tuple[httpx.AsyncClient, Pool]]:
    """Serve a supervisor whose workers fail the way that `entry` says."""
    with run_directory() as place:
        launcher = SpawnLauncher(f"support.failing_worker:{entry}")
        pool = make_pool(launcher, place, policy=quick(backoff=0.1, backoff_max=0.1, kill_grace=20))
        tokenizers = make_pool(launcher, place)
        catalog = FixedCatalog(model("tiny", folder("qwen3")))
        status = Status(pool, clock=SystemClock(), footprint=memory.footprint, fetch=upstream.fetch)
        app = build_app(settings(), catalog, WorkerPools(pool, tokenizers), status)
        async with serving(app) as served:
            async with httpx.AsyncClient(base_url=served.url, timeout=100) as client:
                yield client, pool
            await pool.shutdown()


async def test_b5_an_error_of_the_device_before_the_first_byte_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARK, str(tmp_path / "mark"))
    async with front("fails_once_as_a_device") as (client, pool):
        answer = await client.post("/v1/completions", json=BAD)
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] > 0
        (worker,) = pool.workers()
        assert (tmp_path / "mark").exists() and worker.life.failures <= 1


async def test_b5_after_the_first_byte_it_is_the_streams_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARK, str(tmp_path / "mark"))
    async with front("fails_once_as_a_device") as (client, _):
        answer = await client.post("/v1/completions", json=BAD | {"stream": True})
        assert '"code":"worker_died"' in answer.text and "[DONE]" not in answer.text


async def test_a_request_that_loses_the_device_every_time_costs_two_workers_and_no_third() -> None:
    async with front("fails_as_a_device") as (client, pool):
        answer = await client.post("/v1/completions", json=BAD)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "worker_died"
        assert "GPU Hang" in answer.text
        (worker,) = pool.workers()
        await worker.settled()
        assert worker.life.failures == 2

"""What a client's headers say about its wait reaches the queue, and the end of its patience is told as an error."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from support.app_server import serving
from support.front import MODEL, FakeStatus, FixedCatalog, running_front, settings, spec
from support.launcher import MANUAL, FakeLauncher
from support.pools import make_pool

from mlxd.protocol import sse
from mlxd.supervisor.app import build_app
from mlxd.supervisor.scheduling.pool import Pool
from mlxd.supervisor.scheduling.worker_pools import WorkerPools
from mlxd.supervisor.urgency import Priority, Urgency

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
BODIES: Mapping[str, Mapping[str, Any]] = {
    CHAT: {"messages": []},
    "/v1/completions": {"prompt": "hi"},
    MESSAGES: {"messages": [], "max_tokens": 1},
    "/v1/messages/count_tokens": {"messages": []},
    RESPONSES: {"input": "hi"},
}
PATHS = pytest.mark.parametrize("path", BODIES)


def body(path: str, *, stream: bool = False) -> dict[str, Any]:
    return {"model": MODEL, "stream": stream, **BODIES[path]}


@asynccontextmanager
async def queue_without_end(**server: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Pool]]:
    """Serve the front before the real pool, whose workers never come up."""
    models, tokenizers = make_pool(FakeLauncher(MANUAL)), make_pool(FakeLauncher(MANUAL))
    pools = WorkerPools(models, tokenizers)
    app = build_app(settings(**server), FixedCatalog(spec()), pools, FakeStatus())
    async with serving(app) as served:
        async with httpx.AsyncClient(base_url=served.url, timeout=20) as client:
            yield client, models


@PATHS
async def test_what_the_headers_ask_for_reaches_the_queue(path: str) -> None:
    headers = {"x-priority": "high", "x-request-timeout": "20"}
    async with running_front() as front:
        await front.client.post(path, json=body(path), headers=headers)
        await front.client.post(path, json=body(path))
        assert front.pool.urgencies == [Urgency(Priority.HIGH, 20.0), Urgency()]


@PATHS
@pytest.mark.parametrize("header", ["x-priority", "x-request-timeout"])
async def test_a_header_that_is_wrong_is_named(path: str, header: str) -> None:
    async with running_front() as front:
        response = await front.client.post(path, json=body(path), headers={header: "soon"})
        assert response.status_code == 400
        assert response.json()["error"]["message"].startswith(f"{header}: expected ")
        assert front.pool.urgencies == []


@PATHS
async def test_a_request_that_waited_as_long_as_it_may_gets_a_status(path: str) -> None:
    async with queue_without_end() as (client, pool):
        headers = {"x-request-timeout": "0.05"}
        response = await client.post(path, json=body(path), headers=headers)
        assert response.status_code == (529 if path.startswith(MESSAGES) else 503)
        assert response.headers["retry-after"] == "5"
        error = response.json()["error"]
        assert "was not available within 0.05 s" in error["message"]
        if path == CHAT:
            assert (error["code"], error["type"]) == ("queue_timeout", "overloaded_error")
        if path == MESSAGES:
            assert error["type"] == "overloaded_error"
        assert pool.waiting(MODEL) == []


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
async def test_a_stream_that_was_kept_alive_until_then_ends_with_the_error(path: str) -> None:
    content = b""
    async with queue_without_end(keepalive_interval=0.02) as (client, pool):
        sent, headers = body(path, stream=True), {"x-request-timeout": "0.2"}
        async with client.stream("POST", path, json=sent, headers=headers) as response:
            assert response.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                async for chunk in response.aiter_raw():
                    content += chunk
        assert pool.waiting(MODEL) == []
    last = [data for _, data in sse.Parser().feed(content)][-1]
    told = json.loads(last)
    error = told["response"]["error"] if path == RESPONSES else told["error"]
    assert "was not available within 0.2 s" in error["message"]

"""Ask a real daemon the way OpenAI's clients do, and read what its workers say of themselves."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from support import tiny_models
from support.daemon import Daemon
from support.deadline import eventually, until

from mlxd.protocol.sse import Parser

CHAT = "/v1/chat/completions"
ENDLESS: dict[str, Any] = {"max_tokens": 30_000, "ignore_eos": True}
"""What makes an answer last until somebody ends it."""


def model(name: str, kind: str = "qwen3", **fields: Any) -> dict[str, Any]:
    """Return the configuration of a tiny real model."""
    return {"id": name, "source": str(tiny_models.folder(kind)), **fields}


def chat(name: str, **fields: Any) -> dict[str, Any]:
    """Return the body of a short chat request."""
    message = {"role": "user", "content": "Hello"}
    return {"model": name, "messages": [message], "max_tokens": 4, "temperature": 0} | fields


def client(daemon: Daemon) -> httpx.AsyncClient:
    """Return a client that waits as long as a load may take."""
    return httpx.AsyncClient(
        base_url=daemon.url, timeout=120, limits=httpx.Limits(max_connections=None)
    )


class Events:
    """Read the events of a stream, the end marker as a string."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._events = self._read()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._events

    async def take(self, count: int) -> list[Any]:
        """Return the next events."""
        return [await anext(self._events) for _ in range(count)]

    async def _read(self) -> AsyncIterator[Any]:
        parser = Parser()
        async for part in self.response.aiter_bytes():
            for _, data in parser.feed(part):
                yield "[DONE]" if data == b"[DONE]" else json.loads(data)


@asynccontextmanager
async def streaming(
    asker: httpx.AsyncClient, name: str, tokens: int = 0, **fields: Any
) -> AsyncIterator[Events]:
    """Hold a stream after its first tokens; leaving the block leaves the stream, ended or not."""
    body = chat(name, stream=True, **fields)
    async with asker.stream("POST", CHAT, json=body) as response:
        assert response.status_code == 200, await response.aread()
        events = Events(response)
        await events.take(tokens + 1 if tokens else 0)  # the role comes in an event of its own
        yield events


def shown(daemon: Daemon, name: str) -> dict[str, Any] | None:
    """Return what `/v1/ps` says of a model."""
    return next((model for model in daemon.ps() if model["id"] == name), None)


def pids(daemon: Daemon) -> dict[str, int]:
    """Return the process of each model that has one."""
    return {model["id"]: model["pid"] for model in daemon.ps() if model["pid"]}


def batch(daemon: Daemon, name: str) -> dict[str, Any]:
    """Return what `/v1/batch/stats` says of a loaded model; one that is held up for a second is left out there."""

    def probe() -> dict[str, Any] | None:
        models: list[dict[str, Any]] = daemon.get("/v1/batch/stats")["models"]
        return next((model for model in models if model["id"] == name), None)

    return until(probe, within=60, what=f"the stats of {name}")


async def idle(daemon: Daemon, name: str) -> dict[str, Any]:
    """Wait until a loaded model has neither rows nor requests, and return what `/v1/ps` says of it."""

    def probe() -> dict[str, Any] | None:
        rows = batch(daemon, name)
        found = shown(daemon, name)
        busy = rows["decode"] + rows["prefill"] + rows["waiting"]
        return found if found and not busy and not found["active_requests"] else None

    found = await eventually(probe, within=60, what=f"{name} rests")
    assert found is not None
    return found

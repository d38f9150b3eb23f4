"""Serve Ollama's pull and delete over the downloads that `mlxctl pull` and `rm` use."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from mlxd.config.settings import Settings
from mlxd.protocol import ollama_models as wire
from mlxd.protocol import render, request_body
from mlxd.protocol.dialect import Dialect
from mlxd.protocol.downloads import Progress
from mlxd.protocol.errors import InvalidRequest, MlxdError, ModelBusy, ModelNotFound
from mlxd.protocol.ollama_answer import NDJSON
from mlxd.supervisor.downloads.downloads import Downloads
from mlxd.supervisor.front import body
from mlxd.supervisor.front.presence import while_present
from mlxd.supervisor.ollama.calls import LATEST, named
from mlxd.supervisor.ports import Catalog, Pool

_HUBS = ("hf.co/", "huggingface.co/")
_request = msgspec.json.Decoder(wire.PullRequest)
_nothing = request_body.Refused({})


def routes(settings: Settings, catalog: Catalog, pool: Pool, downloads: Downloads) -> list[Route]:
    """Return the routes."""
    served = OllamaDownloads(settings, catalog, pool, downloads)
    return [
        Route("/api/pull", served.pull, methods=["POST"]),
        Route("/api/delete", served.delete, methods=["DELETE"]),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class OllamaDownloads:
    """Answer from the downloads."""

    settings: Settings
    catalog: Catalog
    pool: Pool
    downloads: Downloads

    async def pull(self, request: Request) -> Response:
        """Download a model of the hub; one that has a name of the user's own is here already."""
        name, stream = await self._read(request)
        if self._is_own(name):
            steps = _nothing_to_do(name)
        else:
            steps = self.downloads.pull(_repo(name))
        if not stream:
            await while_present(request.receive, _all(steps))
            return _json(wire.PullStatus("success"))
        # What fails at once has a status of its own: the answer begins with the first step.
        first = await while_present(request.receive, _first(steps))
        return StreamingResponse(_lines(first, steps), media_type=NDJSON)

    async def delete(self, request: Request) -> Response:
        """Delete a model from this disk; one that is loaded answers its requests first, then leaves."""
        name, _ = await self._read(request)
        spec = named(self.catalog, name)
        try:
            await self.downloads.remove(spec.id)
        except ModelBusy:
            await while_present(request.receive, self.pool.unload(spec))
            await self.downloads.remove(spec.id)
        return Response(b"")

    async def _read(self, request: Request) -> tuple[str, bool]:
        limit = self.settings.server.max_body
        content = await body.read(request.headers, request.receive, limit)
        asked = request_body.decode(content, _request, _nothing)
        name = asked.model or asked.name
        if not name:
            raise InvalidRequest("model: expected the name of a model", field="model")
        return name, asked.stream is not False

    def _is_own(self, name: str) -> bool:
        """Tell whether the name is an alias or an id that no repository of the hub has."""
        try:
            spec = named(self.catalog, name)
        except ModelNotFound:
            return False
        return spec.error is None and spec.hub_id != _repo(name)


def _repo(name: str) -> str:
    """Return the repository that a name means to Ollama's clients."""
    for hub in _HUBS:
        name = name.removeprefix(hub)
    return name.removesuffix(LATEST)


async def _nothing_to_do(name: str) -> AsyncGenerator[Progress]:
    yield Progress(model=name, status="done")


async def _all(steps: AsyncGenerator[Progress]) -> None:
    async with aclosing(steps):
        async for _ in steps:
            pass


async def _first(steps: AsyncGenerator[Progress]) -> Progress:
    return await anext(steps)


async def _lines(first: Progress, steps: AsyncGenerator[Progress]) -> AsyncGenerator[bytes]:
    async with aclosing(steps):
        yield _line(first)
        try:
            async for progress in steps:
                yield _line(progress)
        except MlxdError as error:
            yield render.final_event(error, Dialect.OLLAMA)


def _line(progress: Progress) -> bytes:
    """Write a step; whoever draws a bar for the layer sees it full before it hears of success."""
    ends = [wire.PullStatus("success")] if progress.status == "done" else []
    return b"".join(msgspec.json.encode(said) + b"\n" for said in (*_status(progress), *ends))


def _status(progress: Progress) -> tuple[wire.PullStatus, ...]:
    """Say a step in Ollama's words: one layer, which is the whole repository."""
    if progress.revision is None:
        return () if progress.status == "done" else (wire.PullStatus("pulling manifest"),)
    digest = wire.digest(progress.model, progress.revision)
    layer = wire.PullStatus(
        f"pulling {digest[:12]}",
        digest=f"sha256:{digest}",
        total=progress.total_bytes,
        completed=progress.completed_bytes,
    )
    return (layer,)


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")

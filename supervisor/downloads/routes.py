"""Serve downloads and removals."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from mlxd.config.settings import Settings
from mlxd.protocol import render
from mlxd.protocol.dialect import Dialect
from mlxd.protocol.downloads import Progress, PullRequest, UnfinishedList
from mlxd.protocol.errors import InvalidRequest, MlxdError
from mlxd.supervisor.downloads.downloads import Downloads
from mlxd.supervisor.front import body
from mlxd.supervisor.front.presence import while_present
from mlxd.supervisor.routes.admin import decoded

_LINES = "application/x-ndjson"
_TRUE, _FALSE = ("true", "1"), ("false", "0", "")


def routes(settings: Settings, downloads: Downloads) -> list[Route]:
    """Return the routes; they go before the one that describes a model of any name."""
    served = DownloadRoutes(settings, downloads)
    return [
        Route("/v1/downloads", served.list_unfinished),
        Route("/v1/models/pull", served.pull, methods=["POST"]),
        Route("/v1/models/{name:path}", served.remove, methods=["DELETE"]),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class DownloadRoutes:
    """Answer from the downloads."""

    settings: Settings
    downloads: Downloads

    async def list_unfinished(self, request: Request) -> Response:
        """List the models of which only a part is here."""
        found = await asyncio.to_thread(self.downloads.unfinished)
        return _json(UnfinishedList(found))

    async def pull(self, request: Request) -> Response:
        """Download a model: one event per step, or with `stream: false` the last one when it is over."""
        limit = self.settings.server.max_body
        content = await body.read(request.headers, request.receive, limit)
        wanted = decoded(content, PullRequest)
        steps = self.downloads.pull(
            wanted.model, wanted.revision, token=wanted.token, dry_run=wanted.dry_run
        )
        if not wanted.stream or wanted.dry_run:
            return _json(await while_present(request.receive, _last(steps)))
        # What fails at once has a status of its own: the answer begins with the first step.
        first = await while_present(request.receive, _first(steps))
        lines = _LINES in request.headers.get("accept", "")
        return StreamingResponse(
            _frames(first, steps, lines=lines),
            media_type=_LINES if lines else "text/event-stream",
            headers={"cache-control": "no-cache"},
        )

    async def remove(self, request: Request) -> Response:
        """Delete a model from this disk."""
        force = request.query_params.get("force", "")
        if force.lower() not in (*_TRUE, *_FALSE):
            raise InvalidRequest("force: expected true or false", field="force")
        name = request.path_params["name"]
        return _json(await self.downloads.remove(name, force=force.lower() in _TRUE))


async def _first(steps: AsyncGenerator[Progress]) -> Progress:
    return await anext(steps)


async def _last(steps: AsyncGenerator[Progress]) -> Progress:
    async with aclosing(steps):
        async for progress in steps:
            last = progress
    return last


async def _frames(
    first: Progress, steps: AsyncGenerator[Progress], *, lines: bool
) -> AsyncGenerator[bytes]:
    async with aclosing(steps):
        yield _frame(msgspec.json.encode(first), lines)
        try:
            async for progress in steps:
                yield _frame(msgspec.json.encode(progress), lines)
        except MlxdError as error:
            yield _frame(msgspec.json.encode(render.body(error, Dialect.OPENAI)), lines)


def _frame(content: bytes, lines: bool) -> bytes:
    return content + b"\n" if lines else b"data: " + content + b"\n\n"


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")

"""Serve the store of responses: fetch, delete, cancel, list what a response was asked."""

from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mlxd.protocol.dialect import Dialect
from mlxd.protocol.errors import InvalidRequest
from mlxd.supervisor.front.answer import Answer
from mlxd.supervisor.front.presence import while_present
from mlxd.supervisor.responses.context import no_response
from mlxd.supervisor.responses.jobs import Job, Jobs
from mlxd.supervisor.responses.listing import page
from mlxd.supervisor.responses.store import ResponseStore


class _Kept(msgspec.Struct, frozen=True):
    background: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class StoredResponses:
    """Answer from the jobs that run and from the store."""

    store: ResponseStore
    jobs: Jobs
    interval: float
    """Longest silence of a stream."""

    async def retrieve(self, request: Request) -> Response:
        """Return a response as it stands, or its events."""
        response_id = _named(request)
        if _flag(request, "stream"):
            return self._stream(response_id, _starting_after(request), await self._find(request))
        return _json(await self._find(request))

    async def delete(self, request: Request) -> Response:
        """Forget a response; one that still runs is cancelled."""
        response_id = _named(request)
        job = self.jobs.find(response_id)
        if job is not None:
            await self.jobs.cancel(job)
            self.jobs.forget(response_id)
        if not await self.store.run(lambda db: db.delete_response(response_id)):
            raise no_response(response_id)
        gone = {"id": response_id, "object": "response", "deleted": True}
        return _json(msgspec.json.encode(gone))

    async def cancel(self, request: Request) -> Response:
        """End a background response; one that has ended stays what it is."""
        response_id = _named(request)
        job = self.jobs.find(response_id)
        if job is not None:
            await self.jobs.cancel(job)
        found = await self._find(request)
        if not msgspec.json.decode(found, type=_Kept).background:
            raise InvalidRequest("Only a response with background=true can be cancelled.")
        return _json(found)

    async def input_items(self, request: Request) -> Response:
        """List the items a response was made from, those of earlier responses included."""
        response_id = _named(request)
        found = await self.store.run(lambda db: db.context(response_id, inputs_only=True))
        if found is None:
            raise no_response(response_id)
        return _json(page(found, request.query_params))

    async def _find(self, request: Request) -> bytes:
        response_id = _named(request)
        job = self.jobs.find(response_id)
        running = job.now() if job is not None else None
        if running is not None:
            return msgspec.json.encode(running)
        found = await self.store.run(lambda db: db.response(response_id))
        if found is None:
            raise no_response(response_id)
        return found

    def _stream(self, response_id: str, after: int, kept: bytes) -> Response:
        job = self.jobs.find(response_id)
        if job is None:
            raise InvalidRequest(
                "stream: the events of this response are not kept; fetch it without stream",
                field="stream",
            )
        return Following(job, after=after, interval=self.interval)


class Following(Response):
    """Send the events of a background response; it goes on without its reader."""

    def __init__(self, job: Job, *, after: int, interval: float) -> None:
        super().__init__()
        self._job, self._after, self._interval = job, after, interval

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the response or its reader is done."""
        await while_present(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        answer = Answer(send, Dialect.RESPONSES, streaming=True)
        async with answer.kept_alive(self._interval):
            head = [(b"content-type", b"text/event-stream; charset=utf-8")]
            await answer.begin(200, [*head, (b"cache-control", b"no-cache")])
            async for frame in self._job.follow(self._after):
                await answer.write(frame)
        await answer.end()


def _named(request: Request) -> str:
    response_id: str = request.path_params["response_id"]
    return response_id


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("1", "true")


def _starting_after(request: Request) -> int:
    given = request.query_params.get("starting_after", "-1")
    if given == "-1" or (given.isascii() and given.isdigit() and len(given) < 10):
        return int(given)
    raise InvalidRequest("starting_after: expected the number of an event", field="starting_after")


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")

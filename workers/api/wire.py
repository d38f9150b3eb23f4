"""Write responses: one body, or a stream of events that ends when its reader leaves."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
_encoder = msgspec.json.Encoder()


class ClientGone(Exception):
    """Say that nobody waits for the answer any more."""


def encode(value: object) -> bytes:
    """Write a wire value as JSON."""
    return _encoder.encode(value)


def json_response(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a wire value as a JSON response."""
    return Response(encode(value), status, dict(headers or {}), media_type="application/json")


async def unless_gone(request: Request, work: Callable[[], Awaitable[T]]) -> T:
    """Return what `work` returns; cancels it and raises ClientGone as soon as the client has left.

    The body must have been read: what `receive` says next is that the client is gone.
    """
    return await _unless_gone(request.receive, work)


async def _unless_gone(receive: Receive, work: Callable[[], Awaitable[T]]) -> T:
    async def run() -> T:
        return await work()

    working = asyncio.create_task(run())
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Send frames as they come; what keeps a silent stream alive is the supervisor's, whose clock starts earlier.

    `frames` yields whole frames and handles its own errors. It is closed, and `source` left, as soon as the stream is
    over or the client has gone, even where no frame was ever asked for.
    """

    media_type = "text/event-stream"

    def __init__(
        self, frames: AsyncGenerator[bytes], source: AbstractAsyncContextManager[object]
    ) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._frames = frames
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the stream to its end or the client's, whichever comes first."""
        async with self._source, aclosing(self._frames):
            with suppress(ClientGone):
                await _unless_gone(receive, lambda: self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(head)
        async for frame in self._frames:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class LineStream(EventStream):
    """Send lines of JSON as they come."""

    media_type = "application/x-ndjson"

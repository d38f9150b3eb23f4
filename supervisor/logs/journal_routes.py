"""Serve the event log as a stream of server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from mlxd.config.settings import Settings
from mlxd.protocol import sse
from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.journal import Entry
from mlxd.supervisor.logs.journal import KEPT, Follower, Journal

_WORDS = {"true": True, "1": True, "false": False, "0": False}


def routes(settings: Settings, journal: Journal) -> list[Route]:
    """Return the one route of this module."""
    return [Route("/v1/events", JournalRoute(settings, journal).events)]


@dataclass(frozen=True, slots=True, eq=False)
class JournalRoute:
    """Stream what happened and what happens."""

    settings: Settings
    journal: Journal

    async def events(self, request: Request) -> Response:
        """Send the last `last` entries, or those after the one the client names, and go on unless `follow=false`."""
        query = request.query_params
        last = _count(query.get("last", "0"), "last")
        goes_on = _flag(query.get("follow", "true"))
        seen = query.get("after") or request.headers.get("last-event-id")
        after = None if seen is None else _count(seen, "after")
        frames = self._frames(last, after, goes_on)
        headers = {"cache-control": "no-cache"}
        return StreamingResponse(frames, media_type="text/event-stream", headers=headers)

    async def _frames(self, last: int, after: int | None, goes_on: bool) -> AsyncIterator[bytes]:
        with self.journal.follow() as follower:
            past = self.journal.last(last) if after is None else self.journal.after(after)
            yield b": the events of mlxd\n\n" + b"".join(_frame(entry) for entry in past)
            while goes_on:
                frame = await self._next(follower)
                if frame is None:
                    return
                yield frame

    async def _next(self, follower: Follower) -> bytes | None:
        try:
            async with asyncio.timeout(self.settings.server.longest_silence):
                entry = await follower.next()
        except TimeoutError:
            return sse.COMMENT
        return None if entry is None else _frame(entry)


def _frame(entry: Entry) -> bytes:
    name = str(entry.__struct_config__.tag)
    return f"id: {entry.seq}\n".encode() + sse.event(msgspec.json.encode(entry), name)


def _count(text: str, field: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 16:
        return int(text) if field == "after" else min(int(text), KEPT)
    raise InvalidRequest(f"{field}: expected a number of events, got {text!r}", field=field)


def _flag(text: str) -> bool:
    try:
        return _WORDS[text.lower()]
    except KeyError:
        raise InvalidRequest(
            f"follow: expected true or false, got {text!r}", field="follow"
        ) from None

"""Be a worker as the front sees one: a real HTTP server on a Unix socket that follows a script."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.types import Receive, Scope, Send
from support.app_server import Serving, serving

DONE = b"data: [DONE]\n\n"

Step = bytes | asyncio.Event
"""Bytes are sent, an event is waited for."""


def frame(text: str) -> bytes:
    """Return one frame of a stream."""
    return b'data: {"text":"' + text.encode() + b'"}\n\n'


@dataclass
class Seen:
    """Hold a request as it arrived."""

    path: str
    query: bytes
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedWorker:
    """Answer every request by the same script, and note what happens."""

    socket: Path
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})
    steps: Sequence[Step] = field(default_factory=lambda: [frame("hello"), DONE])
    before_head: asyncio.Event | None = None
    seen: list[Seen] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a client closed its connection before the answer was complete."""
    sent_bytes: int = 0
    running: Serving | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Follow the script until its end or until the client leaves."""
        self.seen.append(await _seen(scope, receive))
        self.arrived.set()
        answering = asyncio.create_task(self._answer(send))
        watching = asyncio.create_task(_departure(receive))
        await asyncio.wait((answering, watching), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            self.abandoned.set()
        answering.cancel()
        watching.cancel()
        await asyncio.wait((answering, watching))

    async def _answer(self, send: Send) -> None:
        if self.before_head is not None:
            await self.before_head.wait()
        head = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": head})
        for step in self.steps:
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                await send({"type": "http.response.body", "body": step, "more_body": True})
                self.sent_bytes += len(step)
                await asyncio.sleep(0)  # what is sent to nobody is sent without a pause
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def die(self) -> None:
        """Break every connection, as a killed process does."""
        assert self.running is not None
        self.running.break_connections()


@asynccontextmanager
async def scripted_worker(folder: Path) -> AsyncIterator[ScriptedWorker]:
    """Serve a worker on a socket in `folder`."""
    worker = ScriptedWorker(folder / "worker.sock")
    async with serving(worker, worker.socket) as running:
        worker.running = running
        yield worker


async def _seen(scope: Scope, receive: Receive) -> Seen:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    return Seen(scope["path"], scope["query_string"], headers, body)


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""Own the client's side of one response: nothing else writes to it while it lasts."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Message, Send

from mlxd.protocol.dialect import Dialect
from mlxd.protocol.errors import MlxdError
from mlxd.supervisor.front import keepalive
from mlxd.supervisor.front.body import ClientGone
from mlxd.supervisor.front.keepalive import PlainVoice, Voice
from mlxd.supervisor.front.presence import wind_up

RawHeaders = list[tuple[bytes, bytes]]

_SHORTEST_INTERVAL_S = 0.01
_UNREAD_S = 600.0
"""How long a client may take nothing: one that was suspended would keep its model from ever making room."""
_LOOKS = 8
"""How often it is looked meanwhile."""


class Answer:
    """Write a response head, chunks and an end, and keep-alive frames in between while a stream is silent."""

    def __init__(
        self, send: Send, dialect: Dialect, *, streaming: bool, voice: Voice | None = None
    ) -> None:
        self._send = send
        self._dialect = dialect
        self._voice = voice or PlainVoice(dialect)
        self._streaming = streaming
        self._turn = asyncio.Lock()
        self._wrote_at = asyncio.get_running_loop().time()
        self._writes_since = math.inf
        self._next_look: asyncio.TimerHandle | None = None
        self._frame_end = self._tail = keepalive.frame_end(dialect)
        self._left: int | None = None
        self._last = b""
        self.extra_headers: RawHeaders = []
        """What the supervisor adds to the head."""
        self.started = False
        """Whether the head is out, so that an error can no longer become a status."""
        self.has_content = False
        """Whether the client has something of a worker's answer, so that another one's cannot take its place."""

    @asynccontextmanager
    async def kept_alive(self, interval: float) -> AsyncIterator[None]:
        """Let no `interval` seconds of the block pass without a byte, where the client asked for a stream.

        Raises ClientGone once the client has taken nothing for too long.
        """
        async with self._while_taken():
            if not self._streaming:
                yield
                return
            beat = asyncio.create_task(self._beat(max(interval, _SHORTEST_INTERVAL_S)))
            try:
                yield
            finally:
                await wind_up(beat)

    @asynccontextmanager
    async def _while_taken(self) -> AsyncIterator[None]:
        """End the block when a write lasts too long; a look now and then costs a stream less than a limit per write."""
        try:
            async with asyncio.timeout(None) as patience:
                self._look(patience)
                yield
        except TimeoutError:
            if patience.expired():
                raise ClientGone from None
            raise
        finally:
            if self._next_look is not None:
                self._next_look.cancel()

    def _look(self, patience: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._writes_since < _UNREAD_S:
            self._next_look = loop.call_later(_UNREAD_S / _LOOKS, self._look, patience)
        else:
            patience.reschedule(loop.time())

    async def begin(self, status: int, headers: RawHeaders) -> None:
        """Pass the head on, unless a keep-alive frame has made one necessary before."""
        async with self._turn:
            if not self.started:
                self._streaming = self._streaming and self._is_stream(headers)
                self.has_content = not self._streaming
                self._left = _length(headers)
                await self._start(status, headers)

    async def write(self, chunk: bytes) -> None:
        """Pass bytes on; waits while the client does not read.

        The last ones of an answer with a length are its end, and go with it.
        """
        async with self._turn:
            self.has_content = True
            if self._left is not None:
                self._left -= len(chunk)
                if self._left <= 0:
                    self._last += chunk
                    return
            await self._body(chunk)

    async def end(self) -> None:
        """End the response well."""
        last, self._last = self._last, b""
        await self._send({"type": "http.response.body", "body": last, "more_body": False})

    async def fail(self, error: MlxdError) -> None:
        """Write the dialect's error as the last frame and leave the response unfinished, as nobody could take for well.

        Raises `error` itself where nothing was sent, so that it becomes a status. An answer that is not a stream
        is cut off.
        """
        if not self.started:
            raise error
        if not self._streaming:
            return
        async with self._turn:
            closing = b"" if self._at_boundary() else self._frame_end
            await self._body(closing + self._voice.failure(error))

    async def _beat(self, interval: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = self._wrote_at + interval
            if loop.time() < due:
                await asyncio.sleep(due - loop.time())
            elif self._streaming and self._at_boundary():
                await self._keep_alive()
            else:
                await asyncio.sleep(interval)

    async def _keep_alive(self) -> None:
        silent_since = self._wrote_at
        async with self._turn:
            if self._wrote_at != silent_since or not self._at_boundary():
                return  # a chunk went ahead while we waited for the turn
            if not self.started:
                head = [(b"content-type", keepalive.media_type(self._dialect))]
                await self._start(200, [*head, (b"cache-control", b"no-cache")])
            await self._body(self._voice.keep_alive())

    async def _start(self, status: int, headers: RawHeaders) -> None:
        self.started = True
        headers = [*headers, *self.extra_headers]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _body(self, chunk: bytes) -> None:
        message: Message = {"type": "http.response.body", "body": chunk, "more_body": True}
        self._writes_since = asyncio.get_running_loop().time()
        await self._send(message)
        size = len(self._frame_end)
        self._tail = (self._tail + chunk[-size:])[-size:]
        self._wrote_at = asyncio.get_running_loop().time()
        self._writes_since = math.inf

    def _at_boundary(self) -> bool:
        return self._tail == self._frame_end

    def _is_stream(self, headers: RawHeaders) -> bool:
        kind = keepalive.media_type(self._dialect).partition(b";")[0]
        return any(
            name.lower() == b"content-type" and value.startswith(kind) for name, value in headers
        )


def _length(headers: RawHeaders) -> int | None:
    """Return how long an answer says that it is."""
    told = [value for name, value in headers if name.lower() == b"content-length"]
    return int(told[0]) if told and told[0].isdigit() else None

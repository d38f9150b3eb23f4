"""Speak HTTP/1.1 with a worker on a connection of its own.

Each token is a few hundred bytes that pass through here, and at 32 streams the relay was a third of the processor time
outside the model with a general client. This one only sends one request and passes the response's pieces on.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator
from typing import cast

import httptools

RawHeaders = list[tuple[bytes, bytes]]

_FULL = 256 << 10
"""Bytes that wait for a slow client before the worker is made to wait."""
_FRAMING = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection"))


class Broken(Exception):
    """Say that the connection cannot be made, or ended before the response did."""


class Connection(asyncio.Protocol):
    """Hold one request's connection, from the first byte to the last; closing it early abandons the request."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: RawHeaders = []
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._has_head = self._complete = False
        self._error: Broken | None = None
        self._news = asyncio.Event()

    @classmethod
    async def open(cls, path: str) -> "Connection":
        """Connect to a Unix socket; raises Broken where nobody listens or too many wait already."""
        own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        own.setblocking(False)
        try:
            own.connect(path)
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_unix_connection(cls, sock=own)
        except OSError as error:
            own.close()
            raise Broken(str(error)) from error
        except BaseException:
            own.close()
            raise
        return connection

    async def ask(self, method: str, path: str, headers: RawHeaders, body: bytes) -> None:
        """Send a request and wait for the response's head."""
        lines = [f"{method} {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n".encode()]
        lines += [
            b"%s: %s\r\n" % (name, value) for name, value in headers if name.lower() not in _FRAMING
        ]
        lines.append(b"content-length: %d\r\n\r\n" % len(body))
        assert self._transport is not None
        self._transport.write(b"".join(lines) + body)
        while not self._has_head:
            await self._wait()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raises Broken where it is cut off."""
        while True:
            if self._pieces:
                found = self._pieces.popleft()
                self._waiting_bytes -= len(found)
                self._flow()
                yield found
            elif self._complete:
                return
            else:
                await self._wait()

    def close(self) -> None:
        """Leave; what was not read is lost."""
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._news.clear()
        await self._news.wait()

    def _flow(self) -> None:
        assert self._transport is not None
        if self._paused != (self._waiting_bytes > _FULL) and not self._transport.is_closing():
            self._paused = not self._paused
            (self._transport.pause_reading if self._paused else self._transport.resume_reading)()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; asyncio calls this."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Read what came; asyncio calls this."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._error = Broken(str(error))
            self.close()
        self._flow()
        self._news.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end; asyncio calls this."""
        if not self._complete and self._error is None:
            self._error = Broken(str(error or "the connection ended before the response did"))
        self._news.set()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; the parser calls this."""
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the head's end; the parser calls this."""
        self.status = self._parser.get_status_code()
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; the parser calls this."""
        self._pieces.append(body)
        self._waiting_bytes += len(body)

    def on_message_complete(self) -> None:
        """Note the body's end; the parser calls this."""
        self._complete = True

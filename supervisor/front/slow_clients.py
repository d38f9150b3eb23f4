"""Wait for nobody who does not send: for headers, or for a body, only so long.

Of a stream that nobody reads nothing more is taken from its worker meanwhile; how long that may last, `Answer` knows.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from mlxd.protocol.errors import RequestTimeout

SLOWEST = 1024
"""Bytes per second that a body must bring on average, beyond its first seconds."""
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class PatientProtocol(H11Protocol):
    """Give each request's headers `patience` seconds from their first byte, and a new connection as many to begin."""

    patience: float
    _headers_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Take bytes; those of unfinished headers win no time."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Go on with what has come in the meantime."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._rest()
        super().connection_lost(exc)

    def _watch(self) -> None:
        is_free = self.cycle is None or self.cycle.response_complete
        if is_free and (self._is_in_headers() or self._is_in_body()):
            self._expect()
        else:
            self._rest()

    def _expect(self) -> None:
        if self._headers_timer is None:
            self._headers_timer = self.loop.call_later(self.patience, self._too_late)

    def _rest(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None

    def _too_late(self) -> None:
        if self._is_in_headers() and not self._is_in_body():
            self.transport.write(_TOO_LATE)
        self.transport.close()

    def _is_in_headers(self) -> bool:
        return bool(self.conn.trailing_data[0])

    def _is_in_body(self) -> bool:
        """Tell whether the body of a request goes on, which may be answered already."""
        return self.cycle is not None and self.cycle.more_body


def protocol(patience: float) -> type[H11Protocol]:
    """Return what serves a connection with this much patience."""
    return type("Patient", (PatientProtocol,), {"patience": patience})


class BodyPace:
    """Refuse a body that stops for `patience` seconds or comes slower than `SLOWEST`, as ASGI middleware."""

    def __init__(self, app: ASGIApp, patience: float) -> None:
        self._app = app
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app; raises RequestTimeout where it reads such a body."""
        loop = asyncio.get_running_loop()
        began: float | None = None
        received, is_whole = 0, False

        async def paced() -> Message:
            nonlocal began, received, is_whole
            if is_whole:
                return await receive()
            now = loop.time()
            began = now if began is None else began
            deadline = min(now, began + received / SLOWEST) + self._patience
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise RequestTimeout(
                    f"the body did not come: {received} bytes in {loop.time() - began:.0f} s"
                ) from None
            received += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            return message

        await self._app(scope, paced, send)

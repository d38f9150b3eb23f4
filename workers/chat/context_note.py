"""Tell the caller what was done to a conversation that was too long, whatever dialect it came in."""

from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-mlxd-context"
_STREAM = "text/event-stream"


class _Note:
    """Hold what is to be told of one request."""

    text: str | None = None


_current: ContextVar[_Note | None] = ContextVar("mlxd_context_note", default=None)


def tell(text: str | None) -> None:
    """Have the answer to the request that this task works for say this."""
    note = _current.get()
    if note is not None:
        note.text = text


class ContextNotes:
    """Add the header, as ASGI middleware; a stream also begins with it as a comment: its head may be out already."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app with a note of the request's own."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        note = _Note()
        _current.set(note)
        comment = b""

        async def noting(message: Message) -> None:
            nonlocal comment
            if note.text is not None and message["type"] == "http.response.start":
                MutableHeaders(raw=message["headers"])[HEADER] = note.text
                if Headers(raw=message["headers"]).get("content-type", "").startswith(_STREAM):
                    comment = f": {HEADER}: {note.text}\n\n".encode()
            elif comment and message["type"] == "http.response.body":
                message, comment = {**message, "body": comment + message["body"]}, b""
            await send(message)

        await self._app(scope, receive, noting)

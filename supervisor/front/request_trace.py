"""Follow each request from its first byte to its last: its id, and the one line the log gets."""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.utils import formatdate

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlxd.protocol.control import ERROR, REQUEST
from mlxd.protocol.dialect import Dialect, of_path
from mlxd.supervisor.front.body import ClientGone

logger = logging.getLogger("mlxd.request")

CLIENT_GONE = "client_gone"
"""Stands for the error's code where the client did not wait for an answer."""
_KEY = "mlxd.trace"
_SANE_ID = re.compile(r"[A-Za-z0-9._:\-]{1,128}")


@dataclass(slots=True)
class Trace:
    """Hold what is known of a request so far."""

    request_id: str
    began: float = field(default_factory=time.monotonic)
    model: str | None = None
    key: str | None = None
    """Name of the API key."""
    status: int | None = None
    error: str | None = None
    """Code of the error the client was told, `CLIENT_GONE` where it did not wait for any."""
    first_byte: float | None = None
    sent_bytes: int = 0
    content_type: str = ""
    """Of the answer."""
    ended: float | None = None
    number: int = 0
    """By which its workers name it when they tell what it has used; 0 = nobody asks."""

    def line(self, method: str, path: str) -> str:
        """Return the log line."""
        now = self.ended or time.monotonic()
        parts = {
            "id": self.request_id,
            "method": method,
            "path": _printable(path),
            "model": self.model and _printable(self.model),
            "key": self.key,
            "status": self.status,
            "error": self.error,
            "bytes": self.sent_bytes,
            "first_byte_ms": self.first_byte and round((self.first_byte - self.began) * 1000, 1),
            "ms": round((now - self.began) * 1000, 1),
        }
        return " ".join(f"{key}={value}" for key, value in parts.items() if value is not None)


def of(scope: Scope) -> Trace:
    """Return the trace of the request."""
    trace: Trace = scope[_KEY]
    return trace


_current: ContextVar[Trace | None] = ContextVar("mlxd_request", default=None)


def current() -> Trace | None:
    """Return the trace of the request that this task works for, which may have ended; None where there is none."""
    return _current.get()


def headers() -> list[tuple[bytes, bytes]]:
    """Return what a worker must know of the request so that somebody can follow it."""
    trace = current()
    return [(REQUEST.encode(), b"%d" % trace.number)] if trace and trace.number else []


def unseen(scope: Scope, trace: Trace) -> None:
    """Note nothing of a request that has ended."""


class RequestTrace:
    """Give each request an id that its response echoes, as the outermost ASGI middleware."""

    def __init__(self, app: ASGIApp, ended: Callable[[Scope, Trace], None] = unseen) -> None:
        """`ended` is told of each request when it is over."""
        self._app = app
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app, then log one line; a reader of state (GET) that succeeds is worth a debug line only."""
        if scope["type"] != "http":
            return  # nothing else is served
        trace = scope[_KEY] = Trace(_request_id(Headers(scope=scope)))
        _current.set(trace)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                trace.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = trace.request_id
                trace.content_type = headers.get("content-type", "")
                if refused := headers.get(ERROR):
                    trace.error = refused
                    del headers[ERROR]
                if of_path(scope["path"]) is Dialect.ANTHROPIC:
                    headers["request-id"] = trace.request_id  # where its clients look for it
                headers.setdefault("date", formatdate(usegmt=True))
            else:
                body = message.get("body", b"")
                if body and trace.first_byte is None:
                    trace.first_byte = time.monotonic()
                trace.sent_bytes += len(body)
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientGone:
            trace.error = CLIENT_GONE
        except asyncio.CancelledError:
            trace.error = (
                "cut_off"  # the server is told to hurry; whoever cancelled waits for the task only
            )
        trace.ended = time.monotonic()
        self._ended(scope, trace)
        quiet = scope["method"] in ("GET", "HEAD") and (trace.status or 500) < 400
        level = logging.DEBUG if quiet else logging.INFO
        logger.log(level, "%s", trace.line(scope["method"], scope["path"]))


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else f"req-{secrets.token_hex(8)}"


def _printable(text: str) -> str:
    """Keep a value in one word of one line, whatever a client put into it."""
    plain = text if text.isprintable() and " " not in text and '"' not in text else ascii(text)
    return plain if len(plain) <= 200 else f"{plain[:200]}…"

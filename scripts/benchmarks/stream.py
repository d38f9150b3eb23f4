"""Read event streams with as little work as possible, so that the client does not take the servers' processor."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

_RETRY_S = (0.05, 0.1, 0.2, 0.4)
"""Pauses after a refused connection: mlx_lm.server listens with a backlog of five."""
STEADY = 20
"""Texts after which a stream counts as running."""
_TEXT = re.compile(rb'"(?:content|reasoning|reasoning_content)": ?"(?!")')
_COMPLETION = re.compile(rb'"completion_tokens": ?(\d+)')
_PROMPT = re.compile(rb'"prompt_tokens": ?(\d+)')
_CACHED = re.compile(rb'"cached_tokens": ?(\d+)')


@dataclass(slots=True)
class Stream:
    """Hold when a stream's text came, and what it said of itself at the end."""

    began: float
    arrivals: list[float] = field(default_factory=list)
    ended: float = 0.0
    body: bytes = b""

    @property
    def first(self) -> float:
        """Return the seconds to the first text."""
        return self.arrivals[0] - self.began if self.arrivals else self.ended - self.began

    @property
    def gaps(self) -> list[float]:
        """Return the seconds between texts."""
        return [b - a for a, b in zip(self.arrivals, self.arrivals[1:], strict=False)]

    @property
    def text(self) -> str:
        """Return what was said, reasoning left out."""
        frames = (line[6:] for line in self.body.splitlines() if line.startswith(b"data: {"))
        deltas = (choice["delta"] for f in frames for choice in json.loads(f)["choices"])
        return "".join(delta.get("content") or "" for delta in deltas)

    @property
    def tokens(self) -> int:
        """Return how many tokens were generated."""
        return _last(_COMPLETION, self.body)

    @property
    def prompt(self) -> int:
        """Return the length of the prompt."""
        return _last(_PROMPT, self.body)

    @property
    def cached(self) -> int:
        """Return how much of the prompt needed no reading."""
        return _last(_CACHED, self.body)


def _last(pattern: re.Pattern[bytes], body: bytes) -> int:
    found = pattern.findall(body)
    return int(found[-1]) if found else 0


class _Reading(asyncio.Protocol):
    def __init__(self, stream: Stream, live: asyncio.Event | None) -> None:
        self._stream = stream
        self._live = live
        self._parts: list[bytes] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if _TEXT.search(data):
            self._stream.arrivals.append(time.perf_counter())
            if self._live is not None and len(self._stream.arrivals) >= STEADY:
                self._live.set()
        self._parts.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._stream.ended = time.perf_counter()
        self._stream.body = b"".join(self._parts)
        if not self.over.done():
            self.over.set_result(None)


async def stream(
    address: tuple[str, int],
    body: dict[str, Any],
    live: asyncio.Event | None = None,
    into: Stream | None = None,
) -> Stream:
    """Send a chat request and read its stream to the end; `live` is set when it runs, `into` grows meanwhile."""
    wanted = {"stream": True, "stream_options": {"include_usage": True}, **body}
    payload = json.dumps(wanted).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address[0]}:{address[1]}\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n"
    )
    for pause in (*_RETRY_S, None):
        found = into if into is not None else Stream(0.0)
        found.began = time.perf_counter()
        try:
            await _read(address, head.encode() + payload, found, live)
        except OSError:
            if pause is None:
                raise
        if b" 200 " in found.body[:20]:
            return found
        if found.body or pause is None:
            break
        await asyncio.sleep(pause)
    raise RuntimeError(f"no stream: {found.body[:500]!r}")


async def _read(
    address: tuple[str, int], request: bytes, found: Stream, live: asyncio.Event | None
) -> None:
    transport, reading = await asyncio.get_running_loop().create_connection(
        lambda: _Reading(found, live), *address
    )
    try:
        transport.write(request)
        await reading.over
    finally:
        transport.abort()

"""Hold one request's work: asked for on the HTTP thread, done piece by piece on the main thread."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Generic, Self, TypeVar

from mlxd.protocol.errors import MlxdError

Ask = TypeVar("Ask")
Part = TypeVar("Part")


class Job(AsyncIterator[Part], Generic[Ask, Part]):
    """Carry what is asked to the main thread, and what comes of it back; iterate it on the HTTP thread.

    `put`, `finish`, `fail` and `tell` belong to the main thread, everything else to the HTTP thread's event loop.
    """

    def __init__(self, uid: int, ask: Ask, abandon: Callable[["Job[Ask, Part]"], None]) -> None:
        self.uid = uid
        self.ask = ask
        self._abandon = abandon
        self._left = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._parts: list[Part] = []
        self._error: MlxdError | None = None
        self._over = False
        self.done = False
        """Whether the main thread has nothing more to do for it; only that thread reads or writes it."""
        self.failed = False
        """Whether it is done because it failed; likewise."""
        self._outcome: MlxdError | None = None

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits any more; any thread may ask, at any moment of its work."""
        return self._left.is_set()

    def put(self, part: Part) -> None:
        """Hand a piece of the answer over."""
        self._call(self._receive, part)

    def finish(self, *parts: Part) -> None:
        """Hand the last pieces over and end the job well."""
        for part in parts:
            self.put(part)
        self._end(None)

    def fail(self, error: MlxdError) -> None:
        """End the job with an error; does nothing where it has ended."""
        self._end(error)

    def tell(self) -> None:
        """Let whoever waits know that the job has ended, once all else is as it is to be found then."""
        self._call(self._close, self._outcome)

    def _end(self, error: MlxdError | None) -> None:
        if not self.done:
            self.done, self.failed, self._outcome = True, error is not None, error

    def _call(self, act: Callable[..., None], value: object) -> None:
        try:
            self._loop.call_soon_threadsafe(act, value)
        except RuntimeError:
            pass  # the event loop has ended, and with it everyone who could listen

    def _receive(self, part: Part) -> None:
        self._parts.append(part)
        self._news.set()

    def _close(self, error: MlxdError | None) -> None:
        if not self._over:
            self._over, self._error = True, error
            self._news.set()
            self._abandon(self)

    def close(self, error: MlxdError) -> None:
        """End the job from this side, with an error for whoever iterates it."""
        self._left.set()
        self._close(error)

    def cancel(self) -> None:
        """Say that nobody waits any more; does nothing where the job is over."""
        self._left.set()
        self._close(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Part:
        """Return the next piece; raises what ended the job once all pieces are taken."""
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self._over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._parts.pop(0)

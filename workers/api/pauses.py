"""Notice when a source has been silent for a while, without disturbing it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def with_pauses(source: AsyncIterator[T], longest: float | None) -> AsyncGenerator[T | None]:
    """Yield what the source yields, and None each time it has yielded nothing for `longest` seconds."""
    if longest is None:
        async for item in source:
            yield item
        return
    waiting: asyncio.Task[T] | None = None
    try:
        while True:
            if waiting is None:
                waiting = asyncio.create_task(_next(source))
            await asyncio.wait((waiting,), timeout=longest)
            if not waiting.done():
                yield None
                continue
            done, waiting = waiting, None
            try:
                item = done.result()
            except StopAsyncIteration:
                return
            yield item
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


async def _next(source: AsyncIterator[T]) -> T:
    return await anext(source)
